import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

x = jnp.arange(200)
noisy = jnp.where((x > 60) & (x < 130), 1.0, 0.0) + 0.2 * jax.random.normal(jax.random.key(0), x.shape)

figure, (left, right) = plt.subplots(1, 2)
left.plot(x, noisy, color="silver")
for sigma in 2, 8:
    left.plot(x, ndimage.gaussian_filter1d(noisy, sigma), label=f"sigma={sigma}")
    right.plot(x, ndimage.gaussian_filter1d(noisy, sigma, order=1), label=f"sigma={sigma}")
left.set(title="smoothed", xlabel="element", ylim=(None, 2.2))
right.set(title="first derivative: order=1", xlabel="element")
left.legend(loc="upper right")
right.legend()
