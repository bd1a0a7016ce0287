import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

image = jnp.zeros((1, 1, 12, 12)).at[..., 4:8, 4:8].set(1)
across, down = convjax.conv2d(image, convjax.kernels.sobel(), padding="same")[0]

figure, axes = plt.subplots(1, 3)
titles = "a bright square", "Gx: brighter to the left", "Gy: brighter above"
for axis, title, picture in zip(axes, titles, (image[0, 0], across, down), strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-4, vmax=4)
    axis.set(title=title, xticks=[], yticks=[])
