"""The errors of `convjax.sharding`, as `errors.py` has them."""

from typing import Any

from convjax._arguments.errors import _quoted, _repr_with_type, _value_error


def not_manual(function: str, name: Any, manual: tuple) -> Exception:
    inside = f"the manual axes {_quoted(manual)}" if manual else "no jax.shard_map around the call"
    return _value_error(f"""convjax.{function}: `name` is not a manual axis of a mesh.
        got:      {_repr_with_type(name)}, with {inside}
        expected: a name of `axis_names` of the jax.shard_map around the call, or a tuple of them
        try:      jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec), and the call in f""")


def not_divided(function: str, shape: tuple, spec: Any, sizes: dict) -> Exception:
    return _value_error(f"""convjax.{function}: `spec` does not divide the image.
        got:      {spec} for an image of shape {shape}, on a mesh of {sizes}
        expected: one entry for an axis at most, and sizes that the mesh axes of an entry divide
        try:      jax.numpy.pad, or a mesh axis for another axis of the image""")
