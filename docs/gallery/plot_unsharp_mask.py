"""
Unsharp masking
===============

An image less its blur is what is fine in it. Adding some of that back makes the image look sharper.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.cbook import get_sample_data

from convjax import ndimage

photo = jnp.asarray(plt.imread(get_sample_data("grace_hopper.jpg")), jnp.float32).mean(-1)[60:316, 130:386] / 255
fine = photo - ndimage.gaussian_filter(photo, 2.0)
sharper = photo + 1.5 * fine

# %%
# What is fine has both signs: red is brighter than the surroundings, blue is darker.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
axes[0].imshow(photo, cmap="gray", vmin=0, vmax=1)
axes[0].set_title("photograph")
axes[1].imshow(fine, cmap="RdBu_r", vmin=-0.25, vmax=0.25)
axes[1].set_title("less its blur")
axes[2].imshow(sharper, cmap="gray", vmin=0, vmax=1)
axes[2].set_title("with 1.5 times that added")
for axis in axes:
    axis.axis("off")
plt.show()
