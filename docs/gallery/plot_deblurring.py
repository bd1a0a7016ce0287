"""
Deblurring by gradient descent
==============================

A blur is a convolution, so its derivative is one too. Gradient descent on the pixels finds an image that, blurred in
the same way, gives the blurred photograph.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.cbook import get_sample_data

from convjax import kernels, ndimage

photo = jnp.asarray(plt.imread(get_sample_data("grace_hopper.jpg")), jnp.float32).mean(-1)[60:316, 130:386] / 255
blur = kernels.gaussian(size=13, sigma=2.5)[0, 0]
blurred = ndimage.correlate(photo, blur) + 0.002 * jax.random.normal(jax.random.key(0), photo.shape)


def loss(image):
    """How far the blurred image is from what was seen, and a little of how rough it is."""
    rough = jnp.abs(jnp.diff(image, axis=0)).mean() + jnp.abs(jnp.diff(image, axis=1)).mean()
    return ((ndimage.correlate(image, blur) - blurred) ** 2).mean() + 1e-5 * rough


# %%
# Adam's rule, with momentum and a step for each pixel.


@jax.jit
def descend(image):
    def step(n, state):
        image, mean, square = state
        g = jax.grad(loss)(image)
        mean, square = 0.9 * mean + 0.1 * g, 0.99 * square + 0.01 * g**2
        return image - 0.02 * mean / (jnp.sqrt(square) + 1e-8), mean, square

    return jax.lax.fori_loop(0, 300, step, (image, jnp.zeros_like(image), jnp.zeros_like(image)))[0]


restored = descend(blurred)

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
for axis, title, picture in zip(axes, ("sharp", "blurred", "restored"), (photo, blurred, restored), strict=True):
    error = float(jnp.sqrt(((picture - photo) ** 2).mean()))
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set_title(title if picture is photo else f"{title}: off by {error:.3f}")
    axis.axis("off")
plt.show()
