"""`accelerate`: existing JAX code, with its convolutions computed by convjax."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from convjax._arguments import errors, values
from convjax._choice.recorded import Recorded
from convjax._operation.call import checked_algorithm
from convjax._rewriting import convolutions, pooling
from convjax._rewriting.memory_format import with_channels_last
from convjax._rewriting.programs import first_of, rewritten


def accelerate(
    f: Callable,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    algorithm: str | Recorded = "auto",
    memory_format: str | None = None,
) -> Callable:
    """`jax.jit(f)`, with every convolution in it computed by convjax: a model needs no other change.

    f is traced, once for a signature, as `jax.jit` traces it. In the traced program every convolution of `jax.lax` is
    replaced, wherever it is called: under `jax.jit`, in scans, loops and branches, `jax.checkpoint`, the rules of
    `jax.custom_jvp` and `jax.custom_vjp`, and `jax.shard_map`. On CPUs `reduce_window` by max, min and sum is replaced
    too, and so are its derivatives: XLA computes these in a loop on one core. All other operations stay as they are. So
    models and training steps of Flax, Equinox, Haiku and others can be accelerated, inside or outside of
    `jax.grad`, `jax.vmap` and `jax.jit`.

    Args:
      f: a function that `jax.jit` could compile.
      static_argnums, static_argnames: as in `jax.jit`.
      algorithm: "auto", or another choice of `convjax.conv`, or a record of `convjax.tune`.
      memory_format: None keeps the order of axes that f has. "channels_last" is for models with the channels first
        (NCHW), on CPUs: their images are held as NHWC from the first convolution to the last, as those of a model of
        torch are after `model.to(memory_format=torch.channels_last)`. Arguments, results and shapes stay as they are.

    Returns:
      A function with the signature of f. Its arguments and results are pytrees. Leaves that are neither arrays nor
      numbers, such as activation functions, are taken as static, and must be hashable. So are the Python numbers in
      modules of Equinox, as `equinox.filter_jit` takes them.

    Raises:
      TypeError, ValueError: if f is not callable, for an unknown algorithm, for an argument that is neither an array
        nor hashable, and for models that hold their arrays as state (Flax NNX, Keras).

    Differences from `jax.jit(f)`: results are rounded otherwise, as those of `convjax.conv` are. Convolutions without a
    spatial dimension, or with operands of two dtypes, stay as they are. So do poolings of large
    windows that overlap. The gradient of a max pooling goes to the same elements, but where a NaN is in the window.

    >>> import convjax, jax, jax.numpy as jnp
    >>> def layer(x, w):  # NHWC, as Flax has it
    ...     return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    >>> fast = convjax.accelerate(layer)
    >>> fast(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0]
    Array([[4., 6., 6., 4.],
           [6., 9., 9., 6.],
           [6., 9., 9., 6.],
           [4., 6., 6., 4.]], dtype=float32)
    """
    rule = first_of(convolutions.rule(checked_algorithm("accelerate", algorithm)), pooling.rule)
    if memory_format is not None:
        values.check_name("accelerate", "memory_format", memory_format, ("channels_last",))
    laid_out = with_channels_last if memory_format == "channels_last" else lambda program: program
    change = lambda program: laid_out(rewritten(program, rule))  # noqa: E731
    return compiled("accelerate", f, static_argnums, static_argnames, change)


def compiled(
    caller: str,
    f: Callable,
    static_argnums: Any,
    static_argnames: Any,
    change: Callable[[ClosedJaxpr], ClosedJaxpr] = lambda program: program,
) -> Callable:
    """The function f under `jax.jit`, with its traced program changed."""
    split, call = _in_parts(caller, f, static_argnums, static_argnames)

    def run(given: _Split):
        program, result = jax.make_jaxpr(call, return_shape=True)(given)
        arrays = jaxpr_as_fun(change(program))(*given.arrays)
        return jax.tree.unflatten(jax.tree.structure(result), arrays)

    run.__name__ = run.__qualname__ = getattr(f, "__name__", type(f).__name__)
    run = jax.jit(run)

    @functools.wraps(f, updated=())
    def call_compiled(*args, **kwargs):
        return run(split(args, kwargs)).value()

    return call_compiled


def traced(caller: str, f: Callable, static_argnums: Any, static_argnames: Any) -> Callable[..., ClosedJaxpr]:
    """A function of the arguments of f that returns its program."""
    split, call = _in_parts(caller, f, static_argnums, static_argnames)
    return lambda *args, **kwargs: jax.make_jaxpr(call)(split(args, kwargs))


def _in_parts(caller: str, f: Callable, static_argnums: Any, static_argnames: Any) -> tuple[Callable, Callable]:
    """What splits the arguments of f, and f as a function of such a split to a split of its results."""
    if not callable(f):
        raise errors.not_traceable(caller, "f", f)
    if not getattr(f, "__name__", "").startswith("stateless_"):  # Keras's methods that are given the state
        _refuse_state(caller, "f", getattr(f, "__self__", f))
    static = _static_arguments(caller, f, static_argnums, static_argnames)

    def split(args: tuple, kwargs: dict) -> _Split:
        if static:
            args = tuple(_Kept(a) if n in static else a for n, a in enumerate(args))
            kwargs = {name: _Kept(a) if name in static else a for name, a in kwargs.items()}
        return _Split.of(caller, (args, kwargs))

    def call(given: _Split) -> _Split:
        args, kwargs = given.value()
        _refuse_state(caller, "an argument", (args, kwargs))
        try:
            return _Split.of(caller, f(*args, **kwargs))
        except _NOT_STATIC as error:
            error.add_note(errors.static_hint(caller))
            raise

    return split, call


_NOT_STATIC = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class _Kept:
    """A leaf that is no array. Two are equal if their values are, and are of one type: 1 is not True here."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: Any) -> bool:
        return type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


