"""
Per-example gradients
=====================

``jax.vmap`` of a gradient gives the gradient of every image of its own: for differential privacy, or to find images
that pull a model somewhere else. convjax computes them all in one convolution with groups.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

teacher = convjax.kernels.sobel()[:1]
images = jax.random.normal(jax.random.key(0), (24, 1, 32, 32))
wanted = convjax.conv2d(images, teacher)
wanted = wanted.at[5].multiply(-1)  # one image has a wrong answer


def loss(weight, image, answer):
    return ((convjax.conv2d(image[None], weight)[0] - answer) ** 2).mean()


weight = teacher + 0.3 * jax.random.normal(jax.random.key(1), teacher.shape)
each = jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0)))(weight, images, wanted)
print("weight", weight.shape, "gradients", each.shape)

# %%
# The gradient of image 5 points another way, and is much longer.

mean = each.mean(0)
length = jnp.sqrt((each**2).sum((1, 2, 3, 4)))
along = (each * mean).sum((1, 2, 3, 4)) / length / jnp.sqrt((mean**2).sum())

figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
axes[0].bar(range(24), length, color=["#d1495b" if n == 5 else "#1b6ca8" for n in range(24)])
axes[0].set(title="Length of each gradient", xlabel="image")
for axis, title, kernel in zip(axes[1:], ("image 4", "image 5"), (each[4, 0, 0], each[5, 0, 0]), strict=True):
    limit = float(abs(each[:, 0, 0]).max())
    axis.imshow(kernel, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.set(title=f"gradient of {title}", xticks=[], yticks=[])
plt.show()
