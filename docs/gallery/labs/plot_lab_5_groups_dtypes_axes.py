"""
Lab 5: groups, dtypes, axes, and what is refused
================================================

Groups cut a convolution into several that do not see each other. Their number must divide both channel counts.
"""

import textwrap

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

key = jax.random.key(0)
weights = {groups: convjax.init_conv(key, 4, 4, (3, 3), groups=groups).weight for groups in (1, 2, 4)}
results = {21: weights[4].shape, 22: weights[2].shape}
reached = {}
for groups, weight in weights.items():
    slopes = jax.jacobian(lambda x, weight=weight, groups=groups: convjax.conv2d(x, weight, groups=groups))
    reached[groups] = jnp.abs(slopes(jnp.ones((4, 3, 3)))).sum((1, 2, 4, 5)) > 0


def refusal(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ValueError as error:
        return str(error)


# %%
# Row 23, and (H, W) in row 25, are refused when the call is traced. The lecture notes present 4 channels to 64
# in 16 groups as legal. **It is a mistake**: a group would have a quarter of an input channel. torch refuses it too.

results[23] = [refusal(convjax.init_conv, key, *n, (3, 3), groups=g) for *n, g in ((2, 3, 2), (4, 64, 16))]
double, single = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3), np.float32)
results[24] = []
for wide in (False, True):
    with jax.enable_x64(wide):
        results[24].append(convjax.conv2d(double, single).dtype.name)
image = jnp.ones((8, 8))
results[25] = [convjax.conv2d(image[None, None], single).shape, convjax.conv2d(image[None], single).shape]
results[25].append(refusal(convjax.conv2d, image, single))

figure, axes = plt.subplot_mosaic(
    [[1, 2, 4], ["said"] * 3], figsize=(10, 8), height_ratios=[1, 1.3], layout="constrained"
)
for groups, connected in reached.items():
    axes[groups].imshow(connected, cmap="Blues", vmin=0, vmax=1.5)
    axes[groups].set(title=f"groups={groups}: weight {weights[groups].shape}", xticks=range(4), yticks=range(4))
    axes[groups].set(xlabel="input channel", ylabel="output channel it reaches")
said = {"row 23: 2 to 3 channels, groups=2": results[23][0], "row 23: 4 to 64 channels, groups=16": results[23][1]}
said["row 24: float64 image, float32 weight"] = f"{results[24][0]}; with jax_enable_x64 {results[24][1]}"
said["row 25"] = f"(1, 1, 8, 8) gives {results[25][0]}, (1, 8, 8) gives {results[25][1]}, and (8, 8) gives"
text = "\n\n".join(f"{title}\n{textwrap.indent(what, '    ')}" for title, what in said.items())
axes["said"].text(0, 1, text + "\n" + textwrap.indent(results[25][2], "    "), family="monospace", size=8.5, va="top")
axes["said"].axis("off")
plt.show()
