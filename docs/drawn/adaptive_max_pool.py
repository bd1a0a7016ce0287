import jax
import matplotlib.pyplot as plt

import convjax

figure, axes = plt.subplots(1, 2, sharey=True)
for axis, size in zip(axes, (10, 17), strict=True):
    signal = jax.random.uniform(jax.random.key(0), (1, 1, size))
    largest = convjax.adaptive_max_pool(signal, 4)[0, 0]
    axis.bar(range(size), signal[0, 0], color="lightgrey")
    for window, value in enumerate(largest):
        start, stop = window * size // 4, -(-(window + 1) * size // 4)
        axis.plot((start - 0.4, stop - 0.6), (value, value), linewidth=3)
    axis.set(title=f"{size} elements, 4 windows", xlabel="element", xticks=range(0, size, 2))
