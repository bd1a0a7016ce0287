"""The benchmark times the same computation in every backend: the results are equal."""

import json
import os
import pathlib
import re
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from cases import CASES

from benchmarks import __main__, backends, cuda_target, estimate, hlo, products, report, tasks, timing
from benchmarks.cases import BY_NAME, ROWS, Case
from benchmarks.filters import FILTERS
from benchmarks.networks import NETWORKS, Weights
from benchmarks.programs import OPS, PROGRAMS
from convjax._machine import this_machine

ROOT = pathlib.Path(__file__).parents[2]
FAST_COMPILE = {"xla_backend_optimization_level": 0}


@pytest.fixture(autouse=True)
def _default_settings():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("case", [c for c in CASES if len(c.x) == len(c.weight)], ids=lambda case: case.name)
@pytest.mark.parametrize("direction", backends.DIRECTIONS)
def test_lax_and_convjax_time_the_same_operation(case, direction):
    operands = backends.operands(case)
    one, other = (backends.jax_function(backends.conv_of(b, case), direction)(*operands) for b in ("convjax", "lax"))
    backends.agree(one, other)


NHWC = ("dense_3x3", "low_high", "grouped_strided", "depthwise_multiplied", "up_grouped_dilated", "volume")


@pytest.mark.parametrize("case", [c for c in CASES if c.name in NHWC], ids=lambda case: case.name)
@pytest.mark.parametrize("direction", backends.DIRECTIONS)
def test_rows_with_channels_last_are_the_same_operation(case, direction):
    """Of lax on such arrays, of convjax, and of both on arrays with the channels first."""
    last, arrays = case.channels_last(), backends.operands(case)
    stored = backends.in_memory_format(last, *arrays)
    one, other = (backends.jax_function(backends.conv_of(b, last), direction)(*stored) for b in ("convjax", "lax"))
    backends.agree(one, other)
    first = backends.jax_function(backends.conv_of("lax", case), direction)(*arrays)
    to_last = backends.kernel_to_last if direction == "weight gradient" else backends.image_to_last
    backends.agree(other, to_last(first))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "WaveNet"])
def test_networks_with_channels_last_are_the_same(name):
    first, last = (next(p for p in PROGRAMS if p.name == full) for full in (name, f"{name}, NHWC"))
    rng = np.random.default_rng(0)
    x, *weights = first.arrays(rng)
    x = x[:1, :, :64, :64]
    want = jax.jit(first.jax_function("lax", "forward"))(x, *weights)
    want = backends.image_to_last(want)
    stored = last.in_memory_format((x, *weights))
    for backend in ("convjax", "lax"):
        backends.agree(jax.jit(last.jax_function(backend, "forward"))(*stored), want)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_the_same(name):
    function, shape = NETWORKS[name]
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((1, shape[1], *[64] * (len(shape) - 2)), np.float32), Weights(rng=rng)
    jax.eval_shape(lambda x: function(OPS["lax"], weights, x), x)
    one, other = (jax.jit(lambda x, b=b: function(OPS[b], Weights(weights.arrays), x))(x) for b in OPS)
    assert np.isfinite(one).all()
    backends.agree(one, other)


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p.family in ("vmap", "call")], ids=lambda p: p.name)
def test_programs_are_the_same(program):
    arrays = program.arrays(np.random.default_rng(0))
    backends.agree(*(jax.jit(program.jax_function(b, program.directions[0]))(*arrays) for b in ("convjax", "lax")))


@pytest.mark.parametrize("row", FILTERS, ids=lambda row: row.name)
def test_filters_are_the_same(row):
    """On much smaller arrays, with the same number of axes and the same arguments."""
    row = row._replace(shapes=tuple(tuple(min(n, 40) for n in shape) for shape in row.shapes))
    with row.with_dtype():
        want = row.of("scipy")(*row.arrays())
        for library in ("convjax", "jax.scipy"):
            function = row.of(library)
            if function is not None:
                got = np.asarray(jax.jit(function, compiler_options=FAST_COMPILE)(*row.device()))
                assert got.dtype == want.dtype
                whole = np.issubdtype(want.dtype, np.integer)
                np.testing.assert_allclose(got, want, rtol=0 if whole else 1e-4, atol=whole + 1e-5 * np.abs(want).max())


def test_names_of_rows_are_unique():
    names = [row.name for row in (*ROWS, *PROGRAMS, *FILTERS)]
    assert len(set(names)) == len(names)


