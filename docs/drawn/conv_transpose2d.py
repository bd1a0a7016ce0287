import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

x = jnp.array([[1.0, 0, -1], [0, 0.5, 0], [-0.5, 0, 1]])[None, None]
row, column = jnp.mgrid[-3:4, -3:4]
ring = (abs(row**2 + column**2 - 8) < 3).astype(float)[None, None]
apart = convjax.conv_transpose2d(x, ring, stride=7)
overlapping = convjax.conv_transpose2d(x, ring, stride=3)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
for axis, title, picture in zip(
    axes, ("x", "kernel", "stride 7", "stride 3"), (x, ring, apart, overlapping), strict=True
):
    axis.imshow(picture[0, 0], cmap="RdBu_r", vmin=-1.5, vmax=1.5)
    axis.set(title="{}: {} x {}".format(title, *picture.shape[2:]), xticks=[], yticks=[])
