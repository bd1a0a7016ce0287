import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

kernel = convjax.kernels.box(5)
y, x = jnp.mgrid[:100, :100]
rings = 0.5 + 0.5 * jnp.cos(0.0115 * (x**2 + y**2))
blurred = convjax.conv2d(rings[None], kernel, padding="same", padding_mode="replicate")[0]
pictures = kernel[0, 0], rings, blurred, jnp.stack([rings[0, 60:85], blurred[0, 60:85]])

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
for axis, picture, title in zip(axes, pictures, ("box(5)", "rings", "blurred", "bright is now dark"), strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="auto")
    axis.set(title=title, xticks=[], yticks=[])
for (i, j), weight in np.ndenumerate(kernel[0, 0]):
    axes[0].text(j, i, f"{weight:.2f}"[1:], ha="center", va="center", color="white")
axes[3].set(xlabel="first row, 60 to 84", yticks=[0, 1], yticklabels=["rings", "blurred"])
