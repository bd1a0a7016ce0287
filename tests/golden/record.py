"""Record torch's and SciPy's numbers: python tests/golden/record.py, where the test and parity extras are installed.

Each entry of torch.npz holds the operands, torch's result, a random cotangent and torch's gradients, in float64; each
of scipy.npz a result, whose operands `filters.py` makes.
"""

import pathlib
import sys

import numpy as np
import scipy
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from cases import CASES, normal  # noqa: E402
from filters import recorded_calls  # noqa: E402

MODES = {f"{mode}_{dims}d": (mode, dims) for mode in ("reflect", "replicate", "circular") for dims in (1, 2, 3)}


def recorded(f, **operands):
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in operands.items()}
    y = f(**leaves)
    ct = torch.tensor(normal(9, tuple(y.shape), np.float64))
    gradients = torch.autograd.grad(y, list(leaves.values()), ct)
    named = {f"grad_{name}": g.numpy() for name, g in zip(leaves, gradients, strict=True)}
    return {**operands, "y": y.detach().numpy(), "ct": ct.numpy(), **named}


def conv(case):
    """torch's function for a case, or None where torch has none: pairs as padding, four dimensions."""
    dims = len(case.weight) - 2
    padding = case.options.get("padding", 0)
    if dims > 3 or (isinstance(padding, tuple) and isinstance(padding[0], tuple)):
        return None
    f = getattr(F, f"conv_transpose{dims}d" if case.transpose else f"conv{dims}d")
    return lambda x, weight, bias: f(x, weight, bias, **case.options)


def scipys():
    results = {name: call(scipy) for name, call in recorded_calls().items()}
    np.savez_compressed(HERE / "scipy.npz", version=scipy.__version__, **results)
    print(f"{len(results)} results from SciPy {scipy.__version__}")


def torchs():
    entries = {}
    for case in CASES:
        f = conv(case)
        if f is not None:
            groups = case.options.get("groups", 1)
            channels = case.weight[1] * groups if case.transpose else case.weight[0]
            shapes = {"x": case.x, "weight": case.weight, "bias": (channels,)}
            operands = {name: normal(i, shape, np.float64) for i, (name, shape) in enumerate(shapes.items())}
            entries[case.name] = recorded(f, **operands)
    for name, (mode, dims) in MODES.items():
        layer = getattr(torch.nn, f"Conv{dims}d")(2, 3, 3, stride=2, padding=2, padding_mode=mode, dtype=torch.float64)
        operands = {"x": normal(0, (2, 2, *range(4, 4 + dims)), np.float64)}
        state = {"weight": normal(1, (3, 2, *[3] * dims), np.float64), "bias": normal(2, (3,), np.float64)}
        entries[name] = recorded(
            lambda x, weight, bias, layer=layer: torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x),
            **operands, **state,
        )  # fmt: skip
    x, columns = normal(0, (2, 3, 6, 5), np.float64), normal(0, (2, 18, 9), np.float64)
    entries["unfold"] = recorded(lambda x: F.unfold(x, (3, 2), (1, 2), (1, 0), (2, 1)), x=x)
    entries["fold"] = recorded(lambda x: F.fold(x, (6, 5), (3, 2), (1, 2), (1, 0), (2, 1)), x=columns)
    flat = {f"{name}/{key}": a for name, entry in entries.items() for key, a in entry.items()}
    np.savez_compressed(HERE / "torch.npz", version=torch.__version__, **flat)
    print(f"{len(entries)} entries from torch {torch.__version__}")


if __name__ == "__main__":
    torchs()
    scipys()
