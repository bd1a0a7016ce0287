"""
Causal convolution, streamed
============================

A causal layer sees the past alone: all of its padding is in front. So it can run while a signal arrives. It keeps the
last samples, and each block gives the very results of the whole signal.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

channels, taps, dilation, block = 4, 3, 4, 40
reach = (taps - 1) * dilation  # samples of the past that a result depends on
weight = 0.4 * jax.random.normal(jax.random.key(0), (channels, channels, taps))
signal = jnp.cumsum(jax.random.normal(jax.random.key(1), (1, channels, 400)), -1) / 10

whole = convjax.conv1d(signal, weight, padding=((reach, 0),), dilation=dilation)

# %%
# The state is the end of what came before. A scan over blocks carries it along.


def step(past, arriving):
    seen = jnp.concatenate([past, arriving], -1)
    return seen[..., -reach:], convjax.conv1d(seen, weight, dilation=dilation)


blocks = jnp.moveaxis(signal.reshape(1, channels, -1, block), 2, 0)
_, results = jax.lax.scan(step, jnp.zeros((1, channels, reach)), blocks)
streamed = jnp.moveaxis(results, 0, 2).reshape(whole.shape)
print("largest difference:", float(abs(streamed - whole).max()))

# %%
figure, axes = plt.subplots(2, 1, figsize=(9, 4.2), sharex=True, layout="constrained")
axes[0].plot(signal[0, 0], color="0.4")
axes[0].set(title="The signal arrives in blocks", ylabel="channel 0")
axes[1].plot(whole[0, 0], color="0.8", linewidth=5, label="the whole signal at once")
axes[1].plot(streamed[0, 0], color="#1b6ca8", linewidth=1, label="block by block")
axes[1].set(title="The layer gives the same", xlabel="sample", ylabel="channel 0")
axes[1].legend(loc="upper right")
for axis in axes:
    for start in range(0, 400, block):
        axis.axvline(start, color="0.9", linewidth=0.8, zorder=0)
plt.show()