@pytest.fixture
def timed(monkeypatch):
    """Runs timing.fastest on calls that take the given seconds in turn. Returns the result and the order of calls."""

    def timed(takes, **options):
        clock, order, left = [0.0], [], {name: iter(seconds) for name, seconds in takes.items()}
        monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

        def call(name):
            order.append(name)
            clock[0] += next(left[name])

        calls = {name: lambda name=name: call(name) for name in takes}
        return timing.fastest(calls, batch=0.0, patience=1e9, **options), order

    return timed


def test_the_fastest_batch_counts_and_the_order_rotates(timed):
    best, order = timed({"a": [3.0, 1.0, 2.0], "b": [2.0, 5.0, 4.0]}, rounds=3)
    assert best == {"a": 1.0, "b": 2.0}
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_the_first_call_of_a_batch_is_not_the_only_one(timed):
    best, order = timed({"a": [0.3, 0.1], "b": [0.2, 0.4]}, rounds=1)
    assert (best, order) == ({"a": pytest.approx(0.1), "b": pytest.approx(0.2)}, ["a", "a", "b", "b"])


def test_a_time_that_is_not_settled_takes_more_rounds_of_all(timed):
    once = {"a": [3.0, 2.0, 2.0, 9.0], "b": [7.0, 6.0, 5.0, 9.0], "c": [2.0, 2.0, 2.0, 9.0]}
    best, order = timed(once, rounds=1, same=("a", "c"))
    assert best == {"a": 2.0, "b": 6.0, "c": 2.0}
    assert len(order) == 6
    never = {"a": [3.0] * 9, "c": [2.0] * 9}
    assert len(timed(never, rounds=2, same=("a", "c"))[1]) == 2 * 8


def test_a_row_that_never_settled_is_timed_once_more(monkeypatch, tmp_path):
    times = iter([{"convjax": 2.0, "lax": 3.0, "again": 1.0}, {"convjax": 1.5, "lax": 4.0, "again": 1.5}])
    monkeypatch.setattr(__main__, "fastest", lambda *_: next(times))
    asked = ["--rows", "5x5 on 64", "--directions", "forward", "--against", "lax"]
    assert __main__.main(__main__.arguments([*asked, "--results", str(tmp_path), "--name", "a"])) == 0
    (row,) = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert row["seconds"] == {"convjax": 1.5, "lax": 3.0, "again": 1.0}


def test_a_folder_is_not_part_of_the_command():
    given = ["--rows", "5x5 on 64", "--results", "somewhere", "--name", "a", "--results=elsewhere"]
    assert __main__.command(given) == "python -m benchmarks --rows '5x5 on 64' --name a"


def test_families_take_turns():
    """With a limit of minutes, every family, direction, format and dtype comes first once: first of all the kinds of
    layers that do most of the work in published models, and first of all what was not timed before."""
    wanted = tasks.wanted(
        [""], ["forward", "weight gradient"], ["lax"], ["rows"], list(tasks.FORMATS), list(tasks.DTYPES)
    )
    order = tasks.families_in_turn(wanted)
    precision = lambda r: getattr(r, "options", {}).get("precision")  # noqa: E731
    kinds = [(r.family, d, r.memory_format, getattr(r, "dtype", ""), precision(r)) for r, d in order]
    assert len(set(kinds[: len(set(kinds))])) == len(set(kinds))
    assert sorted(map(repr, order)) == sorted(map(repr, wanted))
    assert {kind[0] for kind in kinds[:6]} == {"dense"}  # two directions, two formats, and more
    assert tasks.kind_of_layer(BY_NAME["resnext 32x4 3x3"]) == "grouped"
    assert tasks.work_of_kinds().most_common(1)[0][0] == "dense"
    timed = {(r.name, d) for r, d in order[:20]}
    later = tasks.families_in_turn(wanted, timed)
    assert {(r.name, d) for r, d in later[-len(timed) :]} == timed


def test_float32_with_all_of_its_digits_is_asked_of_every_backend():
    case = BY_NAME["lenet 5x5 6 to 16"].of_dtype("float32_highest")
    assert (case.dtype, case.spec().precision) == ("float32", jax.lax.Precision.HIGHEST)
    operands = [*case.structs(), jax.eval_shape(case, *case.structs())]
    for backend in ("lax", "convjax"):
        for direction in backends.DIRECTIONS:
            text = jax.jit(backends.jax_function(backends.conv_of(backend, case), direction))
            text = text.trace(*operands).lower(lowering_platforms=("cuda",)).as_text()
            assert "precision HIGHEST" in text, (backend, direction)


