import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

dots = jnp.zeros((40, 40)).at[jnp.array([6, 14, 25, 33]), jnp.array([8, 28, 18, 30])].set(1)
decay = 0.8 ** jnp.arange(11.0)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
options = {"axis": 1, "origin": 0}, {"axis": 1, "origin": -5}, {"axis": 0, "origin": -5}
axes[0].imshow(dots, cmap="gray")
axes[0].set_title("dots")
for axis, option in zip(axes[1:], options, strict=True):
    axis.imshow(ndimage.convolve1d(dots, decay, **option), cmap="gray", vmin=0, vmax=1)
    axis.set_title("axis={axis}, origin={origin}".format(**option))
plt.setp(axes, xticks=[], yticks=[])
