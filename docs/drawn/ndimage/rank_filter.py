import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from convjax import ndimage

image = jax.random.permutation(jax.random.key(3), 25).reshape(5, 5)
results = {f"rank={rank}, size=3": ndimage.rank_filter(image, rank, size=3) for rank in (0, 2, -1)}

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.3))
for axis, (title, picture) in zip(axes, ({"image": image} | results).items(), strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-50, vmax=50)
    axis.set(title=title, xticks=[], yticks=[])
    for (i, j), value in np.ndenumerate(picture):
        axis.text(j, i, value, ha="center", va="center")
    axis.add_patch(Rectangle((1.5, 1.5), 1, 1, fill=False))
axes[0].add_patch(Rectangle((0.5, 0.5), 3, 3, fill=False))
window = sorted(image[1:4, 1:4].ravel().tolist())
figure.suptitle(f"the middle window, sorted: {window}", fontsize="medium")
