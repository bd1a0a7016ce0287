import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from convjax import ndimage


def second(x, axis, mode, cval, weights):
    return ndimage.correlate1d(x, weights, axis, mode, cval)


dot = jnp.zeros((7, 7)).at[3, 3].set(1)
figure, axes = plt.subplots(1, 3)
for axis, weights in zip(axes, ([1, -2, 1], [1, 0, -2, 0, 1], [1, 2, -6, 2, 1]), strict=True):
    response = ndimage.generic_laplace(dot, second, extra_arguments=(weights,))
    axis.imshow(response, cmap="RdBu_r", vmin=-16, vmax=16)
    axis.set(title=f"a dot, weights {weights}", xticks=[], yticks=[])
    for (i, j), value in np.ndenumerate(response):
        axis.text(j, i, f"{value:.0f}", ha="center", va="center")
