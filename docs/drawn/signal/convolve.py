import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import signal

steps = jnp.repeat(jnp.array([1.0, 3.0, 0.0, 2.0]), 6)
mean = jnp.full(5, 1 / 5)

figure, axes = plt.subplots(1, 3, sharex=True, sharey=True)
for axis, mode, start in zip(axes, ("full", "same", "valid"), (0, 2, 4), strict=True):
    result = signal.convolve(steps, mean, mode)
    axis.step(2 + jnp.arange(24), steps, where="mid", color="silver")
    axis.plot(start + jnp.arange(result.size), result, ".-")
    axis.set(title=f'mode="{mode}": {result.size} elements', xlabel="index of the full result", ylim=(-0.2, 4.8))
axes[0].legend(("24 elements", "means of 5"), loc="upper right")
