import jax
import matplotlib.pyplot as plt
import numpy as np

import convjax

image = jax.random.permutation(jax.random.key(0), 36).reshape(1, 6, 6)
largest, indices = convjax.max_pool2d(image, 2, return_indices=True)
rows, columns = np.divmod(indices.ravel(), 6)

figure, axes = plt.subplots(1, 2)
axes[0].plot(columns, rows, "o", markersize=19, fillstyle="none", color="tab:orange", markeredgewidth=2)
axes[0].hlines((1.5, 3.5), -0.5, 5.5, color="black")
axes[0].vlines((1.5, 3.5), -0.5, 5.5, color="black")
titles = "an image in windows of 2 x 2", "the largest of each"
for axis, title, picture in zip(axes, titles, (image, largest), strict=True):
    axis.imshow(picture[0], cmap="Blues", vmin=0, vmax=60)
    axis.set(title=title, xticks=[], yticks=[])
    for (row, column), value in np.ndenumerate(picture[0]):
        axis.text(column, row, f"{value}", ha="center", va="center")
