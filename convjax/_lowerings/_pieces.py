"""What several lowerings are built of: padded inputs, the slice that a tap sees, dtypes to sum in, grouped shapes."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from convjax._sharding import vary, varying

COPIES = 10  # between two products, by which XLA's runtime shares them
REGISTERS = 16  # turns of a loop whose numbers are held one by one
SMALL = 1 << 18  # elements of x that are worth no turns for the sake of memory
SHARED = jax.__version_info__ >= (0, 11)  # whether cores share the matrix products of a batch
# Whether XLA's CPU compiler keeps barriers until it has fused loops, transposes in tiles, and takes loops for small.
NEWER = jax.__version_info__ >= (0, 12)


def sum_dtype(dtype, spec):
    """float32 for 16-bit floats, as XLA's own convolutions sum them; otherwise the dtype of the result."""
    if dtype in (jnp.float16, jnp.bfloat16):
        return jnp.float32
    return spec.out_dtype or dtype


def carried(x: jax.Array) -> jax.Array:
    """x as a loop takes it in: XLA's CPU loops hold no bfloat16, and would be given all of it as float32. Its bits
    instead, of which `widened` makes float32 in the loop."""
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def widened(x: jax.Array, of, dtype) -> jax.Array:
    """A part of what `carried` made of some dtype, in that to sum in: bfloat16 is the upper half of a float32."""
    if of != jnp.bfloat16:
        return x.astype(dtype)
    return lax.bitcast_convert_type(x.astype(jnp.uint32) << 16, jnp.float32).astype(dtype)


def padded(x: jax.Array, padding, first: int = 2) -> jax.Array:
    """Zeros around the spatial axes, which start at `first`; a negative padding crops.

    One axis at a time: XLA's CPU loops test an element against one pair of borders then, not against all of them. An
    axis of one before the padded one, each time elsewhere, keeps XLA from merging the pads again; a barrier between
    them would do that too, but from jax 0.12 on it also keeps them from being one loop. The last has no such axis,
    for whose sake a loop over x copies it.
    """
    zero = jnp.zeros((), x.dtype)
    around = [(axis, *pair) for axis, pair in enumerate(padding, first) if any(pair)]
    for axis, low, high in reversed(around):
        unit = axis != around[0][0]
        x = jnp.expand_dims(x, axis) if unit else x
        x = lax.pad(x, zero, [(low, high, 0) if a == axis + unit else (0, 0, 0) for a in range(x.ndim)])
        x = x.squeeze(axis) if unit else x
    return lax.optimization_barrier(x) if around else x


def parted(x: jax.Array, reused: bool = False) -> jax.Array:
    """x itself, made before what reads it: a border that loops are not fused across.

    XLA's CPU compiler before jax 0.12 drops `optimization_barrier` before it fuses, but not a call that it may not put
    in line. A branch that is never taken is a border too: it takes twice as long to compile, but what reads x may take
    its memory then, as it is reused where sums go on.
    """
    if NEWER:
        return lax.optimization_barrier(x)
    return lax.platform_dependent(x, cpu=_branched if reused else _called, default=lax.optimization_barrier)


def _branched(x: jax.Array) -> jax.Array:
    """The one that is never taken comes second, for XLA copies what passes through there. A copy costs nothing to
    compile."""
    return lax.cond(lax.optimization_barrier(False), jnp.copy, lambda x: x, x)


def _called(x: jax.Array) -> jax.Array:
    with set_xla_metadata(inlineable="false"):
        return _same(x)


@jax.jit
def _same(x: jax.Array) -> jax.Array:
    return lax.optimization_barrier(x)


def laid(x: jax.Array) -> jax.Array:
    """x itself, whose last axis was moved there, made before what reads it: of two axes, for of one with more XLA from
    jax 0.12 on first makes a copy in the old order, then another."""
    return lax.optimization_barrier(x.reshape(-1, x.shape[-1])).reshape(x.shape)


