import matplotlib.pyplot as plt
from matplotlib import cbook

from convjax import ndimage

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[20:400:2, 70:450:2].mean(-1) / 255
difference = [-1.0, 0.0, 1.0]

figure, axes = plt.subplots(1, 3)
axes[0].imshow(photo, cmap="gray")
for axis, along in zip(axes[1:], (0, 1), strict=True):
    axis.imshow(ndimage.correlate1d(photo, difference, along), cmap="RdBu_r", vmin=-0.6, vmax=0.6)
for axis, title in zip(axes, ("photograph", "[-1, 0, 1] along axis 0", "[-1, 0, 1] along axis 1"), strict=True):
    axis.set(title=title, xticks=[], yticks=[])
