import jax.numpy as jnp
from grids import arrow, canvas, cells, note, window

import convjax

x, w = jnp.array([[[1.0, 2, 3]]]), jnp.array([[[1.0, 10, 100]]])
full = convjax.conv_transpose1d(x, w, stride=2)[0, 0].astype(int).tolist()
cut = convjax.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1)[0, 0].astype(int).tolist()

axis = canvas(11.4)
note(axis, 0.4, 1.1, "x", align="left")
cells(axis, 5, 0.5, "1 2 3", "x", 1.3, 9)
note(axis, 11, 1.1, "each element is multiplied by the kernel 1 10 100 ...", align="left")
for place, value in enumerate((1, 2, 3)):
    y = 2.6 + 1.5 * place
    cells(axis, 5 + 2.6 * place, y, f"{value} {10 * value} {100 * value}", "w", 1.3, 8)
note(axis, 0.4, 4.8, "stride 2", align="left")
note(axis, 17, 4.8, "... and laid down stride elements further", align="left")
cells(axis, 5, 7.3, " ".join(map(str, full)), "y", 1.3, 8)
note(axis, 0.4, 7.95, "the sum", align="left")
note(axis, 15.4, 7.95, f"(3 - 1) 2 + 3 = {len(full)} elements", align="left")
cells(axis, 5 + 1.3, 9.4, " ".join(map(str, cut)), "y", 1.3, 8)
note(axis, 0.4, 10.05, "padding 1,", align="left")
note(axis, 0.4, 10.75, "output_padding 1", align="left")
note(axis, 15.4, 10.05, f"cut by 1 at both ends, 1 more at the end: {len(cut)} = 2 * 3", align="left")
arrow(axis, (5 + 1.95, 8.7), (5 + 1.95, 9.3))
window(axis, 5 + 1.3, 7.3, 1.3 * 5, 1.3, "#208020")
