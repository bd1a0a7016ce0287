"""The calls of oneDNN that jaxlib for x86-64 Linux contains.

A mistake in a configuration ends the process. So `Machine.onednn_dtypes` names the dtypes that they may be used with.
It is empty where CI has not run them.
"""

import json

import jax

from convjax._arrays.sharding import mark_varying, varying_axes

CONVOLUTION = "__onednn$convolution"
MATMUL = "__onednn$matmul"


def call(target: str, shape, dtype, configuration: dict, *operands: jax.Array) -> jax.Array:
    """The result, of this shape and dtype. The operands lie in memory in the order of their axes.

    `configuration` has one entry: the name of XLA's message, and its fields as JSON.
    """
    run = jax.ffi.ffi_call(
        target,
        jax.ShapeDtypeStruct(shape, dtype),
        custom_call_api_version=1,
        legacy_backend_config=json.dumps(configuration),
    )
    return mark_varying(run(*operands), frozenset().union(*map(varying_axes, operands)))
