import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

pulse = jnp.zeros((1, 1, 60)).at[..., 20:40].set(1)
mean = jnp.ones((1, 1, 9)) / 9

figure, axes = plt.subplots(1, 2, sharey=True)
titles = "centred: rises before the pulse", "causal: rises with the pulse"
for axis, title, padding in zip(axes, titles, ("same", ((8, 0),)), strict=True):
    axis.step(range(60), pulse[0, 0], where="mid", color="silver", label="a pulse")
    axis.plot(convjax.conv1d(pulse, mean, padding=padding)[0, 0], ".-", label=f"padding={padding!r}")
    axis.set(title=title, xlabel="sample", ylim=(-0.1, 1.6))
    axis.legend(loc="upper left")
