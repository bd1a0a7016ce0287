import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

angles = jnp.radians(jnp.arange(91))
y, x = jnp.mgrid[-1:2, -1:2]
waves = jnp.sin(2 * jnp.pi / 6 * (x * jnp.cos(angles)[:, None, None] + y * jnp.sin(angles)[:, None, None]))

figure, (grid, curves) = plt.subplots(1, 2, width_ratios=(1, 2))
grid.imshow(convjax.kernels.scharr()[0, 0], cmap="RdBu_r", vmin=-20, vmax=20)
grid.set(title="Gx", xticks=[], yticks=[])
for (i, j), weight in np.ndenumerate(convjax.kernels.scharr()[0, 0]):
    grid.text(j, i, f"{weight:.0f}", ha="center", va="center")
for kernel in convjax.kernels.scharr, convjax.kernels.sobel, convjax.kernels.prewitt:
    _, direction = convjax.edges.gradient(waves, kernel())
    curves.plot(jnp.degrees(direction[:, 1, 1] - angles), label=kernel.__name__)
curves.set(title="waves of 6 pixels", xlabel="direction of the wave (degrees)", ylabel="error (degrees)")
curves.legend()