def alone(rows: int, columns: int, depth: int) -> bool:
    """Whether one core makes each matrix product of a batch while the others wait, as on a CPU before jax 0.11.

    XLA's library for products, YNNPACK, cuts one into blocks of at least 64 by 64 whose two sides times the depth come
    to 2^16 or more, those of a tall matrix along the tall side, where the last block is what is left; the products of a
    batch followed one another.
    """
    tall = max(rows, columns) > 4 * min(rows, columns)
    cost = (rows + columns) * min(depth, 1024)
    return not SHARED and (max(rows, columns) <= 64 or cost < 2**16 * (2 if tall else 1.5))


def branch(make, *operands, other=None):
    """make(*operands) in a branch of its own, which keeps its operands until it ends and what it makes on its way no
    longer. The other branch, which is never taken, returns other(*operands), or else operands of as many elements,
    which cost nothing to compile, or zeros; but no two scalars that are the same, for of those that are, in both
    branches, XLA makes one."""

    def idle(*operands):
        outputs, tree = jax.tree.flatten(jax.eval_shape(make, *operands))
        axes = frozenset().union(*map(varying, jax.tree.leaves(operands)))

        def like(n, y):
            if not y.shape:
                return jnp.asarray(n, y.dtype)
            same = [x for x in jax.tree.leaves(operands) if (x.size, x.dtype) == (y.size, y.dtype)]
            made = jnp.copy(same[0]).reshape(y.shape) if same else jnp.zeros(y.shape, y.dtype)
            return vary(made, axes - varying(made))

        return jax.tree.unflatten(tree, [like(n, y) for n, y in enumerate(outputs)])

    taken = lambda *operands: lax.cond(lax.optimization_barrier(False), other or idle, make, *operands)  # noqa: E731
    return lax.platform_dependent(*operands, cpu=taken, default=make)


def beside(products, *operands) -> tuple[list[jax.Array], list[jax.Array]]:
    """products(*operands), arrays that need not wait for one another, half of them made on a core of their own; and
    zeros, `after` which what is made of them must come.

    XLA's CPU runtime runs what is independent at the same time, but lays its results where operands were that nothing
    needs any more, and then one must wait for the other: hence the branch, which keeps them. And it gives the second
    half of what is ready to another core only where that is more than 8 operations: hence as many copies of a zero
    between the two, which cost nothing.
    """
    shapes = [y.shape for y in jax.eval_shape(products, *operands)]
    half = len(shapes) // 2
    if not half:
        return products(*operands), []

    def copied(zero, *operands):
        made = products(*operands)
        return made[:half], [zero] * COPIES, made[half:]

    def exchanged(zero, *operands):
        first, copies, second = copied(zero, *operands)
        return second, [jnp.asarray(n, zero.dtype) for n in range(len(copies))], first

    zero = lax.convert_element_type(lax.optimization_barrier(False), jnp.int32)
    # Zeros in the place of products would be kernels to compile, which the same products, exchanged, are not.
    other = exchanged if shapes[:half] == shapes[half:] else None
    first, copies, second = branch(copied, zero, *operands, other=other)
    return [*first, *second], copies


def after(zeros, y: jax.Array) -> jax.Array:
    """y itself, made of zeros too that `beside` returns."""
    return y * (1 + total(zeros)).astype(y.dtype) if zeros else y


def sliced(x: jax.Array, start, sizes) -> jax.Array:
    """The part of x that starts at `start` along its first axes."""
    return lax.dynamic_slice(x, _starts(start, x.ndim), sizes)


def shared(n: jax.Array) -> jax.Array:
    """n itself, the number of a loop's turn, so that the loop is shared among cores.

    XLA's CPU compiler makes one kernel, for one core, of every loop that is small, and from jax 0.12 on takes those of
    any size for small; but not of one that sorts.
    """
    if not NEWER:
        return n
    return lax.platform_dependent(n, cpu=lambda n: lax.sort(jnp.stack([n, n]))[0], default=lambda n: n)


