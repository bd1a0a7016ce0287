"""
Morphology by ranks
===================

The smallest value in a window is an erosion, the largest a dilation, and the middle one a median. Together they clean
an image that is full of specks.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from convjax import ndimage

y, x = np.mgrid[:120, :120]
clean = ((np.hypot(y - 60, x - 60) < 45) & ~(np.hypot(y - 50, x - 70) < 18)).astype(np.float32)
rng = np.random.default_rng(0)
specks = rng.random(clean.shape)
noisy = jnp.asarray(np.where(specks < 0.06, 1, np.where(specks > 0.94, 0, clean)), jnp.float32)

# %%
# An erosion followed by a dilation is an opening: it takes bright specks away. The other way round is a closing, for
# dark ones.

opened = ndimage.maximum_filter(ndimage.minimum_filter(noisy, 3), 3)
closed = ndimage.minimum_filter(ndimage.maximum_filter(opened, 5), 5)
pictures = {"with specks": noisy, "opened by 3x3": opened, "then closed by 5x5": closed}
pictures["median of 5x5"] = ndimage.median_filter(noisy, 5)

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    wrong = float(abs(picture - clean).mean())
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"{title}\n{wrong:.1%} of the pixels wrong")
    axis.axis("off")
plt.show()
