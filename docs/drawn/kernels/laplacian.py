import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

y, x = jnp.mgrid[:21, :21]
image = ((y > 11) & (x > 11) | (x == 4) & (y < 17) | (x + y == 24) & (y < 10)).astype(float).at[3, 10].set(1)
four, eight = convjax.kernels.laplacian(4), convjax.kernels.laplacian(8)
results = [convjax.conv2d(image[None], kernel, padding="same", padding_mode="replicate")[0] for kernel in (four, eight)]

figure, axes = plt.subplots(1, 5, figsize=(7.2, 1.8))
pictures = image, four[0, 0], results[0], eight[0, 0], results[1]
titles = "image", "neighbours=4", "its response", "neighbours=8", "its response"
for axis, picture, title in zip(axes, pictures, titles, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-10, vmax=10)
    axis.set(title=title, xticks=[], yticks=[])
    for (i, j), weight in np.ndenumerate(picture if picture.shape == (3, 3) else []):
        axis.text(j, i, f"{weight:.0f}", ha="center", va="center")
axes[0].imshow(image, cmap="gray")
