"""
True convolution and cross-correlation
======================================

``conv2d`` of convjax, of torch and of every other deep-learning library is a cross-correlation: the kernel is not
flipped. Mathematicians and SciPy call something else a convolution: there the kernel is flipped first.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax
from convjax import signal

image = jnp.zeros((7, 7)).at[3, 3].set(1)  # a single point
kernel = jnp.array([[1.0, 2.0, 3.0], [0.0, 4.0, 0.0], [0.0, 0.0, 5.0]])

correlated = convjax.conv2d(image[None, None], kernel[None, None], padding=1)[0, 0]
convolved = signal.convolve2d(image, kernel, mode="same")

# %%
# A convolution with a point is the kernel itself. A cross-correlation is the kernel turned by half a turn.

figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
titles = "a point", "the kernel", "conv2d: turned", "signal.convolve2d: as it is"
for axis, title, values in zip(axes, titles, (image, kernel, correlated, convolved), strict=True):
    axis.imshow(values, cmap="Greys", vmin=0, vmax=6)
    axis.set(title=title, xticks=[], yticks=[])
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            if value:
                axis.text(j, i, f"{value:g}", ha="center", va="center", color="white" if value > 3 else "black")
plt.show()

# %%
# Each is the other with a flipped kernel.

flipped = jnp.flip(kernel)
same = convjax.conv2d(image[None, None], flipped[None, None], padding=1)[0, 0]
print("largest difference:", float(abs(same - convolved).max()))
