"""Convolution with several channels.

Every output channel has its own kernel, with one slice for every input channel. Each slice slides over its
channel, and the results are added: an output channel is a sum over the input channels. So a weight has four axes,
(output channels, input channels, height, width), and an image has (images, channels, height, width).

Every input, kernel and output channel is shown as a grey picture; [n, c] is its index.
"""

import command

if __name__ == "__main__":
    command.launch(__file__)

import jax.numpy as jnp
import labs
from jax import Array
from labs import GX, GY, dark, dot, horizontal_line, ones, vertical_line

import convjax

THREE = jnp.concatenate([GX, GY, ones(3)])  # three output channels, one input channel


def three_kernels_on(x: Array) -> labs.Shown:
    """The results of Gx, Gy and a kernel of ones on an image, side by side."""
    return {"image": x, "kernel": THREE, "output": convjax.conv2d(x, THREE, jnp.zeros(3, jnp.float32))}


def upright() -> labs.Shown:
    """Three kernels on an upright line: Gx responds, Gy does not, and the ones count."""
    return three_kernels_on(vertical_line(column=2))


def level() -> labs.Shown:
    """Three kernels on a level line: now Gy responds, and Gx does not."""
    return three_kernels_on(horizontal_line(row=2))


def two_inputs() -> labs.Shown:
    """Two input channels, one output: 1 times -2 from the first, -2 times 1 from the second, added."""
    x = jnp.concatenate([-2 * horizontal_line(row=2), horizontal_line(row=2)], axis=1)
    weight = jnp.concatenate([dot(1), dot(-2)], axis=1)
    return {"image": x, "kernel": weight, "output": convjax.conv2d(x, weight)}


def two_in_three_out() -> labs.Shown:
    """Two inputs, three outputs: the mean of the channels, their difference, and two edges at once."""
    point = dark().at[..., 2, 2].set(1)
    x = jnp.concatenate([ones(5), point], axis=1)
    pairs = ((dot(0.5), dot(0.5)), (dot(1), dot(-1)), (GX, GY))
    weight = jnp.concatenate([jnp.concatenate(pair, axis=1) for pair in pairs])
    return {"image": x, "kernel": weight, "output": convjax.conv2d(x, weight)}


def channel_by_channel() -> labs.Shown:
    """Experiment 3 by hand: each channel as a separate image, then the sum. The result is the same."""
    a, b = -2 * horizontal_line(row=2), horizontal_line(row=2)
    from_a, from_b = convjax.conv2d(a, dot(1)), convjax.conv2d(b, dot(-2))
    return {"A": a, "B": b, "conv2d(A, 1)": from_a, "conv2d(B, -2)": from_b, "sum": from_a + from_b}


EXPERIMENTS = (upright, level, two_inputs, two_in_three_out, channel_by_channel)


def main(argv: list[str] | None = None) -> int:
    return labs.run(__file__, __doc__, EXPERIMENTS, columns=8, argv=argv)
