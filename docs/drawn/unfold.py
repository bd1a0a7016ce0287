import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

image = jnp.arange(16.0).reshape(1, 4, 4)
columns = convjax.unfold(image, 2)

figure, (left, right) = plt.subplots(1, 2, width_ratios=(4, 9))
left.set(title="an image", xticks=[], yticks=[])
right.set(title="a column for each 2 x 2 window", xticks=[], yticks=[])
for axis, picture in ((left, image[0]), (right, columns)):
    axis.imshow(picture, cmap="Greys", vmin=0, vmax=40)
    for (row, column), value in np.ndenumerate(picture):
        axis.text(column, row, f"{value:.0f}", ha="center", va="center")
for position, color in ((0, "tab:blue"), (4, "tab:orange"), (8, "tab:red")):
    style = {"fill": False, "edgecolor": color, "linewidth": 3, "clip_on": False}
    left.add_patch(plt.Rectangle((position % 3 - 0.5, position // 3 - 0.5), 2, 2, **style))
    right.add_patch(plt.Rectangle((position - 0.5, -0.5), 1, 4, **style))
