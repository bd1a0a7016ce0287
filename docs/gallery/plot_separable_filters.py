"""
Separable filters
=================

A Gaussian window of k by k is a column times a row. So a blur takes two passes of k products instead of one of k
times k.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.cbook import get_sample_data

from convjax import kernels, ndimage

photo = jnp.asarray(plt.imread(get_sample_data("grace_hopper.jpg")), jnp.float32).mean(-1)[::2, ::2] / 255
window = kernels.gaussian(size=25, sigma=4.0)[0, 0]

# %%
# The singular values of the window say how many columns times rows it is made of. A Gaussian has one. The difference of
# two Gaussians has two.

other = kernels.dog(size=25, sigma=4.0)[0, 0]
values = {"Gaussian": jnp.linalg.svd(window)[1], "difference of Gaussians": jnp.linalg.svd(other)[1]}

across = window.sum(0)
blurred = ndimage.correlate1d(ndimage.correlate1d(photo, across, axis=0), across, axis=1)
whole = ndimage.correlate(photo, window)
print("largest difference:", float(abs(blurred - whole).max()))

# %%
figure, axes = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
axes[0].imshow(photo, cmap="gray")
axes[0].set_title("photograph")
axes[1].imshow(ndimage.correlate1d(photo, across, axis=0), cmap="gray")
axes[1].set_title("columns blurred")
axes[2].imshow(blurred, cmap="gray")
axes[2].set_title("then rows")
for axis in axes[:3]:
    axis.axis("off")
for name, each in values.items():
    axes[3].semilogy(jnp.arange(1, 7), jnp.maximum(each[:6] / each[0], 1e-8), "o-", label=name)
axes[3].set(title="How many columns times rows?", xlabel="number", ylabel="singular value / the first")
axes[3].legend()
plt.show()
