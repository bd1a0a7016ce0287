import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import signal

noise = jax.random.normal(jax.random.key(0), 160)
kernel = jnp.exp(-jnp.arange(40.0) / 10)

figure, axis = plt.subplots()
for n, block in enumerate(noise.reshape(4, 40)):
    axis.plot(40 * n + jnp.arange(79), signal.convolve(block, kernel), label=f"block {n}")
axis.plot(signal.oaconvolve(noise, kernel), "k--", label="oaconvolve")
axis.set(title="noise in four blocks of 40: their results overlap and add up", xlabel="sample", ylim=(None, 7.5))
axis.legend(ncols=5, fontsize="small")
