import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

dog, log = convjax.kernels.dog(2.0, 25)[0, 0], convjax.kernels.log(2.5, 25)[0, 0]
narrow, wide = (convjax.kernels.gaussian(sigma, 25)[0, 0] for sigma in (2.0, 3.2))

figure, (surface, parts, both) = plt.subplots(1, 3, width_ratios=(1, 1.3, 1.3))
surface.imshow(dog, cmap="RdBu_r", vmin=-0.025, vmax=0.025)
surface.set(title="dog(2.0, 25)", xticks=[], yticks=[])
x = jnp.arange(-12, 13)
for row, label in (narrow[12], "sigma=2"), (wide[12], "sigma=3.2"), (dog[12], "difference"):
    parts.plot(x, row, label=label)
parts.set(title="middle row of two Gaussians", xlabel="pixels from the centre", ylim=(None, 0.075))
both.plot(x, dog[12] / dog.max(), linewidth=3, color="silver", label="dog(2.0)")
both.plot(x, log[12] / log.min(), "k--", label="-log(2.5)")
both.set(title="both scaled to a peak of 1", xlabel="pixels from the centre", ylim=(None, 1.7))
parts.legend()
both.legend()
