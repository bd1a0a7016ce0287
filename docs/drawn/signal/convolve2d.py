import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from convjax import signal

y, x = jnp.mgrid[:32, :32]
image = jnp.where(abs(y - x) < 4, 1.0, x / 64)
shows_borders = jnp.zeros((33, 33)).at[16, 16].set(1)
options = {"fillvalue": 0}, {"fillvalue": 0.75}, {"boundary": "symm"}, {"boundary": "wrap"}

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
for axis, option in zip(axes, options, strict=True):
    axis.imshow(signal.convolve2d(image, shows_borders, "full", **option), cmap="gray", vmin=0, vmax=1)
    axis.add_patch(Rectangle((15.5, 15.5), 32, 32, fill=False, color="red"))
    axis.set(title=", ".join(f"{name}={value!r}" for name, value in option.items()), xticks=[], yticks=[])
