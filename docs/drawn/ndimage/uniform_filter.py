import jax
import matplotlib.pyplot as plt

from convjax import ndimage

noise = jax.random.normal(jax.random.key(0), (120, 120))

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
for axis, size in zip(axes, (1, 3, 9, (1, 31)), strict=True):
    mean = ndimage.uniform_filter(noise, size)
    axis.imshow(mean, cmap="RdBu_r", vmin=-2, vmax=2)
    axis.set(title=f"size={size}: std {mean.std():.2f}", xticks=[], yticks=[])
