import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

signal = jnp.array([[1.0, 4, 2, 2, 3, 5, 7, 6, 4, 1, 0, 3]])
largest, indices = convjax.max_pool(signal, (3,), return_indices=True)
back = convjax.max_unpool(largest, indices, (3,))

figure, axes = plt.subplots(1, 3, sharey=True, width_ratios=(3, 1, 3))
for axis, title, values in zip(
    axes, ("a signal", "largest of 3", "put back where they were"), (signal, largest, back), strict=True
):
    axis.stem(values[0], basefmt="grey")
    axis.set(title=title, xlabel="element", xticks=range(0, values.size, 3), xlim=(-0.5, values.size - 0.5))
for edge in (2.5, 5.5, 8.5):
    axes[0].axvline(edge, color="silver")
    axes[2].axvline(edge, color="silver")
