import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cbook

import convjax

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[40:360:2, 90:410:2].mean(-1) / 255
kernels = convjax.kernels.identity(), 2 * convjax.kernels.identity() - convjax.kernels.box()

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
for grid, result, kernel in zip(axes[::2], axes[1::2], kernels, strict=True):
    grid.imshow(kernel[0, 0], cmap="RdBu_r", vmin=-3, vmax=3)
    for (i, j), weight in np.ndenumerate(kernel[0, 0]):
        grid.text(j, i, f"{weight:.2f}", ha="center", va="center")
    filtered = convjax.conv2d(photo[None], kernel, padding="same", padding_mode="replicate")[0]
    result.imshow(filtered, cmap="gray", vmin=0, vmax=1)
for axis, title in zip(axes, ("identity()", "unchanged", "2 identity() - box()", "sharpened"), strict=True):
    axis.set(title=title, xticks=[], yticks=[])
