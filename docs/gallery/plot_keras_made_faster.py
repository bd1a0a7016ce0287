"""
A model of Keras, made faster
=============================

Keras traces its models itself. Inside of ``with convjax.patched():`` it finds the convolutions of convjax in
``jax.lax``. So ``fit`` runs them and their gradients, and the model stays as it is. This page needs keras.
"""

import contextlib
import os
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

os.environ["KERAS_BACKEND"] = "jax"  # before Keras is imported
import keras

labels = jnp.arange(64) % 4  # the direction of stripes in noise
angles = labels[:, None, None] * jnp.pi / 4
stripes = jnp.sin(jnp.cos(angles) * jnp.arange(32) + jnp.sin(angles) * jnp.arange(32)[:, None])
images = (stripes + 0.7 * jax.random.normal(jax.random.key(0), stripes.shape))[..., None]

# %%
# A small network with depthwise convolutions, which gain most. Two copies are trained in turns, one as Keras is, one
# inside of ``patched``. The shortest epoch counts, on the machine that built this page. The first one compiles.

keras.utils.set_random_seed(0)
layers = [
    keras.Input((32, 32, 1)),
    keras.layers.Conv2D(32, 3, 2, "same", activation="relu"),
    *(keras.layers.SeparableConv2D(64, 3, padding="same", activation="relu") for _ in range(2)),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(4, activation="softmax"),
]
history = {"as it is": [], "patched": []}
models = {name: keras.models.clone_model(keras.Sequential(layers)) for name in history}
models["patched"].set_weights(models["as it is"].get_weights())
for model in models.values():
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
for name, model in 15 * list(models.items()):
    with convjax.patched() if name == "patched" else contextlib.nullcontext():
        began = time.perf_counter()
        fitted = model.fit(images, labels, batch_size=16, shuffle=False, verbose=0)
        history[name].append((fitted.history["loss"][0], time.perf_counter() - began))

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
axes[0].imshow(jnp.hstack(jnp.hstack(images[:4].reshape(2, 2, 32, 32))), cmap="gray")
axes[0].set(title="one image of each class", xticks=[], yticks=[])
results = jnp.array(list(history.values()))
for name, epochs, colour, width in zip(history, results, ("0.8", "#1b6ca8"), (5, 1), strict=True):
    axes[1].plot(epochs[:, 0], color=colour, linewidth=width)
    axes[2].bar_label(axes[2].bar(name, 1000 * epochs[:, 1].min(), color=colour), fmt="%.1f")
axes[1].set(title=f"curves at most {jnp.ptp(results[..., 0], 0).max():.0e} apart", xlabel="epoch", ylabel="loss")
axes[1].set_xticks(range(0, 15, 2))
axes[2].set(title="an epoch of 64 images", ylabel="milliseconds, timed for this page", ymargin=0.1)
plt.show()
