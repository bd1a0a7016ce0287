import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

y, x = jnp.mgrid[-20:21, -20:21]
ring = (abs(jnp.hypot(x, y) - 11) < 4).astype(float)
kernels = convjax.kernels.kirsch()
strength = convjax.conv2d(ring[None], kernels).max(0)

figure, axes = plt.subplot_mosaic("0123aabb;4567aabb", figsize=(7.2, 2.1))
pictures = (*kernels[:, 0], ring, strength)
titles = "N", "NE", "E", "SE", "S", "SW", "W", "NW", "a ring", "maximum of the eight"
for axis, picture, title in zip(map(axes.get, "01234567ab"), pictures, titles, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-15, vmax=15)
    axis.set(title=title, xticks=[], yticks=[])
    for (i, j), weight in np.ndenumerate(picture if picture.shape == (3, 3) else []):
        axis.text(j, i, f"{weight:.0f}", ha="center", va="center", fontsize="small")
axes["a"].imshow(ring, cmap="gray")
