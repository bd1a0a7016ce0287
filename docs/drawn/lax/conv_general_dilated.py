import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

dots = jnp.zeros((1, 7, 7, 1)).at[0, 3, 2].set(1).at[0, 3, 4].set(-1)
bell = jnp.outer(jnp.array([1, 2, 1]), jnp.array([1, 2, 1]))[:, :, None, None] / 4
options = {"window_strides": (1, 1), "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
blurred = convjax.lax.conv_general_dilated(dots, bell, padding=[(5, 5)] * 2, **options)
taps_apart = convjax.lax.conv_general_dilated(dots, bell, padding=[(7, 7)] * 2, rhs_dilation=(3, 3), **options)
dots_apart = convjax.lax.conv_general_dilated(dots, bell, padding=[(2, 2)] * 2, lhs_dilation=(2, 2), **options)

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7))
titles = "two dots, blurred", "rhs_dilation: taps 3 apart", "lhs_dilation: pixels 2 apart"
for axis, title, picture in zip(axes, titles, (blurred, taps_apart, dots_apart), strict=True):
    axis.imshow(picture[0, ..., 0], cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
