"""Every public function of arrays, and its derivatives, lowers for accelerators that are not here."""

import jax
import jax.numpy as jnp
import pytest
from calls import CALLS, EVERY

PLATFORMS = ("cuda", "tpu")
NOT_OF_ARRAYS = {"plan", "tune", "accelerate", "compare", "explain", "patched", "init_conv", "conv_output_shape"}
NOT_OF_ARRAYS |= {"choose_conv_method", "correlation_lags"}
ALL_OF_ARRAYS = [call for call in CALLS if call.func.__name__ not in NOT_OF_ARRAYS]


def name(call):
    words = [call.func.__module__.removeprefix("convjax."), call.func.__name__, *map(str, call.keywords.values())]
    return "-".join(words).replace(" ", "")


def arrays_apart(call):
    """The arrays among the arguments, and the function of them."""
    args = call.args
    places = [i for i, a in enumerate(args) if isinstance(a, jax.Array)]

    def function(*arrays):
        given = list(args)
        for place, array in zip(places, arrays, strict=True):
            given[place] = array
        return call.func(*given, **call.keywords)

    return function, [args[i] for i in places]


@pytest.mark.parametrize("call", ALL_OF_ARRAYS, ids=name)
def test_a_function_and_its_derivatives_lower(call):
    function, arrays = arrays_apart(call)
    floats = [i for i, a in enumerate(arrays) if jnp.issubdtype(a.dtype, jnp.inexact)]

    def with_derivatives(*arrays):
        def of_floats(*some):
            given = list(arrays)
            for i, a in zip(floats, some, strict=True):
                given[i] = a
            leaves = jax.tree.leaves(function(*given))
            return [y for y in leaves if jnp.issubdtype(y.dtype, jnp.inexact)]

        some = [arrays[i] for i in floats]
        y, pull = jax.vjp(of_floats, *some)
        forward = jax.jvp(of_floats, some, some)[1]
        gradients = pull(y)
        second = jax.jvp(lambda *some: jax.vjp(of_floats, *some)[1](y), some, some)[1]
        return function(*arrays), forward, gradients, second

    exported = jax.export.export(jax.jit(with_derivatives), platforms=PLATFORMS)(*arrays)
    assert exported.platforms == PLATFORMS
    assert exported.mlir_module()


def test_every_function_is_there():
    assert len({call.func for call in ALL_OF_ARRAYS}) == len(EVERY) - len(NOT_OF_ARRAYS)
