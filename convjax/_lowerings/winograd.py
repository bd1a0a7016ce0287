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
from convjax._lowerings._lowering import Lowering

POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
TILE = len(POINTS) + 1
HALVES = slice(0, TILE // 2), slice(TILE // 2, TILE)
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


def _combined(matrix: np.ndarray | jax.Array, parts: list[jax.Array]) -> list[jax.Array]:
    """Every row of the matrix times the parts, as sums of the parts that it weighs, or of all where it is an array."""
    if isinstance(matrix, jax.Array):
        return [_pieces.total([matrix[n, j] * part for j, part in enumerate(parts)]) for n in range(len(matrix))]
    rows = []
    for row in matrix:
        terms = [part if c == 1 else part * np.asarray(c, part.dtype) for c, part in zip(row, parts, strict=True) if c]
        rows.append(_pieces.total(terms))
    return rows


def _tiled(matrices, steps, x: jax.Array, counts, channels: int, cut: bool = False) -> list[jax.Array]:
    """x (N, [P,] n, C), or (N, [P,] n, m C), to (6^d, N [P] tiles, C), each axis' matrix along the tiles that start at
    every step: in one part, or in the six of the last axis times two of the first, (3, N tiles, C) each."""
    parts, sizes = [x], (x.shape[-2], x.shape[-1] // channels)
    for axis, (matrix, step, count) in enumerate(zip(matrices, steps, counts, strict=True)):
        rows = []
        for part in parts:  # of three axes, for a loop over five takes several times as long to compile
            part = part.reshape(-1, sizes[axis], channels if axis else x.shape[-1])
            stops = [(a, a + step * (count - 1) + 1) for a in range(matrix.shape[1])]
            rows += _combined(matrix, [lax.slice_in_dim(part, *stop, step, axis=1) for stop in stops])
        if axis and cut:
            return [lax.optimization_barrier(row).reshape(TILE // 2, -1, channels) for row in rows]
        rows = [row.reshape(len(matrices[0]) if axis else 1, -1, *row.shape[1:]) for row in rows]
        stacks = [rows[half] for half in HALVES] if cut else [rows]
        parts = [lax.optimization_barrier(jnp.stack(stack, 1)) for stack in stacks]
    return [part.reshape(math.prod(map(len, matrices)), -1, channels) for part in parts]


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
    """Channels last, zeros around each axis up to a length, and of the two axes that are in tiles the last merged with
    the channels: in one loop, or, of many channels, in two."""
    around = [(low, n - low - size) for (low, _), n, size in zip(padding, lengths, x.shape[2:], strict=True)]
    x = _last(_pieces.parted(_pieces.padded(x, around))) if many else _pieces.padded(_last(x), around, first=1)
    return x.reshape(*x.shape[:-2], -1) if len(lengths) > 1 else x


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
    blocks, counts = _blocks(batch, counts, each, steps, halos[0], each * places if in_turns else most)
    lengths = [step * c + halo for step, c, halo in zip(steps, counts, halos, strict=True)]
    own, deep = [blocks.rows, *counts[1:]], spec.dims - tiled

    # The taps of a volume's first axis stand beside the outputs, and each of them sums up another plane.
    w = jnp.moveaxis(w.reshape(outputs, channels, planes, -1), 2, 0)
    shape, flat = (-1, planes * outputs, channels), w.reshape(-1, w.shape[3])
    cut = tiled == 2 and _pieces.alone(blocks.images * math.prod(own), *shape[1:])
    a_t, g, b_t = zip(*map(matrices, steps[deep:]), strict=True)
    g, transformed = _kron(g).astype(w.dtype), lambda g, w: _exactly(g, w, ((1,), (1,))).reshape(shape)
    kept, seen = (blocks.images, *own), (blocks.images, *[blocks.rows + planes - 1] * deep, *own[deep:])
    order = _Order(kept, seen, outputs, planes, first=math.prod(seen) < planes * outputs)
    if in_turns:
        a = _kron(a_t)

        def rows(turn, y, x, w):
            v = _tiled((_of_turn(b_t[0], turn, x), b_t[1]), steps, x, own, channels)
            return y + _inverse_of_turn(a, turn, _multiplied(v, [transformed(_of_turn(g, turn, w), w)], order, spec))

        y = _pieces.zeros((len(a), math.prod(kept) * outputs), x.dtype, x)
        y = _in_order(_in_turns(rows, y, _padded_to(x, spec.padding, lengths), flat), steps, order)
        return lax.slice(y, [0] * y.ndim, (batch, outputs, *sizes))

    parts = [part for half in HALVES for part in g.reshape(TILE, TILE, -1)[half].swapaxes(0, 1)] if cut else [g]
    u = [transformed(part, flat) for part in parts]

    def results(n, m):
        tiles = _tiled(b_t, steps[deep:], blocks.part(x, n, m, spec.padding, lengths), own[deep:], channels, cut)
        y = _in_order(_inverse(_multiplied(tiles, u, order, spec), a_t, order), steps[deep:], order)
        return lax.slice(y, [0] * y.ndim, (*y.shape[:2], min(y.shape[2], height), *sizes[1:]))

    height = sizes[0] if blocks.across == 1 else steps[0] * counts[0]  # what blocks make below is cut off after
    shape = (batch, outputs, height, *sizes[1:])
    y = _pieces.in_turn(blocks.turns(batch), results, _pieces.zeros(shape, x.dtype, x), blocks.place)
    return lax.slice(y, [0] * y.ndim, (batch, outputs, *sizes))


def _in_turns(make, y, *operands):
    """y after the turns y = make(turn, y, *operands), which keep no more in memory than one of them needs: in a loop,
    or from jax 0.12 on, whose loops are slower, with barriers between."""
    if not _pieces.NEWER:
        return _pieces.loop([TURNS], lambda turn, y: make(turn, y, *operands), y)
    for turn in range(TURNS):
        y, *operands = lax.optimization_barrier((y, *operands))
        y = make(turn, y, *operands)
    return y


def _of_turn(matrix: np.ndarray, turn, like) -> np.ndarray | jax.Array:
    """The rows of a matrix that are taken in a turn."""
    parts = matrix.astype(like.dtype).reshape(TURNS, -1, matrix.shape[-1])
    return parts[turn] if isinstance(turn, int) else lax.dynamic_index_in_dim(jnp.asarray(parts), turn, keepdims=False)


def _inverse_of_turn(a: np.ndarray, turn, products: list[jax.Array]) -> jax.Array:
    """What the products of a turn, which are one array, add to all results."""
    (y,) = products
    return _exactly(_of_turn(a.T, turn, y).T, y.reshape(y.shape[0], -1), ((1,), (0,)))


class _Blocks(NamedTuple):
    """Images, or rows of tiles of one, that are transformed at a time, so that what is between stays in cache."""

    images: int
    rows: int
    across: int  # blocks of an image
    step: int  # from one row of tiles to the next
    halo: int

    def place(self, image, block):
        """Where a block of y (N, O, *m) starts."""
        return image * self.images, 0, block * (self.step * self.rows)

    def turns(self, batch):
        """So many images, and blocks of each, are taken one after the other."""
        return batch // self.images, self.across

    def part(self, x, image, block, padding, lengths, many=False):
        """A block of x (N, C, *n), laid out as `_padded_to` lays out all of it: what is between stays in cache."""
        if (x.shape[0], self.across) == (self.images, 1):
            return _padded_to(x, padding, lengths, many)
        (low, _), size, behind = padding[0], x.shape[2], (self.across - 1) * self.step * self.rows
        # Of the rows wanted those that x has, then zeros around them, then those wanted.
        wanted, first = lengths[0] - behind, block * self.step * self.rows - low
        kept = size if self.across == 1 else min(wanted, size)
        start = jnp.clip(first, 0, size - kept)
        place, sizes = (image * self.images, 0, start), (self.images, x.shape[1], kept, *x.shape[3:])
        x = _pieces.parted(_pieces.sliced(x, place, sizes))
        if self.across == 1:
            return _padded_to(x, padding, lengths, many)
        around = max(low, 0), max(lengths[0] - low - size, 0)
        place, sizes = (0, 0, first - start + around[0]), (*x.shape[:2], wanted, *x.shape[3:])
        x = lax.optimization_barrier(_pieces.sliced(_pieces.padded(x, (around,)), place, sizes))
        return _padded_to(x, ((0, 0), *padding[1:]), (wanted, *lengths[1:]), many)


def _blocks(batch, counts, elements, steps, halo, most) -> tuple[_Blocks, list[int]]:
    """With so many elements to a tile; and how many tiles there are along each axis, which may take some more rows."""
    most = max(most // (elements * math.prod(counts[1:])), 1)
    images = max(n for n in range(1, max(most // counts[0], 1) + 1) if batch % n == 0)
    across = -(-counts[0] // most)
    even = [n for n in range(across, 2 * across) if counts[0] % n == 0]  # no rows to cut off again
    across = even[0] if even else across
    rows = -(-counts[0] // across)
    return _Blocks(images, rows, across, steps[0], halo), [rows * across, *counts[1:]]


class _Order(NamedTuple):
    """How the results of a block lie."""

    kept: tuple[int, ...]  # (N, [D,] *tiles)
    seen: tuple[int, ...]  # (N, [D + planes - 1,] *tiles): those that a product has of a volume
    outputs: int
    planes: int  # whose outputs a product has, beside one another
    first: bool  # whether the outputs stand before the tiles: the larger matrix on the left makes the faster product

    def shape(self, tiles, outputs) -> tuple[int, ...]:
        return (outputs, *tiles) if self.first else (*tiles, outputs)


def _multiplied(v, u, order, spec) -> list[jax.Array]:
    """The products of tiles and weight, as transformed, each on a core of its own where there are several."""

    def products(v, u):
        pairs = zip(*((u, v) if order.first else (v, u)), strict=True)
        return [lax.dot_general(a, b, (((2,), (2,)), ((0,), (0,))), precision=spec.precision) for a, b in pairs]

    return _pieces.beside(products, v, u)


def _inverse(parts, a_t, order) -> jax.Array:
    """What the products come to: (*steps, N, [D,] tiles, O), or with O first."""
    tiled, shape = len(a_t), order.shape(order.seen, order.planes * order.outputs)

    def over_planes(row):
        lead = row.ndim - len(shape)
        plane, channel = lead + 1 + order.first, lead if order.first else row.ndim - 1
        taps = [lax.slice_in_dim(row, j, j + order.kept[1], axis=plane) for j in range(order.planes)]
        starts = [j * order.outputs for j in range(order.planes)]
        pairs = zip(taps, starts, strict=True)
        return _pieces.total([lax.slice_in_dim(y, j, j + order.outputs, axis=channel) for y, j in pairs])

    rows = _rows(parts, tiled, shape)
    rows = [[over_planes(row) for row in part] for part in rows] if len(shape) > 2 + tiled else rows
    shape = order.shape((math.prod(order.kept),), order.outputs)
    rows = [[row.reshape(*row.shape[: tiled - 1], *shape) for row in part] for part in rows]
    y = jnp.concatenate([jnp.stack(_combined(a_t[-1], part), tiled - 1) for part in rows])
    if tiled == 2:
        y = _exactly(a_t[0].astype(y.dtype), lax.optimization_barrier(y).reshape(TILE, -1), ((1,), (0,)))
    return y


def _in_order(y, steps, order) -> jax.Array:
    """The inverse to (N, O, [D,] each tile's axis with its results behind it, merged)."""
    tiled, tiles = len(steps), order.kept[-len(steps) :]
    y = y.reshape(*steps, *order.shape(order.kept, order.outputs))
    whole = len(order.kept) - 1 - tiled
    n = tiled + order.first
    pairs = [(n + 1 + whole + axis, axis) for axis in range(tiled)]
    y = y.transpose(n, tiled if order.first else y.ndim - 1, *range(n + 1, n + 1 + whole), *itertools.chain(*pairs))
    return y.reshape(*y.shape[: 2 + whole], *[step * c for step, c in zip(steps, tiles, strict=True)])


def _rows(parts: list[jax.Array], tiled: int, shape) -> list[list[jax.Array]]:
    """The six of the last axis, for each half of the first or for what there is of it."""
    if len(parts) > 1:
        parts = [part.reshape(-1, *shape) for part in parts]
        return [parts[:TILE], parts[TILE:]]
    y = parts[0].reshape(*(-1, TILE)[-tiled:], *shape)
    return [[lax.index_in_dim(y, n, tiled - 1, keepdims=False) for n in range(TILE)]]


def _mirrored(x, w, spec, positions):
    dims, batch, outputs = spec.dims, x.shape[0], w.shape[0]
    steps, halos = [TILE - m + 1 for m in positions], [m - 1 for m in positions]
    a_t, g, b_t = zip(*map(matrices, positions), strict=True)
    counts = [-(-k // step) for k, step in zip(w.shape[2:], steps, strict=True)]
    # 9 / 4 of x, as tiles of 3 positions come to, whatever the tiles are: every block adds to the whole sum.
    most, each = MOST if max(batch, outputs) >= 128 else MOST // 2, 9 * math.prod(steps) // 4 * max(batch, outputs)
    places = x.shape[1] * math.prod(counts)
    heavy = 2 * batch * outputs >= places * (batch + outputs)
    in_turns = dims == 2 and (heavy or (_pieces.NEWER and x.shape[1] == 1 and FEW <= each * places <= most))
    blocks, counts = _blocks(x.shape[1], counts, each, steps, halos[0], each * places if in_turns else most)
    # What is summed takes the place of the batch, and what is kept, B and O, that of the channels.
    lengths = [step * c for step, c in zip(steps, counts, strict=True)]
    x, w = x.swapaxes(0, 1), w.swapaxes(0, 1)
    longer, tiles = [n + halo for n, halo in zip(lengths, halos, strict=True)], [blocks.rows, *counts[1:]]
    # The narrower matrix on the left makes the faster product of two that are summed along their rows; with the outputs
    # there the result need not be turned, which from jax 0.12 on counts for more.
    swapped = batch >= outputs or (_pieces.NEWER and batch >= 128)
    sides = (outputs, batch) if swapped else (batch, outputs)
    precision = _pieces.flipped(spec.precision) if swapped else spec.precision
    summed = blocks.images * math.prod(tiles)
    cut = dims == 2 and min(sides) >= 64 and max(sides) < 128 and _pieces.alone(*sides, summed)

    def products(v, u):
        pairs = [*zip(*((u, v) if swapped else (v, u)), strict=True)]
        # Cores share the products of a batch where each is of two matrices in order, but sum tiny ones naively.
        ordered = _pieces.SHARED and min(sides) >= _products.TINY
        pairs = [(lax.optimization_barrier(a.swapaxes(1, 2)), b) for a, b in pairs] if ordered else pairs
        contracted = (2 if ordered else 1,), (1,)
        return [lax.dot_general(a, b, (contracted, ((0,), (0,))), precision=precision) for a, b in pairs]

    many = lambda channels: channels >= MANY and not _pieces.NEWER  # noqa: E731

    def blocked(n, m):
        whole = blocks.part(x, n, m, spec.padding, longer, many(batch))
        return whole, blocks.part(w, n, m, ((0, 0),) * dims, lengths, many(outputs))

    def multiplied(x, w, some=lambda matrix: matrix):
        """The products of both, as transformed, or of some rows of the first axis."""
        v = _tiled((some(b_t[0]), *b_t[1:]), steps, x, tiles, batch, cut)
        u = _tiled((some(g[0]), *g[1:]), steps, w, tiles, outputs, cut)
        return _pieces.beside(products, v, u)

    a = _kron(a_t)
    if in_turns:

        def rows(turn, y, x, w):
            return y + _inverse_of_turn(a, turn, multiplied(x, w, lambda matrix: _of_turn(matrix, turn, x)))

        y = _in_turns(rows, _pieces.zeros((len(a), batch * outputs), x.dtype, x), *blocked(0, 0))
    else:
        parts = len(HALVES) * TILE if cut else 1
        y = [_pieces.zeros((TILE**dims // parts, *sides), x.dtype, x)] * parts
        more = lambda n, m, y: jax.tree.map(jnp.add, y, multiplied(*blocked(n, m)))  # noqa: E731
        y = jnp.stack(_pieces.loop(blocks.turns(x.shape[0]), more, y))
        if cut:
            y = y.reshape(len(HALVES), TILE, -1, *sides).swapaxes(1, 2)
        y = _exactly(a.astype(y.dtype), y.reshape(TILE**dims, -1), ((1,), (0,)))
    y = y.reshape(*positions, *sides)
    return jnp.moveaxis(y.swapaxes(-2, -1) if swapped else y, (-2, -1), (0, 1))


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
    local=False,
)
