import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

row, column = jnp.mgrid[:24, :24]
peaks = (3, 5, 1, 12, 10, 13, 20, 21, 18), (4, 13, 21, 2, 10, 20, 5, 13, 19), (4, 9, 6, 10, 5, 8, 7, 9, 5)
bumps = sum(h / 10 * jnp.exp(-((row - y) ** 2 + (column - x) ** 2) / 5) for y, x, h in zip(*peaks, strict=True))
largest, indices = convjax.max_pool2d(bumps[None], 8, return_indices=True)
back = convjax.max_unpool2d(largest, indices, 8)

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7))
titles = "bumps: 24 x 24", "max_pool2d: 3 x 3", "put back: 24 x 24"
for axis, title, picture in zip(axes, titles, (bumps, largest[0], back[0]), strict=True):
    axis.imshow(picture, cmap="Blues", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
for axis in axes[[0, 2]]:
    axis.hlines((7.5, 15.5), -0.5, 23.5, color="silver")
    axis.vlines((7.5, 15.5), -0.5, 23.5, color="silver")
