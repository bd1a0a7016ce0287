"""Winograd's minimal filtering F(4, 3): four results of a three-tap kernel from six products instead of twelve.

Per axis, with x and w as polynomials whose product is evaluated at five points and at infinity (Toom-Cook; S. Winograd,
Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, arXiv:1509.09308),

    y = A^T [(G w) * (B^T x)]         six inputs, three taps, four results

and on 2 axes 36 products serve 16 results, a quarter of 144. The products of all tiles and channels are 36 matrix
products. A weight gradient is F(3, 4) with the same points: three results, four taps, and the tiles of the cotangent
summed like channels.

The points are 0, 1, -1, 1/2, -2, which round less than the usual 0, 1, -1, 2, -2 (B. Barabasz et al.,
arXiv:1803.10986, look for such points): enough to stay below 1e-5 of the largest result, which the tests hold them to.
Channels stand last inside, where every transform is a sum of contiguous rows. A NaN spreads over its tile of 4 by 4.
"""

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
MOST = 1 << 21  # elements of x in a block, so that a block and its tiles stay in cache


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


def _tiled(matrix: np.ndarray, x: jax.Array, step: int, counts) -> jax.Array:
    """x (N, *n, C) to (6, ..., N, *counts, C): the matrix along each axis of the tiles that start at every `step`."""
    for axis, count in enumerate(counts):
        at = 1 + 2 * axis  # behind the axes of results made so far
        slices = [lax.slice_in_dim(x, a, a + (count - 1) * step + 1, step, axis=at) for a in range(matrix.shape[1])]
        x = lax.optimization_barrier(jnp.stack(_combined(matrix, slices), axis))
    return x


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
    return all(k == 3 for k in w.shape[2:])


def _padded_to(x, padding, lengths):
    """Channels last, and zeros around each axis up to a length."""
    x = _last(x)
    around = [(low, n - low - size) for (low, _), n, size in zip(padding, lengths, x.shape[1:-1], strict=True)]
    return _pieces.padded(x, around, first=1)


