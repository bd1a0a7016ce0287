import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import ndimage


def gaussian(x, axis, mode, cval, sigma):
    return ndimage.gaussian_filter1d(x, sigma, axis, 1, mode, cval)


y, x = jnp.mgrid[-40:41, -40:41]
image = (abs(x) + abs(y) < 25) + 0.2 * jax.random.normal(jax.random.key(0), x.shape)
magnitudes = [ndimage.generic_gradient_magnitude(image, gaussian, extra_keywords={"sigma": s}) for s in (1, 3)]

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
pictures = image, ndimage.generic_gradient_magnitude(image, ndimage.sobel), *magnitudes
titles = "noisy diamond", "ndimage.sobel", "gaussian, sigma=1", "gaussian, sigma=3"
for axis, picture, title in zip(axes, pictures, titles, strict=True):
    axis.imshow(picture, cmap="gray")
    axis.set(title=title, xticks=[], yticks=[])
