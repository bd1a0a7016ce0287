"""True convolution, and what the convolution of neural networks really is.

In mathematics a convolution flips the kernel before the kernel slides. The convolution of neural networks, `conv2d` in
torch and here, does not flip it: it is a cross-correlation. For a learned kernel this makes no difference. For a kernel
from a book it changes the sign of an edge. The other experiments are about channels, groups and errors.
"""

import command

if __name__ == "__main__":
    command.launch(__file__)

import jax
import jax.numpy as jnp
import labs
import numpy as np
from jax import Array
from labs import vertical_line

import convjax

K = jnp.tile(jnp.array([-1, 0, 1], jnp.float32), (1, 1, 3, 1))  # rows (-1 0 1)

A = jnp.array(
    [
        [
            [[0.0624, -0.0712, -0.0463], [-0.2252, -0.1561, -0.0972], [0.0087, 0.0932, 0.1414]],
            [[-0.1598, -0.1026, 0.0856], [0.1957, -0.0485, 0.1764], [-0.0380, 0.0249, 0.2134]],
        ]
    ],
    jnp.float32,
)

B = jnp.array(
    [
        [
            [[-0.2187, -0.1484, -0.0597], [-0.0919, 0.2036, -0.1528], [-0.1085, -0.1647, -0.2207]],
            [[-0.1376, 0.2026, 0.1052], [0.1142, 0.0124, -0.1208], [0.0399, -0.2201, -0.1703]],
        ],
        [
            [[-0.1215, 0.1487, 0.1382], [-0.1045, -0.0085, 0.1507], [0.2343, 0.0935, 0.0318]],
            [[0.1580, -0.1388, 0.0439], [-0.1827, -0.1634, -0.1218], [0.1066, 0.0948, -0.1396]],
        ],
        [
            [[0.0712, 0.1294, -0.0297], [0.0090, 0.0546, 0.1462], [0.2263, -0.1816, -0.0864]],
            [[0.0926, 0.1953, 0.2051], [0.2080, 0.0469, -0.2050], [0.0217, -0.1475, -0.2197]],
        ],
    ],
    jnp.float32,
)


def step() -> Array:
    """4 on the left half, 1 on the right: (1, 1, 8, 8)."""
    return jnp.ones((1, 1, 8, 8), jnp.float32).at[..., :4].set(4)


def two_lines() -> Array:
    """Two channels, an upright line in each: (1, 2, 8, 8)."""
    return jnp.concatenate([vertical_line(2, size=8), vertical_line(6, size=8)], axis=1)


def turned(weight: Array) -> Array:
    """The kernel flipped along both axes."""
    return weight[..., ::-1, ::-1]


def by_the_formula() -> labs.Shown:
    """The convolution of the book: y[m, n] is the sum of x[m - i, n - j] k[i, j] over i and j.

    It is written with four loops. i and j have the opposite sign of m and n, so the kernel lies flipped on the image.
    """
    x, k = np.asarray(step()[0, 0]), np.asarray(K[0, 0])
    y = np.zeros((6, 6), np.float32)
    for m, n, i, j in np.ndindex(6, 6, 3, 3):
        y[m, n] += x[m + 2 - i, n + 2 - j] * k[i, j]
    return {"image": x, "K": k, "formula": y}


def by_conv2d() -> labs.Shown:
    """The same result from conv2d with the flipped kernel."""
    return {"image": step(), "K flipped": turned(K), "conv2d": convjax.conv2d(step(), turned(K))}


def mirrored_borders() -> labs.Shown:
    """Every place where kernel and image touch, with the image mirrored at its borders: 8 + 3 - 1 = 10 places."""
    x = jnp.pad(step(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="symmetric")
    return {"image, mirrored": x, "K flipped": turned(K), "conv2d": convjax.conv2d(x, turned(K))}


def correlation() -> labs.Shown:
    """conv2d with K itself: the sign changes, because conv2d does not flip the kernel. It is a cross-correlation."""
    return {"image": step(), "K": K, "conv2d": convjax.conv2d(step(), K)}


def no_symmetry() -> labs.Shown:
    """A line under the kernel 1 2 3 comes out as 3 2 1. A true convolution would give 1 2 3."""
    x, weight = vertical_line(4, size=8), jnp.tile(jnp.array([1, 2, 3], jnp.float32), (1, 1, 3, 1))
    return {"image": x, "kernel": weight, "conv2d": convjax.conv2d(x, weight)}


def one_output() -> labs.Shown:
    """Two input channels and one output: each slice of A slides over its own channel."""
    return {"image": two_lines(), "A": A, "conv2d": convjax.conv2d(two_lines(), A)}


def three_outputs() -> labs.Shown:
    """Two input channels and three outputs, times 10, plus 0.5, truncated to integers."""
    y = (convjax.conv2d(two_lines(), B) * 10 + jnp.float32(0.5)).astype(jnp.int8)
    return {"image": two_lines(), "B": B, "10 conv2d + 0.5": y}


def groups() -> labs.Shown:
    """Groups: the channels are divided into separate groups, and the weight has fewer input channels."""
    shape = {n: convjax.init_conv(jax.random.key(0), 4, 4, 3, groups=n).weight.shape for n in (1, 2, 4)}
    return {f"4 channels to 4 in groups={n}: shape of the weight": shape[n] for n in shape}


def groups_refused() -> labs.Shown:
    """Groups must divide both channel counts."""
    key = jax.random.key(0)
    return {
        "2 channels to 3, groups=2": labs.error_of(convjax.init_conv, key, 2, 3, 3, groups=2),
        "4 channels to 64, groups=16": labs.error_of(convjax.init_conv, key, 4, 64, 3, groups=16),
    }


def dtypes() -> labs.Shown:
    """A float64 image and a float32 weight: JAX's promotion.

    JAX has no float64 unless it is switched on, so the result is float32. If it is switched on, the result is float64.
    """
    image, weight = np.ones((1, 1, 4, 4), np.float64), np.ones((1, 1, 3, 3), np.float32)
    with jax.enable_x64(False):
        usual = convjax.conv2d(image, weight).dtype
    with jax.enable_x64(True):
        switched_on = convjax.conv2d(image, weight).dtype
    return {"JAX's default": usual, "with jax_enable_x64": switched_on}


def axes() -> labs.Shown:
    """The axes of an image: (N, C, H, W), or (C, H, W) for one image. (H, W) raises an error."""
    x = step()
    return {
        "(1, 1, 8, 8) gives": convjax.conv2d(x, K).shape,
        "(1, 8, 8) gives": convjax.conv2d(x[0], K).shape,
        "(8, 8) gives": labs.error_of(convjax.conv2d, x[0, 0], K),
    }


EXPERIMENTS = (
    by_the_formula,
    by_conv2d,
    mirrored_borders,
    correlation,
    no_symmetry,
    one_output,
    three_outputs,
    groups,
    groups_refused,
    dtypes,
    axes,
)


def main(argv: list[str] | None = None) -> int:
    return labs.run(__file__, __doc__, EXPERIMENTS, columns=6, panel=1.7, argv=argv)
