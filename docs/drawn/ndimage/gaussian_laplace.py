import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

y, x = jnp.mgrid[:90, :120]
centres = (20, 20, 4), (45, 60, 8), (58, 100, 14)
discs = sum((jnp.hypot(y - row, x - column) < radius).astype(float) for row, column, radius in centres)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 1.7))
axes[0].imshow(discs, cmap="gray")
axes[0].set_title("radii 4, 8 and 14")
for axis, (_, _, radius) in zip(axes[1:], centres, strict=True):
    sigma = radius / 2**0.5
    axis.imshow(sigma**2 * ndimage.gaussian_laplace(discs, sigma), cmap="RdBu_r", vmin=-0.8, vmax=0.8)
    axis.set_title(f"sigma = {radius} / √2")
plt.setp(axes, xticks=[], yticks=[])
