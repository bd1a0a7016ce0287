import jax.numpy as jnp
import matplotlib.cbook
import matplotlib.pyplot as plt

import convjax

photograph = plt.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg"))
red, green, blue = photograph[20:360, 110:410].reshape(68, 5, 60, 5, 3).mean((1, 3)).transpose(2, 0, 1) / 255
row, column = jnp.indices(red.shape) % 2
sensor = jnp.where(row != column, green, jnp.where(row, blue, red))
planes = convjax.lax.conv_general_dilated_patches(sensor[None, None], (2, 2), (2, 2), "VALID")[0]

figure, axes = plt.subplots(1, 5, figsize=(7.2, 1.9))
names = "red", "green", "green", "blue"
axes[0].imshow(sensor, cmap="gray", vmin=0, vmax=1)
axes[0].set(title="sensor: {} x {}".format(*sensor.shape), xticks=[], yticks=[])
for axis, name, plane in zip(axes[1:], names, planes, strict=True):
    axis.imshow(plane, cmap="gray", vmin=0, vmax=1)
    axis.set(title="{}: {} x {}".format(name, *plane.shape), xticks=[], yticks=[])
