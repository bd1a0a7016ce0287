"""
Learning edge kernels
=====================

A convolution that starts from noise sees a photograph, and what the two Sobel kernels make of it. Gradient descent
finds the kernels again.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.cbook import get_sample_data

import convjax

photo = jnp.asarray(plt.imread(get_sample_data("grace_hopper.jpg")), jnp.float32).mean(-1)[::2, ::2] / 255
x = photo[None, None]  # one image, one channel
teacher = convjax.kernels.sobel()
wanted = convjax.conv2d(x, teacher)


def loss(weight):
    return ((convjax.conv2d(x, weight) - wanted) ** 2).mean()


# %%
# The loss is a quadratic function of the weight. Its gradient is a convolution too, of the photograph with the error.

weight = 0.5 * jax.random.normal(jax.random.key(0), teacher.shape)
velocity = jnp.zeros_like(weight)
step = jax.jit(jax.value_and_grad(loss))
losses, shown = [], {0: weight}
for n in range(1, 1001):
    error, gradient = step(weight)
    velocity = 0.95 * velocity - 0.02 * gradient
    weight = weight + velocity
    losses.append(float(error))
    if n in (30, 1000):
        shown[n] = weight

# %%
# White is zero, red is positive, blue is negative. The last column is what is still missing.

columns = {f"after {n} steps": kernels for n, kernels in shown.items()}
columns |= {"Sobel": teacher, "Sobel - learned": teacher - weight}
figure, axes = plt.subplots(2, len(columns), figsize=(9, 3.8), layout="constrained")
for column, (title, kernels) in zip(axes.T, columns.items(), strict=True):
    column[0].set_title(title)
    for axis, kernel in zip(column, kernels[:, 0], strict=True):
        axis.imshow(kernel, cmap="RdBu_r", vmin=-2, vmax=2)
        axis.set(xticks=[], yticks=[])

figure, axis = plt.subplots(figsize=(6, 2.8), layout="constrained")
axis.semilogy(losses)
axis.set(xlabel="step of gradient descent", ylabel="mean squared error", title="The loss falls to that of the teacher")
plt.show()
