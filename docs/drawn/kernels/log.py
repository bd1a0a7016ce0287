import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

kernel = convjax.kernels.log(3.0)
y, x = jnp.mgrid[:60, :60]
image = ((jnp.hypot(x - 18, y - 20) < 8) | (abs(x - 41) + abs(y - 40) < 12)).astype(float)
response = convjax.conv2d(image[None], kernel, padding="same", padding_mode="replicate")[0]

figure, (left, middle, right) = plt.subplots(1, 3)
left.imshow(kernel[0, 0], cmap="RdBu_r", vmin=-0.005, vmax=0.005)
middle.imshow(image, cmap="gray")
right.imshow(response, cmap="RdBu_r", vmin=-0.1, vmax=0.1)
right.contour(response, levels=[-0.0005], colors="black", linestyles="solid", linewidths=1)  # 0 but for rounding
for axis, title in (left, "log(3.0), 25 x 25"), (middle, "image"), (right, "response and its zero crossings"):
    axis.set(title=title, xticks=[], yticks=[])
