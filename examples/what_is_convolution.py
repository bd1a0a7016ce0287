"""What is convolution?

A small kernel slides over an image. At every place the two are multiplied, number by number, and the products are
added: one number of the result. Where the image looks like the kernel the number is large. The options say how far
the kernel steps (stride) and how many zeros are set around the image first (padding).

Each experiment prints its arrays; the pictures go into one figure.
"""

import command

if __name__ == "__main__":
    command.launch(__file__)

import jax
import jax.numpy as jnp
import labs
from labs import GX, ones, upright_line

import convjax


def edges() -> labs.Shown:
    """A bright line under the kernel Gx: one edge of the line answers with 4, the other with -4.

    An image of size M and a kernel of size K give M - K + 1 places: 5 - 3 + 1 = 3.
    """
    x = upright_line(column=2)
    return {"image": x, "Gx": GX, "conv2d": convjax.conv2d(x, GX)}


def strides() -> labs.Shown:
    """A kernel of ones adds what it covers; the stride is how far it steps.

    There are (M - K) / stride + 1 places, rounded down: the last columns are left out when they do not fill a window.
    """
    x, weight = ones(4), ones(2)
    return {
        "image": x,
        "ones": weight,
        **{f"stride {stride}": convjax.conv2d(x, weight, stride=stride) for stride in (1, 2, 3)},
    }


def padding() -> labs.Shown:
    """Zeros set around the image make it larger by two paddings, and its borders count again.

    The formula is the same with M + 2 padding in the place of M: (4 + 2 - 2) / 3 + 1 = 2.33, so 2.
    """
    x, weight = ones(4), ones(2)
    return {"image": x, "ones": weight, "stride 3, padding 1": convjax.conv2d(x, weight, stride=3, padding=1)}


def nothing() -> labs.Shown:
    """A kernel of zeros sees nothing, whatever the image is."""
    x = jax.random.normal(jax.random.key(0), (1, 1, 4, 4))
    weight = labs.dark(3, 3)
    return {"random image": x, "zeros": weight, "conv2d": convjax.conv2d(x, weight)}


def size_alone() -> labs.Shown:
    """The size of a result can be asked for without an image and without running anything."""
    shape = convjax.conv_output_shape((1, 1, 4, 4), (1, 1, 2, 2), stride=2)
    return {"(1, 1, 4, 4) under (1, 1, 2, 2) with stride 2 gives": shape}


def layer() -> labs.Shown:
    """A layer is two arrays, weight and bias: they can be read, printed and replaced.

    They start random, and the image then means little to them. With Gx in place of the weight the edges appear.
    """
    params = convjax.init_conv(jax.random.key(0), 1, 1, 3)
    x = upright_line(column=2)
    replaced = params._replace(weight=GX)
    return {
        "shapes": jax.tree.map(jnp.shape, params),
        "bias": params.bias,
        "random weight": params.weight,
        "random, conv2d": convjax.conv2d(x, *params),
        "weight replaced": replaced.weight,
        "Gx and bias, conv2d": convjax.conv2d(x, *replaced),
    }


EXPERIMENTS = (edges, strides, padding, nothing, size_alone, layer)


def main(argv: list[str] | None = None) -> int:
    return labs.run(__file__, __doc__, EXPERIMENTS, columns=5, argv=argv)
