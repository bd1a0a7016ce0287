import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib import cbook

from convjax import ndimage

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[20:400:2, 70:450:2].mean(-1) / 255
chance = jax.random.uniform(jax.random.key(0), photo.shape)
specks = jnp.where(chance < 0.05, 0, jnp.where(chance > 0.95, 1, photo))

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
medians = ndimage.median_filter(specks, 3), ndimage.median_filter(specks, 7)
titles = "a tenth are specks", "mean of 3 x 3", "median of 3 x 3", "median of 7 x 7"
for axis, picture, title in zip(axes, (specks, ndimage.uniform_filter(specks, 3), *medians), titles, strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
