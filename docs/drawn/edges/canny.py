import matplotlib.pyplot as plt
from matplotlib import cbook

import convjax

photo = plt.imread(cbook.get_sample_data("grace_hopper.jpg"))[20:400:2, 70:450:2].mean(-1) / 255
options = {"sigma": 1.0}, {"sigma": 3.0}, {"sigma": 1.0, "low_threshold": 0.4, "high_threshold": 0.8}
titles = "sigma=1.0", "sigma=3.0", "thresholds 0.4 and 0.8"

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
axes[0].imshow(photo, cmap="gray")
axes[0].set_title("photograph")
for axis, option, title in zip(axes[1:], options, titles, strict=True):
    axis.imshow(convjax.edges.canny(photo, **option), cmap="gray_r")
    axis.set_title(title)
plt.setp(axes, xticks=[], yticks=[])
