import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

row, column = jnp.mgrid[:240, :240]
rings = (1 + jnp.cos((row**2 + column**2) / 140)) / 2
means = convjax.avg_pool2d(rings[None], 6)[0]

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7))
titles = "rings, 240 x 240", "every sixth pixel: false rings", "means of 6 x 6 pixels"
for axis, title, picture in zip(axes, titles, (rings, rings[::6, ::6], means), strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
