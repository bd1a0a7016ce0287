"""Programs for a TPU v5e, compiled ahead of time where there is none: rows of each family, and of each choice."""

import pytest

import convjax
from benchmarks import estimate
from benchmarks.backends import DIRECTIONS
from benchmarks.cases import ROWS
from convjax._choice.preferences import PREFERENCES

LIMIT_SECONDS = 60.0  # of a compile
# Temporary memory, in units of the operands and the result. The weight gradient of depthwise 31x31 has the most (7.2),
# because its weight is a matrix there.
MAX_TEMPORARIES = 8
QUICK = ["mobilenet 3x3 384", "resnext 32x32 3x3", "resnet 1x1 256 to 1024", "resnet 3x3 128", "drn 3x3 d2"]
QUICK += ["replknet 31x31", "5x5 on 64x28x28", "tcn k3 d8 32", "dcgan 4x4 s2 64 to 3", "resnext 32x4 3x3, bf16"]
QUICK += ["resnext 32x8 3x3", "vit patches 16x16", "wav2vec k10 s5 1 to 512", "audio k129", "audio k16000"]
QUICK += ["vgg 3x3 3 to 64", "sobel pair on 1080x1920"]
# Each takes 5 to 30 s to compile, and is much like another program here.
SLOW = {("audio k16000", direction) for direction in DIRECTIONS[1:]} | {("replknet 31x31", "input gradient")}
BY_NAME = {case.name: case for case in ROWS}
PROGRAMS = [(name, direction) for name in QUICK for direction in DIRECTIONS if (name, direction) not in SLOW]
PROGRAMS += [("video depthwise 3x3x3", "weight gradient")]


@pytest.fixture(scope="module")
def compiler():
    made = estimate.Compiler("v5e:2x2")
    yield made
    made.end()


def planned(case, direction):
    options = case.options | {"memory_format": case.memory_format}
    plan = convjax.plan(*case.structs(), function=case.function, platform="tpu", **options)
    return plan.step(direction)


@pytest.mark.parametrize(("name", "direction"), PROGRAMS)
def test_a_program_compiles_as_planned(compiler, name, direction):
    step = planned(BY_NAME[name], direction)
    found = compiler([name, direction, estimate.AUTO], LIMIT_SECONDS)
    assert found.get("chosen") == step.algorithm, found
    if step.algorithm == "xla":
        found = compiler([name, direction, "xla"], LIMIT_SECONDS)
    assert found["cycles"] > 0
    assert found["temporary_bytes"] <= MAX_TEMPORARIES * step.bytes


def test_every_family_and_every_choice_is_there():
    assert {BY_NAME[name].family for name, _ in PROGRAMS} == {case.family for case in ROWS}
    chosen = {planned(BY_NAME[name], direction).algorithm for name, direction in PROGRAMS}
    assert chosen == {preference.algorithm for preference in PREFERENCES["tpu"]} | {"xla"}
