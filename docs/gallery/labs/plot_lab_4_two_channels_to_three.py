"""
Lab 4: two channels to one, and to three
========================================

Two channels with an upright line each meet the weights of the lecture notes. Their results are printed to four places,
and as small integers.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import convjax

x = jnp.zeros((1, 2, 8, 8)).at[0, 0, :, 2].set(1).at[0, 1, :, 6].set(1)
a = """
 .0624 -.0712 -.0463  -.2252 -.1561 -.0972   .0087  .0932  .1414
-.1598 -.1026  .0856   .1957 -.0485  .1764  -.0380  .0249  .2134
"""
b = """
-.2187 -.1484 -.0597  -.0919  .2036 -.1528  -.1085 -.1647 -.2207
-.1376  .2026  .1052   .1142  .0124 -.1208   .0399 -.2201 -.1703
-.1215  .1487  .1382  -.1045 -.0085  .1507   .2343  .0935  .0318
 .1580 -.1388  .0439  -.1827 -.1634 -.1218   .1066  .0948 -.1396
 .0712  .1294 -.0297   .0090  .0546  .1462   .2263 -.1816 -.0864
 .0926  .1953  .2051   .2080  .0469 -.2050   .0217 -.1475 -.2197
"""
a, b = (jnp.array(text.split(), float).reshape(-1, 2, 3, 3) for text in (a, b))

y = convjax.conv2d(x, b)
results = {19: convjax.conv2d(x, a), 20: (10 * y + 0.5).astype(jnp.int8)}
rounded = jnp.round(10 * y).astype(jnp.int8)
print("row 19:", np.round(np.asarray(results[19])[0, 0, 0], 4) + 0.0)

# %%
# The notes round by adding 0.5 and cutting the fraction off. **That is a mistake for negative numbers**: -3.7 becomes
# -3.2 and then -3, but -4 is nearer. The last line shows the numbers rounded to the nearest beside them.

panels = [
    {"row 19: x[0]": x[0, 0], "x[1]": x[0, 1], "A[0, 0]": a[0, 0], "A[0, 1]": a[0, 1], "y[0]": results[19][0, 0]},
    {f"B[{o}, {c}]": b[o, c] for o, c in np.ndindex(3, 2)},
    {f"row 20: 10 y[{o}] + .5, cut": plane for o, plane in enumerate(results[20][0])}
    | {f"10 y[{o}], rounded": plane for o, plane in enumerate(rounded[0])},
]
figure, axes = plt.subplots(3, 6, figsize=(16, 8.6), layout="constrained")
for line, planes, top in zip(axes, panels, (1, 1, 10), strict=True):
    for axis, (title, plane) in zip(line, planes.items(), strict=False):
        axis.imshow(plane, cmap="RdBu_r", vmin=-top, vmax=top)
        for (i, j), value in np.ndenumerate(np.asarray(plane)):
            colour = "white" if abs(value) > 0.7 * top else "black"
            axis.text(j, i, f"{value + 0.0:.2g}", ha="center", va="center", fontsize=8, color=colour)
        axis.set(title=title, xticks=[], yticks=[])
    for axis in line[len(planes) :]:
        axis.axis("off")
plt.show()
