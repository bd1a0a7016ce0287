"""Small random calls of the convolutions, from a fixed seed. Together they contain every pair of choices."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

CONV = ("conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def seeded(*names: Any) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(str(name).encode()) for name in names])


def pairwise(rng: np.random.Generator, levels: dict[str, Sequence], count: int, possible: Callable) -> list[dict]:
    """Return `count` random choices of one level per name.

    Each is the one of 40 possible random choices that has the most new pairs of levels.
    """
    seen: set = set()
    chosen = []
    while len(chosen) < count:
        drawn = [{name: each[rng.integers(len(each))] for name, each in levels.items()} for _ in range(40)]
        best = max(filter(possible, drawn), key=lambda choice: len(pairs_of(choice) - seen))
        seen |= pairs_of(best)
        chosen.append(best)
    return chosen


def pairs_of(choice: dict) -> set:
    items = sorted(choice.items(), key=lambda item: item[0])
    return {(a, b) for i, a in enumerate(items) for b in items[:i]}


def no_stride_with_same(choice: dict) -> bool:
    return not (choice["padding"] == "same" and choice["stride"] != 1)


def chunks(items: Sequence, size: int = 10) -> list[Sequence]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def draw(function: str, choice: dict, rng: np.random.Generator, wider_than_padding: bool = False):
    """Draw the shapes and arguments of a call with the chosen levels. Everything else is random."""
    transposed = function in TRANSPOSED
    dims = int(function[-2])

    def sizes(name, low, high):
        level = choice[name]
        return tuple(map(int, rng.integers(low, high, dims))) if level == "each" else (level,) * dims

    kernel, stride, dilation = sizes("kernel", 1, 4), sizes("stride", 1, 4), sizes("dilation", 1, 4)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    named = choice["padding"] in ("same", "valid")
    padding = (0,) * dims if named else sizes("padding", 0, 3)
    if transposed:
        most = [max(s, d) - 1 for s, d in zip(stride, dilation, strict=True)]
        extra = {0: (0,) * dims, "most": tuple(most), "each": tuple(int(rng.integers(0, m + 1)) for m in most)}[
            choice["output_padding"]
        ]
        # The smallest n for which the result (n - 1) s + e + o - 2 p is not empty.
        least = [
            max(1, 1 - (e + o - 2 * p - 1) // s) for e, o, p, s in zip(extents, extra, padding, stride, strict=True)
        ]
    else:
        least = [1 if choice["padding"] == "same" else max(1, e - 2 * p) for e, p in zip(extents, padding, strict=True)]
    if wider_than_padding:
        pads = [e // 2 for e in extents] if choice["padding"] == "same" else padding
        least = [max(n, p + 1) for n, p in zip(least, pads, strict=True)]
    spatial = [int(n + rng.integers(0, {1: 8, 2: 4, 3: 2}[dims])) for n in least]

    depthwise = choice["groups"] == "depthwise"
    groups = int(rng.integers(2, 5)) if depthwise else choice["groups"]
    inner, outer = (1 if depthwise else int(rng.integers(1, 4))), int(rng.integers(1, 4))
    weight = (groups * inner, outer, *kernel) if transposed else (groups * outer, inner, *kernel)
    batch = () if choice["batch"] is None else (choice["batch"],)
    shapes = [(*batch, groups * inner, *spatial), weight] + [(groups * outer,)] * choice["bias"]

    def argument(name, values):
        return values if choice[name] == "each" else values[0]

    args = {
        "stride": argument("stride", stride),
        "padding": choice["padding"] if named else argument("padding", padding),
        "dilation": argument("dilation", dilation),
        "groups": groups,
    }
    return shapes, args | ({"output_padding": extra} if transposed else {})
