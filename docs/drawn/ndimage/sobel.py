import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

y, x = jnp.mgrid[-20:21, -20:21]
disc = (jnp.hypot(x, y) < 13).astype(float)
down, across = ndimage.sobel(disc, axis=0), ndimage.sobel(disc, axis=1)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
pictures = disc, across, down, jnp.hypot(across, down)
titles = "a disc", "axis=1: to the right", "axis=0: downwards", "magnitude"
for axis, picture, title in zip(axes, pictures, titles, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-5, vmax=5)
    axis.set(title=title, xticks=[], yticks=[])
