"""
Several channels
================

Each output channel has a kernel of its own, with one slice for every input channel. Each slice slides over its
channel, and the results are added.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

y, x = jnp.mgrid[:32, :32]
disc = (jnp.hypot(y - 16, x - 11) < 8).astype(jnp.float32)
bar = ((x > 17) & (x < 25)).astype(jnp.float32)
image = jnp.stack([disc, bar])[None]  # one image of two channels

box = jnp.ones((3, 3)) / 9
edge = convjax.kernels.sobel()[0, 0] / 4
weight = jnp.stack([jnp.stack([box, box]), jnp.stack([box, -box]), jnp.stack([edge, jnp.zeros((3, 3))])])
result = convjax.conv2d(image, weight, padding=1)[0]
print("image", image.shape, "weight", weight.shape, "result", result.shape)

# %%
# Three output channels of two input channels: their sum, their difference, and the edges of the first one alone. The
# same colour means the same number in every picture.

pictures = {"input 0": disc, "input 1": bar}
pictures |= {"sum": result[0], "difference": result[1], "edges of input 0": result[2]}
figure, axes = plt.subplots(1, 5, figsize=(12, 2.9), layout="constrained")
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-2, vmax=2)
    axis.set(title=title, xticks=[], yticks=[])
plt.show()
