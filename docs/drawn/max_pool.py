import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

signal = jnp.cumsum(jax.random.normal(jax.random.key(1), (1, 1, 80)), -1)
largest, indices = convjax.max_pool(signal, (10,), return_indices=True)
edges = jnp.arange(0, 81, 10) - 0.5

figure, axis = plt.subplots()
axis.plot(signal[0, 0], color="grey", label="signal")
axis.stairs(largest[0, 0], edges, baseline=None, linewidth=2, label="largest of each 10")
axis.plot(indices[0, 0], largest[0, 0], "o", color="tab:orange", label="where it is")
axis.set(title="the largest element of each window, and where it is", xlabel="sample")
axis.legend()
