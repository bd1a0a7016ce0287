import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

z, y, x = jnp.mgrid[-8:9, -8:9, -8:9]
ball = (x**2 + y**2 + z**2 < 45).astype(float)
along_depth = jnp.array([-1.0, 0, 1]).reshape(1, 1, 3, 1, 1)
change = convjax.conv3d(ball[None, None], along_depth, padding=((1, 1), (0, 0), (0, 0)))[0, 0]

figure, axes = plt.subplots(2, 6, figsize=(7.2, 2.9))
for column, depth in enumerate((2, 4, 6, 10, 12, 14)):
    axes[0, column].set_title(f"depth {depth}")
    for axis, volume in zip(axes[:, column], (ball, change), strict=True):
        axis.imshow(volume[depth], cmap="RdBu_r", vmin=-1, vmax=1)
        axis.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("a ball")
axes[1, 0].set_ylabel("after - before")