def test_no_row_starts_after_the_limit(monkeypatch, tmp_path):
    clock = iter([0.0, 0.0, 30.0, 61.0])
    monkeypatch.setattr(__main__, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(__main__, "fastest", lambda *_: {"convjax": 1.0, "lax": 1.0, "again": 2.0})
    asked = ["--rows", "5x5 on 64", "--against", "lax", "--minutes", "1", "--results", str(tmp_path), "--name", "a"]
    assert __main__.main(__main__.arguments(asked)) == 0
    assert len(json.loads((tmp_path / "a.json").read_text())["rows"]) == 2


def test_a_run_with_a_limit_keeps_its_rows_if_it_is_ended(monkeypatch, tmp_path):
    """And the next run goes on with the others."""
    times = {"convjax": 1.0, "lax": 1.0, "again": 1.0}
    asked = ["--rows", "5x5 on 64", "--against", "lax", "--minutes", "1", "--results", str(tmp_path), "--name", "a"]
    calls = iter([lambda: times, lambda: sys.exit("taken away"), lambda: times])
    monkeypatch.setattr(__main__, "fastest", lambda *_: next(calls)())
    with pytest.raises(SystemExit):
        __main__.main(__main__.arguments(asked))
    (first,) = json.loads((tmp_path / "a.json").read_text())["rows"]
    clock = iter([0.0, 0.0, 61.0])
    monkeypatch.setattr(__main__, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert __main__.main(__main__.arguments([*asked, "--again"])) == 0
    both = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert both[0]["direction"] == first["direction"] != both[1]["direction"]


def test_runs_of_the_same_code_add_up(monkeypatch, tmp_path):
    """Each call's fewest seconds of all runs count, in the order of the first run."""
    times = iter([{"convjax": 2.0, "lax": 3.0, "again": 2.0}] * 4 + [{"convjax": 1.5, "lax": 4.0, "again": 1.5}])
    monkeypatch.setattr(__main__, "fastest", lambda *_: next(times))
    asked = ["--rows", "5x5 on 64", "--against", "lax", "--results", str(tmp_path), "--name", "a"]
    for more in (["forward,input gradient"], ["forward,input gradient", "--again"], ["input gradient", "--again"]):
        assert __main__.main(__main__.arguments([*asked, "--directions", *more])) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["runs"] == 2  # runs of all rows
    assert [row["direction"] for row in result["rows"]] == ["forward", "input gradient"]
    assert result["rows"][0]["seconds"] == {"convjax": 2.0, "lax": 3.0, "again": 2.0}
    assert result["rows"][1]["seconds"] == {"convjax": 1.5, "lax": 3.0, "again": 1.5}
    assert "fewest seconds of 2 runs" in report.every_row(result)
    first, second = ({"algorithm": name, "seconds": {}, "compile_seconds": {}} for name in ("col2im", "xla"))
    assert __main__.fewest(first, second) is second


def test_an_algorithm_is_timed_even_if_a_rewrite_undoes_it():
    """For a weight gradient of 1x1 kernels, `chwn` makes a stride, which `space_to_depth` removes again."""
    case = Case("1x1", (8, 16, 8, 8), (16, 16, 1, 1))
    task = tasks.task(case, "weight gradient", "cpu")
    assert task.ready("chwn").program != task.ready("convjax").program


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    env = {**os.environ, "JAX_ENABLE_X64": "0", "XLA_FLAGS": ""}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)


def test_a_run_writes_what_it_measured(tmp_path):
    done = run(
        "--rows", "5x5 on 64", "--against", "lax,shift_add", "--rounds", "1", "--results", tmp_path, "--name", "a-1.2"
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "a-1.2.json").read_text())
    assert [row["direction"] for row in result["rows"]] == list(backends.DIRECTIONS)
    assert {"convjax", "again", "lax", "shift_add"} == set(result["rows"][0]["seconds"])
    assert all(s > 0 for row in result["rows"] for s in row["seconds"].values())
    assert {"jax", "python", "convjax"} <= set(result["versions"])
    assert (tmp_path / "a-1.2.png").stat().st_size > 5000
    assert "noise" in done.stdout
    assert "worst regret" in done.stdout
    assert "| image | 3 |" in report.families(result)
    assert report.every_row(result).count("5x5 on 64x28x28") == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rows", "no such row"],
        ["--against", "tensorflow"],
        ["--against", "scipy", "--rows", "lenet"],
        ["--platform", "cuda"],
        ["--rounds", "many"],
        ["--sets", "elephants"],
        ["--memory-format", "NHWC"],
        ["--dtypes", "float7"],
        ["--again", "--name", "none"],
    ],
)
def test_bad_arguments_are_one_line(arguments, tmp_path):
    done = run(*arguments, "--results", tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()[-1:]) == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_programs_are_compared_without_names():
    """Programs that differ only in function names and source locations compare equal."""

    def one(x):
        return x * 2 + 1

    def other(x):
        return x * 2 + 1

    same, again, different = (tasks._jax_ready(f, (np.ones(5),)).program for f in (one, other, lambda x: x * 3 + 1))
    assert same == again
    assert same != different


