"""Winograd's minimal filtering F(7 - k, k): six products for 7 - k results of a kernel of k taps, 2 to 5.

Per axis, with x and w as polynomials whose product is evaluated at five points and at infinity (Toom-Cook; S. Winograd,
Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, arXiv:1509.09308),

    y = A^T [(G w) * (B^T x)]         six inputs, k taps, 7 - k results

and on 2 axes 36 products serve 16 results of 3x3 taps, or 9 of 4x4: a quarter of 144. The products of all tiles and
channels are 36 matrix products. A weight gradient of k positions is F(k, 7 - k) with the same points: its tiles are of
7 - k taps of the cotangent, and they are summed like channels. Of a volume the last two axes are in tiles; each tap of
the first has a product of its own.

The points are 0, 1, -1, 1/2, -2, which round less than the usual 0, 1, -1, 2, -2 (B. Barabasz et al.,
arXiv:1803.10986, look for such points): enough to stay below 1e-5 of the largest result, which the tests hold them to.
Channels stand last inside, where every transform is a sum of contiguous rows. A NaN spreads over its tile.
"""

import functools
import itertools
import math
from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._lowerings import _pieces, _products
from convjax._lowerings._lowering import Lowering, nowhere

POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
TILE = len(POINTS) + 1
TURNS = 3  # in which a weight that is larger than the tiles is transformed and multiplied, two rows of the six each
MANY = 96  # channels of a weight gradient that are padded and transposed faster in two loops
WAY = 4096  # bytes of one way of a cache
MOST = 9 << 17  # elements of a block's tiles, so that they stay in cache
FEW = 3 << 17  # of all tiles, from which one block is halved, for the sake of memory
HEAVY = 1 << 15  # elements of a weight, for the same reason


