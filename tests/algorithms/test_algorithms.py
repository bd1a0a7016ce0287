"""Every algorithm on every operation that it supports, forward and both gradients, against float64 loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import (
    ALL_REDUCED,
    BY_NAME,
    CASES,
    CPU,
    REDUCED,
    Case,
    by,
    channels_last,
    chunked,
    error_of,
    has_loop,
    normal,
    run,
    specs,
)

from convjax._algorithms import ALGORITHMS, col2im, fft, im2col, shift_add, variadic_reduce
from convjax._algorithms.algorithm import Kernel, Rewrite
from convjax._arrays.fourier import fast_length
from convjax._choice.choose import why_unsupported
from convjax._machine import generic, this_machine
from convjax._spec import ConvSpec, Hints

HERE = this_machine("cpu")
CHANNELS_LAST = [
    name for name, each in ALGORITHMS.items() if isinstance(each, Kernel) and each.memory_format != "contiguous"
]

# Largest error over largest result, at most some 500 products a result.
# oneDNN adds one product after the other, in weight gradients over all positions of an image.
ROUNDING = dict.fromkeys(ALGORITHMS, 1e-06) | {"winograd": 4e-6, "onednn": 2e-6}


@pytest.mark.parametrize("case", [*CASES, *REDUCED], ids=lambda case: case.name)
def test_every_algorithm_is_the_convolution(case):
    for direction, (spec, x, w) in specs(case).items():
        x, w = normal(0, x.shape), normal(1, w.shape)
        want = reference.conv(x, w, spec)
        chosen = [(name, spec) for name in ALGORITHMS]
        chosen += [(name, channels_last(spec)) for name in CHANNELS_LAST]
        chosen = [(name, s) for name, s in chosen if why_unsupported(ALGORITHMS[name], s, x, w, HERE) is None]
        # One program of all algorithms compiles in two thirds of the time of many.
        results = jax.jit(lambda x, w, chosen=chosen: [by(name, s)(x, w) for name, s in chosen])(x, w)
        for (name, s), got in zip(chosen, map(np.asarray, results), strict=True):
            assert (got.shape, got.dtype) == (want.shape, np.float32), (name, direction)
            assert np.abs(got - want).max() <= ROUNDING[name] * np.abs(want).max(), (name, direction)
            assert ALGORITHMS[name].multiply_adds(s, x, w) > 0
            assert isinstance(ALGORITHMS[name], Rewrite) or ALGORITHMS[name].error(s, x, w) > 0


@pytest.mark.parametrize("padding", [(-2, 2), (-1, 1), (-3, 1), (2, -2), (-2, 0), (-1, 3)])
@pytest.mark.parametrize("dims", [1, 2])
def test_a_padding_that_cuts_one_side_and_widens_the_other(dims, padding):
    """XLA's own convolution, and so lax's, reads behind the end of x for some of these."""
    ones = (1,) * dims
    for groups, stride in ((1, 1), (1, 2), (3, 1)):
        spec = ConvSpec((stride,) * dims, (padding,) * dims, ones, ones, groups)
        x, w = normal(0, (2, 8 * groups, *[20] * dims)), normal(1, (4 * groups, 8, *[3] * dims))
        names = [name for name, each in ALGORITHMS.items() if why_unsupported(each, spec, x, w, HERE) is None]
        results = jax.jit(lambda x, w, s=spec, names=names: [by(name, s)(x, w) for name in names])(x, w)
        want = reference.conv(x, w, spec)
        for name, got in zip(names, results, strict=True):
            assert np.abs(np.asarray(got) - want).max() <= ROUNDING[name] * np.abs(want).max(), (name, groups, stride)


@pytest.mark.parametrize("case", ["grouped", "depthwise_multiplied", "depthwise_dilated_1d", "up_grouped_dilated"])
def test_weight_gradients_of_groups_by_the_call_of_other_platforms(case):
    spec, x, w = specs(BY_NAME[case])["weight gradient"]
    assert "batch_group_count=1 " not in str(jax.make_jaxpr(by("xla", spec, generic("cuda")))(x, w))
    assert error_of("xla", spec, x, w, generic("cuda")) <= 1e-6


@pytest.mark.parametrize("case", ["dense_3x3", "grouped", "depthwise_multiplied", "volume"])
def test_images_in_the_other_memory_format(case):
    """Every algorithm computes the same if the channels of the images are last in memory."""
    for spec, x, w in specs(BY_NAME[case]).values():
        x, w = normal(0, x.shape), normal(1, w.shape)
        spec = channels_last(spec)
        names = [name for name, each in ALGORITHMS.items() if why_unsupported(each, spec, x, w, HERE) is None]
        results = jax.jit(lambda x, w, spec=spec, names=names: [by(name, spec)(x, w) for name in names])(x, w)
        want = reference.conv(x, w, spec)
        for name, got in zip(names, results, strict=True):
            assert np.abs(np.asarray(got) - want).max() <= ROUNDING[name] * np.abs(want).max(), name


def test_the_cases_reach_every_algorithm():
    found = [entry for case in (*CASES, *ALL_REDUCED) for entry in specs(case).values()]
    found += [(channels_last(spec), x, w) for spec, x, w in found]
    for name, algorithm in ALGORITHMS.items():
        assert sum(why_unsupported(algorithm, *entry) is None for entry in found) >= (
            10 if name in ("depth_slices", "depthwise_add", "depthwise_reduce") else 60
        ), name


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "complex64", "int32"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_dtypes_of_every_algorithm(name, dtype):
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    whole, wide = dtype.kind == "i", np.complex128 if dtype.kind == "c" else np.float64
    tolerance = {"float64": 1e-13, "float32": 4e-6, "float16": 2**-11, "bfloat16": 2**-8, "complex64": 4e-6, "int32": 0}
    served = 0
    for spec, x, w in [
        (ConvSpec((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1)), (2, 3, 9, 8), (4, 3, 3, 3)),
        (ConvSpec((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1)), (3, 2, 9, 8), (4, 2, 9, 8)),
        (ConvSpec((1, 1), ((2, 2), (1, 2)), (2, 2), (1, 1)), (2, 3, 5, 4), (4, 3, 4, 3)),
        (ConvSpec((2, 1), ((1, 1), (2, 2)), (1, 1), (1, 3)), (2, 3, 9, 11), (4, 3, 3, 3)),
        (ConvSpec((1, 1, 1), ((1, 1),) * 3, (1, 1, 1), (1, 1, 1)), (2, 3, 4, 5, 6), (4, 3, 3, 3, 3)),
        (ConvSpec((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), groups=2), (2, 6, 9, 8), (4, 3, 3, 3)),
        (ConvSpec((1, 2), ((1, 1), (1, 1)), (1, 1), (2, 1), groups=3), (2, 3, 9, 8), (3, 1, 3, 3)),
        (
            ConvSpec((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 3, hints=Hints(layer_weight="result")),
            (1, 6, 9, 8),
            (3, 2, 9, 8),
        ),
    ]:
        x, w = (normal(i, shape, np.complex64 if dtype.kind == "c" else np.float32) for i, shape in enumerate((x, w)))
        x, w = (jnp.asarray(np.round(3 * a) if whole else a).astype(dtype) for a in (x, w))
        spec = channels_last(spec) if name in ("im2row", "row2im", "depthwise_add", "depthwise_reduce") else spec
        if why_unsupported(ALGORITHMS[name], spec, x, w, HERE):
            continue
        served += 1
        for out in {dtype, jnp.dtype(jnp.float32)} if dtype.itemsize == 2 else {dtype}:
            wide_spec = spec._replace(out_dtype=None if out == dtype else out)
            if why_unsupported(ALGORITHMS[name], wide_spec, x, w, HERE):
                assert name == "onednn"
                continue
            got = run(name, x, w, wide_spec)
            assert got.dtype == out
            want = reference.conv(np.asarray(x, wide), np.asarray(w, wide), spec)
            assert np.abs(np.asarray(got, wide) - want).max() <= tolerance[out.name] * np.abs(want).max()
    assert served or (name, dtype.kind) in {("fft", "i"), ("winograd", "i"), ("winograd", "c")} or name == "onednn"


def test_sixteen_bit_sums_are_made_in_float32():
    """4096 halves of 1: a running sum in 16 bits stops growing long before the end."""
    ones = jnp.ones((1, 64, 8, 8), jnp.bfloat16)
    spec = ConvSpec((1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1))
    for name in ("xla", "variadic_reduce", "matmul", "fft"):
        assert float(run(name, ones, ones / 2, spec)[0, 0, 0, 0]) == 2048, name


def test_blocks_of_a_long_signal():
    spec = ConvSpec((3,), ((100, 28),), (1,), (2,), groups=2)
    x, w = normal(0, (2, 4, 20000)), normal(1, (6, 2, 65))
    assert fft._lengths(spec, x, w)[1] > 10
    want = reference.conv(x, w, spec)
    assert np.abs(np.asarray(run("fft", x, w, spec)) - want).max() <= 1e-6 * np.abs(want).max()


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("channels", [(5, 9), (9, 5), (130, 140)])
@pytest.mark.parametrize("positions", [30, 600])
@pytest.mark.parametrize("groups", [1, 2])
def test_weight_gradients_by_a_product(images, channels, positions, groups):
    """Of few channels and of many, of one image and of some, long and short: each its own form of the product."""
    outputs, inputs = channels
    case = Case("1x1", (images, groups * inputs, positions), (groups * outputs, inputs, 1), {"groups": groups})
    spec, x, w = specs(case)["weight gradient"]
    assert error_of("matmul", spec, x, w) <= 2e-6


@pytest.mark.parametrize("copied", [1, 3000, 7000])
@pytest.mark.parametrize("options", [{"padding": (1, 2)}, {"groups": 2, "padding": 1}, {"stride": 2, "padding": 3}])
def test_images_of_a_weight_gradient_in_turn(copied, options):
    """Of as many images as may be copied at a time; dilated by a stride, and in groups, too."""
    machine = chunked(copied)
    groups = options.get("groups", 1)
    case = Case("in turn", (6, 4, 9, 8), (6, 4 // groups, 3, 3), options)
    spec, x, w = specs(case)["weight gradient"]
    lowered = jax.make_jaxpr(by("matmul", spec, machine))(x, w)
    assert has_loop(lowered)
    assert error_of("matmul", spec, x, w, machine) <= 2e-6


@pytest.mark.parametrize(
    ("algorithm", "direction"), [(col2im, "input gradient"), (im2col, "forward"), (im2col, "weight gradient")]
)
@pytest.mark.parametrize("made", [1, 3000, 1 << 20])
@pytest.mark.parametrize("groups", [1, 2])
def test_images_of_columns_in_turn(algorithm, direction, made, groups):
    """As many images as may be laid out at a time, of a stride and with a dilation along the other axis."""
    machine = chunked(made)
    options = {"stride": (2, 1), "padding": (3, 1), "dilation": (1, 1 if algorithm is col2im else 2), "groups": groups}
    spec, x, w = specs(Case("in turn", (6, 4, 9, 8), (6, 4 // groups, 3, 3), options))[direction]
    name = algorithm.ALGORITHM.name
    lowered = jax.make_jaxpr(by(name, spec, machine))(x, w)
    assert has_loop(lowered) == (made < 1 << 20)
    assert error_of(name, spec, x, w, machine) <= 2e-6


@pytest.mark.parametrize("direction", ["forward", "weight gradient"])
@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((2, 3, 13, 9), (4, 3, 3, 3), {"padding": 1, "stride": 2}),
        ((1, 4, 17, 6), (6, 2, 3, 2), {"padding": ((2, 0), (0, 1)), "groups": 2, "dilation": (2, 1)}),
        ((2, 3, 161), (5, 3, 4), {"padding": 3, "stride": 3}),
        ((1, 2, 9, 5, 6), (3, 2, 3, 2, 3), {"padding": 1, "stride": (2, 1, 1)}),
    ],
)
def test_bands_of_an_image(x, w, options, direction):
    """Rows of one image in turn, if its columns are many. The last band may begin within the one before, and spreads a
    NaN no further."""
    machine = chunked(150)
    spec, x, w = specs(Case("bands", x, w, options))[direction]
    assert has_loop(jax.make_jaxpr(by("im2col", spec, machine))(x, w))
    assert error_of("im2col", spec, x, w, machine) <= 2e-6
    x, w = normal(0, x.shape), normal(1, w.shape)
    x[..., -2, -1] = np.nan
    np.testing.assert_array_equal(np.isnan(run("im2col", x, w, spec, machine)), np.isnan(reference.conv(x, w, spec)))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("padding", "dilation"), [((7, 12), 6), (((20, 0), (0, 20)), 6), ((30, 30), 9), ((2, 2), 1)])
def test_borders_of_per_tap(padding, dilation, groups):
    """Taps that see padding alone, on one side, on two, and all but the middle one; what is multiplied are the pairs
    whose element lies on the image."""
    options = {"padding": padding, "dilation": dilation, "groups": groups, "stride": (1, 2)}
    case = Case("borders", (2, 4, 11, 13), (6, 4 // groups, 3, 3), options)
    for direction, (spec, x, w) in specs(case).items():
        if direction == "input gradient":
            continue
        assert error_of("per_tap", spec, x, w) <= 1e-6
        ones = reference.conv(np.ones((1, 1, *x.shape[2:])), np.ones((1, 1, *w.shape[2:])), spec._replace(groups=1))
        pairs = round(ones.sum()) * x.shape[0] * w.shape[0] * w.shape[1]
        assert ALGORITHMS["per_tap"].multiply_adds(spec, x, w) == pairs


@pytest.mark.parametrize("sizes", [(250, 250), (56, 56), (60, 53), (11, 211), (4096,), (4099,), (30, 7, 20)])
@pytest.mark.parametrize("images", [1, 24])
def test_long_sums_of_variadic_reduce(sizes, images):
    """In parts, which round less, where a part is neither short nor of the images; all of them are the sum."""
    case = Case("depthwise", (images, 2, *sizes), (2, 1, *[3] * len(sizes)), {"padding": 1, "groups": 2})
    spec, x, w = specs(case)["weight gradient"]
    assert error_of("variadic_reduce", spec, x, w) <= 1e-6


@pytest.mark.parametrize("made", [1, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((4, 6, 17, 14), (6, 1, 3, 3), {"padding": 1, "groups": 6}),
        ((4, 6, 31, 33), (12, 3, 3, 5), {"padding": (0, 3), "groups": 2, "stride": (3, 2)}),
        ((4, 6, 20, 40), (6, 2, 5, 2), {"padding": 4, "groups": 3, "dilation": (2, 3), "stride": (1, 2)}),
        ((3, 2, 24, 25), (2, 2, 3, 3), {"padding": (9, 0)}),
        ((4, 6, 101), (6, 1, 5), {"padding": 2, "groups": 6, "stride": 1}),
        ((4, 6, 260), (4, 3, 4), {"padding": 2, "groups": 2, "stride": 2}),
        ((2, 4, 3, 16, 12), (4, 1, 2, 3, 3), {"padding": 1, "groups": 4, "stride": (2, 1, 1)}),
    ],
)
def test_lanes_of_variadic_reduce(made, x, w, options):
    """Some rows summed first, of some images and groups at a time; with strides, dilations and rows to fill up."""
    machine = chunked(made)
    spec, x, w = specs(Case("lanes", x, w, options))["weight gradient"]
    assert variadic_reduce._bands(w.shape[2:])
    lowered = jax.make_jaxpr(by("variadic_reduce", spec, machine))(x, w)
    assert has_loop(lowered) == (made < 1 << 20)
    assert error_of("variadic_reduce", spec, x, w, machine) <= 1e-6


@pytest.mark.parametrize("sizes", [(14, 14), (11, 13), (17, 30), (87,), (101,)])
def test_lanes_of_variadic_reduce_keep_a_nan(sizes):
    """To the positions that see the last element of x, whether lanes divide the rows or not."""
    spec, x, w = specs(Case("lanes", (2, 1, *sizes), (1, 1, *[3] * len(sizes)), {"padding": 1}))["weight gradient"]
    x, w = normal(0, x.shape), np.ones(w.shape, np.float32)
    x[0, 0, *[-1] * len(sizes)] = np.nan
    assert variadic_reduce._bands(sizes)
    want = np.zeros([3] * len(sizes), bool)
    want[(slice(1, None),) * len(sizes)] = True
    np.testing.assert_array_equal(np.isnan(run("variadic_reduce", x, w, spec))[0, 0], want)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.uint16])
def test_parts_of_variadic_reduce_in_16_bits(dtype):
    """Carried through a loop and widened in it: the same result as of the whole."""
    spec, x, w = specs(Case("lanes", (4, 6, 17, 14), (6, 1, 3, 3), {"padding": 1, "groups": 6}))["weight gradient"]
    x, w = [jnp.asarray(np.round(8 * normal(n, v.shape)) % 17, dtype) for n, v in enumerate((x, w))]
    whole = run("variadic_reduce", x, w, spec)
    machine = chunked(100)
    np.testing.assert_array_equal(run("variadic_reduce", x, w, spec, machine), whole)
    want = reference.conv(np.asarray(x, np.float64), np.asarray(w, np.float64), spec)
    np.testing.assert_array_equal(whole, np.asarray(want, dtype))


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("shift_add", Case("far taps", (2, 6, 9, 8), (6, 1, 3, 3), {"padding": 7, "dilation": 7, "groups": 6})),
        ("shift_add", Case("a wide border", (1, 4, 3, 4), (8, 2, 5, 5), {"padding": 4, "groups": 2})),
        ("chwn", Case("far taps", (3, 6, 5, 4), (6, 1, 3, 3), {"padding": 4, "dilation": 4, "groups": 6})),
        ("matmul", Case("groups", (2, 12, 9, 8), (8, 3, 3, 3), {"padding": [(1, 2), (3, 0)], "groups": 4})),
        ("matmul", Case("even groups", (2, 12, 9, 8), (8, 3, 4, 4), {"padding": 1, "groups": 4})),
        ("space_to_depth", Case("dilated", (4, 3, 9, 8), (5, 3, 3, 2), {"padding": 2, "dilation": (2, 3)})),
        (
            "space_to_depth",
            Case("dilated groups", (3, 4, 9, 8), (6, 2, 3, 2), {"padding": 2, "dilation": (2, 1), "groups": 2}),
        ),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_groups_and_images_in_turn_for_the_sake_of_memory(name, case):
    machine = chunked(1)
    spec, x, w = specs(case)["forward"]
    lowered = jax.make_jaxpr(by(name, spec, machine))(x, w)
    assert has_loop(lowered)
    assert error_of(name, spec, x, w, machine) <= 1e-6


@pytest.mark.parametrize("padding", [((0, 0),) * 2, ((4, 4),) * 2, ((-1, 3), (5, -2)), ((0, 7), (-3, 0))])
@pytest.mark.parametrize(
    ("stride", "dilation", "groups"),
    [((1, 1), (1, 1), 1), ((1, 1), (2, 3), 1), ((1, 2), (1, 1), 1), ((2, 1), (1, 1), 2)],
)
def test_products_are_padded_where_taps_are_summed(padding, stride, dilation, groups):
    """As far out as the border lies, or inside of x."""
    spec = ConvSpec(stride, padding, (1, 1), dilation, groups=groups)
    x, w = normal(0, (2, 8, 11, 10)), normal(1, (2, 8 // groups, 3, 3))
    want = reference.conv(x, w, spec)
    assert np.abs(np.asarray(run("matmul", x, w, spec)) - want).max() <= 1e-6 * np.abs(want).max()


@pytest.mark.parametrize("made", [1, 3000, 1 << 20])
@pytest.mark.parametrize("images", [1, 4])
def test_outputs_of_a_weight_gradient_in_turn(made, images):
    """Of the only group, a few at a time, and images."""
    machine = chunked(made)
    spec, x, w = specs(Case("outputs", (images, 2, 15, 18), (6, 2, 3, 3), {"padding": 1}))["weight gradient"]
    lowered = str(jax.make_jaxpr(by("variadic_reduce", spec, machine))(x, w))
    assert has_loop(lowered) == (made < 1 << 20)
    assert error_of("variadic_reduce", spec, x, w, machine) <= 1e-6


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
@pytest.mark.parametrize(
    ("spec", "shapes"),
    [
        (ConvSpec((1,), ((3, -1),), (1,), (1,)), ((2, 40, 9), (5, 40, 4))),
        (ConvSpec((1, 1), ((1, 1), (0, 2)), (1, 1), (1, 1)), ((2, 70, 5, 6), (7, 70, 3, 1))),
        (ConvSpec((1, 1), ((2, 1), (-1, 2)), (2, 3), (1, 1)), ((1, 70, 5, 6), (7, 70, 4, 3))),
        (ConvSpec((1, 1, 1), ((1, 1),) * 3, (1, 2, 1), (1, 1, 1)), ((1, 70, 3, 4, 5), (3, 70, 2, 1, 3))),
    ],
)
@pytest.mark.parametrize("made", [1, CPU.chunk_elements])
def test_col2im_of_a_flipped_weight(made, spec, shapes, dtype):
    """With more channels than elements of each it turns the weight back, which changes nothing, in turns or at once."""
    machine = chunked(made)
    x, w = (
        jnp.asarray(normal(i, shape, np.complex64 if dtype == "complex64" else np.float32))
        for i, shape in enumerate(shapes)
    )
    x, w = x.astype(dtype), w.astype(dtype)
    wide = np.complex128 if dtype == "complex64" else np.float64
    want = reference.conv(np.asarray(x, wide), np.asarray(w, wide), spec)
    tolerance = {"float32": 1e-6, "bfloat16": 2**-8, "complex64": 1e-6}[dtype]
    lowered = [
        jax.make_jaxpr(by("col2im", spec._replace(hints=Hints(flipped_weight=flipped)), machine))(x, w)
        for flipped in (False, True)
    ]
    assert ["rev[" in str(jaxpr) for jaxpr in lowered] == [False, True]
    got = run("col2im", x, w, spec._replace(hints=Hints(flipped_weight=True)), machine)
    assert np.abs(np.asarray(got, wide) - want).max() <= tolerance * np.abs(want).max()


def test_variadic_reduce_of_nothing():
    for x, w in [((0, 4, 20, 20), (4, 1, 20, 20)), ((2, 4, 20, 20), (0, 1, 20, 20))]:
        spec = ConvSpec((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), groups=4)
        want = spec.output_shape(x, w)
        assert run("variadic_reduce", jnp.ones(x), jnp.ones(w), spec).shape == want


@pytest.mark.parametrize("inputs", [3, 12, 30])
@pytest.mark.parametrize("width", [7, 10, 31])
def test_loops_of_shift_add(inputs, width):
    """One loop for few products, several for more, and a loop over the channels for many; rows of whole vectors."""
    spec = ConvSpec((1, 2), ((1, 1), (2, 1)), (1, 1), (2, 1), groups=2)
    for stride in (1, 2):
        spec = spec._replace(stride=(1, stride))
        x, w = normal(0, (2, 2 * inputs, 9, width)), normal(1, (4, inputs, 3, 5))
        want = reference.conv(x, w, spec)
        assert np.abs(np.asarray(run("shift_add", x, w, spec)) - want).max() <= 1e-6 * np.abs(want).max()


@pytest.mark.parametrize("kernel", [(1, 161), (150, 1), (13, 17), (3, 140), (33, 4)])
@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"stride": (2, 3)}, {"rhs_dilation": (2, 1)}])
def test_loops_of_shift_add_over_taps(kernel, options):
    """Many taps are a loop over those of one axis, some of them at a time, within which the next axis may be one."""
    spec = ConvSpec((1, 1), ((2, 2), (3, 1)), (1, 1), (1, 1))._replace(**options)
    sizes = [k * r + 4 for k, r in zip(kernel, spec.rhs_dilation, strict=True)]
    x, w = normal(0, (2, 2, *sizes)), normal(1, (4, 2 // spec.groups, *kernel))
    want = reference.conv(x, w, spec)
    assert np.abs(np.asarray(run("shift_add", x, w, spec)) - want).max() <= 2e-6 * np.abs(want).max()


@pytest.mark.parametrize("padding", [(1, 1), (2, 1), (0, 2), (3, 3), (-1, 2), (4, 0), (0, 0)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_rows_of_shift_add_end_to_end(padding, dilation):
    """The zeros between two rows serve both, and a NaN at the end of one is not seen from the next."""
    spec = ConvSpec((1, 1), ((1, 2), padding), (1, 1), (1, dilation), groups=3)
    x, w = normal(0, (2, 3, 6, 6)), normal(1, (3, 1, 3, 3))
    x[0, 0, 2, -1] = x[1, 1, 3, 0] = x[1, 2, -1, -1] = np.nan
    assert shift_add._rows_are_joined(spec, w, spec.output_shape(x.shape, w.shape)[2:])
    got, want = np.asarray(run("shift_add", x, w, spec)), reference.conv(x, w, spec)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * np.nanmax(np.abs(want)))


@pytest.mark.parametrize("images", [2, 3, 8, 12, 16])
@pytest.mark.parametrize("made", [1, 1 << 21])
@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((6, 7, 9), (6, 3, 3, 3), {"padding": ((1, 0), (2, 1)), "groups": 2}),
        ((6, 9, 8), (6, 1, 3, 2), {"padding": 1, "groups": 6, "stride": (1, 2)}),
        ((4, 9, 11), (6, 2, 3, 3), {"padding": 2, "groups": 2, "dilation": 2, "stride": (2, 1)}),
        ((3, 5, 4, 6), (2, 3, 2, 3, 2), {"padding": 1}),
        ((4, 17), (4, 1, 5), {"padding": ((0, 3),), "groups": 4}),
    ],
)
def test_images_innermost(images, made, x, w, options):
    """All of them, or so many at a time, in all three directions; and a NaN stays with its image."""
    machine = chunked(made)
    for direction, (spec, x_, w_) in specs(Case("chwn", (images, *x), w, options)).items():
        x_, w_ = normal(0, x_.shape), normal(1, w_.shape)
        if direction == "forward":
            x_[1, 0, ..., -1] = np.nan
            in_turn = has_loop(jax.make_jaxpr(by("chwn", spec, machine))(x_, w_))
            assert in_turn == (made == 1 and images in (12, 16, 3))
        got, want = np.asarray(run("chwn", x_, w_, spec, machine)), reference.conv(x_, w_, spec)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * np.nanmax(np.abs(want)))


def test_fast_lengths():
    def smooth(n):
        for p in (2, 3, 5, 7, 11):
            while n % p == 0:
                n //= p
        return n == 1

    for n in (1, 2, 11, 13, 97, 361, 1023, 1025, 4099):
        found = fast_length(n)
        assert smooth(found)
        assert not any(smooth(m) for m in range(n, found))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_where_a_nan_goes(name):
    """To the windows that hold it; with Winograd to its tiles of 4 by 4, with a banded matrix to whole rows, with the
    FFT everywhere."""
    spec = ConvSpec((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1))
    x, w = normal(0, (1, 1, 12, 12)), normal(1, (1, 1, 3, 3))
    x[0, 0, 5, 6] = np.nan
    if ALGORITHMS[name].unsupported(spec, x, w):
        return
    rows, columns = np.mgrid[:12, :12]
    if name == "fft":
        want = np.ones((12, 12), bool)
    elif name == "toeplitz":  # a row of 12 is one block
        want = abs(rows - 5) <= 1
    elif name == "winograd":  # the six inputs of a tile begin one before its four results
        want = (rows // 4 == 1) & (columns // 4 == 1)
    else:
        want = (abs(rows - 5) <= 1) & (abs(columns - 6) <= 1)
    np.testing.assert_array_equal(np.isnan(run(name, x, w, spec))[0, 0], want)
