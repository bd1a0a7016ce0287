"""Loops over chunks of images or groups, so that the arrays of a chunk stay in cache."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arrays.sharding import mark_varying, varying_axes
from convjax._arrays.xla_cpu import fusion_barrier, parallel_index
from convjax._machine import Machine

# An array of more chunks is made in parts. A process gets memory of that size from the system, and gives it back, at
# every call. With 8 images of 224x224, the stem of ResNet by `matmul` takes 18 ms, and 8.2 if the process keeps it.
MAX_WHOLE_CHUNKS = 2
MAX_UNROLLED_ROWS = 16  # up to so many rows, a loop carries the numbers of its rows as separate scalars


def chunk_count(images: int, elements: float, max_elements: float) -> int:
    """The fewest equal chunks of `images` with `elements` in all, such that no chunk exceeds `max_elements`."""
    divisors = (n for n in range(1, images + 1) if images % n == 0)
    return next(n for n in divisors if elements <= n * max_elements or n == images)


def is_worth_chunks(elements: float, machine: Machine) -> bool:
    """Whether an array of so many elements is cut into chunks to save memory: from an eighth of a chunk on."""
    return 8 * elements > machine.chunk_elements


def padded_chunk_count(x: jax.Array, padding, images: int, max_growth: float, machine: Machine) -> int:
    """How many equal chunks the images or groups of x are cut into before they are padded.

    A padded chunk has at most `max_growth` times the elements of x. A small x is one chunk.
    """
    size = math.prod(n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True))
    growth = size / max(math.prod(x.shape[2:]), 1)
    return chunk_count(images, growth, max_growth) if is_worth_chunks(growth * x.size, machine) else 1


def chunk_starts(size: int, chunks: int) -> list[tuple[int, ...]]:
    """The starts of equal chunks of an axis, one tuple for each row of `loop`."""
    return [(n * (size // chunks),) for n in range(chunks)]


def write_chunks(rows, make, y: jax.Array, machine: Machine, place=lambda *row: row) -> jax.Array:
    """Return y after make(*row) is written to it, at place(*row) along its first axes, for every row in turn."""
    return loop(rows, lambda *row: write_at(row[-1], make(*row[:-1]), place(*row[:-1]), machine), y)


def write_group_chunks(make, x: jax.Array, w: jax.Array, spec, chunks: int, machine: Machine) -> jax.Array:
    """Return make(x, w, spec), computed chunk by chunk along the groups."""
    if chunks == 1:
        return make(x, w, spec)
    shape = spec.output_shape(x.shape, w.shape)
    inputs, outputs = x.shape[1] // chunks, w.shape[0] // chunks

    def convolve_chunk(first, at):
        start = (0, parallel_index(first, machine))
        part = fusion_barrier(slice_at(x, start, (x.shape[0], inputs, *x.shape[2:])), machine)
        return make(part, slice_at(w, (at,), (outputs, *w.shape[1:])), chunk_spec)

    chunk_spec = spec._replace(groups=spec.groups // chunks)
    y = zeros_varying_like(shape, spec.out_dtype or x.dtype, x)
    rows = [(n * inputs, n * outputs) for n in range(chunks)]
    return write_chunks(rows, convolve_chunk, y, machine, lambda first, at: (0, at))


def loop(rows, step, y):
    """Return y, a tree of arrays, after y = step(*row, y) for every row. A row has non-negative ints or arrays.

    A loop over few rows carries all rows and a flag for each, and shifts them by one after each step. That takes copies
    only. Counting, comparing and multiplying would be functions that XLA's CPU compiler takes 25 ms each to compile.
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
    """Return y with a part written at `start` along its first axes. The part may be as large as y."""
    if part.shape == y.shape:
        return part
    return lax.dynamic_update_slice(y, fusion_barrier(part, machine), _starts(start, y.ndim))


def _starts(start, ndim):
    return [jnp.asarray(n, jnp.uint32) for n in (*start, *[0] * (ndim - len(start)))]


def split_evenly(size: int, parts: int) -> list[slice]:
    """Slices that divide an axis into at most `parts` parts of nearly equal size."""
    parts = min(parts, size)
    return [slice(n * size // parts, (n + 1) * size // parts) for n in range(parts)]


def zeros_varying_like(shape, dtype, x: jax.Array) -> jax.Array:
    """The zeros that a loop starts from. Under shard_map they vary over the mesh as x does."""
    return mark_varying(jnp.zeros(shape, dtype), varying_axes(x))
