"""Tiles of positions: weight gradients."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _gemm
from convjax._algorithms._product import matmul
from convjax._algorithms.winograd import tiles
from convjax._algorithms.winograd.matrices import TILE, kron, matrices
from convjax._arrays.xla_cpu import SEPARATOR_OPERATIONS, gemm_is_single_core, run_concurrently
from convjax._machine import Machine

MIN_CHANNELS_FOR_TWO_LOOPS = 96  # from so many on, padding and transposing are faster in two loops


def run(x, w, spec, positions, machine: Machine) -> jax.Array:
    dims, batch, out_channels = spec.dims, x.shape[0], w.shape[0]
    steps, halos = [TILE - m + 1 for m in positions], [m - 1 for m in positions]
    a_t, g, b_t = zip(*map(matrices, positions), strict=True)
    a = kron(a_t)
    counts = [-(-k // step) for k, step in zip(w.shape[2:], steps, strict=True)]
    max_elements = tiles.max_block_elements(machine)
    max_elements = max_elements if max(batch, out_channels) >= 128 else max_elements // 2
    # Every tile is counted like one of 3 positions, which reads 6 x 6 elements for each 4 x 4 of x.
    tile_elements = 9 * math.prod(steps) // 4 * max(batch, out_channels)
    tile_count = x.shape[1] * math.prod(counts)
    all_elements = tile_elements * tile_count
    heavy = 2 * batch * out_channels >= tile_count * (batch + out_channels)
    one_block = x.shape[1] == 1 and tiles.min_halved_elements(machine) <= all_elements <= max_elements
    by_weight_chunks = dims == 2 and (heavy or (machine.barriers_survive_fusion and one_block))
    max_elements = all_elements if by_weight_chunks else max_elements
    blocks, counts, rows = tiles.blocks_of(x.shape[1], counts, tile_elements, steps[0], max_elements)
    # The axes that are summed take the place of the batch, and those that are kept, B and O, that of the channels.
    lengths = [step * c for step, c in zip(steps, counts, strict=True)]
    x, w = x.swapaxes(0, 1), w.swapaxes(0, 1)
    longer, tile_counts = [n + halo for n, halo in zip(lengths, halos, strict=True)], [rows, *counts[1:]]
    # Of two matrices that are summed along their rows, the product is faster with the narrower one on the left. With
    # the output channels there the result need not be transposed, which from jax 0.12 on counts for more.
    swapped = batch >= out_channels or (machine.transposes_in_tiles and batch >= 128)
    sides = (out_channels, batch) if swapped else (batch, out_channels)
    precision = _spec.swap_precision(spec.precision) if swapped else spec.precision
    single_core = gemm_is_single_core(machine, x.dtype, *sides, blocks.images * math.prod(tile_counts))
    parts = 2 if dims == 2 and min(sides) >= 64 and max(sides) < 128 and single_core else 1

    def products(v, u):
        pairs = [*zip(*((u, v) if swapped else (v, u)), strict=True)]
        # The products of a batch are shared among cores if the contracted axes are last and first. Tiny products are
        # then summed naively.
        ordered = machine.batched_gemm_is_parallel and not machine.has_onednn(x.dtype)
        ordered = ordered and min(sides) >= _gemm.MIN_BATCHED_SIDE
        pairs = [(lax.optimization_barrier(a.swapaxes(1, 2)), b) for a, b in pairs] if ordered else pairs
        return [matmul(a, b, machine, precision, transpose_a=not ordered) for a, b in pairs]

    def operand(shape, padding, lengths, channels):
        in_two_loops = channels >= MIN_CHANNELS_FOR_TWO_LOOPS and not machine.transposes_in_tiles
        return tiles.Operand(blocks, shape, padding, lengths, machine, in_two_loops)

    x_operand = operand(x.shape, spec.padding, longer, batch)
    w_operand = operand(w.shape, ((0, 0),) * dims, lengths, out_channels)
    starts = [(image, *x_operand.starts(row), *w_operand.starts(row)) for image, row in blocks.starts(x.shape[0])]

    def block_operands(image, x_read, x_start, w_read, w_start):
        return x_operand.block(x, image, x_read, x_start), w_operand.block(w, image, w_read, w_start)

    def transformed_products(x, w, b=b_t[0], first=g[0]):
        """The products of both operands, transformed by all or some rows of the matrices of the first axis."""
        v = tiles.transform_tiles((b, *b_t[1:]), steps, x, tile_counts, parts, machine)
        u = tiles.transform_tiles((first, *g[1:]), steps, w, tile_counts, parts, machine)
        return run_concurrently(machine, products, v, u)

    if by_weight_chunks:

        def add_chunk(b, g, a, y, x, w):
            return y + tiles.inverse_transform(a, *transformed_products(x, w, b, g))

        y = _chunks.zeros_varying_like((len(a), batch * out_channels), x.dtype, x)
        y = tiles.add_weight_chunks((b_t[0], g[0], a), add_chunk, y, machine, *block_operands(*starts[0]))
    else:

        def add_block(*row):
            (*at, (y, _)), add = row, functools.partial(jax.tree.map, jnp.add)
            made, tokens = transformed_products(*block_operands(*at))
            return add(y, made), tokens

        zeros = [_chunks.zeros_varying_like((TILE**dims // parts, *sides), x.dtype, x)] * parts
        tokens = [jnp.zeros((), jnp.int32)] * (SEPARATOR_OPERATIONS if parts > 1 else 0)
        y = tiles.inverse_transform(a, *_chunks.loop(starts, add_block, (zeros, tokens)))
    # Transposed as a matrix of two axes, or XLA makes a copy first.
    y = lax.optimization_barrier(y).T.reshape(*sides, *positions)
    return y.swapaxes(0, 1) if swapped else y