def _forward(x, w, spec):
    _, g, _ = matrices(4)
    (batch, outputs, *sizes), dims = spec.output_shape(x.shape, w.shape), spec.dims
    blocks, counts = _blocks(batch, [-(-m // 4) for m in sizes], max(w.shape[:2]))
    x = _padded_to(x, spec.padding, [4 * c + 2 for c in counts])
    u = _exactly(_kron(g, dims).astype(w.dtype), w.reshape(outputs * w.shape[1], -1), ((1,), (1,)))
    u = u.reshape(TILE**dims, outputs, w.shape[1])
    if blocks.number == 1:
        y = _tiles(x, u, counts, spec)
    else:
        each = lambda n: _pieces.parted(_tiles(blocks.part(x, n, 2), u, [blocks.rows, *counts[1:]], spec))  # noqa: E731
        y = lax.map(each, jnp.arange(blocks.number))
        y = y.reshape(-1, blocks.across, *y.shape[1:])
        y = jnp.moveaxis(y, 1, 3).reshape(batch, outputs, *[4 * c for c in counts])
    return lax.slice(y, [0] * y.ndim, (batch, outputs, *sizes))


class _Blocks(NamedTuple):
    """Images, or rows of tiles of one, that are transformed at a time, so that what is between stays in cache."""

    images: int
    rows: int
    across: int  # blocks of an image
    number: int

    def part(self, x, number, halo):
        """Block `number` of x (N, *n, C), with `halo` rows of x behind its own."""
        starts = [number // self.across * self.images, number % self.across * (4 * self.rows)]
        starts += [jnp.zeros_like(number)] * (x.ndim - 2)
        return lax.dynamic_slice(x, starts, (self.images, 4 * self.rows + halo, *x.shape[2:]))


def _blocks(batch, counts, channels) -> tuple[_Blocks, list[int]]:
    """And how many tiles there are along each axis, which may take some more rows of them."""
    most = max(MOST // (channels * 4 ** len(counts) * math.prod(counts[1:])), 1)
    images = max(n for n in range(1, max(most // counts[0], 1) + 1) if batch % n == 0)
    across = -(-counts[0] // most)
    rows = -(-counts[0] // across)
    return _Blocks(images, rows, across, batch // images * across), [rows * across, *counts[1:]]


def _tiles(x, u, counts, spec):
    """What the tiles at each 4 positions of x, channels last and padded, come to: (N, O, *4 counts)."""
    a_t, _, b_t = matrices(4)
    dims, batch, outputs = spec.dims, x.shape[0], u.shape[1]
    v = _tiled(b_t, x, 4, counts)
    v = v.reshape(TILE**dims, -1, u.shape[2])
    # The larger matrix on the left makes the faster product.
    first = v.shape[1] < outputs
    a, b = (u, v) if first else (v, u)
    y = lax.dot_general(a, b, (((2,), (2,)), ((0,), (0,))), precision=spec.precision)
    y = y.reshape(*[TILE] * dims, *((outputs, batch, *counts) if first else (batch, *counts, outputs)))
    for _ in range(dims - 1):  # (6, [6,] N, ...) to ([6,] N, ..., 4)
        y = lax.optimization_barrier(jnp.stack(_combined(a_t, list(y)), dims))
    shape = y.shape
    y = _exactly(a_t.astype(y.dtype), y.reshape(TILE, -1), ((1,), (0,)))
    y = y.reshape(4, *shape[1:])
    # (b, N, [a,] tiles, O), or (b, O, [a,] N, tiles)
    results = [*range(2, dims + 1), 0]
    tiles = [n + first for n in range(dims + 1, 2 * dims + 1)]
    places = (dims + 1, 1) if first else (1, y.ndim - 1)
    order = [*places, *[axis for pair in zip(tiles, results, strict=True) for axis in pair]]
    return y.transpose(order).reshape(batch, outputs, *[4 * c for c in counts])


def _mirrored(x, w, spec):
    a_t, g, b_t = matrices(3)
    dims, batch, outputs = spec.dims, x.shape[0], w.shape[0]
    blocks, counts = _blocks(x.shape[1], [-(-k // 4) for k in w.shape[2:]], batch + outputs)
    # What is summed takes the place of the batch, and what is kept, B and O, that of the channels.
    x = _padded_to(x.swapaxes(0, 1), spec.padding, [4 * c + 2 for c in counts])
    w = _padded_to(w.swapaxes(0, 1), ((0, 0),) * dims, [4 * c for c in counts])

    def products(x, w):
        v, u = (_tiled(*pair, 4, [blocks.rows, *counts[1:]]) for pair in ((b_t, x), (g, w)))
        v, u = v.reshape(TILE**dims, -1, batch), u.reshape(TILE**dims, -1, outputs)
        return lax.dot_general(v, u, (((1,), (1,)), ((0,), (0,))), precision=spec.precision)

    if blocks.number == 1:
        y = products(x, w)
    else:
        more = lambda n, y: y + products(blocks.part(x, n, 2), blocks.part(w, n, 0))  # noqa: E731
        y = lax.fori_loop(0, blocks.number, more, _pieces.zeros((TILE**dims, batch, outputs), x.dtype, x))
    y = _exactly(_kron(a_t, dims).astype(y.dtype), y.reshape(TILE**dims, -1), ((1,), (0,)))
    return jnp.moveaxis(y.reshape(*[3] * dims, batch, outputs), (-2, -1), (0, 1))


def refuses(spec, x, w) -> str | None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return f"{x.dtype} is not a real floating dtype"
    if spec.groups > 1:
        return "groups"
    if spec.dims > 2:
        return f"{spec.dims} spatial dimensions, more than 2"
    if any(n > 1 for n in (*spec.stride, *spec.lhs_dilation, *spec.rhs_dilation)):
        return "a stride or a dilation"
    if not _is_forward(w) and any(m != 3 for m in spec.output_shape(x.shape, w.shape)[2:]):
        return "neither a kernel of 3 taps nor 3 positions along every axis"
    return None


def multiply_adds(spec, x, w):
    """Those of the matrix products; the transforms add some 40 for each element of x, w and y."""
    sizes = spec.output_shape(x.shape, w.shape)[2:] if _is_forward(w) else w.shape[2:]
    tiles = 1
    for n in sizes:
        tiles *= -(-n // 4) * TILE
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
