"""What is convolution?

A small kernel slides over an image. At every position the two are multiplied, number by number, and the products
are added, which gives one number of the result. The number is large if the image looks like the kernel there. Options
set how far the kernel steps (stride) and how many zeros are added around the image first (padding).

Each experiment prints its arrays. The pictures are saved in one figure.
"""

import command

if __name__ == "__main__":
    command.launch(__file__)

import jax
import jax.numpy as jnp
import labs
from labs import GX, ones, vertical_line

import convjax


def edges() -> labs.Shown:
    """A bright line under the kernel Gx: one edge of the line gives 4, the other -4.

    An image of size M and a kernel of size K give M - K + 1 positions: 5 - 3 + 1 = 3.
    """
    x = vertical_line(column=2)
    return {"image": x, "Gx": GX, "conv2d": convjax.conv2d(x, GX)}


def strides() -> labs.Shown:
    """A kernel of ones adds the numbers under it. The stride is how far it steps.

    There are (M - K) / stride + 1 positions, rounded down: the last columns are left out if they do not fill a window.
    """
    x, weight = ones(4), ones(2)
    return {
        "image": x,
        "ones": weight,
        **{f"stride {stride}": convjax.conv2d(x, weight, stride=stride) for stride in (1, 2, 3)},
    }


def padding() -> labs.Shown:
    """Zeros around the image make it larger by twice the padding, so that its borders count too.

    The formula is the same with M + 2 padding in place of M: (4 + 2 - 2) / 3 + 1 = 2.33, so 2.
    """
    x, weight = ones(4), ones(2)
    return {"image": x, "ones": weight, "stride 3, padding 1": convjax.conv2d(x, weight, stride=3, padding=1)}


def nothing() -> labs.Shown:
    """A kernel of zeros gives zeros, whatever the image is."""
    x = jax.random.normal(jax.random.key(0), (1, 1, 4, 4))
    weight = labs.dark(3, 3)
    return {"random image": x, "zeros": weight, "conv2d": convjax.conv2d(x, weight)}


def size_alone() -> labs.Shown:
    """The size of a result can be computed without an image and without running a convolution."""
    shape = convjax.conv_output_shape((1, 1, 4, 4), (1, 1, 2, 2), stride=2)
    return {"(1, 1, 4, 4) under (1, 1, 2, 2) with stride 2 gives": shape}


def layer() -> labs.Shown:
    """A layer is two arrays, weight and bias: they can be read, printed and replaced.

    They start random, and the result shows little of the image. With Gx in place of the weight the edges appear.
    """
    params = convjax.init_conv(jax.random.key(0), 1, 1, 3)
    x = vertical_line(column=2)
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
