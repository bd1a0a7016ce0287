import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

corner = jnp.zeros((1, 1, 3, 3, 3)).at[..., 0, 0].set(1).at[..., 0, :, 0].set(1).at[..., 0, 0, :].set(1)
cube = jnp.ones((1, 1, 2, 2, 2))
whole = convjax.conv_transpose3d(corner, cube, stride=2)
gaps = convjax.conv_transpose3d(corner, cube, stride=3)

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), subplot_kw={"projection": "3d"})
for axis, title, volume in zip(axes, ("x", "stride 2", "stride 3"), (corner, whole, gaps), strict=True):
    axis.voxels(np.asarray(volume[0, 0]) > 0, edgecolor="white", linewidth=0.5)
    axis.set(title="{}: {} x {} x {}".format(title, *volume.shape[2:]), xticks=[], yticks=[], zticks=[])
