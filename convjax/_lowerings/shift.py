"""A sum over the taps, each a shifted slice of the input times one weight: all of it one loop over the outputs.

For few products per output and many outputs, as depthwise convolutions have. The loop reads each tap's slice at an
offset and keeps the sum in a register, so the input is read from cache and the output is written once.
"""

import itertools

import jax
from jax import lax

from convjax._lowerings import _pieces
from convjax._lowerings._lowering import Lowering, products, terms

MOST = 128  # products per output: each is an operation in the loop, to compile and to hold a weight for


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    wide, groups = _pieces.sum_dtype(x.dtype, spec), spec.groups
    shape, out = spec.output_shape(x.shape, w.shape), spec.out_dtype or x.dtype
    counts = shape[2:]
    x = _pieces.padded(x.astype(wide), spec.padding)  # once, not for every tap
    batch, outputs = x.shape[0], w.shape[0] // groups
    x = x.reshape(batch, groups, -1, *x.shape[2:])
    w = w.reshape(groups, outputs, *w.shape[1:]).astype(wide)
    full = (batch, groups, outputs, *counts)
    parts = []
    for i in range(w.shape[2]):
        for tap in itertools.product(*map(range, w.shape[3:])):
            part = _pieces.seen(x[:, :, i], tap, spec.rhs_dilation, spec.stride, counts)
            weight = w[(slice(None), slice(None), i, *tap)]
            part = lax.broadcast_in_dim(part, full, (0, 1, *range(3, len(full))))
            parts.append(part * lax.broadcast_in_dim(weight, full, (1, 2)))
    return sum(parts[1:], parts[0]).reshape(shape).astype(out)


def refuses(spec, x, w) -> str | None:
    if terms(spec, x, w) > MOST:
        return f"{terms(spec, x, w)} products per output, more than {MOST}"
    return _pieces.undilated(spec)


LOWERING = Lowering("shift", "a sum over shifted slices, one per tap", run, refuses, products, terms)
