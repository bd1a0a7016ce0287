import matplotlib.pyplot as plt
from matplotlib import cbook

from convjax import ndimage

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[20:400:2, 70:450:2].mean(-1) / 255
edges = ndimage.gaussian_filter(photo, 2, order=(0, 1))

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
axes[0].imshow(photo, cmap="gray", vmin=0, vmax=1)
axes[1].imshow(ndimage.gaussian_filter(photo, 4), cmap="gray", vmin=0, vmax=1)
axes[2].imshow(ndimage.gaussian_filter(photo, (0, 8)), cmap="gray", vmin=0, vmax=1)
axes[3].imshow(edges, cmap="RdBu_r", vmin=-0.1, vmax=0.1)
for axis, title in zip(axes, ("photograph", "sigma=4", "sigma=(0, 8)", "sigma=2, order=(0, 1)"), strict=True):
    axis.set(title=title, xticks=[], yticks=[])
