"""
Edges, directions, and Canny
============================

Two kernels measure how steeply an image rises across and down. Together they give the strength of an edge and its
direction. Canny's detector thins the edges to lines.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from matplotlib.colors import hsv_to_rgb

from convjax import edges, kernels, ndimage

photo = jnp.asarray(plt.imread(get_sample_data("grace_hopper.jpg")), jnp.float32).mean(-1) / 255
photo = ndimage.gaussian_filter(photo, 1.5)[::2, ::2]

magnitude, direction = edges.gradient(photo, kernels.scharr())
lines = edges.canny(photo, sigma=1.0)

# %%
# The colour of the third picture is the direction in which the image becomes brighter, its brightness the strength.

hue = np.asarray(direction) / (2 * np.pi) + 0.5
strength = np.clip(np.asarray(magnitude) / np.quantile(magnitude, 0.99), 0, 1)
coloured = hsv_to_rgb(np.stack([hue, np.ones_like(hue), strength], -1))

figure, axes = plt.subplots(1, 4, figsize=(12, 4), layout="constrained")
pictures = {"photograph": photo, "strength": strength, "direction": coloured, "Canny": lines}
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    axis.imshow(picture, cmap="gray")
    axis.set_title(title)
    axis.axis("off")
plt.show()
