"""Each group a convolution of its own, in turn: groups so wide that Winograd's tiles serve one alone.

XLA's CPU compiler makes its own convolution a plain loop inside of one, so that what serves a group should be something
else; and it is not local, for tiles are not.
"""

import jax

from convjax._lowerings import _pieces
from convjax._lowerings._lowering import Lowering, products


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    inputs, outputs, one = w.shape[1], w.shape[0] // spec.groups, spec._replace(groups=1)

    def made(first, at):
        image = _pieces.sliced(x, (0, _pieces.shared(first)), (x.shape[0], inputs, *x.shape[2:]))
        kernel = _pieces.sliced(w, (at,), (outputs, *w.shape[1:]))
        return convolve(_pieces.parted(image), _pieces.parted(kernel), one)

    y = _pieces.zeros(spec.output_shape(x.shape, w.shape), spec.out_dtype or x.dtype, x)
    groups = [(n * inputs, n * outputs) for n in range(spec.groups)]
    return _pieces.in_turn(groups, made, y, lambda first, at: (0, at))


def refuses(spec, x, w) -> str | None:
    return "one group" if spec.groups == 1 else None


LOWERING = Lowering("apart", "each group a convolution of its own, in turn", run, refuses, products, None, local=False)
