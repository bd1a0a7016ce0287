import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from convjax import ndimage

image = jnp.array([[0, 0, 0, 2, 2], [0, 1, 0, 2, 2], [0, 0, 0, 2, 2], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
pictures = image, ndimage.prewitt(image, axis=1), ndimage.prewitt(image, axis=0)
frames = Rectangle((0.5, 0.5), 3, 3), Rectangle((1.5, 1.5), 1, 1), Rectangle((1.5, 1.5), 1, 1)

figure, axes = plt.subplots(1, 3)
titles = "image", "axis=1: right minus left", "axis=0: below minus above"
for axis, picture, frame, title in zip(axes, pictures, frames, titles, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-10, vmax=10)
    axis.add_patch(frame).set(fill=False, linewidth=2)
    axis.set(title=title, xticks=[], yticks=[])
    for (i, j), value in np.ndenumerate(picture):
        axis.text(j, i, value, ha="center", va="center")
