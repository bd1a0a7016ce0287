"""
A model of Flax, made faster
============================

Flax computes its layers by the convolutions of ``jax.lax``. If a training step is compiled by ``convjax.accelerate`` in
place of ``jax.jit``, convjax computes them and their gradients. The model stays as it is. This page needs flax.
"""

import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from flax import nnx

import convjax

labels = jnp.arange(16) % 4  # the direction of stripes in noise
angles = labels[:, None, None] * jnp.pi / 4
stripes = jnp.sin(jnp.cos(angles) * jnp.arange(32) + jnp.sin(angles) * jnp.arange(32)[:, None])
images = (stripes + 0.7 * jax.random.normal(jax.random.key(0), stripes.shape))[..., None]

# %%
# A small network with depthwise convolutions, which gain most. ``nnx.split`` takes its parameters out of it.

rngs, layers = nnx.Rngs(0), []
for n in (32, 64):
    layers += [nnx.Conv(n, n, (3, 3), feature_group_count=n, rngs=rngs), nnx.Conv(n, 64, (1, 1), rngs=rngs), nnx.relu]
stem, head = nnx.Conv(1, 32, (3, 3), strides=2, rngs=rngs), nnx.Linear(64, 4, rngs=rngs)
graph, parameters = nnx.split(nnx.Sequential(stem, nnx.relu, *layers, lambda x: x.mean((1, 2)), head))


def step(parameters, images, labels):
    def loss(parameters):
        scores = nnx.merge(graph, parameters)(images)
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], 1).mean()

    value, slopes = jax.value_and_grad(loss)(parameters)
    return jax.tree.map(lambda p, s: p - 0.005 * s / jnp.sqrt((s**2).mean() + 1e-12), parameters, slopes), value


# %%
# Both are trained in turns. The shortest step counts, on the machine that built this page. The first one compiles.

compiled = {"jax.jit": jax.jit(step), "convjax.accelerate": convjax.accelerate(step)}
copies, history = dict.fromkeys(compiled, parameters), {name: [] for name in compiled}
for name, run in 40 * list(compiled.items()):
    began = time.perf_counter()
    copies[name], value = jax.block_until_ready(run(copies[name], images, labels))
    history[name].append((float(value), time.perf_counter() - began))
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
axes[0].imshow(jnp.hstack(jnp.hstack(images[:4].reshape(2, 2, 32, 32))), cmap="gray")
axes[0].set(title="one image of each class", xticks=[], yticks=[])
results = jnp.array(list(history.values()))
for name, steps, colour, width in zip(history, results, ("0.8", "#1b6ca8"), (5, 1), strict=True):
    axes[1].plot(steps[:, 0], color=colour, linewidth=width)
    axes[2].bar_label(axes[2].bar(name, 1000 * steps[:, 1].min(), color=colour), fmt="%.1f")
axes[1].set(title=f"curves at most {jnp.ptp(results[..., 0], 0).max():.0e} apart", xlabel="step", ylabel="loss")
axes[2].set(title="a training step with 16 images", ylabel="milliseconds, timed for this page", ymargin=0.1)
plt.show()
