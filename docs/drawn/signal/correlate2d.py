import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from convjax import signal

cross = jnp.maximum(jnp.eye(9), jnp.eye(9)[::-1])
noise = 0.4 * jax.random.normal(jax.random.key(1), (60, 60))
image = noise.at[8:17, 30:39].add(cross).at[38:47, 12:21].add(cross)
matches = signal.correlate2d(image, cross - cross.mean(), mode="valid")

figure, axes = plt.subplots(1, 3)
titles = "two crosses in noise", "template: a cross of mean 0", f"{matches.shape[0]} x {matches.shape[1]} positions"
pictures = image, cross - cross.mean(), matches
for axis, picture, title, limit in zip(axes, pictures, titles, (1.5, 1.5, 15), strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.set(title=title, xticks=[], yticks=[])
for row, column in jnp.argwhere(matches > 10).tolist():
    axes[0].add_patch(Rectangle((column - 0.5, row - 0.5), 9, 9, fill=False))
