"""Networks as plain functions of `ops`, which is convjax, lax or torch with the names of torch.nn.functional.

`ops` knows which axis of an image holds the channels. So one function is the network for NCHW and for NHWC.

Normalisation layers are folded into the biases, as for inference. Everything else is as published.
"""

import math
from collections.abc import Callable

import numpy as np


class Weights:
    """Draws weights in the order of their use on the first run of a network, and returns the same on later runs."""

    def __init__(self, arrays: list | None = None, rng: np.random.Generator | None = None):
        self.arrays, self.rng, self.used = arrays if arrays is not None else [], rng, 0

    def __call__(self, *shape: int):
        if self.rng is not None:
            scale = math.sqrt(2 / max(math.prod(shape[1:]), 1)) if len(shape) > 1 else 0.0
            self.arrays.append((scale * self.rng.standard_normal(shape)).astype(np.float32))
        self.used += 1
        return self.arrays[self.used - 1]


def _layer(ops, weights, x, outputs: int, kernel: int, stride: int = 1, groups: int = 1, activation: str = "relu"):
    inputs = ops.channels(x) // groups
    w, b = weights(outputs, inputs, kernel, kernel), weights(outputs)
    y = ops.conv2d(x, w, b, stride, kernel // 2, 1, groups)
    return getattr(ops, activation)(y) if activation else y


def mobilenet_v2(ops, weights, x):
    """Sandler et al., arXiv:1801.04381, table 2, up to the pooling."""
    x = _layer(ops, weights, x, 32, 3, 2)
    for expand, outputs, repeats, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for i in range(repeats):
            inputs, stride = ops.channels(x), first if i == 0 else 1
            y = _layer(ops, weights, x, inputs * expand, 1) if expand > 1 else x
            y = _layer(ops, weights, y, ops.channels(y), 3, stride, ops.channels(y))
            y = _layer(ops, weights, y, outputs, 1, activation="")
            x = x + y if stride == 1 and inputs == outputs else y
    return ops.mean(_layer(ops, weights, x, 1280, 1))


def resnet_18(ops, weights, x):
    """He et al., arXiv:1512.03385, table 1, up to the pooling."""
    x = ops.max_pool2d(_layer(ops, weights, x, 64, 7, 2), 3, 2, 1)
    for outputs in (64, 128, 256, 512):
        for i in range(2):
            stride = 2 if i == 0 and outputs > 64 else 1
            y = _layer(ops, weights, x, outputs, 3, stride)
            y = _layer(ops, weights, y, outputs, 3, activation="")
            short = _layer(ops, weights, x, outputs, 1, stride, activation="") if stride > 1 else x
            x = ops.relu(short + y)
    return ops.mean(x)


def convnext_t_blocks(ops, weights, x):
    """Liu et al., arXiv:2201.03545: the patches and the three blocks of the first stage."""
    x = ops.conv2d(x, weights(96, 3, 4, 4), weights(96), 4)
    for _ in range(3):
        y = _layer(ops, weights, x, 96, 7, 1, 96, activation="")
        y = ops.gelu(_layer(ops, weights, y, 384, 1, activation=""))
        x = x + _layer(ops, weights, y, 96, 1, activation="")
    return x


def resnext_50_stage(ops, weights, x):
    """Xie et al., arXiv:1611.05431: the first stage of the 32x4d, on an input of the size that the stem returns."""
    for i in range(3):
        y = _layer(ops, weights, _layer(ops, weights, x, 128, 1), 128, 3, 1, 32)
        y = _layer(ops, weights, y, 256, 1, activation="")
        x = ops.relu((_layer(ops, weights, x, 256, 1, activation="") if i == 0 else x) + y)
    return x


def u_net(ops, weights, x):
    """Ronneberger et al., arXiv:1505.04597, three levels of 32 to 128 channels, padded."""
    skips = []
    for channels in (32, 64):
        x = _layer(ops, weights, _layer(ops, weights, x, channels, 3), channels, 3)
        skips.append(x)
        x = ops.max_pool2d(x, 2, 2, 0)
    x = _layer(ops, weights, _layer(ops, weights, x, 128, 3), 128, 3)
    for channels in (64, 32):
        x = ops.conv_transpose2d(x, weights(2 * channels, channels, 2, 2), weights(channels), 2)
        x = ops.cat([skips.pop(), x])
        x = _layer(ops, weights, _layer(ops, weights, x, channels, 3), channels, 3)
    return _layer(ops, weights, x, 2, 1, activation="")


def efficientnet_b0(ops, weights, x):
    """Tan and Le, arXiv:1905.11946, table 1, with squeeze and excitation, up to the pooling."""
    x = _layer(ops, weights, x, 32, 3, 2, activation="silu")
    for expand, kernel, outputs, repeats, first in (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    ):
        for i in range(repeats):
            inputs, stride = ops.channels(x), first if i == 0 else 1
            y = _layer(ops, weights, x, inputs * expand, 1, activation="silu") if expand > 1 else x
            y = _layer(ops, weights, y, ops.channels(y), kernel, stride, ops.channels(y), "silu")
            squeezed = _layer(ops, weights, ops.mean(y), inputs // 4, 1, activation="silu")
            y = y * _layer(ops, weights, squeezed, ops.channels(y), 1, activation="sigmoid")
            y = _layer(ops, weights, y, outputs, 1, activation="")
            x = x + y if stride == 1 and inputs == outputs else y
    return ops.mean(_layer(ops, weights, x, 1280, 1, activation="silu"))


def densenet_121_block(ops, weights, x):
    """Huang et al., arXiv:1608.06993: the first block, of six layers with a growth rate of 32."""
    for _ in range(6):
        y = _layer(ops, weights, ops.relu(x), 128, 1)
        x = ops.cat([x, _layer(ops, weights, y, 32, 3, activation="")])
    return x


def wavenet(ops, weights, x):
    """van den Oord et al., arXiv:1609.03499: ten causal layers of 32 channels, dilations 1 to 512."""
    for i in range(10):
        dilation = 2**i
        y = ops.conv1d(ops.pad(x, (dilation, 0)), weights(64, 32, 2), weights(64), 1, 0, dilation)
        y = ops.tanh(y[:, :32]) * ops.sigmoid(y[:, 32:])
        x = x + ops.conv1d(y, weights(32, 32, 1), weights(32))
    return x


NETWORKS: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "MobileNetV2": (mobilenet_v2, (4, 3, 224, 224)),
    "ResNet-18": (resnet_18, (4, 3, 224, 224)),
    "ConvNeXt-T blocks": (convnext_t_blocks, (4, 3, 224, 224)),
    "ResNeXt-50 stage": (resnext_50_stage, (4, 64, 56, 56)),
    "EfficientNet-B0": (efficientnet_b0, (4, 3, 224, 224)),
    "DenseNet-121 block": (densenet_121_block, (4, 64, 56, 56)),
    "U-Net": (u_net, (2, 3, 128, 128)),
    "WaveNet": (wavenet, (4, 32, 4096)),
}
