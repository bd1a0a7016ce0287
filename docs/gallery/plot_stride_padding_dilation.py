"""
What a stride, a padding and a dilation do
==========================================

A window slides over the image. Where it stops gives one result. Padding puts zeros around the image, a stride makes
the window step further, and a dilation spreads its taps.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

import convjax

x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
weight = np.ones((1, 1, 3, 3), np.float32)
settings = {
    "plain": {},
    "padding=1": {"padding": 1},
    "stride=2, padding=1": {"stride": 2, "padding": 1},
    "dilation=2": {"dilation": 2},
}

# %%
# Blue squares are the taps of the first window, orange ones those of the last. Grey zeros are padding.


def draw(axis, options):
    """The padded image, and the elements under the taps of the first and of the last window."""
    pad, stride, dilation = options.get("padding", 0), options.get("stride", 1), options.get("dilation", 1)
    image = np.pad(x[0, 0], pad)
    rows, _ = convjax.conv2d(x, weight, **options).shape[2:]
    axis.set(xlim=(0, len(image)), ylim=(len(image), 0), aspect="equal", xticks=[], yticks=[])
    for colour, start in (("#9ecae1", 0), ("#fdae6b", (rows - 1) * stride)):
        for i in range(3):
            for j in range(3):
                corner = start + j * dilation, start + i * dilation
                axis.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=0.8))
    for (i, j), value in np.ndenumerate(image):
        inside = pad <= i < len(image) - pad and pad <= j < len(image) - pad
        axis.text(j + 0.5, i + 0.5, f"{value:.0f}", ha="center", va="center", color="black" if inside else "0.6")
        axis.add_patch(Rectangle((j, i), 1, 1, fill=False, edgecolor="0.8"))


figure, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained")
for axis, (title, options) in zip(axes, settings.items(), strict=True):
    draw(axis, options)
    size = convjax.conv_output_shape(x.shape, weight.shape, function=convjax.conv2d, **options)[2:]
    axis.set_title(f"{title}\n6 x 6 becomes {size[0]} x {size[1]}")
plt.show()

# %%
# The size of a result is floor((n + 2 padding - dilation (k - 1) - 1) / stride) + 1, as in torch.

print({name: convjax.conv2d(x, weight, **options).shape for name, options in settings.items()})
