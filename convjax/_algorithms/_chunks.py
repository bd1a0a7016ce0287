"""Loops over chunks of images or groups, so that what a chunk needs stays in cache."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arrays.sharding import mark_varying, varying_axes
from convjax._arrays.xla_cpu import fusion_barrier, parallel_index
from convjax._machine import Machine

MAX_UNROLLED_ROWS = 16  # rows of a loop that are carried as scalars of their own


def chunk_count(images: int, elements: float, max_elements: float) -> int:
    """Into how many equal chunks to cut so many images, which come to `elements`, so that none exceeds the maximum."""
    divisors = (n for n in range(1, images + 1) if images % n == 0)
    return next(n for n in divisors if elements <= n * max_elements or n == images)


def is_worth_chunks(elements: float, machine: Machine) -> bool:
    """Whether so many elements are worth a loop for the sake of memory."""
    return 8 * elements > machine.chunk_elements


def padded_chunk_count(x: jax.Array, padding, images: int, max_growth: float, machine: Machine) -> int:
    """Into how many equal chunks to cut so many images or groups of x before padding.

    A padded chunk holds at most `max_growth` times the elements of x. A small x is one chunk.
    """
    size = math.prod(n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True))
    growth = size / max(math.prod(x.shape[2:]), 1)
    return chunk_count(images, growth, max_growth) if is_worth_chunks(growth * x.size, machine) else 1


def chunk_starts(size: int, chunks: int) -> list[tuple[int]]:
    """The starts of equal chunks of an axis, as the rows of a loop."""
    return [(n * (size // chunks),) for n in range(chunks)]


def write_chunks(rows, make, y: jax.Array, place, machine: Machine) -> jax.Array:
    """y, with make(*row) written at place(*row) along the first axes, for one row after the other."""
    return loop(rows, lambda *row: write_at(row[-1], make(*row[:-1]), place(*row[:-1]), machine), y)


def write_group_chunks(make, x: jax.Array, w: jax.Array, spec, chunks: int, machine: Machine) -> jax.Array:
    """make(x, w, spec), computed for one chunk of the groups after the other."""
    if chunks == 1:
        return make(x, w, spec)
    shape = spec.output_shape(x.shape, w.shape)
    inputs, outputs = x.shape[1] // chunks, w.shape[0] // chunks

    def of_chunk(first, at):
        start = (0, parallel_index(first, machine))
        part = fusion_barrier(slice_at(x, start, (x.shape[0], inputs, *x.shape[2:])), machine)
        return make(part, slice_at(w, (at,), (outputs, *w.shape[1:])), chunk_spec)

    chunk_spec = spec._replace(groups=spec.groups // chunks)
    y = zeros_varying_like(shape, spec.out_dtype or x.dtype, x)
    rows = [(n * inputs, n * outputs) for n in range(chunks)]
    return write_chunks(rows, of_chunk, y, lambda first, at: (0, at), machine)


def loop(rows, step, y):
    """y, arrays of any tree, after y = step(*row, y) for every row of numbers (not negative) or of arrays.

    A loop over few rows carries them all, and whether there is another, and moves them up after each step. These are
    copies. To count, compare and multiply would be kernels, which XLA's CPU compiler takes 25 ms each to make.
    """
    if len(rows) == 1:
        return step(*rows[0], y)
    rows = [[jnp.asarray(part, jnp.uint32 if isinstance(part, int) else None) for part in row] for row in rows]
    if len(rows) > MAX_UNROLLED_ROWS:
        columns = [jnp.stack(column) for column in zip(*rows, strict=True)]
        row = lambda n: [lax.dynamic_index_in_dim(column, n, keepdims=False) for column in columns]  # noqa: E731
        return lax.fori_loop(np.uint32(0), np.uint32(len(rows)), lambda n, y: step(*row(n), y), y)

    def next_state(state):
        more, rows, y = state
        return [*more[1:], jnp.asarray(False)], rows[1:] + rows[-1:], step(*rows[0], y)

    more = [jnp.asarray(True)] * len(rows)
    return lax.while_loop(lambda state: state[0][0], next_state, (more, rows, y))[2]


def slice_at(x: jax.Array, start, sizes) -> jax.Array:
    """The slice of x that starts at `start` along its first axes."""
    return lax.dynamic_slice(x, _starts(start, x.ndim), sizes)


def write_at(y: jax.Array, part: jax.Array, start, machine: Machine) -> jax.Array:
    """y with a part written at `start` along the first axes. The part may be the whole."""
    if part.shape == y.shape:
        return part
    return lax.dynamic_update_slice(y, fusion_barrier(part, machine), _starts(start, y.ndim))


def _starts(start, ndim):
    return [jnp.asarray(n, jnp.uint32) for n in (*start, *[0] * (ndim - len(start)))]


def split_evenly(size: int, parts: int) -> list[slice]:
    """An axis in at most so many parts, as even as they can be."""
    parts = min(parts, size)
    return [slice(n * size // parts, (n + 1) * size // parts) for n in range(parts)]


def zeros_varying_like(shape, dtype, x: jax.Array) -> jax.Array:
    """The zeros that a loop starts from. Under shard_map they vary over the mesh as x does."""
    return mark_varying(jnp.zeros(shape, dtype), varying_axes(x))
