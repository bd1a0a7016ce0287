import jax.numpy as jnp
import matplotlib.cbook
import matplotlib.pyplot as plt

import convjax

photograph = plt.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg")).mean(-1)[::6, ::6] / 255
sigma = jnp.linspace(0.2, 4, photograph.shape[1])
row, column = jnp.mgrid[-6:7, -6:7][..., None]
kernels = jnp.exp(-(row**2 + column**2) / (2 * sigma**2))
kernels /= kernels.sum((0, 1))
own = jnp.broadcast_to(kernels.reshape(1, 169, 1, -1), (1, 169, *photograph.shape))
result = convjax.lax.conv_general_dilated_local(photograph[None, None], own, (1, 1), "SAME", (13, 13))

figure, axes = plt.subplots(1, 2)
titles = "a photograph", "a kernel for each pixel, wider to the right"
for axis, title, picture in zip(axes, titles, (photograph, result[0, 0]), strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
