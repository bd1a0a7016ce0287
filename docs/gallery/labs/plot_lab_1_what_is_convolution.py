"""
Lab 1: what is convolution?
===========================

A kernel lies on an image. The products of the numbers that meet are added, and the kernel moves on.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

import convjax

line = jnp.zeros((1, 1, 5, 5)).at[..., 2].set(1)
gx, four, two = convjax.kernels.sobel()[:1], jnp.ones((1, 1, 4, 4)), jnp.ones((1, 1, 2, 2))
noise = jax.random.normal(jax.random.key(0), (1, 1, 4, 4))
layer = convjax.init_conv(jax.random.key(0), 1, 1, (3, 3))  # two arrays, to be read, printed and replaced

calls = {
    "1: an edge detector": (line, gx, {}),
    "2: sums of 2 x 2 ones": (four, two, {}),
    "3: stride 2": (four, two, {"stride": 2}),
    "4: stride 3": (four, two, {"stride": 3}),
    "5: stride 3, padding 1": (four, two, {"stride": 3, "padding": 1}),
    "6: zeros see nothing": (noise, jnp.zeros((1, 1, 3, 3)), {}),
    "8: a random layer": (line, layer.weight, {"bias": layer.bias}),
    "8: its weight replaced": (line, layer._replace(weight=gx).weight, {"bias": layer.bias}),
}
results = {title: convjax.conv2d(x, weight, **options) for title, (x, weight, options) in calls.items()}
size_alone = convjax.conv_output_shape(four.shape, two.shape, stride=2)  # row 7: the size of row 3, nothing is run
print(layer)

# %%
# Red is the first place of the kernel, dotted the next one. Hatched zeros are the padding. An image of size M and a
# kernel of size K have (M + 2 padding - K) / stride + 1 places, **rounded down**. Without the rounding the formula
# gives 1.67 for row 4 and 2.33 for row 5. There is no place where the kernel would reach over the edge.


def show(axis, values, title):
    axis.imshow(values, cmap="RdBu_r", vmin=-4, vmax=4)
    for (i, j), value in np.ndenumerate(np.asarray(values)):
        axis.text(j, i, f"{value + 0.0:.2g}", ha="center", va="center", color="white" if abs(value) > 3 else "black")
    axis.set(title=title, xticks=[], yticks=[])


figure, axes = plt.subplots(len(calls), 3, figsize=(7.5, 2.3 * len(calls)), layout="constrained")
for row, (title, (x, weight, options)) in zip(axes, calls.items(), strict=True):
    padding, stride, size = options.get("padding", 0), options.get("stride", 1), weight.shape[2]
    values = zip(row, (jnp.pad(x[0, 0], padding), weight[0, 0], results[title][0, 0]), strict=True)
    for (axis, plane), name in zip(values, (f"row {title[0]}: image", "kernel", title[3:]), strict=True):
        show(axis, plane, name)
    for place, style in zip(range(0, x.shape[3] + 2 * padding - size + 1, stride), "-:", strict=False):
        row[0].add_patch(Rectangle((place - 0.46, -0.46), size - 0.08, size - 0.08, fill=False, ec="r", lw=2, ls=style))
    for i, j in zip(*np.nonzero(np.pad(np.zeros(x.shape[2:]), padding, constant_values=1)), strict=True):
        row[0].add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, hatch="///", edgecolor="0.8"))
axes[2, 2].set_title(f"stride 2 (row 7: {size_alone[2]} x {size_alone[3]})")
plt.show()
