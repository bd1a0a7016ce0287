import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

y, x = jnp.mgrid[-60:61, -60:61]
spokes = jnp.sign(jnp.cos(24 * jnp.arctan2(y, x)))
options = {}, {"theta": jnp.pi / 4}, {"theta": jnp.pi / 2}, {"wavelength": 9.0}, {"phase": jnp.pi / 2}
titles = "theta=0", "theta=π/4", "theta=π/2", "wavelength=9", "phase=π/2"

figure, axes = plt.subplots(2, 5, figsize=(7.2, 3.2))
for (above, below), option, title in zip(axes.T, options, titles, strict=True):
    kernel = convjax.kernels.gabor(**{"wavelength": 6.0, "sigma": 3.0, "size": 25} | option)
    above.imshow(kernel[0, 0], cmap="RdBu_r", vmin=-1, vmax=1)
    below.imshow(convjax.conv2d(spokes[None], kernel)[0], cmap="RdBu_r", vmin=-60, vmax=60)
    above.set_title(title)
axes[0, 0].set_ylabel("kernel")
axes[1, 0].set_ylabel("response to spokes")
plt.setp(axes.ravel(), xticks=[], yticks=[])
