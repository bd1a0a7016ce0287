import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from convjax import ndimage

line = jnp.arange(1.0, 7)
shift = jnp.zeros(7).at[0].set(1)  # y[i] = x[i - 3]
modes = "reflect", "mirror", "nearest", "wrap", "constant"
rows = jnp.stack([line, *(ndimage.correlate(line, shift, mode) for mode in modes)])

figure, axis = plt.subplots()
axis.imshow(rows, cmap="RdBu_r", vmin=-12, vmax=12, aspect="auto")
for (i, j), value in np.ndenumerate(rows):
    axis.text(j, i, f"{value:.0f}", ha="center", va="center")
axis.add_patch(Rectangle((-0.45, 0.55), 2.9, 4.9, fill=False, hatch="//", alpha=0.3))
axis.set(title="shifted by 3: the hatched elements are read beyond the edge", xticks=[])
axis.set_yticks(range(6), ["input", *modes])
