import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cbook

import convjax

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[40:360:2, 90:410:2].mean(-1) / 255
kernel = convjax.kernels.gaussian(1.0, 5)[0, 0]

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
axes[0].imshow(kernel, cmap="RdBu_r", vmin=-0.4, vmax=0.4)
axes[0].set(title="gaussian(1.0, 5)", xticks=[], yticks=[])
for (i, j), weight in np.ndenumerate(kernel):
    axes[0].text(j, i, f"{weight:.2f}"[1:], ha="center", va="center")
for axis, sigma in zip(axes[1:], (1.0, 2.0, 4.0), strict=True):
    blurred = convjax.conv2d(photo[None], convjax.kernels.gaussian(sigma), padding="same", padding_mode="replicate")[0]
    axis.imshow(blurred, cmap="gray", vmin=0, vmax=1)
    axis.set(title=f"sigma={sigma}", xticks=[], yticks=[])
