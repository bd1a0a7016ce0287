"""Every argument gives an array or an error that convjax raises on purpose. convjax accepts what torch accepts."""

import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import convjax

STEPS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
VALID = {"conv2d": STEPS, "conv_transpose2d": STEPS | {"output_padding": 0}}
HUGE = [2**31, 2**63, 2**64, -(2**63), 2**70]

integers = st.integers(-2, 5)
scalars = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.sampled_from(["same", "valid", "zeros", "SAME", "", "1", b"same", 1j, np.bool_(True), object(), {}, {1}])
    | st.sampled_from([np.int8, np.int64, np.uint8, np.float32, np.float64]).flatmap(lambda t: st.integers(0, 3).map(t))
    | st.lists(integers, max_size=3).map(np.array)
    | integers.map(np.array)
    | integers.map(jnp.array)
)
arguments = st.one_of(
    integers,
    st.lists(integers, min_size=1, max_size=3).map(tuple),
    st.tuples(st.tuples(integers, integers), st.tuples(integers, integers)),
    st.recursive(
        integers | scalars,
        lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
        max_leaves=5,
    ),
)
shapes = st.lists(st.integers(0, 4), max_size=6)
dtypes = st.sampled_from(["float32", "float64", "float16", "int32", "bool", "complex64", "U1", "O", "M8[s]"])
operands = st.one_of(
    shapes.map(lambda shape: np.ones(shape, np.float32)),
    st.builds(lambda shape, dtype: np.ones(shape).astype(dtype), shapes, dtypes),
    st.builds(lambda n, dtype: np.ones((2, n, 5, 5)).astype(dtype), st.integers(0, 5), dtypes),
    shapes.map(lambda shape: np.ones(shape).tolist()),
    scalars,
    st.just([[1.0], [1.0, 2.0]]),
)
fuzz_settings = settings(
    deadline=None, derandomize=True, database=None, max_examples=300, suppress_health_check=list(HealthCheck)
)


plausible_arguments = (
    st.integers(0, 3) | st.tuples(st.integers(0, 3), st.integers(0, 3)) | st.sampled_from(["same", "valid"])
)


@st.composite
def calls(draw, function):
    """The arguments of a valid call, with one replaced by any value, or with up to three replaced by plausible ones."""
    groups, channels = draw(st.sampled_from([(1, 1), (1, 2), (2, 2), (2, 4)]))
    batch, size = draw(st.sampled_from([(), (0,), (2,)])), draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    shape = {"x": (*batch, channels, *size), "weight": (channels, channels // groups, *kernel), "bias": (channels,)}
    values = {name: np.ones(each, np.float32) for name, each in shape.items()} | VALID[function] | {"groups": groups}
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(values)))
        return values | {name: draw(operands if name in shape else arguments)}
    names = st.lists(st.sampled_from(sorted(VALID[function])), max_size=3, unique=True)
    return values | {name: draw(plausible_arguments) for name in draw(names)}


def call(library, function, values):
    """The shape of the result, or the error."""
    try:
        with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"):
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel")
            return tuple(getattr(library, function)(**values).shape)
    except Exception as error:
        return error


def as_torch(values):
    values = {name: tensor(v) if name in ("x", "weight", "bias") else v for name, v in values.items()}
    values["input"] = values.pop("x")
    return values


def tensor(value):
    is_number = isinstance(value, np.ndarray) and value.dtype.kind in "biufc"
    return torch.tensor(value) if is_number else value


def check(function, values):
    ours, theirs = call(convjax, function, values), call(F, function, as_torch(values))
    if isinstance(ours, Exception):
        assert isinstance(ours, (ValueError, TypeError)), f"{type(ours)}: {ours}"
        assert str(ours).startswith(f"convjax.{function}: `"), ours
        assert isinstance(theirs, Exception) or is_rejected_on_purpose(values), (
            f"torch accepts what convjax refuses: {ours}"
        )
    else:
        assert isinstance(theirs, Exception) or ours == theirs


def is_rejected_on_purpose(values):
    """Whether convjax rejects this on purpose though torch accepts it: empty axes, sizes of an empty batch, bytes."""
    return 0 in values["x"].shape + values["weight"].shape or isinstance(values["padding"], bytes)


@fuzz_settings
@given(calls("conv2d"))
def test_conv2d(values):
    check("conv2d", values)


@fuzz_settings
@given(calls("conv_transpose2d"))
def test_conv_transpose2d(values):
    check("conv_transpose2d", values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), (1, float("nan")), [float("-inf")]], ids=str)
@pytest.mark.parametrize(("function", "name"), [(f, name) for f, names in VALID.items() for name in names])
def test_not_finite(function, name, value):
    check(function, example_values(function) | {name: value})


@pytest.mark.parametrize("value", HUGE, ids=hex)
@pytest.mark.parametrize("name", ["stride", "dilation", "groups"])
def test_integers_beyond_64_bits(name, value):
    check("conv2d", example_values("conv2d") | {name: value})


def test_no_shape_ends_the_process():
    """XLA would swap the operands and abort. One axis has a window as wide as its dilation, another a wider window."""
    x, weight = np.arange(60.0).reshape(2, 2, 5, 3) % 7, np.arange(40.0).reshape(2, 2, 2, 5) % 5
    code = f"""
import jax
jax.config.update("jax_enable_x64", True)
import convjax, numpy
x, weight = (numpy.asarray(a) for a in ({x.tolist()}, {weight.tolist()}))
print(convjax.conv_transpose2d(x, weight, stride=2, padding=(1, 0)).tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:1000]
    want = F.conv_transpose2d(torch.tensor(x), torch.tensor(weight), stride=2, padding=(1, 0))
    assert done.stdout.strip() == str(want.tolist())


def example_values(function):
    ones = {"x": (2, 2, 5, 5), "weight": (2, 2, 3, 2), "bias": (2,)}
    return {name: np.ones(shape, np.float32) for name, shape in ones.items()} | VALID[function]


@pytest.mark.parametrize("name", ["padding_mode", "precision", "preferred_element_type", "algorithm"])
@pytest.mark.parametrize("function", sorted(VALID))
def test_keywords_that_torch_lacks(function, name):
    """Arguments that torch lacks give an array or an error that convjax raises on purpose."""

    @settings(fuzz_settings, max_examples=60)
    @given(arguments | st.text(max_size=3))
    @example("zeros")
    @example("highest")
    @example(np.float32)
    def run(value):
        got = call(convjax, function, example_values(function) | {name: value})
        assert isinstance(got, (tuple, ValueError, TypeError)), repr(got)
        assert isinstance(got, tuple) or str(got).startswith(f"convjax.{function}: `{name}`"), got

    run()
