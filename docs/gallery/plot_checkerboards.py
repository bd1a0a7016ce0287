"""
Transposed convolution and its checkerboards
============================================

A transposed convolution makes an image larger: every pixel writes a whole kernel into the result. If the stride does
not divide the kernel, neighbouring pixels get different numbers of contributions, and a pattern appears.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

x = jnp.ones((1, 1, 8, 8))


def enlarged(size, padding):
    """The image of ones, enlarged twice by a kernel of ones."""
    weight = jnp.ones((1, 1, size, size)) / size**2
    return convjax.conv_transpose2d(x, weight, stride=2, padding=padding)[0, 0]


# %%
# With 3x3 taps and a stride of 2, a pixel of the result gets 1, 2 or 4 contributions. With 4x4 taps all get 4, except
# at the border.

results = {"kernel 3, stride 2": enlarged(3, 1), "kernel 4, stride 2": enlarged(4, 1)}
figure, axes = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
for axis, (title, y) in zip(axes, results.items(), strict=True):
    drawn = axis.imshow(y / y.max(), cmap="viridis", vmin=0, vmax=1)
    axis.set(title=f"{title}: {y.shape[0]} x {y.shape[1]}", xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes, label="share of the largest result", shrink=0.8)
plt.show()