def turns(images: int, elements: float, most: float) -> int:
    """In how many equal parts images are taken one after the other, for each to make `most` of the elements or less."""
    return next(n for n in range(1, images + 1) if images % n == 0 and (elements <= n * most or n == images))


def bordered(x: jax.Array, padding, of: int, most: float) -> int:
    """In how many equal parts so many images or groups of x are padded one after the other, for each to make at most so
    many times x, where that is large."""
    size = math.prod(n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True))
    times = size / max(math.prod(x.shape[2:]), 1)
    return 1 if times * x.size <= SMALL else turns(of, times, most)


def in_turn(rows, make, y: jax.Array, place) -> jax.Array:
    """y, of which make(*row) makes one part after the other, in the memory of one: it starts at place(*row), along the
    first axes. One part is the whole."""
    return loop(rows, lambda *row: written(row[-1], make(*row[:-1]), place(*row[:-1])), y)


def starts(size: int, turns: int) -> list[tuple[int]]:
    """Where so many equal parts of an axis start, as the rows of a loop."""
    return [(n * (size // turns),) for n in range(turns)]


def groups_in_turn(make, x: jax.Array, w: jax.Array, spec, parts: int) -> jax.Array:
    """make(x, w, spec), of one part of the groups after the other."""
    if parts == 1:
        return make(x, w, spec)
    shape = spec.output_shape(x.shape, w.shape)
    inputs, outputs = x.shape[1] // parts, w.shape[0] // parts

    def of_part(first, at):
        some = parted(sliced(x, (0, shared(first)), (x.shape[0], inputs, *x.shape[2:])))
        return make(some, sliced(w, (at,), (outputs, *w.shape[1:])), of_parts)

    of_parts, y = spec._replace(groups=spec.groups // parts), zeros(shape, spec.out_dtype or x.dtype, x)
    rows = [(n * inputs, n * outputs) for n in range(parts)]
    return in_turn(rows, of_part, y, lambda first, at: (0, at))


def loop(rows, turn, y):
    """y, arrays of any tree, after y = turn(*row, y) for every row of numbers, not negative, or of arrays.

    Of few rows a loop holds each, and whether there is another, and moves all of them up after its turn. Those are
    copies; to count, to compare and to multiply would be kernels, which XLA's CPU compiler takes 25 ms each to make.
    """
    if len(rows) == 1:
        return turn(*rows[0], y)
    rows = [[jnp.asarray(part, jnp.uint32 if isinstance(part, int) else None) for part in row] for row in rows]
    if len(rows) > REGISTERS:
        columns = [jnp.stack(column) for column in zip(*rows, strict=True)]
        row = lambda n: [lax.dynamic_index_in_dim(column, n, keepdims=False) for column in columns]  # noqa: E731
        return lax.fori_loop(np.uint32(0), np.uint32(len(rows)), lambda n, y: turn(*row(n), y), y)

    def moved(state):
        more, rows, y = state
        return [*more[1:], jnp.asarray(False)], rows[1:] + rows[-1:], turn(*rows[0], y)

    more = [jnp.asarray(True)] * len(rows)
    return lax.while_loop(lambda state: state[0][0], moved, (more, rows, y))[2]


def written(y: jax.Array, part: jax.Array, start) -> jax.Array:
    """y with a part, which may be the whole, written where it starts along the first axes."""
    return part if part.shape == y.shape else lax.dynamic_update_slice(y, parted(part), _starts(start, y.ndim))


def _starts(start, ndim):
    return [jnp.asarray(n, jnp.uint32) for n in (*start, *[0] * (ndim - len(start)))]


def cut(size: int, parts: int) -> list[slice]:
    """An axis in at most so many parts, as even as they can be."""
    parts = min(parts, size)
    return [slice(n * size // parts, (n + 1) * size // parts) for n in range(parts)]


def zeros(shape, dtype, like: jax.Array) -> jax.Array:
    """What a loop starts to add to: under shard_map it varies over the mesh as what is added does."""
    return vary(jnp.zeros(shape, dtype), varying(like))


def total(parts: list[jax.Array]) -> jax.Array:
    """Their sum, in their order."""
    return functools.reduce(lax.add, parts)


def seen(x: jax.Array, tap, dilation, stride, counts, first: int = 2) -> jax.Array:
    """The elements of a padded x that one tap of the kernel meets, one for each of `counts` positions."""
    starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for axis, (j, r, s, m) in enumerate(zip(tap, dilation, stride, counts, strict=True), first):
        starts[axis], limits[axis], strides[axis] = j * r, j * r + (m - 1) * s + 1, s
    return lax.slice(x, starts, limits, strides)


def phase_padding(padding, sizes, lengths, steps) -> list[tuple[int, int]]:
    """Zeros below and above, or what is cropped, for every phase of an axis to be of its length."""
    axes = zip(padding, sizes, lengths, steps, strict=True)
    return [(low, length * step - low - size) for (low, _), size, length, step in axes]


def phased(x: jax.Array, steps) -> jax.Array:
    """(N, G, C, *n) to (*steps, N, G, C, *n / steps): every so many elements of an axis, laid apart."""
    x = x.reshape(*x.shape[:3], *[n for size, s in zip(x.shape[3:], steps, strict=True) for n in (size // s, s)])
    return x.transpose(*range(4, x.ndim, 2), 0, 1, 2, *range(3, x.ndim, 2))


def gathered(x: jax.Array, taps, dilation, stride, counts) -> jax.Array:
    """A padded x (N, G, C, *n) to (N, G, taps C, *counts): `seen` of every tap, along one axis after the other, for a
    copy of few parts is one loop. Not of groups, which are transposed next: that would be the same loop."""
    batch, groups, channels, *_ = x.shape
    if groups > 1:
        each = itertools.product(*map(range, taps))
        return jnp.concatenate([seen(x, tap, dilation, stride, counts, first=3) for tap in each], 2)
    for axis in reversed(range(len(taps))):
        size, r, s, m = taps[axis], dilation[axis], stride[axis], counts[axis]
        at = x.ndim - len(taps) + axis
        parts = [lax.slice_in_dim(x, j * r, j * r + (m - 1) * s + 1, s, at) for j in range(size)]
        x = lax.optimization_barrier(jnp.stack(parts, 2)) if size > 1 else parts[0]
    return x.reshape(batch, groups, math.prod(taps) * channels, *counts)


def undilated(spec) -> str | None:
    """Why a lowering without lhs_dilation cannot serve."""
    return "the input is dilated" if any(a > 1 for a in spec.lhs_dilation) else None


def dilated_alone(spec) -> str | None:
    """Why a lowering for a dilated input, and for nothing else, cannot serve."""
    if all(a == 1 for a in spec.lhs_dilation):
        return "the input is not dilated"
    if any(n > 1 for n in (*spec.stride, *spec.rhs_dilation)):
        return "a stride or a dilated kernel"
    return None


def flipped(precision):
    """The precision of a product whose operands change places."""
    return precision[::-1] if isinstance(precision, tuple) else precision


def patches(spec, kernel) -> bool:
    """Whether windows lie side by side and see each element once."""
    dims = zip(kernel, spec.stride, spec.rhs_dilation, strict=True)
    return all(k == s and (r == 1 or k == 1) for k, s, r in dims)


def between(spec, counts) -> bool:
    """The mirror of `patches`: whether the positions lie between the taps of the dilated kernel."""
    return all(s == 1 and m <= r for m, s, r in zip(counts, spec.stride, spec.rhs_dilation, strict=True))


def empty(spec, x, w) -> bool:
    """Whether there is nothing to sum or nothing to return."""
    return 0 in (*spec.output_shape(x.shape, w.shape), *x.shape, *w.shape)


def taps(w) -> int:
    return math.prod(w.shape[2:])


def positions(spec, x, w) -> int:
    return math.prod(spec.output_shape(x.shape, w.shape)[2:])


def mirrored(spec, x, w) -> bool:
    """More taps than positions, as in weight gradients."""
    return taps(w) > positions(spec, x, w)
