import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

y, x = jnp.mgrid[-12:13, -12:13]
diamond = (abs(x) + abs(y) < 9).astype(float)
kernels = convjax.kernels.roberts()
responses = convjax.conv2d(diamond[None], kernels)

figure, axes = plt.subplots(1, 5, figsize=(7.2, 1.8))
pictures = diamond, kernels[0, 0], responses[0], kernels[1, 0], responses[1]
titles = "a diamond", "first kernel", "red: falls  ↘", "second kernel", "red: falls  ↙"
for axis, picture, title in zip(axes, pictures, titles, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-2, vmax=2)
    axis.set(title=title, xticks=[], yticks=[])
    for (i, j), weight in np.ndenumerate(picture if picture.size == 4 else []):
        axis.text(j, i, f"{weight:.0f}", ha="center", va="center")
