"""
An echo removed
===============

An echo is a convolution: the sound, and a weaker copy of it a moment later. If the delay and the strength are known,
a recursion undoes it. If not, the correlation of the recording with itself shows them.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import signal

rate, delay, strength = 8000, 1600, 0.6  # samples per second, samples, share
key = jax.random.key(0)
sound = jax.random.normal(key, (2 * rate,)) * (jnp.sin(jnp.arange(2 * rate) / 900) > 0.3)
room = jnp.zeros(delay + 1).at[0].set(1.0).at[delay].set(strength)
recording = signal.convolve(sound, room, mode="full")[: len(sound)]

# %%
# The recording resembles itself where it is shifted by the delay of the echo.

likeness = signal.correlate(recording, recording, mode="full")
lags = signal.correlation_lags(len(recording), len(recording), mode="full")
late = lags > 400
peak = int(lags[jnp.argmax(jnp.where(late, likeness, 0))])
ratio = float(likeness[lags == peak][0] / likeness[lags == 0][0])
share = (1 - (1 - 4 * ratio**2) ** 0.5) / (2 * ratio)  # a / (1 + a^2) = ratio
print(f"delay {peak} samples (it is {delay}), strength {share:.2f} (it is {strength})")

# %%
# 1 / (1 + a z) = 1 - a z + a^2 z^2 - ...: the inverse of an echo is a train of echoes with changing signs.

count = 8
inverse = jnp.zeros(count * peak).at[jnp.arange(count) * peak].set((-share) ** jnp.arange(count))
restored = signal.fftconvolve(recording, inverse, mode="full")[: len(sound)]

figure, axes = plt.subplots(2, 1, figsize=(9, 4.6), layout="constrained")
axes[0].plot(lags / rate, likeness, color="#1b6ca8", linewidth=0.7)
axes[0].set(xlim=(-0.4, 0.4), xlabel="shift in seconds", title="The recording compared with itself")
seconds = jnp.arange(len(sound)) / rate
for name, each, colour in (("with echo", recording, "0.75"), ("echo removed", restored, "#1b6ca8")):
    axes[1].plot(seconds, each - sound, color=colour, linewidth=0.6, label=name)
axes[1].set(xlabel="seconds", ylabel="difference", title="What differs from the sound itself")
axes[1].legend(loc="upper right")
plt.show()
