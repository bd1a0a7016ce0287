"""The sum over the elements of a window that equal the selected one: a primitive that is its own transpose.

    y[i] = sum over offsets o of t[i + o] if key[i + o] == found[i]

The cotangent of t is a sum of the same kind, over the windows that selected an element equal to this one:

    t_ct[j] = sum over offsets o of ct[j - o] if found[j - o] == key[j]

Either sum compares each element with each window that holds it, in the memory of a few arrays of that size. JAX's own
transpose of the first loop would keep a mask for every offset. Only equal elements are added, so a NaN or an infinity
in t reaches no other window. And no sum loses digits to elements outside its window, as differences of running sums do.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from convjax._arrays.sharding import varying_alike
from convjax._filters.offsets import Offsets, fold_offsets

ties_p = Primitive("convjax_ties")


def sum_ties(key: jax.Array, found: jax.Array, t: jax.Array, offsets: Offsets) -> jax.Array:
    """The sum y above. t has the shape of `key`, and y that of `found`. The keys are integers."""
    return ties_p.bind(*varying_alike(key, found, t), offsets=offsets)


def _sum(key, found, t, *, offsets: Offsets):
    def term(key, t):
        return jnp.where(key == found, t, 0)

    return fold_offsets((key, t), offsets, found.shape, term, lax.add, jnp.zeros(found.shape, t.dtype))


@ties_p.def_abstract_eval
def _abstract(key, found, t, *, offsets: Offsets):
    (aval,) = jax.make_jaxpr(partial(_sum, offsets=offsets))(key, found, t).out_avals
    return aval


@partial(jax.jit, static_argnames="offsets")
def _compiled(key, found, t, *, offsets: Offsets):
    return sum_ties(key, found, t, offsets)


@ties_p.def_impl
def _execute(*operands, offsets: Offsets):
    with jax.disable_jit(False):  # a primitive is compiled under jax.disable_jit too
        return _compiled(*operands, offsets=offsets)


mlir.register_lowering(ties_p, mlir.lower_fun(_sum, multiple_results=False))


# ---- derivatives and vmap ----

ad.defjvp(ties_p, None, None, lambda dt, key, found, t, *, offsets: sum_ties(key, found, dt, offsets))


def _transpose(ct, key, found, t, *, offsets: Offsets):
    """`found` and ct are padded, so that j - o is an index of both. The padding adds nothing, because ct is 0 there."""
    last = tuple(map(max, zip(*offsets, strict=True)))
    border = [(high, n - m, 0) for high, n, m in zip(last, key.shape, found.shape, strict=True)]
    found, ct = (lax.pad(a, jnp.zeros((), a.dtype), border) for a in (found, ct))
    back = tuple(tuple(high - o for high, o in zip(last, offset, strict=True)) for offset in offsets)
    return None, None, sum_ties(found, key, ct, back)


ad.primitive_transposes[ties_p] = _transpose


def _batch(operands, axes, *, offsets: Offsets):
    """A mapped axis becomes one more axis of the image, along which a window has a single element."""
    size = next(a.shape[axis] for a, axis in zip(operands, axes, strict=True) if axis is not None)
    key, found, t = (batching.bdim_at_front(a, axis, size) for a, axis in zip(operands, axes, strict=True))
    return sum_ties(key, found, t, tuple((0, *offset) for offset in offsets)), 0


batching.primitive_batchers[ties_p] = _batch
