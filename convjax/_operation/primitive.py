"""The one primitive, a convolution under a `ConvSpec`, and its rules.

Every derivative and every batched form of an operation that a ConvSpec describes can be described by a ConvSpec too. So
all of them are this primitive, and each gets the algorithm that suits its own shapes and platform.

Below, G is groups, n input sizes, k kernel sizes, m output sizes, and d(n, r) = (n - 1) r + 1 the extent of n elements
at a dilation r. Per spatial dimension X = d(n, lhs_dilation), K = d(k, rhs_dilation), Y = d(m, stride), and

    y[i] = sum_j x'[i stride + j rhs_dilation - low] w[j]        x' = x with lhs_dilation - 1 zeros between elements
"""

import functools
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.jet import jet_rules
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from convjax._algorithms import ALGORITHMS, xla
from convjax._algorithms._gemm import batch_and_channels_swapped
from convjax._algorithms._memory_format import with_contiguous_images
from convjax._algorithms._taps import flipped_axes, swap_channels
from convjax._algorithms.algorithm import Algorithm, Kernel
from convjax._arguments.values import check_countable
from convjax._arrays.sharding import is_partitioned, varying_alike, with_devices
from convjax._choice.choose import SELECTION_MODES, choose, why_unsupported
from convjax._choice.problem import Problem
from convjax._choice.recorded import Recorded
from convjax._machine import Machine, machine_for_lowering
from convjax._operation import shares
from convjax._operation.shares import divided_convolution
from convjax._operation.wide_steps import without_wide_steps
from convjax._spec import ConvSpec, Hints, extent

conv_p = Primitive("convjax_conv")


def convolve(x: jax.Array, w: jax.Array, spec: ConvSpec, algorithm: str | Recorded = "auto") -> jax.Array:
    """Bind the primitive. Public functions and the rules of the primitive all bind it through this function."""
    x, spec = without_wide_steps(x, w, spec)
    return conv_p.bind(*varying_alike(x, w), spec=spec, algorithm=algorithm)


def correlate_local(x: jax.Array, w: jax.Array, padding, layer_weight: str | None = "kernel") -> jax.Array:
    """The correlation of (N, 1, *n) with (O, 1, *k). A NaN stays in the results whose window contains it."""
    ones = (1,) * (x.ndim - 2)
    hints = Hints(layer_weight=layer_weight)
    spec = ConvSpec(ones, tuple(padding), ones, ones, precision=lax.Precision.HIGHEST, hints=hints)
    return convolve(x, w, spec, "local")


# ---- abstract evaluation and execution ----


@conv_p.def_abstract_eval
def _abstract(x, w, *, spec: ConvSpec, algorithm: str | Recorded):
    # The plain lax form knows the shape, the dtype, the sharding and the axes of shard_map that the result varies over.
    (aval,) = jax.make_jaxpr(partial(xla.run, spec=spec))(x, w).out_avals
    # The public functions check the sizes of a single call. jax.vmap makes its arrays larger.
    check_countable("conv", ("padding", spec.padding, aval.shape), item_bytes=max(4, aval.dtype.itemsize))
    return aval


@partial(jax.jit, static_argnames=("spec", "algorithm"))
def _compiled(x, w, *, spec: ConvSpec, algorithm: str | Recorded):
    return convolve(x, w, spec, algorithm)


@conv_p.def_impl
def _execute(x, w, **params):
    with jax.disable_jit(False):  # a primitive is compiled under jax.disable_jit too
        return _compiled(x, w, **params)


# ---- lowering ----

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def _lower(ctx, *operands, platform: str, spec: ConvSpec, algorithm: str | Recorded):
    module = ctx.module_context
    partitioned = is_partitioned(module.axis_context)
    exported = module.lowering_parameters.for_export
    if divided := _for_division(ctx, algorithm):
        machine = machine_for_lowering(platform, exported=False, partitioned=False)
        x, w = ctx.avals_in
        choose(Problem(spec, x, w, machine), algorithm)  # raises if a named algorithm cannot run here
        factors = shares.of_convolution(spec, w.shape)
        share = partial(convolve_share, machine=machine)
        run = partial(divided_convolution, share, spec=spec, algorithm=algorithm, factors=factors)
        return mlir.lower_fun(run, multiple_results=False)(divided, *operands)
    machine = machine_for_lowering(platform, exported=exported, partitioned=partitioned)
    run = partial(run_chosen, spec=spec, machine=machine, algorithm=algorithm, partitioned=partitioned)
    return mlir.lower_fun(run, multiple_results=False)(ctx, *operands)