@functools.cache
def matrices(results: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A^T (results, 6), G (6, taps) and B^T (6, 6) for `results` results of 7 - results taps.

    With a_j the points, M(t) the product of all t - a_j and M_j(t) that of the others, row j of A is the powers of a_j,
    row j of G those powers over M_j(a_j), row j of B^T the coefficients of M_j; infinity takes the leading
    coefficients, and M itself.
    """
    taps = TILE + 1 - results
    powers = lambda count, scale: [  # noqa: E731
        *[[a**i / s for i in range(count)] for a, s in zip(POINTS, scale, strict=True)],
        [Fraction(i == count - 1) for i in range(count)],
    ]
    others = [[a - b for b in POINTS if b != a] for a in POINTS]
    a_t = np.array(powers(results, [1] * len(POINTS)), float).T
    g = np.array(powers(taps, [math.prod(differences) for differences in others]), float)
    b_t = np.array([[*_polynomial([b for b in POINTS if b != a]), 0] for a in POINTS] + [_polynomial(POINTS)], float)
    return a_t, g, b_t


def _polynomial(roots) -> list[Fraction]:
    """Coefficients of the product of all t - root, the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [s - root * c for s, c in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def _combined(matrix: np.ndarray | jax.Array, parts: list[jax.Array]) -> jax.Array:
    """The matrix times the parts, its rows along a second axis. Every row weighs every part, zeros too: a loop over one
    expression is as fast as a loop for each row, over what it needs, and compiles in a third of the time."""
    shape = (parts[0].shape[0], len(matrix), *parts[0].shape[1:])
    along = (0, *range(2, len(shape)))
    weights = [lax.broadcast_in_dim(matrix[:, n].astype(part.dtype), shape, (1,)) for n, part in enumerate(parts)]
    parts = [lax.broadcast_in_dim(part, shape, along) for part in parts]
    return _pieces.total([lax.mul(*pair) for pair in zip(weights, parts, strict=True)])


def _tiled(matrices, steps, x: jax.Array, counts, parts: int) -> list[jax.Array]:
    """x (N, [P,] *n, C) to (6^d, N [P] tiles, C), each axis' matrix along the tiles that start at every step: in so
    many parts of the first axis."""

    def seen(x, axis, at):
        step, count = steps[axis], counts[axis]
        starts = range(matrices[axis].shape[1])
        return [lax.slice_in_dim(x, j, j + step * (count - 1) + 1, step, at) for j in starts]

    if len(matrices) == 1:
        rows, last = 1, [part.reshape(1, -1, x.shape[-1]) for part in seen(x, 0, x.ndim - 2)]
    else:
        # Each tile's rows beside one another, made before the last axis: XLA would make both in one loop, of 36 parts.
        rows, tail = len(matrices[0]), x.shape[-2:]
        x = _combined(matrices[0], [part.reshape(-1, math.prod(tail)) for part in seen(x, 0, x.ndim - 3)])
        x = _pieces.parted(x).reshape(-1, rows, *tail)
        last = [part.swapaxes(0, 1) for part in seen(x, 1, 2)]
    some = [[part[cut] for part in last] for cut in _pieces.cut(rows, parts)]
    v = [lax.optimization_barrier(_combined(matrices[-1], part)) for part in some]
    return [part.reshape(part.shape[0] * part.shape[1], -1, part.shape[-1]) for part in v]


def _kron(matrices) -> np.ndarray:
    return functools.reduce(np.kron, matrices)


def _exactly(a, b, dimensions):
    """A transform as a product: it must not lose digits to a fast precision."""
    return lax.dot_general(a, b, (dimensions, ((), ())), precision=lax.Precision.HIGHEST)


def _last(x: jax.Array) -> jax.Array:
    """Channels last; where they meet in a cache, each row of an image for itself."""
    if _meet(x):
        return _pieces.laid(_pieces.parted(jnp.moveaxis(x, 1, -2)).swapaxes(-1, -2))
    return _pieces.laid(jnp.moveaxis(x, 1, -1))


def _meet(x: jax.Array) -> bool:
    """Whether the channels of a place lie so many bytes apart that a cache does not hold them all: it is made of some 8
    such ways, and what is a multiple of that apart is at the same place of each."""
    apart = math.gcd(math.prod(x.shape[2:]) * x.dtype.itemsize, WAY)
    return not _pieces.NEWER and x.shape[-1] >= 32 and x.shape[1] > 8 * WAY // apart


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    wide = _pieces.sum_dtype(x.dtype, spec)
    forward, small = _small(spec, x, w)
    y = (_forward if forward else _mirrored)(x.astype(wide), w.astype(wide), spec, small)
    return y.astype(spec.out_dtype or x.dtype)


def _small(spec, x, w) -> tuple[bool, tuple[int, ...]]:
    """Whether the tiles are of taps, not of positions, and how many of those there are along each axis in tiles: the
    fewer of both where either would do."""
    taps, positions = w.shape[-min(spec.dims, 2) :], spec.output_shape(x.shape, w.shape)[-min(spec.dims, 2) :]
    fewer = math.prod(taps) <= math.prod(positions) or spec.dims > 2
    forward = _serves(taps) and (fewer or not _serves(positions))
    return forward, taps if forward else positions


def _serves(sizes) -> bool:
    return all(2 <= n < TILE for n in sizes)


def _padded_to(x, padding, lengths, many: bool = False):
    """Channels last, zeros around each axis up to a length, made before what reads it: in one loop, or, of many
    channels, in two."""
    around = [(low, n - low - size) for (low, _), n, size in zip(padding, lengths, x.shape[2:], strict=True)]
    if many or not any(map(any, around)):
        return _pieces.parted(_last(_pieces.parted(_pieces.padded(x, around))))
    return _pieces.padded(_last(x), around, first=1)


def _forward(x, w, spec, taps):
    batch, outputs, *sizes = spec.output_shape(x.shape, w.shape)
    channels, tiled, halos = w.shape[1], len(taps), [k - 1 for k in w.shape[2:]]
    steps = [*[1] * (spec.dims - tiled), *[TILE - k + 1 for k in taps]]
    planes = w.shape[2] if spec.dims > tiled else 1
    counts = [-(-m // step) for m, step in zip(sizes, steps, strict=True)]
    each, places = TILE**tiled * max(outputs, channels), batch * math.prod(counts)
    heavy = outputs * channels >= max(places * max(outputs, channels), HEAVY)
    heavy = heavy and not _pieces.alone(places, outputs, channels)
    one_block = FEW <= each * places <= MOST
    in_turns = spec.dims == 2 and (heavy or (_pieces.NEWER and batch == 1 and one_block))
    most = each * places // 2 if one_block else MOST
    blocks, counts, rows = _blocks(batch, counts, each, steps[0], each * places if in_turns else most)
    lengths = [step * c + halo for step, c, halo in zip(steps, counts, halos, strict=True)]
    own, deep = [rows, *counts[1:]], spec.dims - tiled

    # The taps of a volume's first axis stand beside the outputs, and each of them sums up another plane.
    w = jnp.moveaxis(w.reshape(outputs, channels, planes, -1), 2, 0)
    shape, flat = (-1, planes * outputs, channels), w.reshape(-1, w.shape[3])
    parts = 2 if tiled == 2 and _pieces.alone(blocks.images * math.prod(own), *shape[1:]) else 1
    a_t, g, b_t = zip(*map(matrices, steps[deep:]), strict=True)
    a, g, transformed = _kron(a_t), _kron(g), lambda g, w: _exactly(g, w, ((1,), (1,))).reshape(shape)
    kept, seen = (blocks.images, *own), (blocks.images, *[own[0] + planes - 1] * deep, *own[deep:])
    order = _Order(kept, seen, outputs, planes, first=math.prod(seen) < planes * outputs)
    if in_turns:

        def turn(b, g, a, y, x, w):
            v = _tiled((b, b_t[1]), steps, x, own, 1)
            return y + _results(a, *_multiplied(v, [transformed(g, w)], order, spec))

        y = _pieces.zeros((len(a), math.prod(kept) * outputs), x.dtype, x)
        y = _in_turns((b_t[0], g, a), turn, y, _padded_to(x, spec.padding, lengths), flat)
        y = _in_order(y, steps, order)
        return lax.slice(y, [0] * y.ndim, (batch, outputs, *sizes))

    u = [transformed(part, flat) for part in np.split(g.astype(w.dtype), parts)]

    def results(image, row, *starts):
        tiles = _tiled(b_t, steps[deep:], operand.block(x, image, *starts), own[deep:], parts)
        y = _in_order(_results(a, *_multiplied(tiles, u, order, spec)), steps[deep:], order)
        return lax.slice(y, [0] * y.ndim, (*y.shape[:2], min(y.shape[2], height), *sizes[1:]))

    height = sizes[0] if blocks.across == 1 else steps[0] * counts[0]  # what blocks make below is cut off after
    shape = (batch, outputs, height, *sizes[1:])
    operand = _Operand(blocks, x.shape, spec.padding, lengths)
    turns = [(image, row, *operand.starts(row)) for image, row in blocks.turns(batch)]
    y = _pieces.zeros(shape, x.dtype, x)
    y = _pieces.in_turn(turns, results, y, lambda image, row, *_: (image, 0, row))
    return lax.slice(y, [0] * y.ndim, (batch, outputs, *sizes))


def _in_turns(matrices, make, y, *operands):
    """y after y = make(b, g, a, y, *operands) for the rows of B^T and G, and the columns of A^T, of every turn, which
    keep no more in memory than one of them needs: in a loop, or from jax 0.12 on, whose loops are slower, with barriers
    between."""
    b, g, a = [np.split(matrix.astype(y.dtype), TURNS, axis) for axis, matrix in zip((0, 0, 1), matrices, strict=True)]
    rows = [*zip(b, g, a, strict=True)]
    if not _pieces.NEWER:
        return _pieces.loop(rows, lambda *row: make(*row, *operands), y)
    for row in rows:
        y, *operands = lax.optimization_barrier((y, *operands))
        y = make(*row, y, *operands)
    return y


class _Blocks(NamedTuple):
    """Images, or rows of tiles of one, that are transformed at a time, so that what is between stays in cache."""

    images: int
    across: int  # blocks of an image
    step: int  # elements from one block to the next

    def turns(self, batch) -> list[tuple[int, int]]:
        """Where they start, one after the other, and the results of each: an image, and a row."""
        blocks = itertools.product(range(0, batch, self.images), range(self.across))
        return [(image, block * self.step) for image, block in blocks]


class _Operand(NamedTuple):
    """An x (N, C, *n) as blocks of it are taken."""

    blocks: _Blocks
    shape: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    lengths: list[int]  # of the padded axes
    many: bool = False  # channels, for `_padded_to`

    @property
    def wanted(self) -> int:
        """Rows of a block, of which those that x has are taken, then zeros around them, then those wanted."""
        return self.lengths[0] - (self.blocks.across - 1) * self.blocks.step

    @property
    def taken(self) -> int:
        return self.shape[2] if self.blocks.across == 1 else min(self.wanted, self.shape[2])

    def starts(self, row: int) -> tuple[int, int]:
        """Those of what is taken, and of what is wanted."""
        low = self.padding[0][0]
        taken = min(max(row - low, 0), self.shape[2] - self.taken)
        return taken, row - low - taken + max(low, 0)

    def block(self, x, image, taken, wanted):
        """A block laid out as `_padded_to` lays out all of x: what is between stays in cache."""
        if (x.shape[0], self.blocks.across) != (self.blocks.images, 1):
            sizes = self.blocks.images, x.shape[1], self.taken, *x.shape[3:]
            x = _pieces.parted(_pieces.sliced(x, (image, 0, taken), sizes))
        if self.blocks.across == 1:
            return _padded_to(x, self.padding, self.lengths, self.many)
        low = self.padding[0][0]
        around = max(low, 0), max(self.lengths[0] - low - self.shape[2], 0)
        sizes = *x.shape[:2], self.wanted, *x.shape[3:]
        x = lax.optimization_barrier(_pieces.sliced(_pieces.padded(x, (around,)), (0, 0, wanted), sizes))
        return _padded_to(x, ((0, 0), *self.padding[1:]), (self.wanted, *self.lengths[1:]), self.many)


def _blocks(batch, counts, elements, step, most) -> tuple[_Blocks, list[int], int]:
    """With so many elements to a tile; how many tiles there are along each axis, which may take some more rows; and
    how many rows of them a block has."""
    most = max(most // (elements * math.prod(counts[1:])), 1)
    images = max(n for n in range(1, max(most // counts[0], 1) + 1) if batch % n == 0)
    across = -(-counts[0] // most)
    even = [n for n in range(across, 2 * across) if counts[0] % n == 0]  # no rows to cut off again
    across = even[0] if even else across
    rows = -(-counts[0] // across)
    return _Blocks(images, across, step * rows), [rows * across, *counts[1:]], rows


class _Order(NamedTuple):
    """How the results of a block lie."""

    kept: tuple[int, ...]  # (N, [D,] *tiles)
    seen: tuple[int, ...]  # (N, [D + planes - 1,] *tiles): those that a product has of a volume
    outputs: int
    planes: int  # whose outputs a product has, beside one another
    first: bool  # whether the outputs stand before the tiles: the larger matrix on the left makes the faster product

    def shape(self, tiles, outputs) -> tuple[int, ...]:
        return (outputs, *tiles) if self.first else (*tiles, outputs)


def _multiplied(v, u, order, spec) -> tuple[list[jax.Array], list[jax.Array]]:
    """The products of tiles and weight, as transformed, each on a core of its own where there are two."""

    def products(v, u):
        pairs = zip(*((u, v) if order.first else (v, u)), strict=True)
        return [lax.dot_general(a, b, (((2,), (2,)), ((0,), (0,))), precision=spec.precision) for a, b in pairs]

    y, zeros = _pieces.beside(products, v, u)
    return [_over_planes(part, order) for part in y], zeros


def _results(a, products, zeros=()) -> jax.Array:
    """What products, in order, come to by A^T along all axes: (results, all that a product has). Without a barrier XLA
    would make a sum of products of one of two parts, and add them where it turns them, which is slow."""
    y = jnp.concatenate([y.reshape(len(y), -1) for y in products])
    y = lax.optimization_barrier(y) if len(products) > 1 else y
    return _exactly(_pieces.after(zeros, jnp.asarray(a, y.dtype)), y, ((1,), (0,)))


def _over_planes(y, order):
    """The sum of what each tap of a volume's first axis makes of another plane."""
    if order.planes == 1:
        return y
    y = y.reshape(-1, *order.shape(order.seen, order.planes * order.outputs))
    plane, channel = (3, 1) if order.first else (2, y.ndim - 1)
    taps = [lax.slice_in_dim(y, j, j + order.kept[1], axis=plane) for j in range(order.planes)]
    starts = [j * order.outputs for j in range(order.planes)]
    return _pieces.total(
        [lax.slice_in_dim(tap, j, j + order.outputs, axis=channel) for tap, j in zip(taps, starts, strict=True)]
    )


def _in_order(y, steps, order) -> jax.Array:
    """The inverse to (N, O, [D,] each tile's axis with its results behind it, merged)."""
    tiled, tiles = len(steps), order.kept[-len(steps) :]
    y = y.reshape(*steps, *order.shape(order.kept, order.outputs))
    whole = len(order.kept) - 1 - tiled
    n = tiled + order.first
    pairs = [(n + 1 + whole + axis, axis) for axis in range(tiled)]
    y = y.transpose(n, tiled if order.first else y.ndim - 1, *range(n + 1, n + 1 + whole), *itertools.chain(*pairs))
    return y.reshape(*y.shape[: 2 + whole], *[step * c for step, c in zip(steps, tiles, strict=True)])


def _mirrored(x, w, spec, positions):
    dims, batch, outputs = spec.dims, x.shape[0], w.shape[0]
    steps, halos = [TILE - m + 1 for m in positions], [m - 1 for m in positions]
    a_t, g, b_t = zip(*map(matrices, positions), strict=True)
    a = _kron(a_t)
    counts = [-(-k // step) for k, step in zip(w.shape[2:], steps, strict=True)]
    # 9 / 4 of x, as tiles of 3 positions come to, whatever the tiles are: every block adds to the whole sum.
    most, each = MOST if max(batch, outputs) >= 128 else MOST // 2, 9 * math.prod(steps) // 4 * max(batch, outputs)
    places = x.shape[1] * math.prod(counts)
    heavy = 2 * batch * outputs >= places * (batch + outputs)
    in_turns = dims == 2 and (heavy or (_pieces.NEWER and x.shape[1] == 1 and FEW <= each * places <= most))
    blocks, counts, rows = _blocks(x.shape[1], counts, each, steps[0], each * places if in_turns else most)
    # What is summed takes the place of the batch, and what is kept, B and O, that of the channels.
    lengths = [step * c for step, c in zip(steps, counts, strict=True)]
    x, w = x.swapaxes(0, 1), w.swapaxes(0, 1)
    longer, tiles = [n + halo for n, halo in zip(lengths, halos, strict=True)], [rows, *counts[1:]]
    # The narrower matrix on the left makes the faster product of two that are summed along their rows; with the outputs
    # there the result need not be turned, which from jax 0.12 on counts for more.
    swapped = batch >= outputs or (_pieces.NEWER and batch >= 128)
    sides = (outputs, batch) if swapped else (batch, outputs)
    precision = _pieces.flipped(spec.precision) if swapped else spec.precision
    summed = blocks.images * math.prod(tiles)
    parts = 2 if dims == 2 and min(sides) >= 64 and max(sides) < 128 and _pieces.alone(*sides, summed) else 1

    def products(v, u):
        pairs = [*zip(*((u, v) if swapped else (v, u)), strict=True)]
        # Cores share the products of a batch where each is of two matrices in order, but sum tiny ones naively.
        ordered = _pieces.SHARED and min(sides) >= _products.TINY
        pairs = [(lax.optimization_barrier(a.swapaxes(1, 2)), b) for a, b in pairs] if ordered else pairs
        contracted = (2 if ordered else 1,), (1,)
        return [lax.dot_general(a, b, (contracted, ((0,), (0,))), precision=precision) for a, b in pairs]

    many = lambda channels: channels >= MANY and not _pieces.NEWER  # noqa: E731

    of_x = _Operand(blocks, x.shape, spec.padding, longer, many(batch))
    of_w = _Operand(blocks, w.shape, ((0, 0),) * dims, lengths, many(outputs))
    turns = [(image, *of_x.starts(row), *of_w.starts(row)) for image, row in blocks.turns(x.shape[0])]

    def blocked(image, x_taken, x_wanted, w_taken, w_wanted):
        return of_x.block(x, image, x_taken, x_wanted), of_w.block(w, image, w_taken, w_wanted)

    def multiplied(x, w, b=b_t[0], first=g[0]):
        """The products of both, as transformed, or of some rows of the first axis."""
        v, u = _tiled((b, *b_t[1:]), steps, x, tiles, parts), _tiled((first, *g[1:]), steps, w, tiles, parts)
        return _pieces.beside(products, v, u)

    if in_turns:

        def turn(b, g, a, y, x, w):
            return y + _results(a, *multiplied(x, w, b, g))

        y = _pieces.zeros((len(a), batch * outputs), x.dtype, x)
        y = _in_turns((b_t[0], g[0], a), turn, y, *blocked(*turns[0]))
    else:

        def more(*turn):
            (*at, (y, _)), add = turn, functools.partial(jax.tree.map, jnp.add)
            products, zeros = multiplied(*blocked(*at))
            return add(y, products), zeros

        none = [_pieces.zeros((TILE**dims // parts, *sides), x.dtype, x)] * parts
        zeros = [jnp.zeros((), jnp.int32)] * (_pieces.COPIES if parts > 1 else 0)
        y = _results(a, *_pieces.loop(turns, more, (none, zeros)))
    # Turned as a matrix of two axes, or XLA makes a copy first.
    y = lax.optimization_barrier(y).T.reshape(*sides, *positions)
    return y.swapaxes(0, 1) if swapped else y


def refuses(spec, x, w) -> str | None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return f"{x.dtype} is not a real floating dtype"
    if spec.groups > 1:
        return "groups"
    if spec.dims > 3:
        return f"{spec.dims} spatial dimensions, more than 3"
    if any(n > 1 for n in (*spec.stride, *spec.lhs_dilation, *spec.rhs_dilation)):
        return "a stride or a dilation"
    forward, small = _small(spec, x, w)
    if spec.dims == 3 and not forward:
        return "a volume whose kernel is not of 2 to 5 taps along the last two axes"
    return None if _serves(small) else "neither a kernel of 2 to 5 taps nor as many positions along every axis"


def multiply_adds(spec, x, w):
    """Those of the matrix products; the transforms add some 40 for each element of x, w and y."""
    forward, small = _small(spec, x, w)
    sizes = spec.output_shape(x.shape, w.shape)[2:] if forward else w.shape[2:]
    tiles = math.prod(-(-n // (TILE - k + 1)) * TILE for n, k in zip(sizes[-2:], small, strict=True))
    if spec.dims > 2:
        tiles *= (sizes[0] + w.shape[2] - 1) * w.shape[2]
    return tiles * x.shape[0] * w.shape[0] * w.shape[1]


def error(spec, x, w):
    """As tested on normal data: in float32, 1e-5 of the largest result."""
    return 80


LOWERING = Lowering(
    "winograd",
    "F(7 - k, k) tiles, for 3x3 taps a quarter of the products",
    run,
    refuses,
    multiply_adds,
    error,
    "the largest result",
    local=nowhere,
)
