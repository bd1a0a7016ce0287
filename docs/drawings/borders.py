import jax.numpy as jnp
import numpy as np
from grids import canvas, cells, note

import convjax
from convjax import ndimage

SIGNAL = jnp.arange(1.0, 5)
SHIFTED = np.eye(7)  # a kernel of a single one copies the element that lies so far away
NETWORKS = ("zeros", "reflect", "replicate", "circular")
SCIPY = ("constant", "mirror", "nearest", "wrap", "reflect")


def seen(pad_mode: str) -> list[int]:
    """What a kernel of one tap reads from 3 elements before the signal to 3 behind it."""
    one = jnp.ones((1, 1, 1))
    return convjax.conv1d(SIGNAL[None, None], one, padding=3, padding_mode=pad_mode)[0, 0].astype(int).tolist()


def seen_by_scipy(mode: str) -> list[int]:
    before = [ndimage.correlate1d(SIGNAL, SHIFTED[3 - n], mode=mode)[0] for n in (3, 2, 1)]
    behind = [ndimage.correlate1d(SIGNAL, SHIFTED[3 + n], mode=mode)[3] for n in (1, 2, 3)]
    return [int(value) for value in (*before, *SIGNAL, *behind)]


axis = canvas(9.6)
note(axis, 13.1, 0.6, "before the edge")
note(axis, 23.9, 0.6, "behind it")
for line, mode in enumerate(SCIPY):
    values = seen_by_scipy(mode)
    if mode != "reflect":
        assert values == seen(NETWORKS[line])
    known = f'padding_mode="{NETWORKS[line]}"' if line < len(NETWORKS) else "torch has no such mode"
    y = 1.2 + 1.65 * line
    note(axis, 0.2, y + 0.4, known, align="left")
    note(axis, 0.2, y + 1.05, f'ndimage: mode="{mode}"', 7.5, align="left")
    texts = " ".join(map(str, values))
    cells(axis, 11, y, texts, "n n n x x x x n n n / n", 1.5, 9)
