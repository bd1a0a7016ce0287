import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import signal

lights = (jax.random.uniform(jax.random.key(0), (80, 80)) > 0.997).astype(float)
y, x = jnp.mgrid[-8:9, -8:9]
disc = (jnp.hypot(x, y) < 8).astype(float)
out_of_focus = signal.fftconvolve(lights, disc, mode="same")
streaks = signal.fftconvolve(lights, jnp.ones((1, 15)), mode="same", axes=1)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
titles = "lights", "a disc of 17 x 17", "lights out of focus", "axes=1: 15 ones"
for axis, picture, title in zip(axes, (lights, disc, out_of_focus, streaks), titles, strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=2)
    axis.set(title=title, xticks=[], yticks=[])
