import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

columns = jnp.tile(jnp.array([1, 10, 100, 1000]), (4, 1))
side_by_side = convjax.fold(columns, 4, 2, stride=2)[0]
overlapping = convjax.fold(columns, 3, 2, stride=1)[0]

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7))
titles = "4 patches as columns", "stride 2: side by side", "stride 1: overlaps are added"
for axis, title, picture in zip(axes, titles, (columns, side_by_side, overlapping), strict=True):
    axis.imshow(np.log10(picture), cmap="Blues", vmin=0, vmax=6)
    axis.set(title=title, xticks=[], yticks=[])
    for (row, column), value in np.ndenumerate(picture):
        axis.text(column, row, f"{value}", ha="center", va="center")
