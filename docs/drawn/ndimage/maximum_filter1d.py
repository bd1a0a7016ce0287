import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

x = jnp.arange(300)
tone = jnp.sin(0.5 * x) * jnp.exp(-(((x - 120) / 60.0) ** 2))

figure, axis = plt.subplots()
axis.plot(x, tone, color="silver", label="a tone that swells and fades")
axis.plot(x, ndimage.maximum_filter1d(tone, 15), label="size=15: its envelope")
axis.plot(x, ndimage.maximum_filter1d(tone, 15, origin=7), label="size=15, origin=7: from the last 15 samples")
axis.set(xlabel="sample", ylim=(None, 2.2))
axis.legend()
