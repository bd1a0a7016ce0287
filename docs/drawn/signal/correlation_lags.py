import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from convjax import signal

first = jax.random.normal(jax.random.key(0), 100)
second = jnp.pad(first[:80], (15, 0))
lags = signal.correlation_lags(second.size, first.size)

figure, (left, right) = plt.subplots(1, 2, width_ratios=(3, 2))
correlation = signal.correlate(second, first)
left.plot(lags, correlation)
left.set(title=f"a copy 15 samples late: largest at lag {lags[correlation.argmax()]}", xlabel="lag (samples)")
for mode in "valid", "same", "full":
    some = signal.correlation_lags(8, 4, mode)
    right.plot(some, [mode] * some.size, "o")
right.set(title="in1 of 8 samples, in2 of 4", xlabel="lag (samples)", xticks=range(-3, 8, 2))
