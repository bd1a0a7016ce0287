import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

letter = jnp.zeros((7, 7)).at[:, 1].set(1).at[0, 1:6].set(1).at[3, 1:5].set(1)
dots = jnp.zeros((28, 28)).at[jnp.array([5, 9, 21]), jnp.array([5, 21, 13])].set(1)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
pictures = dots, letter, ndimage.convolve(dots, letter), ndimage.correlate(dots, letter)
titles = "three dots", "weights", "convolve", "correlate: turned 180°"
for axis, picture, title in zip(axes, pictures, titles, strict=True):
    axis.imshow(picture, cmap="gray")
    axis.set(title=title, xticks=[], yticks=[])
