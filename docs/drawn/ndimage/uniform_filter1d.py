import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

x = jnp.arange(120)
noisy = jnp.where(x < 60, 0.0, 1.0) + 0.2 * jax.random.normal(jax.random.key(0), x.shape)

figure, axis = plt.subplots()
axis.plot(x, noisy, color="silver", label="input")
axis.plot(x, ndimage.uniform_filter1d(noisy, 21), label="mean of 21 around each element")
axis.plot(x, ndimage.uniform_filter1d(noisy, 21, origin=10), label="origin=10: mean of the last 21")
axis.set(title="a noisy step", xlabel="element")
axis.legend(loc="upper left")
