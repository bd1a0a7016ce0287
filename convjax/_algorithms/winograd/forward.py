"""Tiles of taps: forward convolutions and input gradients."""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._algorithms import _chunks
from convjax._algorithms._product import matmul
from convjax._algorithms.winograd import tiles
from convjax._algorithms.winograd.matrices import TILE, kron, matrices
from convjax._arrays.sums import add_all
from convjax._arrays.xla_cpu import gemm_is_single_core, run_concurrently
from convjax._machine import Machine


def run(x, w, spec, taps, machine: Machine) -> jax.Array:
    batch, out_channels, *sizes = spec.output_shape(x.shape, w.shape)
    in_channels, tiled_axes, halos = w.shape[1], len(taps), [k - 1 for k in w.shape[2:]]
    steps = [*[1] * (spec.dims - tiled_axes), *[TILE - k + 1 for k in taps]]
    depth = w.shape[2] if spec.dims > tiled_axes else 1
    counts = [-(-m // step) for m, step in zip(sizes, steps, strict=True)]
    tile_elements, tile_count = TILE**tiled_axes * max(out_channels, in_channels), batch * math.prod(counts)
    all_elements, max_elements = tile_elements * tile_count, tiles.max_block_elements(machine)
    heavy = out_channels * in_channels >= max(tile_count * max(out_channels, in_channels), machine.chunk_elements // 64)
    heavy = heavy and not gemm_is_single_core(machine, x.dtype, tile_count, out_channels, in_channels)
    one_block = tiles.min_halved_elements(machine) <= all_elements <= max_elements
    by_weight_chunks = spec.dims == 2 and (heavy or (machine.barriers_survive_fusion and batch == 1 and one_block))
    max_elements = all_elements if by_weight_chunks else all_elements // 2 if one_block else max_elements
    blocks, counts, rows = tiles.blocks_of(batch, counts, tile_elements, steps[0], max_elements)
    lengths = [step * c + halo for step, c, halo in zip(steps, counts, halos, strict=True)]
    block_counts, deep = [rows, *counts[1:]], spec.dims - tiled_axes

    # The taps of a volume's first axis join the output channels. Each of them is summed from another slice.
    w = jnp.moveaxis(w.reshape(out_channels, in_channels, depth, -1), 2, 0)
    shape, flat = (-1, depth * out_channels, in_channels), w.reshape(-1, w.shape[3])
    single_core = gemm_is_single_core(machine, x.dtype, blocks.images * math.prod(block_counts), *shape[1:])
    parts = 2 if tiled_axes == 2 and single_core else 1
    a_t, g, b_t = zip(*map(matrices, steps[deep:]), strict=True)
    a, g = kron(a_t), kron(g)
    kept = (blocks.images, *block_counts)
    multiplied = (blocks.images, *[block_counts[0] + depth - 1] * deep, *block_counts[deep:])
    order = _Order(kept, multiplied, out_channels, depth, math.prod(multiplied) < depth * out_channels)

    def transform_weight(g, w):
        return tiles.multiply_at_full_precision(g, w, ((1,), (1,))).reshape(shape)

    if by_weight_chunks:

        def add_chunk(b, g, a, y, x, w):
            v = tiles.transform_tiles((b, b_t[1]), steps, x, block_counts, 1, machine)
            products = _products(v, [transform_weight(g, w)], order, spec, machine)
            return y + tiles.inverse_transform(a, *products)

        y = _chunks.zeros_varying_like((len(a), math.prod(kept) * out_channels), x.dtype, x)
        x = tiles.pad_channels_last(x, spec.padding, lengths, machine)
        y = tiles.add_weight_chunks((b_t[0], g, a), add_chunk, y, machine, x, flat)
        y = _in_image_order(y, steps, order)
        return lax.slice(y, [0] * y.ndim, (batch, out_channels, *sizes))

    u = [transform_weight(part, flat) for part in np.split(g.astype(w.dtype), parts)]
    height = sizes[0] if blocks.per_image == 1 else steps[0] * counts[0]  # rows beyond it are cropped afterwards
    operand = tiles.Operand(blocks, x.shape, spec.padding, lengths, machine)

    def convolve_block(image, row, *starts):
        block = operand.block(x, image, *starts)
        v = tiles.transform_tiles(b_t, steps[deep:], block, block_counts[deep:], parts, machine)
        y = tiles.inverse_transform(a, *_products(v, u, order, spec, machine))
        y = _in_image_order(y, steps[deep:], order)
        return lax.slice(y, [0] * y.ndim, (*y.shape[:2], min(y.shape[2], height), *sizes[1:]))

    starts = [(image, row, *operand.starts(row)) for image, row in blocks.starts(batch)]
    y = _chunks.zeros_varying_like((batch, out_channels, height, *sizes[1:]), x.dtype, x)
    y = _chunks.write_chunks(starts, convolve_block, y, machine, lambda image, row, *_: (image, 0, row))
    return lax.slice(y, [0] * y.ndim, (batch, out_channels, *sizes))


class _Order(NamedTuple):
    """The order of axes in the products of a block."""

    kept: tuple[int, ...]  # (N, [D,] *tiles) of the results
    multiplied: tuple[int, ...]  # (N, [D + depth - 1,] *tiles) of the products of a volume
    out_channels: int
    depth: int  # taps of a volume's first axis, 1 for images; each has output channels of its own
    channels_first: bool  # before the tiles: the product is faster with the larger matrix on the left

    def shape(self, tile_shape, channels) -> tuple[int, ...]:
        return (channels, *tile_shape) if self.channels_first else (*tile_shape, channels)


def _products(v, u, order, spec, machine) -> tuple[list[jax.Array], list[jax.Array]]:
    """The matrix products of transformed tiles v and weights u, and their tokens. Two products run on two cores."""

    def products(v, u):
        pairs = zip(*((u, v) if order.channels_first else (v, u)), strict=True)
        return [matmul(a, b, machine, spec.precision, transpose_b=True) for a, b in pairs]

    y, tokens = run_concurrently(machine, products, v, u)
    return [_add_slices(part, order) for part in y], tokens


def _add_slices(y, order):
    """Add the products of the taps of a volume's first axis, each taken from its own slice of the volume."""
    if order.depth == 1:
        return y
    y = y.reshape(-1, *order.shape(order.multiplied, order.depth * order.out_channels))
    plane, channel = (3, 1) if order.channels_first else (2, y.ndim - 1)
    taps = [lax.slice_in_dim(y, j, j + order.kept[1], axis=plane) for j in range(order.depth)]
    starts = [j * order.out_channels for j in range(order.depth)]
    return add_all(
        [lax.slice_in_dim(tap, j, j + order.out_channels, axis=channel) for tap, j in zip(taps, starts, strict=True)]
    )


def _in_image_order(y, steps, order) -> jax.Array:
    """The inverse transform as (N, O, [D,] *n): each axis of tiles merged with that of their results."""
    tiled_axes, tile_counts = len(steps), order.kept[-len(steps) :]
    y = y.reshape(*steps, *order.shape(order.kept, order.out_channels))
    whole_axes = len(order.kept) - 1 - tiled_axes
    n = tiled_axes + order.channels_first
    pairs = [(n + 1 + whole_axes + axis, axis) for axis in range(tiled_axes)]
    channel = tiled_axes if order.channels_first else y.ndim - 1
    y = y.transpose(n, channel, *range(n + 1, n + 1 + whole_axes), *itertools.chain(*pairs))
    return y.reshape(*y.shape[: 2 + whole_axes], *[step * c for step, c in zip(steps, tile_counts, strict=True)])
