"""
Lab 2: several channels
=======================

A weight has four axes: output channels, input channels, height, width. Each slice slides over its own input channel,
and the results are added. So every output channel is a sum over all input channels.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax


def dot(value):
    return jnp.zeros((1, 1, 3, 3)).at[..., 1, 1].set(value)


upright = jnp.zeros((1, 1, 5, 5)).at[..., 2].set(1)
level = jnp.zeros((1, 1, 5, 5)).at[..., 2, :].set(1)
point = jnp.zeros((1, 1, 5, 5)).at[..., 2, 2].set(1)
gx, gy = jnp.split(convjax.kernels.sobel(), 2)
edges_and_sum = jnp.concatenate([gx, gy, jnp.ones((1, 1, 3, 3))])
pairs = (dot(0.5), dot(0.5)), (dot(1), dot(-1)), (gx, gy)  # mean, difference, two edges at once

calls = {
    9: (upright, edges_and_sum),
    10: (level, edges_and_sum),
    11: (jnp.concatenate([-2 * level, level], 1), jnp.concatenate([dot(1), dot(-2)], 1)),
    12: (jnp.concatenate([jnp.ones((1, 1, 5, 5)), point], 1), jnp.concatenate([jnp.concatenate(p, 1) for p in pairs])),
}
results = {row: convjax.conv2d(x, weight, jnp.zeros(len(weight))) for row, (x, weight) in calls.items()}
a, b = convjax.conv2d(-2 * level, dot(1)), convjax.conv2d(level, dot(-2))  # row 11, one channel at a time
results[13] = a + b

# %%
# One line for each row of the lab: the input channels, the slices of the weight, the output channels. Row 13 is the sum
# of row 11, taken apart: each channel as an image of its own. The colours mean the same numbers everywhere.

lines = {}
for row, (x, weight) in calls.items():
    lines[row] = [(f"x[{c}]", plane) for c, plane in enumerate(x[0])]
    lines[row] += [(f"w[{o}, {c}]", weight[o, c]) for o, c in np.ndindex(weight.shape[:2])]
    lines[row] += [(f"y[{o}]", plane) for o, plane in enumerate(results[row][0])]
lines[13] = [("A", -2 * level[0, 0]), ("B", level[0, 0]), ("A under w[0, 0]", a[0, 0]), ("B under w[0, 1]", b[0, 0])]
lines[13] += [("the sum", results[13][0, 0])]

figure, axes = plt.subplots(len(lines), max(map(len, lines.values())), figsize=(15, 7.4), layout="constrained")
for line, (row, planes) in zip(axes, lines.items(), strict=True):
    line[0].set_ylabel(f"row {row}")
    for axis, (title, plane) in zip(line, planes, strict=False):
        axis.imshow(plane, cmap="RdBu_r", vmin=-4, vmax=4)
        for (i, j), value in np.ndenumerate(np.asarray(plane)):
            colour = "white" if abs(value) > 3 else "black"
            axis.text(j, i, f"{value + 0.0:g}", ha="center", va="center", fontsize=9, color=colour)
        axis.set(title=title, xticks=[], yticks=[])
    for axis in line[len(planes) :]:
        axis.axis("off")
plt.show()
