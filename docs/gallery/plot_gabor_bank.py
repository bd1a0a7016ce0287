"""
A bank of Gabor filters
=======================

A Gabor kernel is a wave under a bell: it answers to stripes of one width and one direction. One convolution applies a
whole bank of them.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

angles = np.arange(8) * np.pi / 8
bank = jnp.concatenate([convjax.kernels.gabor(size=21, wavelength=8, theta=float(t), sigma=4) for t in angles])

# %%
# A test picture: rings, whose stripes have every direction.

y, x = np.mgrid[-96:96, -96:96]
rings = jnp.asarray(np.cos(2 * np.pi * np.hypot(x, y) / 8), jnp.float32)
answers = convjax.conv2d(rings[None, None], bank, padding="same")[0]
energy = jnp.sqrt(convjax.avg_pool2d(answers[None] ** 2, 9, 1, 4)[0])

# %%
# Above, the kernels. Below, how strongly each of them answers: only where the stripes lie along its own.

figure, axes = plt.subplots(2, 8, figsize=(12, 3.4), layout="constrained")
for n, angle in enumerate(angles):
    limit = float(abs(bank[n]).max())
    axes[0, n].imshow(bank[n, 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[1, n].imshow(energy[n], cmap="magma", vmin=0, vmax=float(energy.max()))
    axes[0, n].set_title(f"{np.degrees(angle):.0f}\N{DEGREE SIGN}")
for axis in axes.flat:
    axis.axis("off")
plt.show()
