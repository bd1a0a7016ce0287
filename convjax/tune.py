"""Measured choices: the fastest algorithm for every convolution of a function, on this machine."""

from collections.abc import Callable
from typing import Any

from convjax._arguments import errors
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._arguments.values import integer
from convjax._choice.recorded import Recorded
from convjax._operation.measure import measure


@explain_unknown_arguments
def tune(function: Callable, *args: Any, rounds: int = 5) -> Recorded:
    """`torch.backends.cudnn.benchmark`, but explicit: times the algorithms for each convolution in function(*args).

    Each convolution of convjax in the function, and in the functions that it calls or differentiates, is run by itself
    on random numbers, by every algorithm that supports it. Algorithms that must be far slower are left out: those with
    over 16 times the multiply-adds of the definition, and `shift_add` and `variadic_reduce` if the definition has over
    4e9. To tune a training step, pass the step itself, or its gradient, so that the convolutions of the gradients are
    included.

    Args:
      function: any function of arrays that JAX can trace. It is traced, not run.
      *args: its arguments, arrays or pytrees of them, or anything with shapes and dtypes.
      rounds: how many times each algorithm is timed. The shortest time counts.

    Returns:
      A record: a tuple of (operation, measurements) pairs. Measurements are (algorithm, nanoseconds) pairs, the fastest
      first. It contains only tuples, strings, integers and None. Pass it as `algorithm=`, print it, or save it as JSON:
      lists instead of tuples are accepted. Records of several functions, or of machines of one kind, can be added:
      `tune(f, x) + tune(g, y)`. For a convolution that is not in the record, "auto" chooses.

    Raises:
      ValueError, TypeError: if `function` is not callable, or if `rounds` is below 1.

    >>> import convjax, jax, jax.numpy as jnp
    >>> x, weight = jnp.ones((1, 4, 16, 16)), jnp.ones((4, 4, 3, 3))
    >>> recorded = convjax.tune(convjax.conv2d, x, weight, rounds=1)
    >>> (operation, measurements), = recorded
    >>> operation[:4]
    ('cpu', 'float32', (1, 4, 16, 16), (4, 4, 3, 3))
    >>> convjax.conv2d(x, weight, algorithm=recorded).shape
    (1, 4, 14, 14)
    """
    if not callable(function):
        raise errors.not_traceable("tune", "function", function)
    return measure(function, args, integer("tune", "rounds", rounds, 1))