def test_the_algorithms_that_are_timed_suit_the_memory_format():
    case = Case("strided", (2, 16, 9, 9), (32, 16, 3, 3), {"stride": 2, "padding": 1})
    for direction, name in (("forward", "im2row"), ("input gradient", "row2im"), ("weight gradient", "im2row")):
        assert name not in tasks.multiply_adds(case, direction)
        assert tasks.multiply_adds(case.channels_last(), direction)[name] > 0


def test_products_of_random_sizes_are_timed(capsys):
    arguments = ["--count", "3"]
    if not this_machine("cpu").has_onednn("float32"):
        with pytest.raises(SystemExit):
            products.main(arguments)
        return
    assert products.main(arguments) == 0
    assert "| 0 to 50000 | 3 |" in capsys.readouterr().out


# ---- the compiler's estimates ----

TEXT = """
%turn (p.1: (s32[], f32[8])) -> (s32[], f32[8]) {
  %fusion.2 = f32[8]{0} fusion(%a), calls=%inside, backend_config={"estimated_cycles":"10"}
}

%inside (p.2: f32[8]) -> f32[8] {
  ROOT %copy.2 = f32[8]{0} copy(%p.2), backend_config={"estimated_cycles":"1"}
}

%more (p.3: (s32[], f32[8])) -> pred[] {
  %constant.7 = s32[]{:T(128)} constant(32)
  ROOT %lt.1 = pred[]{:T(512)} compare(%counter, %constant.7), direction=LT
}

%until (p.4: (s32[], f32[8])) -> pred[] {
  ROOT %flag = pred[]{:T(512)} get-tuple-element(%p.4), index=0
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %fusion = bf16[8,9]{1,0} fusion(%a), backend_config={"window_config":{"emitter":"EmitOutputBatchInSublanes"},"estimated_cycles":"1200"}
  %while.1 = (s32[], f32[8]) while(%t), condition=%CONDITION, body=%turn
  %copy = f32[8]{0} copy(%b), backend_config={"estimated_cycles":"300"}
}
"""  # noqa: E501


@pytest.mark.parametrize(("condition", "cycles"), [("more", 1500 + 32 * 11), ("until", 1500 + 11)])
def test_an_estimate_is_read_from_the_text_of_a_program(condition, cycles):
    """A loop that counts to 32 counts 32 times, another one once."""
    text = TEXT.replace("%CONDITION", f"%{condition}")
    program = SimpleNamespace(as_text=lambda: text, memory_analysis=lambda: SimpleNamespace(temp_size_in_bytes=7))
    want = {"cycles": cycles, "emitters": ["EmitOutputBatchInSublanes"], "temporary_bytes": 7}
    assert estimate.read(program) == want


