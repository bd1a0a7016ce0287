"""Each group a convolution of its own, in turn: groups so wide that Winograd's tiles serve one alone.

XLA's CPU compiler makes its own convolution a plain loop inside of one, so that what serves a group should be something
else; and it is not local, for tiles are not.
"""

import jax

from convjax._lowerings import _pieces
from convjax._lowerings._lowering import Lowering, nowhere, products


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    of_group = lambda x, w, spec: convolve(x, _pieces.parted(w), spec)  # noqa: E731
    return _pieces.groups_in_turn(of_group, x, w, spec, spec.groups)


def refuses(spec, x, w) -> str | None:
    return "one group" if spec.groups == 1 else None


LOWERING = Lowering(
    "apart", "each group a convolution of its own, in turn", run, refuses, products, None, local=nowhere
)
