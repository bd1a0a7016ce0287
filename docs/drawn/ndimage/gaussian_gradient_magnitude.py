import matplotlib.pyplot as plt
from matplotlib import cbook

from convjax import ndimage

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[20:400:2, 70:450:2].mean(-1) / 255

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
axes[0].imshow(photo, cmap="gray")
axes[0].set_title("photograph")
for axis, sigma in zip(axes[1:], (1, 2, 4), strict=True):
    axis.imshow(ndimage.gaussian_gradient_magnitude(photo, sigma), cmap="gray_r", vmin=0, vmax=0.15)
    axis.set_title(f"sigma={sigma}")
plt.setp(axes, xticks=[], yticks=[])
