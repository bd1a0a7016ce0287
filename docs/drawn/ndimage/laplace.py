import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

image = jnp.zeros((17, 17)).at[3, 3].set(1).at[2:15, 7].set(1).at[11, 10:16].set(1)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
pictures = image, ndimage.laplace(image), ndimage.laplace(image, axes=1), ndimage.laplace(image, axes=0)
for axis, picture, title in zip(axes, pictures, ("image", "both axes", "axes=1", "axes=0"), strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-4, vmax=4)
    axis.set(title=title, xticks=[], yticks=[])
