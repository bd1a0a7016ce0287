import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

signal = 2 + jnp.sin(jnp.arange(100) / 12) / 2 + jax.random.normal(jax.random.key(0), (1, 1, 100)) / 4

figure, axes = plt.subplots(1, 2, sharey=True)
titles = "count_include_pad=True: falls at the ends", "count_include_pad=False"
for axis, title, counted in zip(axes, titles, (True, False), strict=True):
    mean = convjax.avg_pool(signal, (15,), stride=1, padding=7, count_include_pad=counted)
    axis.plot(signal[0, 0], color="silver", label="signal")
    axis.plot(mean[0, 0], label="mean of 15")
    axis.set(title=title, xlabel="sample", ylim=(0, 3.4))
    axis.legend(loc="lower center", ncols=2)
