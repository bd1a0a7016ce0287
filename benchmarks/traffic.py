"""`python -m benchmarks.traffic`: what devices send each other, beside lax, read from the compiled programs.

A row is a family of the benchmark under a layout: how the image is sharded over eight devices. A number stands for the
collective operations of a program and for the elements that a device receives by them. It needs eight devices; virtual
ones on a CPU will do: the program sets them up.
"""

import argparse
import json
import os
import re
import sys
from functools import partial
from typing import Any, NamedTuple

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from benchmarks.backends import conv_of
from benchmarks.cases import ROWS, Case

COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
_COLLECTIVE = re.compile(rf"= (.*?) ({'|'.join(COLLECTIVES)})(?:-start)?\(")
_SHAPE = re.compile(r"\w+\[([\d,]*)\]")


class Layout(NamedTuple):
    """A mesh, and the mesh axes that shard each axis of an image and of a weight."""

    sizes: tuple[int, ...]
    names: tuple[str, ...]
    image: P
    weight: P = P()

    def mesh(self, kind: AxisType = AxisType.Auto) -> jax.sharding.Mesh:
        return jax.make_mesh(self.sizes, self.names, axis_types=(kind,) * len(self.names))


LAYOUTS = {
    "batch": Layout((8,), ("data",), P("data")),
    "rows": Layout((8,), ("space",), P(None, None, "space")),
    "rows and batch": Layout((2, 4), ("data", "space"), P("data", None, "space")),
    "rows, one unused": Layout((4, 2), ("space", "model"), P(None, None, "space")),
    "batch, weight by output channels": Layout((4, 2), ("data", "model"), P("data"), P("model")),
}


def divisible(case: Case) -> Case:
    """A row cut down, but to a batch and to rows that eight devices divide."""
    case = case.reduced()
    rows = -(-max(case.x[2], 16) // 8) * 8 if len(case.x) > 3 else 64
    return case._replace(x=(8, case.x[1], rows, *(min(n, 11) for n in case.x[3:])))


CASES = {row.family: divisible(row) for row in ROWS}


def both(conv):
    """A function of x, the weight and a cotangent: the result and both gradients."""

    def gradients(x, w, ct):
        y, vjp = jax.vjp(conv, x, w)
        return y, *vjp(ct)

    return gradients


def collectives(text: str) -> dict[str, tuple[int, int]]:
    """How often each collective operation stands in an optimized program, and the elements that a device receives."""
    found: dict[str, tuple[int, int]] = {}
    for types, name in _COLLECTIVE.findall(text):
        elements = sum(int(np.prod([int(n) for n in shape.split(",") if n])) for shape in _SHAPE.findall(types))
        count, total = found.get(name, (0, 0))
        found[name] = count + 1, total + elements
    return found


def compiled(backend: str, case: Case, layout: Layout, direction: str):
    """The program of a case on the devices of a layout."""
    mesh = layout.mesh()
    x, w = (
        jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=NamedSharding(mesh, _fitting(mesh, spec, a.shape)))
        for a, spec in zip(case.structs(), (layout.image, layout.weight), strict=True)
    )
    conv = conv_of(backend, case)
    if direction == "forward":
        return jax.jit(conv).lower(x, w).compile()
    y = jax.eval_shape(conv, *case.structs())
    ct = jax.ShapeDtypeStruct(y.shape, y.dtype, sharding=NamedSharding(mesh, _fitting(mesh, layout.image, y.shape)))
    return jax.jit(both(conv)).lower(x, w, ct).compile()


def _fitting(mesh, spec: P, shape: tuple[int, ...]) -> P:
    """The part of a spec that divides this shape."""
    return P(*[name if name and n % mesh.shape[name] == 0 else None for name, n in zip(spec, shape, strict=False)])


def traffic(backend: str, case: Case, layout: Layout, direction: str) -> dict[str, Any]:
    program = compiled(backend, case, layout, direction)
    memory = program.memory_analysis()
    return {"collectives": collectives(program.as_text()), "temporary_bytes": memory.temp_size_in_bytes}


def main(options: argparse.Namespace) -> int:
    import tqdm

    rows = [
        {"family": family, "layout": name, "direction": direction}
        for family in CASES
        for name in LAYOUTS
        for direction in ("forward", "both gradients")
        if options.rows in f"{family}, {name}, {direction}"
    ]
    for row in tqdm.tqdm(rows, unit="row", mininterval=10):
        of = partial(traffic, case=CASES[row["family"]], layout=LAYOUTS[row["layout"]], direction=row["direction"])
        row |= {backend: of(backend) for backend in ("convjax", "lax")}
        ours, theirs = (sum(n for _, n in row[b]["collectives"].values()) for b in ("convjax", "lax"))
        if options.verbose or ours > theirs:
            tqdm.tqdm.write(
                f"{row['family']}, {row['layout']}, {row['direction']}: "
                f"{_short(row['convjax'])} | lax {_short(row['lax'])}"
            )
    if options.file:
        with open(options.file, "w") as file:
            json.dump(rows, file, indent=1)
    return 0


def _short(measured: dict[str, Any]) -> str:
    parts = [f"{name} {count} ({elements})" for name, (count, elements) in measured["collectives"].items()]
    return f"{', '.join(parts) or 'nothing'}; {measured['temporary_bytes']} B"


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.traffic", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--file", help="where the numbers go, as JSON")
    parser.add_argument(
        "--verbose", action="store_true", help="print every row, not those alone that send more than lax"
    )
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main(arguments()))
