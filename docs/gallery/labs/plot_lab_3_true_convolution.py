"""
Lab 3: true convolution and cross-correlation
=============================================

In mathematics a convolution flips the kernel before it slides. The convolution of neural networks does not: it is a
cross-correlation. For a learned kernel that makes no difference, but it changes the sign of an edge.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax
from convjax import signal

step = jnp.ones((8, 8)).at[:, :4].set(4)
line = jnp.zeros((8, 8)).at[:, 4].set(1)
kernel = jnp.tile(jnp.array([-1.0, 0, 1]), (3, 1))
rising = jnp.tile(jnp.array([1.0, 2, 3]), (3, 1))

# %%
# Row 14 is the definition, y[m, n] = sum of x[m - i, n - j] k[i, j] over i and j, as four loops. The minus signs turn
# the kernel around.

defined = np.zeros((6, 6), np.float32)
for m, n, i, j in np.ndindex(6, 6, 3, 3):
    defined[m, n] += step[m + 2 - i, n + 2 - j] * kernel[i, j]

results = {
    14: defined,
    15: signal.convolve2d(step, kernel, mode="valid"),
    16: signal.convolve2d(step, kernel, mode="full", boundary="symm"),
    17: convjax.conv2d(step[None, None], kernel[None, None])[0, 0],
    18: convjax.conv2d(line[None, None], rising[None, None])[0, 0],
}
titles = {
    14: "by the definition",
    15: "signal.convolve2d, valid",
    16: "full, mirrored at the border",
    17: "conv2d: the sign turns",
    18: "conv2d: 3 2 1, three times each",
}

# %%
# Row 18 tells the two apart beyond doubt: a line of ones under the kernel 1 2 3 comes out as 3 2 1.

figure, axes = plt.subplots(len(results), 3, figsize=(10, 3.3 * len(results)), layout="constrained")
for line_of_axes, (row, result) in zip(axes, results.items(), strict=True):
    x, weight = (line, rising) if row == 18 else (step, kernel)
    planes = {f"row {row}: image": x, "kernel": weight, titles[row]: result}
    for axis, (title, plane) in zip(line_of_axes, planes.items(), strict=True):
        axis.imshow(plane, cmap="RdBu_r", vmin=-9, vmax=9)
        for (i, j), value in np.ndenumerate(np.asarray(plane)):
            axis.text(j, i, f"{value + 0.0:g}", ha="center", va="center", color="white" if abs(value) > 6 else "black")
        axis.set(title=title, xticks=[], yticks=[])
plt.show()
