import jax
import matplotlib.pyplot as plt

import convjax

night = jax.random.bernoulli(jax.random.key(3), 0.01, (1, 31, 47)).astype(float)
largest = convjax.adaptive_max_pool2d(night, (8, 12))
means = convjax.adaptive_avg_pool2d(night, (8, 12))

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2))
titles = "stars: 31 x 47", "the largest: 8 x 12", "adaptive_avg_pool2d: dim"
for axis, title, picture in zip(axes, titles, (night, largest, means), strict=True):
    axis.imshow(picture[0], cmap="gray", vmin=0, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
