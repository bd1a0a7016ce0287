"""Images that lie in shares on several devices.

Every function of convjax takes sharded arrays. Under `jit` it moves what the windows of a device reach beyond its
share, a halo, and no more: with automatic axes of a mesh, and with explicit ones. Nothing here is needed for that.

`sharded` lays an image out before a function is called. `halo` is for functions of your own, inside of `jax.shard_map`:

    device 0        device 1        device 2
    a b c d         e f g h         i j k l

    halo(x, 0, "rows", low=1, high=2, mode="nearest")

    a|a b c d|e f   d|e f g h|i j   h|i j k l|l l
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from convjax._arguments import arrays, errors_sharding, images, values
from convjax._arrays.halo import Line, extended
from convjax._arrays.sharding import mark_varying, mesh_axes, varying_axes

__all__ = ["halo", "sharded"]


def halo(
    x: jax.Array, axis: int, name: Any, low: int = 0, high: int = 0, mode: str = "constant", cval: Any = 0.0
) -> jax.Array:
    """`numpy.pad` of one axis of an image whose shares lie on several devices, for the share of this device.

    To be called inside of `jax.shard_map`. The elements come from the devices that hold them, by one `lax.ppermute` for
    each neighbour that low or high reaches. Where the image ends, they come from its border.

    Args:
      x: a share of any shape and dtype; all devices have equal ones.
      axis: the axis to extend.
      name: the mesh axis that shards it, or a tuple of them, the outer one first.
      low, high: how many elements to add in front and behind. They may be more than a share has.
      mode, cval: what lies beyond the edge of the whole image, as in `convjax.ndimage`.

    Returns:
      x with low + high more elements along axis. Derivatives send them back.

    Raises:
      ValueError, TypeError: for an axis that x does not have, a name that is not a manual axis of a mesh, a negative
        number, or an unknown mode.

    >>> import jax, jax.numpy as jnp
    >>> from jax.sharding import PartitionSpec as P
    >>> from convjax.sharding import halo
    >>> mesh, spec = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,)), P("rows")
    >>> widened = lambda x: halo(x, 0, "rows", 1, 2, "nearest")
    >>> jax.shard_map(widened, mesh=mesh, in_specs=spec, out_specs=spec)(jnp.arange(3.0)).tolist()
    [0.0, 0.0, 1.0, 2.0, 2.0, 2.0]
    """
    function = "sharding.halo"
    x = arrays.array(function, "x", x)
    axis = images.axis(function, axis, x.ndim)
    low, high = (values.integer(function, *each, 0) for each in (("low", low), ("high", high)))
    border, fill = images.border(function, mode), images.fill(function, cval, x.dtype)
    mesh, names = jax.sharding.get_abstract_mesh(), mesh_axes(name)
    if not names or not set(names) <= set(mesh.manual_axes):
        raise errors_sharding.not_manual(function, name, mesh.manual_axes)
    line = Line.of(mesh, names)
    x = mark_varying(x, frozenset(names) - varying_axes(x))
    fill = None if fill is None else lax.convert_element_type(fill, x.dtype)
    return extended(x, axis, line, x.shape[axis] * line.devices, low, high, border, fill)


def sharded(f: Callable, mesh: Mesh, spec: PartitionSpec) -> Callable:
    """f, with its first argument laid out over a mesh as `jax.device_put` does, and its results alike.

    f is a function of convjax, or one made of them, such as `convjax.ndimage.gaussian_filter`. What the devices send
    each other are halos (`benchmarks/traffic.py` prints it).

    Args:
      f: a function of an image, and of other arguments.
      mesh: its devices.
      spec: which mesh axes shard each axis of the image.

    Returns:
      A function of the same arguments. Each result of the image's shape is sharded like the image.

    Raises:
      ValueError: for a spec with more entries than the image has axes, or whose mesh axes do not divide it.

    >>> import jax, jax.numpy as jnp
    >>> from jax.sharding import PartitionSpec as P
    >>> from convjax import ndimage
    >>> from convjax.sharding import sharded
    >>> mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> blurred = sharded(ndimage.uniform_filter, mesh, P("rows"))(jnp.arange(12.0).reshape(4, 3), 3)
    >>> blurred.sharding.spec[0]
    'rows'
    """
    layout = NamedSharding(mesh, spec)

    @functools.wraps(f)
    def run(x, *args, **kwargs):
        function = "sharding.sharded"
        x = arrays.array(function, "x", x)
        counts = [math.prod(mesh.shape[name] for name in mesh_axes(entry)) for entry in spec]
        if len(counts) > x.ndim or any(n % count for n, count in zip(x.shape, counts, strict=False)):
            raise errors_sharding.not_divided(function, x.shape, spec, dict(mesh.shape))
        made = f(jax.device_put(x, layout), *args, **kwargs)
        return jax.tree.map(lambda y: jax.device_put(y, layout) if y.shape == x.shape else y, made)

    return run
