"""Blocks of an image that stay in cache, and the transforms of their tiles.

Channels stand last, so that every transform is a sum of contiguous rows.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._algorithms import _chunks, _taps
from convjax._arrays.sums import add_all
from convjax._arrays.xla_cpu import depends_on, fusion_barrier, materialized
from convjax._machine import Machine

WEIGHT_CHUNKS = 3  # a weight that is larger than the tiles is transformed in so many chunks of the six rows
CACHE_WAY_BYTES = 4096  # of one way of an L1 data cache


def max_block_elements(machine: Machine) -> int:
    """The largest number of elements of the transformed tiles of a block that stay in cache."""
    return 9 * machine.chunk_elements // 16


def min_halved_elements(machine: Machine) -> int:
    """The number of elements of all transformed tiles from which on a single block is cut in two to save memory."""
    return 3 * machine.chunk_elements // 16


class Blocks(NamedTuple):
    """Images, or rows of tiles of one image, that are transformed at a time, so that intermediates stay in cache."""

    images: int
    per_image: int
    step: int  # elements from one block of an image to the next

    def starts(self, batch: int) -> list[tuple[int, int]]:
        """The first image of every block, and its first row of results."""
        blocks = itertools.product(range(0, batch, self.images), range(self.per_image))
        return [(image, block * self.step) for image, block in blocks]


def blocks_of(batch, counts, elements, step, max_elements) -> tuple[Blocks, list[int], int]:
    """Divide images with `counts` tiles along each axis into blocks. A tile has `elements` elements.

    Returns the blocks, the number of tiles along each axis, and the rows of tiles of a block. The number of rows may be
    larger than in `counts`, so that all blocks have equally many.
    """
    max_rows = max(max_elements // (elements * math.prod(counts[1:])), 1)
    images = max(n for n in range(1, max(max_rows // counts[0], 1) + 1) if batch % n == 0)
    per_image = -(-counts[0] // max_rows)
    even = [n for n in range(per_image, 2 * per_image) if counts[0] % n == 0]  # no rows to crop afterwards
    per_image = even[0] if even else per_image
    rows = -(-counts[0] // per_image)
    return Blocks(images, per_image, step * rows), [rows * per_image, *counts[1:]], rows


class Operand(NamedTuple):
    """An operand (N, C, *n), of which blocks are taken."""

    blocks: Blocks
    shape: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    lengths: list[int]  # of the padded axes
    machine: Machine
    in_two_loops: bool = False  # whether to pad and to transpose in a loop each

    @property
    def _block_rows(self) -> int:
        return self.lengths[0] - (self.blocks.per_image - 1) * self.blocks.step

    @property
    def _read_rows(self) -> int:
        """Rows that are read of the operand. They are padded, and the rows of the block are a slice of the result."""
        return self.shape[2] if self.blocks.per_image == 1 else min(self._block_rows, self.shape[2])

    def starts(self, row: int) -> tuple[int, int]:
        """Where to read for the block that starts at a row of the padded operand, and where the block starts then."""
        low = self.padding[0][0]
        read = min(max(row - low, 0), self.shape[2] - self._read_rows)
        return read, row - low - read + max(low, 0)

    def block(self, x, image, read, start):
        """A block with the channels last, padded."""
        if (x.shape[0], self.blocks.per_image) != (self.blocks.images, 1):
            sizes = self.blocks.images, x.shape[1], self._read_rows, *x.shape[3:]
            x = fusion_barrier(_chunks.slice_at(x, (image, 0, read), sizes), self.machine)
        if self.blocks.per_image == 1:
            return pad_channels_last(x, self.padding, self.lengths, self.machine, self.in_two_loops)
        low = self.padding[0][0]
        around = max(low, 0), max(self.lengths[0] - low - self.shape[2], 0)
        sizes = *x.shape[:2], self._block_rows, *x.shape[3:]
        x = lax.optimization_barrier(_chunks.slice_at(_taps.pad(x, (around,)), (0, 0, start), sizes))
        padding, lengths = ((0, 0), *self.padding[1:]), (self._block_rows, *self.lengths[1:])
        return pad_channels_last(x, padding, lengths, self.machine, self.in_two_loops)


def pad_channels_last(x, padding, lengths, machine: Machine, in_two_loops: bool = False):
    """x with the channels last, and zeros around each axis up to a length."""
    around = [(low, n - low - size) for (low, _), n, size in zip(padding, lengths, x.shape[2:], strict=True)]
    if in_two_loops or not any(map(any, around)):
        x = fusion_barrier(_taps.pad(x, around), machine)
        return fusion_barrier(_channels_last(x, machine), machine)
    return _taps.pad(_channels_last(x, machine), around, first=1)


def _channels_last(x: jax.Array, machine: Machine) -> jax.Array:
    """Move the channels last. If the channels collide in a cache, this is done row by row of an image."""
    if _channels_collide(x, machine):
        return materialized(fusion_barrier(jnp.moveaxis(x, 1, -2), machine).swapaxes(-1, -2))
    return materialized(jnp.moveaxis(x, 1, -1))


def _channels_collide(x: jax.Array, machine: Machine) -> bool:
    """Whether the channels of one pixel are so many bytes apart that a cache cannot hold them all.

    A cache has about 8 ways of `CACHE_WAY_BYTES` each. Addresses that differ by a multiple of it share the same lines.
    """
    apart = math.gcd(math.prod(x.shape[2:]) * x.dtype.itemsize, CACHE_WAY_BYTES)
    return not machine.transposes_in_tiles and x.shape[-1] >= 32 and x.shape[1] > 8 * CACHE_WAY_BYTES // apart


def transform_tiles(matrices, steps, x: jax.Array, counts, parts: int, machine: Machine) -> list[jax.Array]:
    """Transform the tiles of x (N, [P,] *n, C) to (6^d, N [P] tiles, C), by one matrix per axis.

    A tile starts at every `steps` elements of an axis. The result is a list of `parts` parts along its first axis.
    """

    def elements(x, axis, at):
        step, count = steps[axis], counts[axis]
        starts = range(matrices[axis].shape[1])
        return [lax.slice_in_dim(x, j, j + step * (count - 1) + 1, step, at) for j in starts]

    if len(matrices) == 1:
        rows, last = 1, [part.reshape(1, -1, x.shape[-1]) for part in elements(x, 0, x.ndim - 2)]
    else:
        # All rows of a tile, stored before the last axis is transformed: XLA would make both in one loop of 36 parts.
        rows, tail = len(matrices[0]), x.shape[-2:]
        x = _combine(matrices[0], [part.reshape(-1, math.prod(tail)) for part in elements(x, 0, x.ndim - 3)])
        x = fusion_barrier(x, machine).reshape(-1, rows, *tail)
        last = [part.swapaxes(0, 1) for part in elements(x, 1, 2)]
    cut = [[part[rows] for part in last] for rows in _chunks.split_evenly(rows, parts)]
    v = [lax.optimization_barrier(_combine(matrices[-1], part)) for part in cut]
    return [part.reshape(part.shape[0] * part.shape[1], -1, part.shape[-1]) for part in v]


def _combine(matrix: np.ndarray | jax.Array, parts: list[jax.Array]) -> jax.Array:
    """Multiply the matrix by the parts. The rows of the matrix become a second axis of the result.

    Every row multiplies every part, even by zero. One loop over a single expression is as fast as a loop for each row
    over the parts that it needs, and it compiles in a third of the time.
    """
    shape = (parts[0].shape[0], len(matrix), *parts[0].shape[1:])
    along = (0, *range(2, len(shape)))
    weights = [lax.broadcast_in_dim(matrix[:, n].astype(part.dtype), shape, (1,)) for n, part in enumerate(parts)]
    parts = [lax.broadcast_in_dim(part, shape, along) for part in parts]
    return add_all([lax.mul(*pair) for pair in zip(weights, parts, strict=True)])


def multiply_at_full_precision(a, b, dimensions):
    """A transform as a matrix product, which must not lose digits to a fast precision."""
    return lax.dot_general(a, b, (dimensions, ((), ())), precision=lax.Precision.HIGHEST)


def inverse_transform(a, products, tokens=()) -> jax.Array:
    """Multiply the products by A^T along all axes. The result is (results of a tile, all other axes merged).

    Without the barrier, XLA would split the matrix product into one for each part, and add the two in the loop that
    transposes them, which is slow.
    """
    y = jnp.concatenate([y.reshape(len(y), -1) for y in products])
    y = lax.optimization_barrier(y) if len(products) > 1 else y
    return multiply_at_full_precision(depends_on(tokens, jnp.asarray(a, y.dtype)), y, ((1,), (0,)))


def add_weight_chunks(matrices, add, y, machine: Machine, *operands):
    """Return y after y = add(b, g, a, y, *operands) for each chunk of the rows of B^T and G and the columns of A^T.

    Only one chunk is in memory at a time. The chunks are computed in a loop. From jax 0.12 on, loops are slower, so the
    chunks are unrolled with barriers between them.
    """
    axes = (0, 0, 1)
    b, g, a = [np.split(m.astype(y.dtype), WEIGHT_CHUNKS, axis) for axis, m in zip(axes, matrices, strict=True)]
    rows = [*zip(b, g, a, strict=True)]
    if not machine.loops_are_single_core:
        return _chunks.loop(rows, lambda *row: add(*row, *operands), y)
    for row in rows:
        y, *operands = lax.optimization_barrier((y, *operands))
        y = add(*row, y, *operands)
    return y
