import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

x = jnp.arange(150)
signal = jnp.sin(x / 20) + abs(jax.random.normal(jax.random.key(0), x.shape))

figure, axis = plt.subplots()
axis.plot(x, signal, color="silver", label="input")
for size in 5, 21:
    axis.plot(x, ndimage.minimum_filter1d(signal, size), label=f"size={size}")
axis.set(title="the smallest element of each window", xlabel="element", ylim=(None, 4))
axis.legend(ncols=3)
