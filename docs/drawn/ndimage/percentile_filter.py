import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage

x = jnp.arange(300)
pulses = 2.0 * (x % 40 < 4) + jnp.sin(x / 60) + 0.1 * jax.random.normal(jax.random.key(0), x.shape)

figure, (left, right) = plt.subplots(1, 2)
left.plot(x, pulses, color="silver", label="input")
for percentile in 10, 50, 95:
    left.plot(x, ndimage.percentile_filter(pulses, percentile, size=41), label=f"percentile={percentile}")
left.set(title="pulses on a drift", xlabel="element", ylim=(None, 6.2))
left.legend(ncols=2, fontsize="small")
right.plot(x, pulses - ndimage.percentile_filter(pulses, 50, size=41))
right.set(title="input minus percentile=50", xlabel="element")
