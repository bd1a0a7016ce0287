"""`patched`: `jax.lax`'s convolutions are convjax's for a while, for code that traces itself."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import jax

from convjax import lax

# The one place of convjax with state: `jax.lax` has no other place to say which convolution it should trace.
_active: ContextVar[int] = ContextVar("_active", default=0)  # how many `patched` this thread is inside of
_lock = threading.Lock()
_originals: dict[str, Callable] = {}
_entered = 0  # by all threads together


@contextlib.contextmanager
def patched() -> Iterator[None]:
    """While it lasts, the convolutions of `jax.lax` are those of `convjax.lax`, in this thread.

    For code that traces its functions itself, out of reach of `convjax.accelerate`, such as `fit` of Keras. The public
    functions of `jax.lax` are replaced and put back, also after an error. It may be entered again inside of itself, and
    by several threads: in a thread that has not entered it, `jax.lax` is as before.

    What a compiled function computes is decided when it is traced. So a function that was traced before is not changed,
    and one that is traced inside stays so afterwards. Code that took a function out of `jax.lax` at import, as Flax
    does for the default of an argument, is not reached: `convjax.accelerate` is for it.

    >>> import convjax, jax, jax.numpy as jnp
    >>> x, w = jnp.ones((1, 1, 4, 4)), jnp.ones((1, 1, 3, 3))
    >>> with convjax.patched():
    ...     print(jax.make_jaxpr(lambda x: jax.lax.conv(x, w, (1, 1), "SAME"))(x).eqns[0].primitive)
    convjax_conv
    >>> print(jax.make_jaxpr(lambda x: jax.lax.conv(x, w, (1, 1), "SAME"))(x).eqns[0].primitive)
    conv_general_dilated
    """
    _enter()
    token = _active.set(_active.get() + 1)
    try:
        yield
    finally:
        _active.reset(token)
        _leave()


def _enter() -> None:
    global _entered
    with _lock:
        if _entered == 0:
            for name in lax.__all__:
                _originals[name] = getattr(jax.lax, name)
                setattr(jax.lax, name, _of_this_thread(_originals[name], getattr(lax, name)))
        _entered += 1


def _leave() -> None:
    global _entered
    with _lock:
        _entered -= 1
        if _entered == 0:
            for name, original in _originals.items():
                setattr(jax.lax, name, original)


def _of_this_thread(original: Callable, ours: Callable) -> Callable:
    @functools.wraps(original)
    def call(*args, **kwargs):
        return (ours if _active.get() else original)(*args, **kwargs)

    return call
