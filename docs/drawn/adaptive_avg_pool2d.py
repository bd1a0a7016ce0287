import matplotlib.cbook
import matplotlib.pyplot as plt

import convjax

photograph = plt.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg"))[::3, ::3] / 255
channels = photograph.transpose(2, 0, 1)

figure, axes = plt.subplots(1, 4)
for axis, size in zip(axes, ((None, None), (24, 24), (12, 12), (None, 4)), strict=True):
    means = convjax.adaptive_avg_pool2d(channels, size)
    axis.imshow(means.transpose(1, 2, 0), aspect="auto")
    axis.set(title="{} x {}".format(*means.shape[1:]), xticks=[], yticks=[])
    axis.set_box_aspect(photograph.shape[0] / photograph.shape[1])
