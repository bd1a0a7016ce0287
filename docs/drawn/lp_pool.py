import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

values = jnp.linspace(-2, 2, 101)
pairs = jnp.stack(jnp.meshgrid(values, values), -1)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.3), sharey=True)
figure.suptitle("pairs whose lp_pool is 0.5 (grey), 1 (blue) and 1.5 (black)", fontsize="medium")
for axis, power in zip(axes, (1, 2, 4, jnp.inf), strict=True):
    result = convjax.lp_pool(pairs, power, (2,))[..., 0]
    axis.contour(values, values, result, levels=(0.5, 1, 1.5), colors=("silver", "tab:blue", "black"))
    axis.set(title=f"norm_type={power}", xlabel="first element", aspect="equal")
axes[0].set_ylabel("second element")
