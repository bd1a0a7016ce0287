import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

weight = jnp.array([[[1.0, 2, 3]]])
down = jax.jacobian(lambda x: convjax.conv(x[None], weight, stride=2, padding=1)[0])(jnp.zeros(9))
up = jax.jacobian(lambda y: convjax.conv_transpose(y[None], weight, stride=2, padding=1)[0])(jnp.zeros(5))

figure, axes = plt.subplots(1, 2, figsize=(5.4, 3.8), width_ratios=(9, 5))
titles = "the matrix of conv: 9 to 5 elements", "of conv_transpose: 5 to 9"
for axis, title, matrix in zip(axes, titles, (down, up), strict=True):
    axis.imshow(matrix, cmap="RdBu_r", vmin=-6, vmax=6)
    axis.set(title=title, xticks=[], yticks=[])
    for (row, column), value in np.ndenumerate(matrix):
        axis.text(column, row, f"{value:.0f}", ha="center", va="center")
