"""Layers of published models (torchvision, timm), by which the choice of an algorithm is judged.

They are drawn at random from the distinct layers of 33 models, stratified by kind (1x1 on large and on small images,
strided, 3x3, depthwise, volumes, others) and spread over the models. No layer of a model in `VALIDATION` may be looked
at when a preference is written.
"""

import numpy as np

from benchmarks.cases import ROWS, Case, row

BATCHES = (1, 8)


def _layer(model: str, x: str, weight: str, **options) -> tuple[Case, ...]:
    """One layer, as a row for each batch."""
    stride = int(np.max(options.get("stride", 1)))
    name = f"{model}, {x} to {weight}{f' s{stride}' if stride > 1 else ''}"
    return tuple(row(model, f"{name}, batch {n}", f"{n}x{x}", weight, **options) for n in BATCHES)


TUNING_LAYERS = (
    *_layer("alexnet", "64x27x27", "192x64x5x5", padding=2),
    *_layer("alexnet", "384x13x13", "256x384x3x3", padding=1),
    *_layer("vgg16", "256x56x56", "256x256x3x3", padding=1),
    *_layer("googlenet", "64x56x56", "64x64x1x1"),
    *_layer("googlenet", "32x28x28", "96x32x3x3", padding=1),
    *_layer("googlenet", "112x14x14", "224x112x3x3", padding=1),
    *_layer("googlenet", "832x7x7", "48x832x1x1"),
    *_layer("resnet18", "64x56x56", "128x64x3x3", stride=2, padding=1),
    *_layer("resnet18", "256x14x14", "256x256x3x3", padding=1),
    *_layer("resnet18", "256x14x14", "512x256x1x1", stride=2),
    *_layer("resnet50", "1024x14x14", "256x1024x1x1"),
    *_layer("resnet50", "512x14x14", "512x512x3x3", stride=2, padding=1),
    *_layer("resnet50", "2048x7x7", "512x2048x1x1"),
    *_layer("densenet121", "128x14x14", "32x128x3x3", padding=1),
    *_layer("densenet121", "960x14x14", "128x960x1x1"),
    *_layer("densenet121", "544x7x7", "128x544x1x1"),
    *_layer("densenet161", "3x224x224", "96x3x7x7", stride=2, padding=3),
    *_layer("densenet161", "192x56x56", "48x192x3x3", padding=1),
    *_layer("densenet161", "768x28x28", "384x768x1x1"),
    *_layer("densenet161", "1392x7x7", "192x1392x1x1"),
    *_layer("shufflenet_v2_x0_5", "3x224x224", "24x3x3x3", stride=2, padding=1),
    *_layer("shufflenet_v2_x0_5", "24x56x56", "24x1x3x3", stride=2, padding=1, groups=24),
    *_layer("shufflenet_v2_x0_5", "48x28x28", "48x1x3x3", stride=2, padding=1, groups=48),
    *_layer("shufflenet_v2_x0_5", "48x14x14", "48x1x3x3", padding=1, groups=48),
    *_layer("shufflenet_v2_x0_5", "192x7x7", "1024x192x1x1"),
    *_layer("efficientnet_b3", "32x56x56", "192x32x1x1"),
    *_layer("efficientnet_b3", "816x14x14", "816x1x5x5", padding=2, groups=816),
    *_layer("efficientnet_b3", "816x14x14", "816x1x5x5", stride=2, padding=2, groups=816),
    *_layer("lraspp_mobilenet_v3_large", "960x14x14", "960x1x5x5", padding=4, dilation=2, groups=960),
    *_layer("lraspp_mobilenet_v3_large", "960x1x1", "128x960x1x1"),
    *_layer("lraspp_mobilenet_v3_large", "40x28x28", "21x40x1x1"),
    *_layer("fcn_resnet50", "2048x28x28", "512x2048x3x3", padding=1),
    *_layer("fcn_resnet50", "512x28x28", "21x512x1x1"),
    *_layer("r2plus1d_18", "64x16x56x56", "230x64x1x3x3", stride=(1, 2, 2), padding=(0, 1, 1)),
    *_layer("r2plus1d_18", "230x16x28x28", "128x230x3x1x1", stride=(2, 1, 1), padding=(1, 0, 0)),
    *_layer("r2plus1d_18", "230x8x28x28", "128x230x3x1x1", padding=(1, 0, 0)),
    *_layer("r2plus1d_18", "460x8x14x14", "256x460x3x1x1", stride=(2, 1, 1), padding=(1, 0, 0)),
    *_layer("repvgg_a0", "48x112x112", "48x48x3x3", stride=2, padding=1),
    *_layer("repvgg_a0", "192x14x14", "192x192x3x3", padding=1),
    *_layer("repvgg_a0", "192x14x14", "1280x192x1x1", stride=2),
    *_layer("edgenext_small", "3x256x256", "48x3x4x4", stride=4),
    *_layer("edgenext_small", "64x32x32", "96x64x1x1"),
    *_layer("edgenext_small", "160x16x16", "160x1x7x7", padding=3, groups=160),
    *_layer("mobileone_s0", "48x112x112", "48x1x1x1", stride=2, groups=48),
    *_layer("mobileone_s0", "48x28x28", "128x48x1x1"),
    *_layer("mobileone_s0", "128x28x28", "128x1x1x1", groups=128),
    *_layer("convmixer_768_32", "3x224x224", "768x3x7x7", stride=7),
    *_layer("convmixer_768_32", "768x32x32", "768x1x7x7", padding=3, groups=768),
    *_layer("convmixer_768_32", "768x32x32", "768x768x1x1"),
    *_layer("vit_small_patch16_224", "3x224x224", "384x3x16x16", stride=16),
    *_layer("efficientformer_l1", "24x112x112", "48x24x3x3", stride=2, padding=1),
    *_layer("efficientformer_l1", "384x28x28", "96x384x1x1"),
    *_layer("efficientformer_l1", "1792x7x7", "448x1792x1x1"),
    *_layer("sebotnet33ts_256", "24x128x128", "32x24x3x3", padding=1),
    *_layer("sebotnet33ts_256", "128x32x32", "384x128x1x1"),
    *_layer("sebotnet33ts_256", "256x32x32", "256x256x3x3", stride=2, padding=1),
    *_layer("sebotnet33ts_256", "512x32x32", "1024x512x1x1", stride=2),
    *_layer("sebotnet33ts_256", "1536x8x8", "512x1536x1x1"),
    *_layer("mobilenetv4_conv_small", "32x56x56", "96x32x3x3", stride=2, padding=1),
    *_layer("mobilenetv4_conv_small", "96x28x28", "64x96x1x1"),
    *_layer("mobilenetv4_conv_small", "192x28x28", "192x1x5x5", stride=2, padding=2, groups=192),
    *_layer("mobilenetv4_conv_small", "128x7x7", "512x128x1x1"),
    *_layer("mobilenetv4_conv_small", "512x7x7", "512x1x3x3", padding=1, groups=512),
    *_layer("convnextv2_nano", "320x56x56", "80x320x1x1"),
    *_layer("convnextv2_nano", "640x7x7", "640x1x7x7", padding=3, groups=640),
    *_layer("convnextv2_nano", "2560x7x7", "640x2560x1x1"),
)

