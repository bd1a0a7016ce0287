"""The list of all cases: small ones for the tests, and `ROWS`, convolutions from practice, for the benchmark.

The tests run the rows too, each reduced to a size that loops in float64 can compute.
"""

import math
import re
from typing import Any, NamedTuple

import jax
import numpy as np

import convjax
from convjax._arguments import convolutions
from convjax._arguments.convolutions import Options
from convjax._spec import ConvSpec, extent

# As a dtype of rows: products of float32 that are not rounded to TF32, to which an NVIDIA card rounds by default.
FULL_FLOAT32 = "float32_highest"


class Case(NamedTuple):
    """A call of `convjax.conv`, or of `convjax.conv_transpose` if `transpose` is set.

    x and weight are shapes with the channels first, also if `memory_format` is "channels_last".
    """

    name: str
    x: tuple[int, ...]
    weight: tuple[int, ...]
    options: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    transpose: bool = False
    family: str = ""
    dtype: str = "float32"
    memory_format: str = "contiguous"

    def channels_last(self) -> "Case":
        """The same call on arrays (N, *n, C), with a kernel (*k, I, O), as most JAX code has them."""
        return self._replace(name=f"{self.name}, NHWC", memory_format="channels_last")

    def of_dtype(self, dtype: str) -> "Case":
        """The same call on arrays of another dtype, or on arrays of float32 with all of its digits (FULL_FLOAT32)."""
        if dtype == self.dtype:
            return self
        name = f"{self.name}, {dtype}"
        if dtype == FULL_FLOAT32:
            return self._replace(name=name, options=self.options | {"precision": "highest"})
        return self._replace(name=name, dtype=dtype)

    def of_batch(self, images: int) -> "Case":
        """The same call on so many images."""
        return self._replace(
            name=f"{re.sub(', batch [0-9]+$', '', self.name)}, batch {images}", x=(images, *self.x[1:])
        )

    @property
    def function(self):
        return convjax.conv_transpose if self.transpose else convjax.conv

    def __call__(self, x, weight, bias=None, **more):
        return self.function(x, weight, bias, **self.options, **more)

    def structs(self) -> list[jax.ShapeDtypeStruct]:
        return [jax.ShapeDtypeStruct(shape, self.dtype) for shape in (self.x, self.weight)]

    def spec(self) -> ConvSpec:
        """The `ConvSpec` that the primitive receives if no border is filled first."""
        x, weight = self.structs()
        given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **self.options}
        options = Options(precision=given.pop("precision", None))
        if self.transpose:
            given = {"output_padding": 0, **given}
            call = convolutions.conv_transpose_call("conv_transpose", None, x, weight, None, **given, options=options)
        else:
            call = convolutions.conv_call("conv", None, x, weight, None, **given, options=options)
        return call.spec

    def reduced(self) -> "Case":
        """The same kind of convolution, with few images, channels, groups and positions, and at most 40 taps."""
        dims, groups = len(self.weight) - 2, self.options.get("groups", 1)
        few = min(groups, 3)
        ins, outs = (self.weight[1], self.weight[0] // groups)
        ins, outs = (self.weight[0] // groups, self.weight[1]) if self.transpose else (ins, outs)
        ins, outs = min(ins, 3), min(outs, 2)
        most = math.ceil(40 ** (1 / dims))
        kernel = tuple(min(k, most) for k in self.weight[2:])
        room = [extent(k, r) for k, r in zip(kernel, self._per_dim("dilation", dims), strict=True)]
        room = [k + 2 * s + 1 for k, s in zip(room, self._per_dim("stride", dims), strict=True)]
        sizes = tuple(min(n, 4 if self.transpose else r) for n, r in zip(self.x[2:], room, strict=True))
        weight = (few * ins, outs, *kernel) if self.transpose else (few * outs, ins, *kernel)
        options = self.options | ({"groups": few} if groups > 1 else {})
        if "padding" in options and kernel != self.weight[2:]:
            options["padding"] = tuple((k // 2, k // 2) for k in kernel)
        return self._replace(x=(min(self.x[0], 2), few * ins, *sizes), weight=weight, options=options)

    def _per_dim(self, option: str, dims: int) -> tuple[int, ...]:
        return np.broadcast_to(self.options.get(option, 1), (dims,)).tolist()


SMALL = (
    Case("pointwise", (2, 4, 5, 6), (3, 4, 1, 1)),
    Case("pointwise_strided", (2, 4, 6, 7), (3, 4, 1, 1), {"stride": 2}),
    Case("dense_3x3", (2, 3, 7, 8), (4, 3, 3, 3), {"padding": 1}),
    Case("dense_even_same", (2, 3, 7, 6), (4, 3, 4, 2), {"padding": "same"}),
    Case("stem", (1, 3, 15, 14), (4, 3, 7, 7), {"stride": 2, "padding": 3}),
    Case("remainder", (2, 2, 8, 9), (3, 2, 3, 2), {"stride": 3}),
    Case("patches", (2, 3, 8, 8), (5, 3, 4, 4), {"stride": 4}),
    Case("low_high", (2, 2, 6, 5), (3, 2, 3, 4), {"padding": ((0, 2), (3, 1))}),
    Case("grouped", (2, 6, 7, 7), (4, 3, 3, 3), {"padding": 1, "groups": 2}),
    Case("grouped_strided", (2, 4, 8, 9), (6, 2, 3, 2), {"stride": (2, 1), "padding": (1, 0), "groups": 2}),
    Case("depthwise", (2, 5, 7, 6), (5, 1, 3, 3), {"padding": 1, "groups": 5}),
    Case("depthwise_multiplied", (2, 3, 7, 6), (6, 1, 3, 3), {"stride": 2, "padding": 1, "groups": 3}),
    Case("dilated", (1, 3, 11, 12), (2, 3, 3, 3), {"padding": 2, "dilation": 2}),
    Case("depthwise_dilated_1d", (2, 4, 19), (4, 1, 5), {"padding": 4, "dilation": 3, "groups": 4}),
    Case("causal_1d", (2, 4, 12), (4, 1, 4), {"padding": ((3, 0),), "groups": 4}),
    Case("large_kernel", (1, 2, 9, 9), (2, 2, 9, 9), {"padding": 4}),
    Case("volume", (1, 2, 5, 6, 4), (3, 2, 3, 2, 3), {"padding": 1, "stride": (1, 2, 1)}),
    Case("four_dims", (1, 2, 4, 3, 4, 3), (2, 2, 2, 2, 3, 1), {"padding": (1, 0, 1, 0)}),
    Case("one_image", (3, 6, 7), (2, 3, 3, 3)),
    Case("up_4_2_1", (2, 4, 5, 6), (4, 3, 4, 4), {"stride": 2, "padding": 1}, True),
    Case("up_3_2_1_1", (2, 3, 5, 4), (3, 4, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}, True),
    Case("up_grouped_dilated", (2, 4, 5, 4), (4, 3, 3, 2), {"stride": (3, 2), "dilation": (1, 2), "groups": 2}, True),
    Case("up_cropped", (2, 2, 6, 5), (2, 2, 2, 2), {"padding": ((1, 2), (2, 1)), "stride": 2}, True),
    Case("up_1d", (2, 3, 9), (3, 2, 5), {"stride": 3, "padding": 2}, True),
    Case("up_3d", (1, 2, 3, 4, 3), (2, 2, 2, 3, 2), {"stride": 2}, True),
    Case("up_one_image", (3, 4, 4), (3, 2, 2, 2), {"stride": 2}, True),
)


def row(
    family: str, name: str, x: str, weight: str, dtype: str = "float32", transpose: bool = False, **options
) -> Case:
    shapes = [tuple(map(int, shape.split("x"))) for shape in (x, weight)]
    return Case(name, *shapes, options, transpose, family, dtype)


def _depthwise(name: str, x: str, kernel: str, family: str = "depthwise", **options) -> Case:
    channels = int(x.split("x")[1])
    return row(family, name, x, f"{channels}x1x{kernel}", groups=channels, **options)


ROWS = (
    _depthwise("mobilenet 3x3 144", "8x144x56x56", "3x3", padding=1),
    _depthwise("mobilenet 3x3 s2 144", "8x144x56x56", "3x3", padding=1, stride=2),
    _depthwise("mobilenet 3x3 384", "8x384x14x14", "3x3", padding=1),
    _depthwise("mobilenet 3x3 s2 576", "8x576x14x14", "3x3", padding=1, stride=2),
    _depthwise("mobilenet 3x3 960", "8x960x7x7", "3x3", padding=1),
    _depthwise("mobilenet 3x3 144, one image", "1x144x56x56", "3x3", padding=1),
    _depthwise("mobilenet 3x3 144, 32 images", "32x144x56x56", "3x3", padding=1),
    _depthwise("efficientnet 5x5 240", "8x240x28x28", "5x5", padding=2),
    _depthwise("efficientnet 5x5 s2 144", "8x144x56x56", "5x5", padding=2, stride=2),
    _depthwise("efficientnet 5x5 672", "8x672x14x14", "5x5", padding=2),
    _depthwise("efficientnet 5x5 s2 672", "8x672x14x14", "5x5", padding=2, stride=2),
    _depthwise("convnext 7x7 96", "8x96x56x56", "7x7", padding=3),
    _depthwise("convnext 7x7 192", "8x192x28x28", "7x7", padding=3),
    _depthwise("convnext 7x7 384", "8x384x14x14", "7x7", padding=3),
    _depthwise("convnext 7x7 768", "8x768x7x7", "7x7", padding=3),
    row("grouped", "resnext 32x4 3x3", "8x128x56x56", "128x4x3x3", padding=1, groups=32),
    row("grouped", "resnext 32x4 3x3, one image", "1x128x56x56", "128x4x3x3", padding=1, groups=32),
    row("grouped", "resnext 32x4 3x3, 32 images", "32x128x56x56", "128x4x3x3", padding=1, groups=32),
    row("grouped", "resnext 32x8 3x3", "8x256x28x28", "256x8x3x3", padding=1, groups=32),
    row("grouped", "resnext 32x16 3x3", "8x512x14x14", "512x16x3x3", padding=1, groups=32),
    row("grouped", "resnext 32x32 3x3", "8x1024x7x7", "1024x32x3x3", padding=1, groups=32),
    row("grouped", "resnext 32x32 3x3 s2", "8x1024x14x14", "1024x32x3x3", padding=1, groups=32, stride=2),
    row("grouped", "resnext 32x8 3x3 s2", "8x256x56x56", "256x8x3x3", padding=1, groups=32, stride=2),
    row("grouped", "alexnet grouped 5x5", "8x96x27x27", "256x48x5x5", padding=2, groups=2),
    row("1x1", "shufflenet grouped 1x1", "8x240x28x28", "240x80x1x1", groups=3),
    row("1x1", "resnet 1x1 64 to 256", "8x64x56x56", "256x64x1x1"),
    row("1x1", "resnet 1x1 256 to 64", "8x256x56x56", "64x256x1x1"),
    row("1x1", "resnet 1x1 256 to 64, one image", "1x256x56x56", "64x256x1x1"),
    row("1x1", "resnet 1x1 256 to 64, 32 images", "32x256x56x56", "64x256x1x1"),
    row("1x1", "resnet 1x1 128 to 512", "8x128x28x28", "512x128x1x1"),
    row("1x1", "resnet 1x1 512 to 128", "8x512x28x28", "128x512x1x1"),
    row("1x1", "resnet 1x1 256 to 1024", "8x256x14x14", "1024x256x1x1"),
    row("1x1", "resnet 1x1 1024 to 256", "8x1024x14x14", "256x1024x1x1"),
    row("1x1", "resnet 1x1 512 to 2048", "8x512x7x7", "2048x512x1x1"),
    row("1x1", "resnet 1x1 2048 to 512", "8x2048x7x7", "512x2048x1x1"),
    row("1x1", "resnet 1x1 s2 256 to 512", "8x256x56x56", "512x256x1x1", stride=2),
    row("1x1", "vit patches 16x16", "8x3x224x224", "384x3x16x16", stride=16),
    row("1x1", "convnext patches 4x4", "8x3x224x224", "96x3x4x4", stride=4),
    row("dense", "resnet stem 7x7 s2", "8x3x224x224", "64x3x7x7", padding=3, stride=2),
    row("dense", "mobilenet stem 3x3 s2", "8x3x224x224", "32x3x3x3", padding=1, stride=2),
    row("dense", "vgg 3x3 3 to 64", "8x3x224x224", "64x3x3x3", padding=1),
    row("dense", "resnet 3x3 64", "8x64x56x56", "64x64x3x3", padding=1),
    row("dense", "resnet 3x3 64, one image", "1x64x56x56", "64x64x3x3", padding=1),
    row("dense", "resnet 3x3 64, 32 images", "32x64x56x56", "64x64x3x3", padding=1),
    row("dense", "resnet 3x3 128", "8x128x28x28", "128x128x3x3", padding=1),
    row("dense", "resnet 3x3 256", "8x256x14x14", "256x256x3x3", padding=1),
    row("dense", "resnet 3x3 512", "8x512x7x7", "512x512x3x3", padding=1),
    row("dense", "resnet 3x3 256, one image", "1x256x14x14", "256x256x3x3", padding=1),
    row("dense", "resnet 3x3 512, one image", "1x512x7x7", "512x512x3x3", padding=1),
    row("dense", "resnet 3x3 s2 64 to 128", "8x64x56x56", "128x64x3x3", padding=1, stride=2),
    row("dense", "resnet 3x3 s2 256 to 512", "8x256x14x14", "512x256x3x3", padding=1, stride=2),
    row("dense", "resnet 3x3 s2 128 to 256", "8x128x28x28", "256x128x3x3", padding=1, stride=2),
    row("dense", "vgg 3x3 64", "1x64x224x224", "64x64x3x3", padding=1),
    row("dense", "vgg 3x3 256", "1x256x56x56", "256x256x3x3", padding=1),
    row("dense", "unet 3x3 128 to 64", "1x128x256x256", "64x128x3x3", padding=1),
    row("dense", "unet 3x3 3 to 32", "1x3x256x256", "32x3x3x3", padding=1),
    row("dense", "segments 3x3 64 to 21", "2x64x64x64", "21x64x3x3", padding=1),
    row("dense", "erfnet 3x1 64", "1x64x128x256", "64x64x3x1", padding=(1, 0)),
    row("dense", "alexnet 5x5 64 to 192", "8x64x27x27", "192x64x5x5", padding=2),
    row("dense", "lenet 5x5 1 to 6", "64x1x28x28", "6x1x5x5", padding=2),
    row("dense", "lenet 5x5 6 to 16", "64x6x14x14", "16x6x5x5"),
    row("dense", "cifar 3x3 3 to 32", "128x3x32x32", "32x3x3x3", padding=1),
    row("dense", "cifar 3x3 32", "128x32x32x32", "32x32x3x3", padding=1),
    row("dilated", "drn 3x3 d2", "8x256x28x28", "256x256x3x3", padding=2, dilation=2),
    row("dilated", "deeplab 3x3 d6", "2x256x33x33", "256x256x3x3", padding=6, dilation=6),
    row("dilated", "deeplab 3x3 d12", "2x256x33x33", "256x256x3x3", padding=12, dilation=12),
    row("dilated", "deeplab 3x3 d18", "2x256x33x33", "256x256x3x3", padding=18, dilation=18),
    _depthwise("deeplab depthwise 3x3 d6", "2x256x33x33", "3x3", "dilated", padding=6, dilation=6),
    _depthwise("deeplab depthwise 3x3 d12", "2x256x33x33", "3x3", "dilated", padding=12, dilation=12),
    _depthwise("deeplab depthwise 3x3 d18", "2x256x33x33", "3x3", "dilated", padding=18, dilation=18),
    _depthwise("replknet 31x31", "2x64x56x56", "31x31", "large", padding=15),
    row("large", "63x63 on 512x512", "1x1x512x512", "1x1x63x63", padding=31),
    _depthwise("gaussian 15x15 on 1080x1920", "1x3x1080x1920", "15x15", "large", padding=7),
    row("image", "sobel pair on 1080x1920", "1x1x1080x1920", "2x1x3x3", padding=1),
    row("image", "5x5 on 64x28x28", "64x1x28x28", "1x1x5x5", padding=2),
    row("1d", "wavenet k2 d64", "4x64x4096", "128x64x2", padding=((64, 0),), dilation=64),
    _depthwise("mamba causal k4", "4x1024x2048", "4", "1d", padding=((3, 0),)),
    _depthwise("jax#13800 k5", "32x512x1024", "5", "1d", padding=2),
    _depthwise("jax#26266 k5 d4", "32x512x1024", "5", "1d", padding=8, dilation=4),
    _depthwise("dilated k5 d4", "8x512x1024", "5", "1d", padding=8, dilation=4),
    row("1d", "text k3 256", "8x256x512", "256x256x3", padding=1),
    row("1d", "tcn k3 d8 32", "8x32x512", "32x32x3", padding=((16, 0),), dilation=8),
    row("1d", "keyword k9 24 to 32", "16x24x100", "32x24x9", padding=4),
    row("1d", "wav2vec k10 s5 1 to 512", "2x1x16000", "512x1x10", stride=5),
    row("1d", "audio k129", "4x1x160000", "1x1x129", padding=64),
    row("1d", "audio k16000", "1x1x160000", "1x1x16000", padding=((15999, 0),)),
    row("3d", "medical 3x3x3 32", "1x32x32x48x48", "32x32x3x3x3", padding=1),
    row("3d", "medical 3x3x3 1 to 16", "1x1x64x64x64", "16x1x3x3x3", padding=1),
    _depthwise("video depthwise 3x3x3", "2x64x16x28x28", "3x3x3", "3d", padding=1),
    row("transposed", "up 4x4 s2 128 to 64", "8x128x32x32", "128x64x4x4", transpose=True, stride=2, padding=1),
    row("transposed", "dcgan 4x4 s2 512 to 256", "8x512x8x8", "512x256x4x4", transpose=True, stride=2, padding=1),
    row("transposed", "dcgan 4x4 s2 64 to 3", "8x64x32x32", "64x3x4x4", transpose=True, stride=2, padding=1),
    row("transposed", "unet 2x2 s2 128 to 64", "1x128x128x128", "128x64x2x2", transpose=True, stride=2),
    row("bf16", "mobilenet 3x3 144, bf16", "8x144x56x56", "144x1x3x3", "bfloat16", padding=1, groups=144),
    row("bf16", "resnext 32x4 3x3, bf16", "8x128x56x56", "128x4x3x3", "bfloat16", padding=1, groups=32),
    row("bf16", "resnet 1x1 256 to 64, bf16", "8x256x56x56", "64x256x1x1", "bfloat16"),
    row("bf16", "resnet 3x3 64, bf16", "8x64x56x56", "64x64x3x3", "bfloat16", padding=1),
    row("bf16", "up 4x4 s2 128 to 64, bf16", "8x128x32x32", "128x64x4x4", "bfloat16", True, stride=2, padding=1),
    row("bf16", "vit patches 16x16, bf16", "8x3x224x224", "384x3x16x16", "bfloat16", stride=16),
)

# Shapes between and beyond the rows, at which a choice for a TPU changes (`python -m benchmarks.estimate`).
BESIDE_ROWS = (
    row("grouped", "groups of 2, 3x3", "8x256x28x28", "256x2x3x3", padding=1, groups=128),
    row("grouped", "groups of 8, 1x1", "8x256x28x28", "256x8x1x1", groups=32),
    row("grouped", "depthwise with two outputs", "8x64x56x56", "128x1x3x3", padding=1, groups=64),
    row("1d", "groups of 4, k3", "8x256x512", "256x4x3", padding=1, groups=64),
    _depthwise("11x11 96", "8x96x56x56", "11x11", padding=5),
    _depthwise("13x13 192", "8x192x28x28", "13x13", padding=6),
    _depthwise("15x15 64", "8x64x56x56", "15x15", padding=7),
    _depthwise("3 channels 3x3", "8x3x224x224", "3x3", "image", padding=1),
    row("image", "1 to 8 3x3", "1x1x256x256", "8x1x3x3", padding=1),
    row("1d", "audio k9", "4x1x160000", "1x1x9", padding=4),
)

BY_NAME = {case.name: case for case in (*SMALL, *ROWS)}