@jax.tree_util.register_pytree_node_class
class _Split:
    """A pytree in two parts: its arrays, which are the children of this node, and the rest, which is static."""

    def __init__(self, arrays: Sequence[Any], static: tuple):
        self.arrays, self._static = arrays, static

    @classmethod
    def of(cls, caller: str, tree: Any) -> "_Split":
        leaves, structure = jax.tree.flatten(tree)
        is_array = [isinstance(leaf, _ARRAYS) for leaf in leaves]
        if any(isinstance(leaf, _NUMBERS) for leaf in leaves):
            is_array = [a and not s for a, s in zip(is_array, _static_numbers(tree), strict=True)]
        kept = tuple((n, _kept(caller, leaves[n], tree, n)) for n, found in enumerate(is_array) if not found)
        return cls([leaf for leaf, found in zip(leaves, is_array, strict=True) if found], (structure, kept))

    def value(self) -> Any:
        structure, kept = self._static
        leaves = list(self.arrays)
        for n, leaf in kept:
            leaves.insert(n, leaf.value)
        return jax.tree.unflatten(structure, leaves)

    def tree_flatten(self):
        return self.arrays, self._static

    @classmethod
    def tree_unflatten(cls, static, arrays):
        return cls(arrays, static)


_NUMBERS = (bool, int, float, complex)
_ARRAYS = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct, *_NUMBERS)


def _static_numbers(tree: Any) -> list[bool]:
    """For each leaf, whether it is a Python number in a module of Equinox, which means it to be static."""
    parts = jax.tree.leaves(tree, is_leaf=_is_equinox)
    each = [(_is_equinox(part), jax.tree.leaves(part)) for part in parts]
    return [static and isinstance(leaf, _NUMBERS) for static, leaves in each for leaf in leaves]


def _is_equinox(node: Any) -> bool:
    return _is_a(node, "equinox", "Module")


def _kept(caller: str, leaf: Any, tree: Any, n: int) -> _Kept:
    kept = leaf if isinstance(leaf, _Kept) else _Kept(leaf)
    try:
        hash(kept)
    except TypeError:
        path = jax.tree_util.keystr(jax.tree_util.tree_flatten_with_path(tree)[0][n][0])
        raise errors.not_static(caller, path, kept.value) from None
    return kept


# Models that hold their arrays as state: the package, the class that they inherit from, and how to pass them.
_STATEFUL = (
    (
        "flax.nnx",
        "Module",
        "graphdef, state = nnx.split(model); accelerate(lambda state, x: nnx.merge(graphdef, state)(x))",
    ),
    ("keras", "Layer", "accelerate(model.stateless_call), or `with convjax.patched():` around model.fit"),
)


def _refuse_state(caller: str, argument: str, tree: Any) -> None:
    """Raise an error for a model with state: its arrays would be constants, and what is assigned to them be lost."""
    for node in jax.tree.leaves(tree, is_leaf=lambda node: _stateful(node) is not None):
        if (remedy := _stateful(node)) is not None:
            raise errors.has_state(caller, argument, node, remedy)


def _stateful(node: Any) -> str | None:
    return next((remedy for package, name, remedy in _STATEFUL if _is_a(node, package, name)), None)


def _is_a(node: Any, package: str, name: str) -> bool:
    """Whether a node inherits from the class of this name in a package, which need not be imported for that."""
    return _inherits(type(node), package, name)  # type: ignore[arg-type]


@functools.cache
def _inherits(kind: type, package: str, name: str) -> bool:
    return any(f"{cls.__module__}.".startswith(f"{package}.") and cls.__name__ == name for cls in kind.__mro__)


def _static_arguments(caller: str, f: Callable, argnums: Any, argnames: Any) -> set[int | str]:
    """The static arguments, by position and by name: each of the two follows from the other."""
    argnums = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in argnums:
        values.integer(caller, "static_argnums", n, -len(inspect.signature(f).parameters))
    argnames = (argnames,) if isinstance(argnames, str) else tuple(argnames)
    if not argnums and not argnames:
        return set()
    parameters = inspect.signature(f).parameters
    names = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in argnames:
            values.check_name(caller, "static_argnames", name, tuple(parameters))
    positions = {n + len(names) if n < 0 else n for n in argnums}
    return {
        *positions,
        *argnames,
        *(names[n] for n in positions if n < len(names)),
        *(names.index(name) for name in argnames if name in names),
    }
