import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

y, x = jnp.mgrid[-14:15, -14:15]
disc = (jnp.hypot(x, y) < 9).astype(float)
kernels = convjax.kernels.robinson()
pictures = *kernels[:, 0], *convjax.conv2d(disc[None], kernels)

titles = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"] + [""] * 8
figure, axes = plt.subplots(2, 8, figsize=(7.2, 1.9))
for axis, picture, title in zip(axes.flat, pictures, titles, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-4, vmax=4)
    axis.set(title=title, xticks=[], yticks=[])
    for (i, j), weight in np.ndenumerate(picture if picture.shape == (3, 3) else []):
        axis.text(j, i, f"{weight:.0f}", ha="center", va="center", fontsize="small")
axes[1, 0].set_ylabel("a disc")
