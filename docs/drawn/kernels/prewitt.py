import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

stripes = jnp.tile(jnp.repeat(jnp.array([1.0, 0.0, 1.0, 0.0]), 10), (40, 1))
image = stripes + 0.3 * jax.random.normal(jax.random.key(0), stripes.shape)
kernel = convjax.kernels.prewitt()[:1]
rows = convjax.conv2d(image[None], kernel[..., :1, :], padding="same", padding_mode="replicate")[0]
mean_of_three = convjax.conv2d(image[None], kernel / 3, padding="same", padding_mode="replicate")[0]

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.2))
titles = "noisy stripes", "Gx", "one row of Gx", "Gx / 3: less noise"
for axis, picture, title in zip(axes, (image, kernel[0, 0], rows, mean_of_three), titles, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-2, vmax=2)
    axis.set(title=title, xticks=[], yticks=[])
for (i, j), weight in np.ndenumerate(kernel[0, 0]):
    axes[1].text(j, i, f"{weight:.0f}", ha="center", va="center")
