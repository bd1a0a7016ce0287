import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from convjax import ndimage

y, x = jnp.mgrid[:48, :48]
bars = (abs(y - x) < 2) & (abs(y - 24) < 20) | (abs(x - 40) < 3) & (abs(y - 14) < 10)
image = (bars | (jnp.hypot(y - 34, x - 12) < 10)).astype(float)
windows = {"size": 3}, {"size": (9, 1)}, {"footprint": np.eye(9, dtype=bool)}

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
pictures = image, *(ndimage.minimum_filter(image, **window) for window in windows)
titles = "image", "size=3", "size=(9, 1)", "footprint: a diagonal"
for axis, picture, title in zip(axes, pictures, titles, strict=True):
    axis.imshow(picture, cmap="gray")
    axis.set(title=title, xticks=[], yticks=[])
