"""
Super-resolution
================

A small network learns to double the size of a photograph: two convolutions, and a transposed one that writes four
pixels for every one.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.cbook import get_sample_data

import convjax

photo = jnp.asarray(plt.imread(get_sample_data("grace_hopper.jpg")), jnp.float32).mean(-1)[60:316, 130:386] / 255
large = photo[None, None]
small = convjax.avg_pool2d(large, 2)
keys = jax.random.split(jax.random.key(0), 3)
params = [
    convjax.init_conv(keys[0], 1, 8, (5, 5)),
    convjax.init_conv(keys[1], 8, 8, (3, 3)),
    convjax.init_conv(keys[2], 8, 1, (4, 4), transpose=True),
]


def enlarge(params, x):
    first, second, last = params
    h = jax.nn.relu(convjax.conv2d(x, *first, padding=2))
    h = jax.nn.relu(convjax.conv2d(h, *second, padding=1))
    plain = jax.image.resize(x, (*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]), "linear")
    return plain + convjax.conv_transpose2d(h, *last, stride=2, padding=1)


@jax.jit
def train(params):
    def step(n, state):
        params, mean, square = state
        g = jax.grad(lambda p: ((enlarge(p, small) - large) ** 2).mean())(params)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, g)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g**2, square, g)
        params = jax.tree.map(lambda p, m, s: p - 0.01 * m / (jnp.sqrt(s) + 1e-8), params, mean, square)
        return params, mean, square

    zeros = jax.tree.map(jnp.zeros_like, params)
    return jax.lax.fori_loop(0, 100, step, (params, zeros, zeros))[0]


# %%
learned = enlarge(train(params), small)
plain = jax.image.resize(small, large.shape, "linear")
figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
for axis, title, y in zip(axes, ("linear", "learned", "the photograph"), (plain, learned, large), strict=True):
    axis.imshow(y[0, 0, 40:200, 40:200], cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"{title}, error {float(jnp.sqrt(((y - large) ** 2).mean())):.4f}")
    axis.axis("off")
plt.show()
