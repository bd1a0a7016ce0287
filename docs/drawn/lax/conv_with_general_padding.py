import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

row, column = jnp.mgrid[:16, :16]
board = jnp.where((row // 4 + column // 4) % 2, 0.3, (row + column + 8) / 38)[None, None]
one = jnp.ones((1, 1, 1, 1))

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7))
for axis, (rows, columns) in zip(axes, (((2, 2), (2, 2)), ((6, 0), (0, 3)), ((-4, 3), (0, -6))), strict=True):
    result = convjax.lax.conv_with_general_padding(board, one, (1, 1), (rows, columns), None, None)[0, 0]
    sides = -columns[0], 16 + columns[1], 16 + rows[1], -rows[0]
    axis.imshow(result, cmap="gray", vmin=0, vmax=1, extent=sides)
    axis.add_patch(plt.Rectangle((0, 0), 16, 16, fill=False, edgecolor="tab:orange", linewidth=2))
    axis.set(title=f"rows {rows}, columns {columns}", xticks=[], yticks=[], xlim=(-5, 21), ylim=(20, -6.3))
