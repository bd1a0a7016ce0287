"""
Scale space and blobs
=====================

The Laplacian of a Gaussian answers most to a bright blob of its own size. Over many sizes, its largest answers say
where the blobs are and how large.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

from convjax import ndimage

rng = np.random.default_rng(3)
y, x = np.mgrid[:200, :260]
image = 0.05 * rng.standard_normal(y.shape)
for _ in range(14):
    row, column, radius = rng.uniform(20, 180), rng.uniform(20, 240), rng.uniform(4, 14)
    image += np.exp(-((y - row) ** 2 + (x - column) ** 2) / radius**2)
image = jnp.asarray(image, jnp.float32)

# %%
# Multiplied by sigma squared, the answers of different sizes can be compared. A blob is where an answer is larger than
# all of its neighbours, in space and in size.

sigmas = np.geomspace(2.5, 12, 12)
space = jnp.stack([-(s**2) * ndimage.gaussian_laplace(image, float(s)) for s in sigmas])
peaks = (space == ndimage.maximum_filter(space, 7)) & (space > 0.25)
found = np.argwhere(np.asarray(peaks))
print(len(found), "blobs")

# %%
figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
for axis, title, picture in zip(axes, ("sigma 2.5", "sigma 12"), (space[0], space[-1]), strict=False):
    axis.imshow(picture, cmap="RdBu_r", vmin=-0.8, vmax=0.8)
    axis.set_title(f"answer at {title}")
axes[2].imshow(image, cmap="gray")
axes[2].set_title("blobs found")
for scale, row, column in found:
    circle = Circle((column, row), sigmas[scale] * np.sqrt(2), fill=False, edgecolor="#edae49", linewidth=1.5)
    axes[2].add_patch(circle)
for axis in axes:
    axis.axis("off")
plt.show()
