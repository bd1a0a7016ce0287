"""One matrix product per tap, of the part of the image that it sees: nothing is spent on the padding.

Where the padding is wide for the image, as with dilated kernels on small ones, the taps meet mostly zeros: 3x3 with
dilation 18 and as much padding takes two fifths of its products on 33x33. Each product is added where its tap sees the
image.

A weight gradient is the mirror image: the cotangent is the kernel, as large as the image, and each position has a
product of the part of it that lies on the image.
"""

import itertools
import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings import _pieces, _products
from convjax._lowerings._lowering import Lowering, terms

MOST = 32  # products that are written out
LONG = 128  # positions from which each image has a product of its own


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    y = (_mirrored if _pieces.mirrored(spec, x, w) else _forward)(x, w, spec, shape[2:])
    return y.reshape(shape).astype(spec.out_dtype or x.dtype)


def _forward(x, w, spec, counts):
    rows = _rows(spec, x, w)
    x = x.reshape(x.shape[0], spec.groups, -1, *x.shape[2:])
    w = w.reshape(spec.groups, -1, *w.shape[1:])
    w = w.transpose(*range(3, w.ndim), 0, 1, 2)

    def more(row, y, x, w):
        for tap, spans in row:
            part = _part(x, spans, spec.stride)
            product = _products.product(w[tap], part.reshape(*part.shape[:3], -1), spec, LONG)
            around = [(span.first, n - span.last, 0) for span, n in zip(spans, counts, strict=True)]
            product = product.reshape(*y.shape[:3], *part.shape[3:])
            y = y + lax.pad(product, jnp.zeros((), y.dtype), [(0, 0, 0)] * 3 + around)
        return y

    y = _pieces.zeros((*x.shape[:2], w.shape[-2], *counts), _pieces.sum_dtype(x.dtype, spec), x)
    for row in rows:
        y = _pieces.branch(partial(more, row), y, x, w)
    return y


def _mirrored(x, w, spec, counts):
    rows = _rows(spec, x, w)
    x, w = _products.mirrored(x, w, spec)  # (I, G, B, *n) and (I, G, O, *k)

    def product(spans, x, w):
        part, seen = w[(..., *[slice(*span[:2]) for span in spans])], _part(x, spans, spec.rhs_dilation)
        part, seen = (n.reshape(*n.shape[:3], -1) for n in (part, seen))
        return _products.contract(part, seen, spec).reshape(zeros.shape)

    zeros = _pieces.zeros((spec.groups, w.shape[2], x.shape[2]), _pieces.sum_dtype(x.dtype, spec), x)
    parts = dict.fromkeys(itertools.product(*map(range, counts)), zeros)
    for position, spans in itertools.chain(*rows):
        parts[position] = _pieces.branch(partial(product, spans), x, w)
    # Of more than some seven, a stack along the last axis is copies of one element each.
    y = jnp.moveaxis(lax.optimization_barrier(jnp.stack(list(parts.values()))), 0, -1)
    return _products.batch_first(y.reshape(*y.shape[:3], *counts), spec.dims)


class Span(NamedTuple):
    """The positions from which a tap of an axis sees the image, the first and the one behind the last, and the element
    that it sees from the first. Mirrored, the taps that see the image from a position."""

    first: int
    last: int
    start: int


def _spans(spec, x, w) -> list[list[Span]]:
    kernel, counts = w.shape[2:], spec.output_shape(x.shape, w.shape)[2:]
    sides = (kernel, spec.rhs_dilation), (counts, spec.stride)
    (sizes, steps), (others, strides) = reversed(sides) if _pieces.mirrored(spec, x, w) else sides
    axes = zip(sizes, steps, others, strides, spec.padding, x.shape[2:], strict=True)
    return [
        [_span(at * step - low, stride, other, length) for at in range(size)]
        for size, step, other, stride, (low, _), length in axes
    ]


def _span(start, stride, count, length) -> Span:
    first = max(0, -(start // stride))
    return Span(first, min(count, (length - 1 - start) // stride + 1), start + first * stride)


def _rows(spec, x, w) -> list[list[tuple]]:
    """Every tap that sees something and its spans, in a list for each row along the last axis."""
    *rest, last = [
        [(at, span) for at, span in enumerate(axis) if span.first < span.last] for axis in _spans(spec, x, w)
    ]
    return [[tuple(zip(*row, one, strict=True)) for one in last] for row in itertools.product(*rest)]


def _part(x, spans, stride):
    starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for axis, (span, step) in enumerate(zip(spans, stride, strict=True), 3):
        starts[axis], strides[axis] = span.start, step
        limits[axis] = span.start + (span.last - span.first - 1) * step + 1
    return lax.slice(x, starts, limits, strides)


def refuses(spec, x, w) -> str | None:
    if _pieces.empty(spec, x, w):
        return "nothing to multiply"
    number = min(_pieces.taps(w), _pieces.positions(spec, x, w))
    if number > MOST:
        return f"{number} products, more than {MOST}"
    return _pieces.undilated(spec)


def multiply_adds(spec, x, w):
    seen = [sum(max(span.last - span.first, 0) for span in axis) for axis in _spans(spec, x, w)]
    return x.shape[0] * w.shape[0] * w.shape[1] * math.prod(seen)


LOWERING = Lowering(
    "interior", "a matrix product per tap, of what it sees of the image", run, refuses, multiply_adds, terms
)