VALIDATION_LAYERS = (
    *_layer("inception_v3", "80x73x73", "192x80x3x3"),
    *_layer("inception_v3", "768x17x17", "128x768x1x1"),
    *_layer("inception_v3", "128x17x17", "128x128x1x7", padding=(0, 3)),
    *_layer("inception_v3", "2048x8x8", "192x2048x1x1"),
    *_layer("wide_resnet50_2", "512x14x14", "1024x512x1x1"),
    *_layer("wide_resnet50_2", "1024x7x7", "2048x1024x1x1"),
    *_layer("wide_resnet50_2", "1024x7x7", "1024x1024x3x3", padding=1),
    *_layer("resnext101_64x4d", "256x56x56", "256x4x3x3", padding=1, groups=64),
    *_layer("resnext101_64x4d", "512x56x56", "512x8x3x3", stride=2, padding=1, groups=64),
    *_layer("resnext101_64x4d", "1024x14x14", "2048x1024x1x1"),
    *_layer("resnext101_64x4d", "2048x7x7", "2048x2048x1x1"),
    *_layer("mnasnet1_3", "3x224x224", "40x3x3x3", stride=2, padding=1),
    *_layer("mnasnet1_3", "56x28x28", "168x56x1x1"),
    *_layer("mnasnet1_3", "768x14x14", "768x1x5x5", stride=2, padding=2, groups=768),
    *_layer("mnasnet1_3", "1488x7x7", "1488x1x3x3", padding=1, groups=1488),
    *_layer("convnext_base", "128x56x56", "128x1x7x7", padding=3, groups=128),
    *_layer("convnext_base", "512x14x14", "1024x512x2x2", stride=2),
    *_layer("mc3_18", "128x16x28x28", "256x128x1x1x1", stride=(1, 2, 2)),
    *_layer("res2net50_26w_4s", "64x56x56", "104x64x1x1"),
    *_layer("res2net50_26w_4s", "104x14x14", "104x104x3x3", padding=1),
    *_layer("res2net50_26w_4s", "208x7x7", "208x208x3x3", padding=1),
    *_layer("dla34", "3x224x224", "16x3x7x7", padding=3),
    *_layer("dla34", "16x224x224", "16x16x3x3", padding=1),
    *_layer("dla34", "16x224x224", "32x16x3x3", stride=2, padding=1),
    *_layer("dla34", "896x14x14", "256x896x1x1"),
    *_layer("tf_efficientnet_lite0", "3x224x224", "32x3x3x3", stride=2),
    *_layer("pit_s_224", "3x224x224", "144x3x16x16", stride=8),
    *_layer("pit_s_224", "288x14x14", "576x1x3x3", stride=2, padding=1, groups=288),
    *_layer("mobilevit_s", "32x128x128", "128x32x1x1"),
    *_layer("mobilevit_s", "128x128x128", "128x1x3x3", stride=2, padding=1, groups=128),
    *_layer("mobilevit_s", "256x64x64", "256x1x3x3", padding=1, groups=256),
    *_layer("mobilevit_s", "96x32x32", "96x96x3x3", padding=1),
    *_layer("mobilevit_s", "160x8x8", "240x160x1x1"),
    *_layer("focalnet_tiny_srf", "192x28x28", "192x1x5x5", padding=2, groups=192),
    *_layer("focalnet_tiny_srf", "384x14x14", "771x384x1x1"),
    *_layer("focalnet_tiny_srf", "768x7x7", "1539x768x1x1"),
)

