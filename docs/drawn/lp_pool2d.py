import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

row, column = jnp.mgrid[:64, :64]
stripes = jnp.where((row + column) % 4 < 2, 1, -1) * jnp.exp(-((row - 28) ** 2 + (column - 28) ** 2) / 300)
mean = convjax.avg_pool2d(stripes[None], 4)[0]
root_mean_square = convjax.lp_pool2d(stripes[None], 2, 4)[0] / 4

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7))
titles = "stripes, positive and negative", "avg_pool2d: nearly 0", "lp_pool2d / 4: their strength"
for axis, title, picture in zip(axes, titles, (stripes, mean, root_mean_square), strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
