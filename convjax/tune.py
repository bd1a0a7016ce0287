"""Measured choices: the fastest algorithm for every convolution of a function, on this machine."""

from collections.abc import Callable
from typing import Any

from convjax._arguments.errors_names import explain_unknown_arguments
from convjax._arguments.images import function_of
from convjax._arguments.values import integer
from convjax._choice.recorded import Recorded
from convjax._operation.measure import measure


@explain_unknown_arguments
def tune(function: Callable, *args: Any, rounds: int = 5) -> Recorded:
    """`torch.backends.cudnn.benchmark`, but explicit: times the algorithms for each convolution in function(*args).

    Each convolution of convjax in the function, and in the functions that it calls or differentiates, is run by itself
    on random numbers, by every algorithm that supports it. Algorithms that must be far slower are left out: those with
    over 16 times the multiply-adds of the definition, and loops over single products of over 4e9. To tune a training
    step, hand over the step or its gradient, so that the gradients' convolutions are in it.

    Args:
      function: any function of arrays that JAX can trace. It is traced, not run.
      *args: its arguments, arrays or pytrees of them, or anything with shapes and dtypes.
      rounds: how many times to go round the algorithms; the minimum counts.

    Returns:
      A tuple of (operation, measurements), of tuples, strings, integers and None: to hand over as `algorithm=`, to
      print, or to save as JSON. Lists in the place of tuples are accepted. Measurements are (algorithm, nanoseconds),
      the fastest first. Records of several functions, or machines of one kind, can be added: `tune(f, x) + tune(g, y)`.
      A convolution that is not in it is chosen for as by "auto".

    Raises:
      ValueError, TypeError: for what is not a function, and for fewer rounds than 1.

    >>> import convjax, jax, jax.numpy as jnp
    >>> x, weight = jnp.ones((1, 4, 16, 16)), jnp.ones((4, 4, 3, 3))
    >>> recorded = convjax.tune(convjax.conv2d, x, weight, rounds=1)
    >>> (operation, measurements), = recorded
    >>> operation[:4]
    ('cpu', 'float32', (1, 4, 16, 16), (4, 4, 3, 3))
    >>> convjax.conv2d(x, weight, algorithm=recorded).shape
    (1, 4, 14, 14)
    """
    function_of("tune", "function", function)
    return measure(function, args, integer("tune", "rounds", rounds, 1))
