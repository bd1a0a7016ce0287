"""
A volume
========

Everything works in three dimensions too. Here a noisy scan of nested shells is smoothed, and its surfaces are found.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax
from convjax import ndimage

z, y, x = jnp.mgrid[-1:1:48j, -1:1:48j, -1:1:48j]
radius = jnp.sqrt(x**2 + 1.6 * y**2 + z**2)
scan = ((radius < 0.85) & (radius > 0.45)) + 0.6 * (radius < 0.3)
scan = scan + 0.4 * jax.random.normal(jax.random.key(0), scan.shape)

# %%
# A Gaussian, separable in three passes, and the length of the gradient by three Sobel windows of 3x3x3.

smooth = ndimage.gaussian_filter(scan, 1.5)
rise = jnp.array([-1.0, 0.0, 1.0])
flat = jnp.array([1.0, 2.0, 1.0])
sobel = jnp.stack([jnp.einsum("i,j,k->ijk", *[rise if a == axis else flat for a in range(3)]) for axis in range(3)])
slopes = convjax.conv3d(smooth[None, None], sobel[:, None], padding="same", padding_mode="replicate")[0]
surface = jnp.sqrt((slopes**2).sum(0))
print("scan", scan.shape, "slopes", slopes.shape)

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
for axis, title, volume in zip(
    axes, ("a slice of the scan", "smoothed", "surfaces"), (scan, smooth, surface), strict=True
):
    axis.imshow(volume[24], cmap="gray" if volume is not surface else "magma")
    axis.set_title(title)
    axis.axis("off")
plt.show()
