"""Convolution in JAX: torch's answers, explicit NCHW / OIHW, every derivative, on CPU, GPU and TPU."""

from convjax import edges, kernels, lax, ndimage, signal
from convjax._machine import Machine
from convjax.accelerate import accelerate
from convjax.compare import Comparison, compare
from convjax.explain import Explanation, explain
from convjax.functional import (
    conv,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    fold,
    unfold,
)
from convjax.init import ConvParams, init_conv
from convjax.patched import patched
from convjax.plan import Plan, conv_output_shape, plan
from convjax.tune import tune

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "ConvParams",
    "Explanation",
    "Machine",
    "Plan",
    "accelerate",
    "compare",
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_output_shape",
    "conv_transpose",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "edges",
    "explain",
    "fold",
    "init_conv",
    "kernels",
    "lax",
    "ndimage",
    "patched",
    "plan",
    "signal",
    "tune",
    "unfold",
]
