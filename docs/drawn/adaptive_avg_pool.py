import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

time = jnp.linspace(0, 1, 100)
chirp = jnp.sin(2 * jnp.pi * 4 * time**2)[None, None]

figure, axes = plt.subplots(1, 3, sharey=True)
for axis, windows in zip(axes, (7, 16, 40), strict=True):
    means = convjax.adaptive_avg_pool(chirp, windows)
    axis.plot(time, chirp[0, 0], color="silver")
    axis.stairs(means[0, 0], jnp.linspace(0, 1, windows + 1), baseline=None, linewidth=2)
    axis.set(title=f"100 samples, {windows} means", xlabel="time / s")
