import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

y, x = jnp.mgrid[:49, :49]
blob = jnp.exp(-((x - 24) ** 2 + 3 * (y - 24) ** 2 + 2 * (x - 24) * (y - 24)) / 200)
magnitude, direction = convjax.edges.gradient(blob, convjax.kernels.sobel())

figure, axes = plt.subplots(1, 3)
axes[0].imshow(blob, cmap="gray")
axes[1].imshow(magnitude, cmap="gray")
axes[2].imshow(direction, cmap="twilight", vmin=-jnp.pi, vmax=jnp.pi)
some = slice(2, None, 5), slice(2, None, 5)
axes[2].quiver(x[some], y[some], jnp.cos(direction[some]), jnp.sin(direction[some]), angles="xy", color="white")
for axis, title in zip(axes, ("a blob", "magnitude", "direction: uphill"), strict=True):
    axis.set(title=title, xticks=[], yticks=[])
