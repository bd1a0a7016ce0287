import jax.numpy as jnp
import matplotlib.cbook
import matplotlib.pyplot as plt

import convjax

photograph = plt.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg")).mean(-1)[::8, ::8] / 255
height, width = photograph.shape
one = jnp.ones((1, 1, 1, 1))

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.3))
for axis, mode in zip(axes, ("zeros", "reflect", "replicate", "circular"), strict=True):
    padded = convjax.conv(photograph[None, None], one, padding=20, padding_mode=mode)[0, 0]
    axis.imshow(padded, cmap="gray", vmin=0, vmax=1)
    axis.add_patch(plt.Rectangle((19.5, 19.5), width, height, fill=False, edgecolor="tab:orange", linewidth=2))
    axis.set(title=mode, xticks=[], yticks=[])
