import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

x = jnp.array([1.0, 3, 2, -1, -2, 1])
triangle = jnp.array([[[1.0, 2, 3, 4, 3, 2, 1]]]) / 4
parts = convjax.conv_transpose1d(jnp.diag(x)[:, None], triangle, stride=4, padding=3)[:, 0]
result = convjax.conv_transpose1d(x[None], triangle, stride=4, padding=3)[0]

figure, axes = plt.subplots(1, 3, sharey=True)
axes[0].stem(x, basefmt="grey")
axes[0].set(title="6 elements", xlabel="element")
axes[1].plot(parts.T)
axes[1].set(title="each times the kernel, 4 apart", xlabel="position")
axes[2].plot(result, ".-", color="black")
axes[2].set(title="their sum: 21 positions", xlabel="position")