def test_estimates_are_shown_with_what_could_not_be_compiled(tmp_path):
    found = {
        "xla": {"cycles": 15000},
        "auto": {"chosen": "fft", "cycles": 3000},
        "shift_add": {"cycles": 1500},
        "matmul": {"error": "not compiled within 9 s"},
        "winograd": None,
    }
    programs = [{"row": "a row", "direction": "forward", "algorithm": name, "found": f} for name, f in found.items()]
    programs += [each | {"row": "another"} for each in (programs[1], programs[3] | {"algorithm": "xla"})]
    programs += [programs[0] | {"row": "third"}, programs[1] | {"row": "third", "found": {"chosen": "xla"}}]
    result = {"topology": "v5e:2x2", "jax": "1", "libtpu": "2", "date": "today", "programs": programs}
    text = estimate.table(result)
    assert "no clock" in text.splitlines()[0]
    assert "| a row | forward | 10 | 2 | fft | 5.0x | 1 | shift_add |" in text
    assert "| another | forward | not compiled within 9 s | 2 | fft |  | 2 | fft |" in text
    assert "| third | forward | 10 | 10 | xla | 1.0x | 10 | xla |" in text
    assert "thousand cycles" in estimate.table(result | {"topology": "v4:2x2"})
    estimate.chart(result, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 5000


@pytest.mark.parametrize(
    "wrong",
    ["--rows=no such row", "--directions=sideways", "--algorithms=magic", "--sets=none", "--topology=cuda:none"],
)
def test_wrong_estimates_are_one_line(wrong, tmp_path, capsys):
    assert estimate.main(estimate.arguments([wrong, "--file", str(tmp_path / "a.json")])) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


KERNELS = """
%fused (p: f32[8]) -> f32[8] {
  ROOT %add.1 = f32[8]{0} add(%p, %p)
}

%turn (p.1: (s32[], f32[8])) -> (s32[], f32[8]) {
  %fusion.2 = f32[8]{0} fusion(%a), kind=kLoop, calls=%fused
  ROOT %tuple.1 = (s32[], f32[8]{0}) tuple(%b, %fusion.2)
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %cudnn = (f32[8]{0}, u8[0]{0}) custom-call(%x), custom_call_target="__cudnn$convForward"
  %first = f32[8]{0} get-tuple-element(%cudnn), index=0
  %while.1 = (s32[], f32[8]{0}) while(%t), condition=%more, body=%turn
  ROOT %fusion = f32[8]{0} fusion(%first), kind=kLoop, calls=%fused
}
"""


def test_kernels_are_counted_in_the_text_of_a_program():
    """A call of cuDNN, one fusion, and one in a loop."""
    assert hlo.kernels(KERNELS) == 3
    program = SimpleNamespace(as_text=lambda: KERNELS, memory_analysis=lambda: SimpleNamespace(temp_size_in_bytes=7))
    assert estimate.read_cuda(program) == {"kernels": 3, "temporary_bytes": 7}


def test_kernels_are_shown():
    found = {"xla": {"kernels": 4, "temporary_bytes": 12_800_000}, "auto": {"chosen": "xla"}}
    programs = [{"row": "a row", "direction": "forward", "algorithm": name, "found": f} for name, f in found.items()]
    found = {"xla": {"error": "not compiled within 9 s"}, "auto": {"chosen": "fft", "kernels": 2, "temporary_bytes": 0}}
    programs += [{"row": "other", "direction": "forward", "algorithm": name, "found": f} for name, f in found.items()]
    result = {"topology": "cuda:h200", "jax": "1", "jax-cuda12-plugin": "1", "date": "today", "programs": programs}
    text = estimate.cuda_table(result)
    assert "nothing timed" in text.splitlines()[0]
    assert "| a row | forward | 4 (12.8) | 4 (12.8) | xla |" in text
    assert "| other | forward | not compiled within 9 s | 2 (0.0) | fft |" in text


@pytest.mark.parametrize("card", cuda_target.CARDS)
def test_a_card_is_described(card):
    """By a message whose braces match, and whose fields have one value each."""
    command = [sys.executable, "-m", "benchmarks.cuda_target", card]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert text == cuda_target.text(card)
    assert text.count("{") == text.count("}") == 3
    fields = re.findall(r"^ *(\w+):? ", text, re.MULTILINE)
    assert len(set(fields)) == len(fields) > 20


def test_a_card_that_is_not_known_is_one_line():
    run = subprocess.run([sys.executable, "-m", "benchmarks.cuda_target", "abacus"], capture_output=True, text=True)
    assert (run.returncode, len(run.stderr.splitlines()), run.stdout) == (2, 1, "")


def test_a_compiler_is_started_anew_after_it_was_ended():
    compiler = estimate.Compiler("no such topology")
    try:
        request = ["lenet 5x5 6 to 16", "forward", "xla"]
        assert compiler(request, 0) == {"error": "not compiled within 0 s"}
        failed = compiler(request, 60)["error"]
        assert failed
        assert not failed.startswith("not compiled")
        compiler.worker.process.kill()
        assert compiler(request, 60) == {"error": "the compiler ended its process"}
    finally:
        compiler.end()


@pytest.mark.parametrize("text", [None, "", "{}", "[1]"])
def test_a_report_of_another_file_is_one_line(tmp_path, capsys, text):
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit) as leaving:
        report.main([str(path)])
    assert leaving.value.code == 2
    assert capsys.readouterr().err == f"python -m benchmarks.report: error: {path} is not a file of timings\n"
    assert not path.with_suffix(".md").exists()