def convolve_share(x, w, spec: ConvSpec, algorithm: str | Recorded, machine: Machine | None = None) -> jax.Array:
    """`convolve` on the share of a device, whose shapes a named algorithm may not support."""
    if isinstance(algorithm, str) and algorithm not in SELECTION_MODES:
        algorithm = "auto" if why_unsupported(ALGORITHMS[algorithm], spec, x, w, machine) else algorithm
    return convolve(x, w, spec, algorithm)


def _for_division(ctx, algorithm: str | Recorded):
    return None if algorithm == "xla" else with_devices(ctx)


def run_chosen(
    x, w, spec: ConvSpec, machine: Machine, algorithm="auto", partitioned: bool = False, below_rank: int | None = None
) -> jax.Array:
    """Choose an algorithm for the convolution and run it."""
    chosen = choose(Problem(spec, x, w, machine), algorithm, partitioned, below_rank)
    return run_algorithm(chosen.algorithm, x, w, spec, machine, algorithm, partitioned)


def run_algorithm(
    chosen: Algorithm, x, w, spec: ConvSpec, machine: Machine, algorithm="auto", partitioned: bool = False
) -> jax.Array:
    """Run one algorithm. If it is a rewrite, an algorithm is chosen for each operation that it makes."""
    if isinstance(chosen, Kernel):
        run = partial(chosen.run, spec=spec, machine=machine)
        as_they_are = chosen.memory_format in (None, "channels_last" if spec.channels_last else "contiguous")
        if as_they_are or not machine.constrains_layouts:
            return run(x, w)
        return with_contiguous_images(run, x, w, spec, machine, partitioned)
    algorithm = "local" if algorithm == "local" else "auto"

    def convolve_restated(x, w, spec):
        return run_chosen(x, w, spec.with_unflipped_weight(), machine, algorithm, partitioned, chosen.rank)

    return chosen.run(x, w, spec, machine, convolve_restated)


for _platform in (None, *PLATFORMS):
    mlir.register_lowering(conv_p, partial(_lower, platform=_platform or "other"), platform=_platform)


# ---- derivatives ----
#
# jvp. The operation is bilinear, so dy = conv(dx, w) + conv(x, dw) under the same spec.
#
# Input gradient: [N, G O, m] [G O, I, k] -> [N, G I, n]. From the sum above, with ct' the cotangent dilated by stride,
#     x_ct[p] = sum_j ct'[p + low - j rhs_dilation] w[j],   p on x' and then every lhs_dilation-th one.
#   Reversing j makes it a correlation of ct' with the flipped w, whose window starts K - 1 - low before ct'. It
#   must stop after X positions, so the padding behind is X + K - 1 - Y less the padding in front.
#
# Weight gradient: [N, G I, n] [N, G O, m] -> [G O, I, k], contracting N and i:
#     w_ct[j] = sum_i x'[i stride + j rhs_dilation - low] ct[i],
#   a convolution of x' with ct as a kernel dilated by stride and a window that moves by rhs_dilation. I takes the place
#   of the batch, and (G, N) that of the channels in groups. It must stop after k positions, hence the padding behind.
#
# Both paddings can be negative, which crops.


def transposed_weight(w: jax.Array, spec: ConvSpec, flip: bool = True) -> jax.Array:
    """(G O, I, *k) to (G I, O, *k), taps reversed: the kernel of input gradients and of transposed convolutions."""
    if spec.groups > 1:
        w = merge_groups(w.reshape(spec.groups, -1, *w.shape[1:]).swapaxes(1, 2))
    else:
        w = swap_channels(w, spec)
    return lax.rev(w, flipped_axes(w)) if flip else w


def flipped_weight(w: jax.Array, spec: ConvSpec) -> jax.Array:
    """`transposed_weight(w)`, computed in the other order: flip, then transpose.

    If `transposed_weight` made w, as in the gradient of a transposed convolution, XLA sees that both steps cancel.
    """
    return transposed_weight(lax.rev(w, flipped_axes(w)), spec, flip=False)


def merge_groups(a: jax.Array) -> jax.Array:
    """Merge the first two axes."""
    return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])


# `Hints.layer_weight` of a gradient, from that of the operation. An input gradient swaps the roles of input and result.
# A weight gradient swaps the roles of kernel and result.
_WEIGHT_IN_INPUT_GRADIENT = {"kernel": "kernel", "result": "input", "input": "result", None: None}
_WEIGHT_IN_WEIGHT_GRADIENT = {"kernel": "result", "result": "kernel", "input": "input", None: None}


