import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cbook

import convjax

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[20:380:3, 90:450:3].mean(-1) / 255
kernels = convjax.kernels.sobel()
across, down = convjax.conv2d(photo[None], kernels, padding="same", padding_mode="replicate")

figure, axes = plt.subplots(1, 5, figsize=(7.2, 1.8))
axes[0].imshow(photo, cmap="gray", vmin=0, vmax=1)
for axis, picture in zip(axes[1:], (kernels[0, 0], across, kernels[1, 0], down), strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-3, vmax=3)
for axis, kernel in (axes[1], kernels[0, 0]), (axes[3], kernels[1, 0]):
    for (i, j), weight in np.ndenumerate(kernel):
        axis.text(j, i, f"{weight:.0f}", ha="center", va="center")
for axis, title in zip(axes, ("photograph", "Gx", "red: brighter left", "Gy", "red: brighter above"), strict=True):
    axis.set(title=title, xticks=[], yticks=[])
