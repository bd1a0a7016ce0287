import jax.numpy as jnp
import matplotlib.pyplot as plt

import convjax

rows = "#####", "#....", "####.", "#....", "#...."
letter = jnp.array([[float(mark == "#") for mark in row] for row in rows])[:, :, None, None]
dots = jnp.array([[1.0, 0.5], [-0.5, -1.0]])[None, :, :, None]
as_it_is = convjax.lax.conv_transpose(dots, letter, (6, 6), "VALID")
flipped = convjax.lax.conv_transpose(dots, letter, (6, 6), "VALID", transpose_kernel=True)

figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1))
titles = "x", "kernel", "default: turned by 180°", "transpose_kernel=True"
pictures = dots[0, ..., 0], letter[..., 0, 0], as_it_is[0, ..., 0], flipped[0, ..., 0]
for axis, title, picture in zip(axes, titles, pictures, strict=True):
    axis.imshow(picture, cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set(title=title, xticks=[], yticks=[])