def _input_gradient(ct, w, *, x, spec: ConvSpec, algorithm: str | Recorded):
    padding = []
    for n, k, m, s, (low, _), a, r in _per_dim(x.shape, w.shape, ct.shape, spec):
        front = extent(k, r) - low - 1
        padding.append((front, extent(n, a) + extent(k, r) - 1 - extent(m, s) - front))
    gradient = ConvSpec(
        stride=spec.lhs_dilation,
        padding=tuple(padding),
        lhs_dilation=spec.stride,
        rhs_dilation=spec.rhs_dilation,
        groups=spec.groups,
        precision=spec.precision,
        hints=spec.hints._replace(
            flipped_weight=not spec.hints.flipped_weight,
            layer_weight=_WEIGHT_IN_INPUT_GRADIENT[spec.hints.layer_weight],
        ),
    )
    flipped = flipped_weight(w.astype(ct.dtype), spec)
    return convolve(ct, flipped, gradient, algorithm).astype(x.dtype)


def _weight_gradient(ct, x, *, w, spec: ConvSpec, algorithm: str | Recorded):
    padding = []
    for n, k, m, s, (low, _), a, r in _per_dim(x.shape, w.shape, ct.shape, spec):
        padding.append((low, extent(m, s) + extent(k, r) - extent(n, a) - 1 - low))
    gradient = ConvSpec(
        stride=spec.rhs_dilation,
        padding=tuple(padding),
        lhs_dilation=spec.lhs_dilation,
        rhs_dilation=spec.stride,
        groups=spec.groups,
        precision=spec.precision,
        hints=spec.hints._replace(
            flipped_weight=False, layer_weight=_WEIGHT_IN_WEIGHT_GRADIENT[spec.hints.layer_weight]
        ),
    )
    x = x.astype(ct.dtype)
    run = grouped_weight_gradient if spec.groups > 1 else _summed_over_batch
    return run(x, ct, gradient, algorithm).astype(w.dtype)


def _summed_over_batch(x, ct, spec: ConvSpec, algorithm: str | Recorded) -> jax.Array:
    """The gradient (G O, I, *k) from (N, G I, *n) and (N, G O, *m): the convolution `spec` after they are swapped."""
    x, ct = batch_and_channels_swapped(x, ct, spec.groups)
    return convolve(x, ct, spec, algorithm).swapaxes(0, 1)


def _per_dim(x, w, y, spec: ConvSpec):
    return zip(x[2:], w[2:], y[2:], spec.stride, spec.padding, *spec.dilations, strict=True)


def _transpose(gradient, name: str, ct, x, w, *, spec: ConvSpec, algorithm: str | Recorded):
    # A gradient is another operation, which a named algorithm may not support. So a name is not kept, with three
    # exceptions: "xla" supports every operation, a record says which operations its entries are for, and an input
    # gradient can be local. A weight gradient cannot, because nearly every element of x contributes to each result.
    kept = algorithm == "xla" or isinstance(algorithm, tuple) or (algorithm == "local" and name == "x")
    algorithm = algorithm if kept else "auto"
    operand, known = (x, w) if name == "x" else (w, x)
    return gradient(ct, known, **{name: operand.aval}, spec=spec, algorithm=algorithm)


ad.defbilinear(conv_p, partial(_transpose, _input_gradient, "x"), partial(_transpose, _weight_gradient, "w"))


# Taylor series, for jax.experimental.jet. Its terms are coefficients. So the k-th coefficient of a product is the sum,
# over j, of the j-th coefficient of x times the (k - j)-th of w (Leibniz's rule).


def _taylor(primitive, operands, series, **params):
    xs, ws = ([value, *terms] for value, terms in zip(operands, series, strict=True))
    coefficients = [
        functools.reduce(lax.add, [primitive.bind(xs[j], ws[k - j], **params) for j in range(k + 1)])
        for k in range(len(xs))
    ]
    return coefficients[0], coefficients[1:]


jet_rules[conv_p] = partial(_taylor, conv_p)


# ---- weight gradients of groups ----
#
# The convolution of a weight gradient has the batch among its channels, inside of each group. A mesh that shards the
# batch cannot shard such channels. So where there are groups, the gradient is an equation of its own, whose body is
# that convolution. It has the rules of its body, except that it is divided among devices by its own factors.

weight_gradient_p = Primitive("convjax_weight_gradient")