# Rows on which convjax 0.1.0 was slower than lax, or far slower than torch.
LOSSES = (
    row("loss", "1x1 1024 to 512 on 1x1", "1x1024x1x1", "512x1024x1x1"),
    row("loss", "1x1 512 to 2048 on 1x1", "1x512x1x1", "2048x512x1x1"),
    row("loss", "1x1 1024 on 8x8", "1x1024x8x8", "1024x1024x1x1"),
    row("loss", "1x1 832 to 128 on 7x7", "1x832x7x7", "128x832x1x1"),
    row("loss", "1x1 1392 to 192 on 7x7", "1x1392x7x7", "192x1392x1x1"),
    row("loss", "1x1 320 to 1280 on 7x7", "1x320x7x7", "1280x320x1x1"),
    row("loss", "1x1 128 to 64 on 1x1", "1x128x1x1", "64x128x1x1"),
    row("loss", "1x1 64 to 640 on 1x1", "1x64x1x1", "640x64x1x1"),
    row("loss", "3x3 s2 40 on 28x28", "8x40x28x28", "40x40x3x3", padding=1, stride=2),
    row("loss", "3x3 s2 24 on 32x32", "8x24x32x32", "24x24x3x3", padding=1, stride=2),
    row("loss", "1x15 8 on 256x256", "1x8x256x256", "8x8x1x15", padding=(0, 7)),
    row("loss", "depthwise 1x1 s2 48 on 128x128", "8x48x128x128", "48x1x1x1", groups=48, stride=2),
    row("loss", "up 3x3x3 s2 32 to 64, bf16", "1x32x32x32x32", "32x64x3x3x3", "bfloat16", True, stride=2, padding=1),
)

SETS: dict[str, tuple[Case, ...]] = {
    "losses": LOSSES,
    "layers": TUNING_LAYERS,
    "validation": VALIDATION_LAYERS,
    "rows": ROWS,
}
