import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cbook

import convjax

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[40:360:2, 90:410:2].mean(-1) / 255

figure, axes = plt.subplots(2, 4, figsize=(7.2, 3.3), height_ratios=(1, 2))
for (above, below), amount in zip(axes.T, (0.0, 0.5, 1.0, 2.0), strict=True):
    kernel = convjax.kernels.sharpen(amount)
    above.imshow(kernel[0, 0], cmap="RdBu_r", vmin=-18, vmax=18)
    for (i, j), weight in np.ndenumerate(kernel[0, 0]):
        above.text(j, i, f"{weight + 0:g}", ha="center", va="center")
    sharper = convjax.conv2d(photo[None], kernel, padding="same", padding_mode="replicate")[0]
    below.imshow(sharper, cmap="gray", vmin=0, vmax=1)
    above.set(title=f"amount={amount}", xticks=[], yticks=[])
    below.set(xticks=[], yticks=[])