def grouped_weight_gradient(x, ct, spec: ConvSpec, algorithm: str | Recorded) -> jax.Array:
    """The weight gradient of a layer with groups, as an equation. `spec` is that of its convolution."""
    x, ct = varying_alike(x, ct)
    body = jax.make_jaxpr(partial(_summed_over_batch, spec=spec, algorithm=algorithm))(x, ct)
    return weight_gradient_p.bind(x, ct, body=body, spec=spec, algorithm=algorithm)


def _run_body(x, ct, *, spec: ConvSpec, algorithm: str | Recorded, **_):
    return _summed_over_batch(x, ct, spec, algorithm)


weight_gradient_p.def_abstract_eval(lambda x, ct, *, body, **_: body.out_avals[0])
weight_gradient_p.def_impl(_run_body)


def _lower_weight_gradient(ctx, *operands, spec: ConvSpec, algorithm: str | Recorded, **_):
    run = partial(_summed_over_batch, spec=spec, algorithm=algorithm)
    if divided := _for_division(ctx, algorithm):
        factors = shares.of_grouped_weight_gradient(spec, *[aval.shape for aval in ctx.avals_in])
        run = partial(divided_convolution, _summed_over_batch, spec=spec, algorithm=algorithm, factors=factors)
    return mlir.lower_fun(run, multiple_results=False)(divided or ctx, *operands)


mlir.register_lowering(weight_gradient_p, _lower_weight_gradient)


def _transpose_weight_gradient(name: str, ct, x, w, **params):
    run = (lambda v: _run_body(v, w, **params)) if name == "x" else (lambda v: _run_body(x, v, **params))
    return jax.linear_transpose(run, (x if name == "x" else w).aval)(ct)[0]


ad.defbilinear(weight_gradient_p, partial(_transpose_weight_gradient, "x"), partial(_transpose_weight_gradient, "w"))
jet_rules[weight_gradient_p] = partial(_taylor, weight_gradient_p)
batching.primitive_batchers[weight_gradient_p] = lambda args, axes, **params: (
    jax.vmap(partial(_run_body, **params), axes)(*args),
    0,
)


# ---- vmap ----


def _batch(args, axes, *, spec: ConvSpec, algorithm: str | Recorded):
    """Fold the mapped axis: of x into the batch, of w into the output channels of each group, of both into groups."""
    (x, w), (x_axis, w_axis) = args, axes
    spec = spec if w_axis is None else spec.with_unflipped_weight()
    rule = _batch_x if w_axis is None else _batch_w if x_axis is None else _batch_both
    return rule(x, w, x_axis, w_axis, spec, algorithm)


def _batch_x(x, w, x_axis, _, spec: ConvSpec, algorithm: str | Recorded):
    x = jnp.moveaxis(x, x_axis, 0)
    y = convolve(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), w, spec, algorithm)
    return y.reshape(*x.shape[:2], *y.shape[1:]), 0


def _batch_w(x, w, _, w_axis, spec: ConvSpec, algorithm: str | Recorded):
    w = jnp.moveaxis(w, w_axis, 0)
    size, out, rest, groups = w.shape[0], w.shape[1], w.shape[2:], spec.groups
    w = w.reshape(size, groups, out // groups, *rest).swapaxes(0, 1).reshape(size * out, *rest)
    y = convolve(x, w, spec, algorithm)
    y = y.reshape(y.shape[0], groups, size, out // groups, *y.shape[2:]).swapaxes(1, 2)
    return y.reshape(y.shape[0], size, out, *y.shape[4:]), 1


def _batch_both(x, w, x_axis, w_axis, spec: ConvSpec, algorithm: str | Recorded):
    x, w = jnp.moveaxis(x, x_axis, 1), jnp.moveaxis(w, w_axis, 0)
    batch, size, out = x.shape[0], w.shape[0], w.shape[1]
    if size == 0:  # a convolution must have a group
        shape = spec.output_shape((batch, *x.shape[2:]), w.shape[1:])
        return jnp.zeros((0, *shape), spec.out_dtype or x.dtype), 0
    if not isinstance(size, int):  # XLA needs the number of groups to compile, so a symbolic one becomes a loop
        each = lambda pair: convolve(pair[0], pair[1], spec, algorithm)  # noqa: E731
        return lax.map(each, (jnp.moveaxis(x, 1, 0), w)), 0

    x = x.reshape(batch, size * x.shape[2], *x.shape[3:])
    w = w.reshape(size * out, *w.shape[2:])
    y = convolve(x, w, spec._replace(groups=size * spec.groups), algorithm)
    return y.reshape(batch, size, out, *y.shape[2:]), 1


batching.primitive_batchers[conv_p] = _batch
