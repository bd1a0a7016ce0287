"""
Padding modes
=============

What lies beyond the edge of an image? torch has four answers, and ``conv2d`` has them too.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

import convjax

image = np.arange(1.0, 17, dtype=np.float32).reshape(1, 1, 4, 4)
width = 2
modes = "zeros", "reflect", "replicate", "circular"

# %%
# A kernel of a single one copies the padded image: it shows what a window sees.

window = np.ones((1, 1, 1, 1), np.float32)
seen = {mode: convjax.conv2d(image, window, padding=width, padding_mode=mode)[0, 0] for mode in modes}

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
for axis, (mode, values) in zip(axes, seen.items(), strict=True):
    axis.imshow(values, cmap="Blues", vmin=0, vmax=24)
    axis.add_patch(Rectangle((width - 0.5, width - 0.5), 4, 4, fill=False, edgecolor="#d1495b", linewidth=2))
    for (i, j), value in np.ndenumerate(np.asarray(values)):
        axis.text(j, i, f"{value:.0f}", ha="center", va="center")
    axis.set(title=f'padding_mode="{mode}"', xticks=[], yticks=[])
plt.show()

# %%
# SciPy has other names for the same things: "reflect" is its "mirror", "replicate" its "nearest", and "circular" its
# "wrap". What SciPy calls "reflect" repeats the edge, and torch has no such mode. ``convjax.ndimage`` has SciPy's.
