"""Winograd's minimal filtering F(4, 3): four results of a three-tap kernel from six products instead of twelve.

Per axis, with x and w as polynomials whose product is evaluated at five points and at infinity (Toom-Cook; S. Winograd,
Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, arXiv:1509.09308),

    y = A^T [(G w) * (B^T x)]         six inputs, three taps, four results

and on 2 axes 36 products serve 16 results, a quarter of 144. The products of all tiles and channels are 36 matrix
products. A weight gradient is F(3, 4) with the same points: three results, four taps, and the tiles of the cotangent
summed like channels. Of a volume the last two axes are in tiles; each tap of the first has a product of its own.

The points are 0, 1, -1, 1/2, -2, which round less than the usual 0, 1, -1, 2, -2 (B. Barabasz et al.,
arXiv:1803.10986, look for such points): enough to stay below 1e-5 of the largest result, which the tests hold them to.
Channels stand last inside, where every transform is a sum of contiguous rows. A NaN spreads over its tile of 4 by 4.
"""

import itertools
import math
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._lowerings import _pieces
from convjax._lowerings._lowering import Lowering

POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
TILE = len(POINTS) + 1
HALVES = slice(0, TILE // 2), slice(TILE // 2, TILE)
MOST = 1 << 19  # elements of x in a block, so that a block and its tiles stay in cache


@cache
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


def _combined(matrix: np.ndarray, parts: list[jax.Array]) -> list[jax.Array]:
    """Every row of the matrix times the parts, as sums of the parts that it weighs."""
    rows = []
    for row in matrix:
        terms = [part if c == 1 else part * np.asarray(c, part.dtype) for c, part in zip(row, parts, strict=True) if c]
        rows.append(_pieces.total(terms))
    return rows


def _tiled(matrix: np.ndarray, x: jax.Array, counts, channels: int, cut: bool = False) -> list[jax.Array]:
    """x (N, [P,] n, C), or (N, [P,] n, m C), to (6^d, N [P] tiles, C), the matrix along each axis of the tiles that
    start at every fourth element: in one part, or in the six of the last axis times two of the first, whose axes are
    not yet merged."""
    parts, sizes = [x], (x.shape[-2], x.shape[-1] // channels)
    for axis, count in enumerate(counts):
        rows = []
        for part in parts:  # of three axes, for a loop over five takes several times as long to compile
            part = part.reshape(-1, sizes[axis], channels if axis else x.shape[-1])
            seen = [lax.slice_in_dim(part, a, a + 4 * count - 3, 4, axis=1) for a in range(matrix.shape[1])]
            rows += _combined(matrix, seen)
        if axis and cut:
            return [lax.optimization_barrier(row) for row in rows]
        rows = [row.reshape(TILE**axis, -1, *row.shape[1:]) for row in rows]
        parts = [rows[half] for half in HALVES] if cut else [rows]
        parts = [lax.optimization_barrier(jnp.stack(part, 1)) for part in parts]
    return [part.reshape(TILE ** len(counts), -1, channels) for part in parts]


def _kron(matrix: np.ndarray, dims: int) -> np.ndarray:
    product = np.ones((1, 1))
    for _ in range(dims):
        product = np.kron(product, matrix)
    return product


def _exactly(a, b, dimensions):
    """A transform as a product: it must not lose digits to a fast precision."""
    return lax.dot_general(a, b, (dimensions, ((), ())), precision=lax.Precision.HIGHEST)


def _last(x: jax.Array) -> jax.Array:
    return lax.optimization_barrier(jnp.moveaxis(x, 1, -1))


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    wide = _pieces.sum_dtype(x.dtype, spec)
    y = (_forward if _is_forward(w) else _mirrored)(x.astype(wide), w.astype(wide), spec)
    return y.astype(spec.out_dtype or x.dtype)


def _is_forward(w) -> bool:
    return all(k == 3 for k in w.shape[-min(w.ndim - 2, 2) :])


def _padded_to(x, padding, lengths):
    """Channels last, zeros around each axis up to a length, and of the two axes that are in tiles the last merged with
    the channels."""
    x = _last(x)
    around = [(low, n - low - size) for (low, _), n, size in zip(padding, lengths, x.shape[1:-1], strict=True)]
    x = _pieces.padded(x, around, first=1)
    return x.reshape(*x.shape[:-2], -1) if len(lengths) > 1 else x


def _forward(x, w, spec):
    _, g, _ = matrices(4)
    batch, outputs, *sizes = spec.output_shape(x.shape, w.shape)
    tiled = min(spec.dims, 2)
    volume = spec.dims > tiled
    planes = w.shape[2] if volume else 1
    counts = [sizes[0] if volume else -(-sizes[0] // 4), *[-(-m // 4) for m in sizes[1:]]]
    blocks, counts = _blocks(batch, counts, max(w.shape[:2]), *((1, planes - 1) if volume else (4, 2)))
    x = _padded_to(x, spec.padding, [blocks.step * counts[0] + blocks.halo, *[4 * c + 2 for c in counts[1:]]])
    own = [blocks.rows, *counts[1:]]

    # The taps of a volume's first axis stand beside the outputs, and each of them sums up another plane.
    w = jnp.moveaxis(w.reshape(*w.shape[:2], planes, -1), 2, 0)
    shape, flat = (-1, planes * outputs, w.shape[2]), w.reshape(-1, w.shape[3])
    cut = tiled == 2 and _pieces.alone(blocks.images * math.prod(own), *shape[1:])
    rows = _kron(g, tiled).astype(w.dtype).reshape(TILE ** (tiled - 1), TILE, -1)
    parts = [rows[half, n] for half in HALVES for n in range(TILE)] if cut else [rows.reshape(-1, rows.shape[-1])]
    u = [_exactly(part, flat, ((1,), (1,))).reshape(shape) for part in parts]
    if blocks.number == 1:
        y = _tiles(x, u, own, planes, spec)
    else:
        each = lambda n: _pieces.parted(_tiles(_pieces.parted(blocks.part(x, n)), u, own, planes, spec))  # noqa: E731
        y = lax.map(each, jnp.arange(blocks.number))
        y = y.reshape(-1, blocks.across, *y.shape[1:])
        y = jnp.moveaxis(y, 1, 3).reshape(batch, outputs, blocks.step * counts[0], *y.shape[5:])
    return lax.slice(y, [0] * y.ndim, (batch, outputs, *sizes))


class _Blocks(NamedTuple):
    """Images, or rows of tiles of one, that are transformed at a time, so that what is between stays in cache."""

    images: int
    rows: int
    across: int  # blocks of an image
    number: int
    step: int  # from one row of tiles to the next
    halo: int

    def part(self, x, number, halo=None):
        """Block `number` of x (N, n, ...), with `halo` rows of x behind its own."""
        starts = [number // self.across * self.images, number % self.across * (self.step * self.rows)]
        starts += [jnp.zeros_like(number)] * (x.ndim - 2)
        rows = self.step * self.rows + (self.halo if halo is None else halo)
        return lax.dynamic_slice(x, starts, (self.images, rows, *x.shape[2:]))


def _blocks(batch, counts, channels, step=4, halo=2) -> tuple[_Blocks, list[int]]:
    """And how many tiles there are along each axis, which may take some more rows of them."""
    most = max(MOST // (channels * step * math.prod(4 * c for c in counts[1:])), 1)
    images = max(n for n in range(1, max(most // counts[0], 1) + 1) if batch % n == 0)
    across = -(-counts[0] // most)
    rows = -(-counts[0] // across)
    return _Blocks(images, rows, across, batch // images * across, step, halo), [rows * across, *counts[1:]]


def _tiles(x, u, counts, planes, spec):
    """What the tiles at each 4 positions of x, channels last and padded, come to: (N, O, [D,] *4 counts)."""
    a_t, _, b_t = matrices(4)
    tiled, outputs = min(spec.dims, 2), u[0].shape[1]
    whole, counts = counts[: spec.dims - tiled], counts[spec.dims - tiled :]
    seen = (x.shape[0], *x.shape[1 : 1 + len(whole)], *counts)
    v = _tiled(b_t, x, counts, u[0].shape[-1], len(u) > 1)
    # The larger matrix on the left makes the faster product.
    first = math.prod(seen) < outputs
    shape = (outputs, *seen) if first else (*seen, outputs)

    def products(v, u):
        v = [part.reshape(u[0].shape[0], -1, u[0].shape[2]) for part in v]
        pairs = zip(*((u, v) if first else (v, u)), strict=True)
        return [lax.dot_general(a, b, (((2,), (2,)), ((0,), (0,))), precision=spec.precision) for a, b in pairs]

    def over_planes(row):
        """(..., N, D + planes - 1, tiles, planes O) to (..., N, D, tiles, O), in either order of O."""
        lead = row.ndim - len(shape)
        plane, channel = lead + 1 + first, lead if first else row.ndim - 1
        taps = [lax.slice_in_dim(row, j, j + whole[0], axis=plane) for j in range(planes)]
        each = outputs // planes
        return _pieces.total([lax.slice_in_dim(y, j * each, (j + 1) * each, axis=channel) for j, y in enumerate(taps)])

    rows = _rows(_pieces.beside(products, v, u), tiled, shape)
    rows = [[over_planes(row) for row in part] for part in rows] if whole else rows
    shape = rows[0][0].shape[tiled - 1 :]
    flat = lambda row: row.reshape(*row.shape[: tiled - 1], *((shape[0], -1) if first else (-1, shape[-1])))
    y = jnp.concatenate([jnp.stack(_combined(a_t, [flat(row) for row in part]), tiled - 1) for part in rows])
    if tiled == 2:
        y = _exactly(a_t.astype(y.dtype), lax.optimization_barrier(y).reshape(TILE, -1), ((1,), (0,)))
    y = y.reshape(*[4] * tiled, *shape)
    # (4, [4,] N, [D,] tiles, O) or (4, [4,] O, N, [D,] tiles) to (N, O, [D,] each tile's axis with its results behind)
    n = tiled + first
    pairs = [(n + 1 + len(whole) + axis, axis) for axis in range(tiled)]
    y = y.transpose(n, tiled if first else y.ndim - 1, *range(n + 1, n + 1 + len(whole)), *itertools.chain(*pairs))
    return y.reshape(*y.shape[:2], *whole, *[4 * c for c in counts])


def _rows(parts: list[jax.Array], tiled: int, shape) -> list[list[jax.Array]]:
    """The six of the last axis, for each half of the first or for the whole of it."""
    if len(parts) > 1:
        parts = [part.reshape(-1, *shape) for part in parts]
        return [parts[:TILE], parts[TILE:]]
    y = parts[0].reshape(*[TILE] * tiled, *shape)
    return [[lax.index_in_dim(y, n, tiled - 1, keepdims=False) for n in range(TILE)]]


def _mirrored(x, w, spec):
    a_t, g, b_t = matrices(3)
    dims, batch, outputs = spec.dims, x.shape[0], w.shape[0]
    blocks, counts = _blocks(x.shape[1], [-(-k // 4) for k in w.shape[2:]], max(batch, outputs))
    # What is summed takes the place of the batch, and what is kept, B and O, that of the channels.
    x = _padded_to(x.swapaxes(0, 1), spec.padding, [4 * c + 2 for c in counts])
    w = _padded_to(w.swapaxes(0, 1), ((0, 0),) * dims, [4 * c for c in counts])

    def products(x, w):
        tiles = [blocks.rows, *counts[1:]]
        (v,), (u,) = _tiled(b_t, x, tiles, batch), _tiled(g, w, tiles, outputs)
        return lax.dot_general(v, u, (((1,), (1,)), ((0,), (0,))), precision=spec.precision)

    if blocks.number == 1:
        y = products(x, w)
    else:
        more = lambda n, y: y + products(blocks.part(x, n), blocks.part(w, n, 0))  # noqa: E731
        y = lax.fori_loop(0, blocks.number, more, _pieces.zeros((TILE**dims, batch, outputs), x.dtype, x))
    y = _exactly(_kron(a_t, dims).astype(y.dtype), y.reshape(TILE**dims, -1), ((1,), (0,)))
    return jnp.moveaxis(y.reshape(*[3] * dims, batch, outputs), (-2, -1), (0, 1))


def refuses(spec, x, w) -> str | None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return f"{x.dtype} is not a real floating dtype"
    if spec.groups > 1:
        return "groups"
    if spec.dims > 3:
        return f"{spec.dims} spatial dimensions, more than 3"
    if spec.dims == 3 and not _is_forward(w):
        return "a volume whose kernel is not of 3 taps along the last two axes"
    if any(n > 1 for n in (*spec.stride, *spec.lhs_dilation, *spec.rhs_dilation)):
        return "a stride or a dilation"
    if not _is_forward(w) and any(m != 3 for m in spec.output_shape(x.shape, w.shape)[2:]):
        return "neither a kernel of 3 taps nor 3 positions along every axis"
    return None


def multiply_adds(spec, x, w):
    """Those of the matrix products; the transforms add some 40 for each element of x, w and y."""
    sizes = spec.output_shape(x.shape, w.shape)[2:] if _is_forward(w) else w.shape[2:]
    tiles = math.prod(-(-n // 4) * TILE for n in sizes[-2:])
    if spec.dims > 2:
        tiles *= (sizes[0] + w.shape[2] - 1) * w.shape[2]
    return tiles * x.shape[0] * w.shape[0] * w.shape[1]


def error(spec, x, w):
    """As tested on normal data: in float32, 1e-5 of the largest result."""
    return 80


LOWERING = Lowering(
    "winograd",
    "F(4, 3) tiles, a quarter of the products in 2-D",
    run,
    refuses,
    multiply_adds,
    error,
    "the largest result",
    local=False,
)
