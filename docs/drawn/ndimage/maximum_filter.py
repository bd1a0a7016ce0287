import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

hills = ndimage.gaussian_filter(jax.random.normal(jax.random.key(0), (80, 80)), 4)
largest = ndimage.maximum_filter(hills, size=15)
rows, columns = jnp.nonzero(hills == largest)

figure, axes = plt.subplots(1, 3)
titles = "image", "maximum of 15 x 15", f"equal at {rows.size} pixels"
for axis, picture, title in zip(axes, (hills, largest, hills), titles, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-0.25, vmax=0.25)
    axis.set(title=title, xticks=[], yticks=[])
axes[2].plot(columns, rows, "k.", clip_on=False)
