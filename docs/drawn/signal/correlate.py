import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import signal

chirp = jnp.sin(0.02 * jnp.arange(60.0) ** 2)
noise = jax.random.normal(jax.random.key(0), 400)
received = noise.at[230:290].add(chirp)
matches = signal.correlate(received, chirp, mode="valid")

figure, (above, below) = plt.subplots(2, 1, figsize=(7.2, 3.4), sharex=True)
above.plot(received, color="silver")
above.plot(230 + jnp.arange(60), chirp)
above.set_title("a chirp of 60 samples, hidden in noise at sample 230")
below.plot(matches)
below.plot(matches.argmax(), matches.max(), "ro")
below.set(title=f"correlation with the chirp: largest at {matches.argmax()}", xlabel="sample")
