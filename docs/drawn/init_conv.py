import jax
import matplotlib.pyplot as plt
import numpy as np

import convjax

figure, axes = plt.subplots(1, 2, sharex=True, sharey=True)
for axis, channels in zip(axes, (1, 16), strict=True):
    params = convjax.init_conv(jax.random.key(0), channels, 256, (3, 3))
    bound = (channels * 3 * 3) ** -0.5
    axis.hist(np.ravel(params.weight), bins=36, range=(-0.375, 0.375), density=True)
    axis.axvline(-bound, color="tab:orange")
    axis.axvline(bound, color="tab:orange")
    axis.set(title=f"kernels of {channels} x 3 x 3: within ±{bound:.3f}", xlabel="weight", ylim=(0, 7))
axes[0].set_ylabel("density")
