"""
A matched filter
================

A short chirp is buried in noise that is louder than it. Correlating the recording with the chirp finds it: at its
place, all of its samples add up.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import signal

rate = 8000  # samples per second
t = jnp.arange(0, 0.1, 1 / rate)
chirp = jnp.sin(2 * jnp.pi * (400 + 6000 * t) * t)  # 400 Hz, rising
at = 5000
recording = 1.5 * jax.random.normal(jax.random.key(1), (rate,))
recording = recording.at[at : at + len(chirp)].add(chirp)

# %%
# ``correlation_lags`` says how far the chirp is shifted in each element of the result.

answer = signal.correlate(recording, chirp, mode="full")
lags = signal.correlation_lags(len(recording), len(chirp), mode="full")
found = int(lags[jnp.argmax(answer)])
print(f"the chirp begins at sample {found}; it was put at {at}")

# %%
figure, axes = plt.subplots(2, 1, figsize=(9, 4.4), sharex=True, layout="constrained")
axes[0].plot(jnp.arange(len(recording)) / rate, recording, color="0.7", linewidth=0.5)
axes[0].plot((at + jnp.arange(len(chirp))) / rate, chirp, color="#d1495b", linewidth=0.8, label="the chirp in it")
axes[0].set(ylabel="amplitude", title="A chirp in louder noise")
axes[0].legend(loc="upper right")
axes[1].plot(lags / rate, answer, color="#1b6ca8", linewidth=0.7)
axes[1].set(xlabel="seconds", ylabel="correlation", title="The matched filter answers where it begins", xlim=(0, 1))
plt.show()
