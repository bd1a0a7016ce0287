"""
A learned blur
==============

How blurred is a photograph? The width of a Gaussian is a number like any other: gradient descent finds it.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.cbook import get_sample_data

from convjax import ndimage

photo = jnp.asarray(plt.imread(get_sample_data("grace_hopper.jpg")), jnp.float32).mean(-1)[::2, ::2] / 255
true_sigma = 2.7
seen = ndimage.gaussian_filter(photo, true_sigma, radius=12)

# %%
# The radius is given, because the size of a window cannot depend on a number that is learned.


def loss(log_sigma):
    return ((ndimage.gaussian_filter(photo, jnp.exp(log_sigma), radius=12) - seen) ** 2).mean()


step = jax.jit(jax.value_and_grad(loss))
log_sigma, losses, sigmas = jnp.asarray(0.0), [], []
for _ in range(60):
    value, slope = step(log_sigma)
    losses.append(float(value))
    sigmas.append(float(jnp.exp(log_sigma)))
    log_sigma = log_sigma - 150.0 * slope
print(f"found {sigmas[-1]:.3f}, was {true_sigma}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
axes[0].imshow(seen, cmap="gray")
axes[0].set_title(f"blurred by {true_sigma}")
axes[0].axis("off")
axes[1].plot(sigmas, color="#1b6ca8")
axes[1].axhline(true_sigma, color="#d1495b", linestyle=":")
axes[1].set(title="The width is found", xlabel="step", ylabel="sigma in pixels")
axes[2].semilogy(losses, color="#1b6ca8")
axes[2].set(title="The loss", xlabel="step", ylabel="mean squared error")
plt.show()
