import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

image, ones = jnp.ones((1, 1, 6, 6)), jnp.ones((1, 1, 3, 3))
same = convjax.lax.conv(image, ones, (2, 2), "SAME")[0, 0]
valid = convjax.lax.conv(image, ones, (2, 2), "VALID")[0, 0]
padded = convjax.conv2d(image, ones, stride=2, padding=1)[0, 0]

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7))
titles = '"SAME": zeros below and right', '"VALID": no zeros', "conv2d(padding=1): above, left"
for axis, title, sums, start in zip(axes, titles, (same, valid, padded), (-0.5, -0.5, -1.5), strict=True):
    size = 2 * len(sums) + 1
    axis.add_patch(plt.Rectangle((start, start), size, size, fill=False, hatch="////", edgecolor="silver"))
    axis.imshow(image[0, 0], cmap="Greys", vmin=0, vmax=6, zorder=2)
    axis.set(title=title, xticks=[], yticks=[], xlim=(-1.7, 6.7), ylim=(6.7, -1.7))
    for (row, column), value in np.ndenumerate(sums):
        x, y = start + 2 * column, start + 2 * row
        width = 3 if row == column else 0.5
        axis.add_patch(plt.Rectangle((x, y), 3, 3, fill=False, edgecolor="tab:blue", linewidth=width, zorder=3))
        axis.text(x + 1.5, y + 1.5, f"{value:.0f}", ha="center", va="center", zorder=4)
