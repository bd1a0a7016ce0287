"""
One image on eight devices
==========================

An image lies in shares on eight devices. Each device filters its share. For the windows that reach beyond it, its
neighbours send it a few rows, its halo. The result and the gradients lie in shares too.
"""

import re

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data

import convjax

jax.config.update("jax_num_cpu_devices", 8)  # virtual devices; to be called before anything runs in jax
photo = plt.imread(get_sample_data("grace_hopper.jpg")).mean(-1, dtype=np.float32)[None, None, :512] / 255
window = convjax.kernels.dog(size=13, sigma=2.0)  # reaches 6 rows up and 6 rows down
mesh = jax.make_mesh((8,), ("rows",), (jax.sharding.AxisType.Auto,), devices=jax.devices("cpu")[:8])
shares = jax.device_put(photo, jax.NamedSharding(mesh, jax.P(None, None, "rows")))

# %%
# One function serves arrays on one device and in shares. It filters, and takes both gradients of half the sum of the
# result's squares. On accelerators, neither ``jax_num_cpu_devices`` nor ``devices=`` is needed.


@jax.jit
def run(image, window):
    filtered, backward = jax.vjp(lambda *a: convjax.conv2d(*a, padding="same"), image, window)
    return filtered, *backward(filtered)


program = run.lower(shares, window).compile()
results, alone = program(shares, window), run(photo, window)
differences = [float(abs(ours - one).max() / abs(one).max()) for ours, one in zip(results, alone, strict=True)]
print("largest differences from one device:", differences)

# %%
# The compiled program names what a device receives. The halos are rows of the image for the filter, again for the
# gradient of the window, and rows of the result for the gradient of the image. Pale rows are those that are sent.

kib = {"all-reduce": 0, "collective-permute": 0, "share": photo.nbytes / 8 / 1024, "image": photo.nbytes / 1024}
for shape, name in re.findall(r"= f32\[([\d,]+)\]\S* (collective-permute|all-reduce)\(", program.as_text()):
    kib[name] += np.prod([int(n) for n in shape.split(",")]) * 4 / 1024
shaded = np.repeat(0.2 + 0.8 * photo[0, 0, :, :, None], 3, -1)
for share in results[0].addressable_shards:
    shaded[share.index[2]] *= plt.get_cmap("Set2").colors[share.device.id]
pictures = {"a colour per device": shaded, "filtered": results[0][0, 0], "gradient for the image": results[1][0, 0]}
figure, axes = plt.subplots(1, 4, figsize=(14, 3.8), layout="constrained")
for axis, (title, picture) in zip(axes, pictures.items(), strict=False):
    axis.imshow(picture / abs(picture).max(), cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    axis.set(title=title, xticks=[], yticks=[])
for border in range(64, 512, 64):
    axes[0].axhspan(border - 6.5, border + 5.5, color="white", alpha=0.4)
labels = "window's gradient,\nsummed", "halos", "a device's share", "the image"
axes[3].bar_label(axes[3].barh(labels, list(kib.values()), color=["#d1495b", "#d1495b", "0.7", "0.7"]), fmt=" %.1f")
axes[3].set(title="red: received by a device", xlabel="KiB", xlim=(0, 1250))
plt.show()
