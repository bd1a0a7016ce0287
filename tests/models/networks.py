"""Networks, written after their papers with the layers of Flax (Linen and NNX) and Equinox as they are."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx


class Bottleneck(nn.Module):
    """A block of ResNet (He and others, "Deep residual learning for image recognition", 2015)."""

    width: int
    stride: int = 1

    @nn.compact
    def __call__(self, x, train: bool):
        norm = lambda: nn.BatchNorm(use_running_average=not train, param_dtype=x.dtype)  # noqa: E731
        conv = lambda *a, **k: nn.Conv(*a, use_bias=False, param_dtype=x.dtype, **k)  # noqa: E731
        y = nn.relu(norm()(conv(self.width, (1, 1))(x)))
        y = nn.relu(norm()(conv(self.width, (3, 3), strides=self.stride)(y)))
        y = norm()(conv(4 * self.width, (1, 1))(y))
        if x.shape != y.shape:
            x = norm()(conv(4 * self.width, (1, 1), strides=self.stride)(x))
        return nn.relu(x + y)


class ResNet(nn.Module):
    """ResNet with bottlenecks, in Linen."""

    widths: tuple[int, ...] = (8, 16)
    classes: int = 10

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(self.widths[0], (7, 7), strides=2, use_bias=False, param_dtype=x.dtype)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, param_dtype=x.dtype)(x))
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for n, width in enumerate(self.widths):
            x = Bottleneck(width, 1 + (n > 0))(x, train)
            x = nn.remat(Bottleneck, static_argnums=2)(width)(x, train)
        return nn.Dense(self.classes, param_dtype=x.dtype)(x.mean((1, 2)))


class InvertedResidual(nnx.Module):
    """A block of MobileNetV2 (Sandler and others, 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, rngs: nnx.Rngs, dtype):
        hidden = 6 * inputs
        conv = lambda *a, **k: nnx.Conv(*a, use_bias=False, param_dtype=dtype, rngs=rngs, **k)  # noqa: E731
        norm = lambda features: nnx.BatchNorm(features, param_dtype=dtype, rngs=rngs)  # noqa: E731
        self.expand, self.expand_norm = conv(inputs, hidden, (1, 1)), norm(hidden)
        self.filter = conv(hidden, hidden, (3, 3), strides=stride, feature_group_count=hidden)
        self.filter_norm = norm(hidden)
        self.project, self.project_norm = conv(hidden, outputs, (1, 1)), norm(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def __call__(self, x):
        y = nnx.relu6(self.expand_norm(self.expand(x)))
        y = nnx.relu6(self.filter_norm(self.filter(y)))
        y = self.project_norm(self.project(y))
        return x + y if self.shortcut else y


class MobileNet(nnx.Module):
    """MobileNetV2, in NNX."""

    def __init__(self, rngs: nnx.Rngs, dtype, blocks=((8, 8, 1), (8, 12, 2), (12, 12, 1)), classes: int = 10):
        first, last = blocks[0][0], blocks[-1][1]
        self.stem = nnx.Conv(3, first, (3, 3), strides=2, param_dtype=dtype, rngs=rngs)
        self.blocks = nnx.List([InvertedResidual(*block, rngs, dtype) for block in blocks])
        self.head = nnx.Linear(last, classes, param_dtype=dtype, rngs=rngs)

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


class DoubleConv(eqx.Module):
    """Two layers of a U-Net."""

    layers: list

    def __init__(self, inputs: int, outputs: int, key, dtype):
        keys = jax.random.split(key)
        conv = lambda n, key: eqx.nn.Conv2d(n, outputs, 3, padding=1, key=key, dtype=dtype)  # noqa: E731
        self.layers = [conv(inputs, keys[0]), jax.nn.relu, conv(outputs, keys[1]), jax.nn.relu]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class UNet(eqx.Module):
    """U-Net (Ronneberger and others, 2015), in Equinox, for one image (C, H, W)."""

    down: list
    up: list
    merge: list
    last: eqx.nn.Conv2d
    pool: eqx.nn.MaxPool2d

    def __init__(self, key, dtype, widths=(8, 16, 32)):
        keys = iter(jax.random.split(key, 3 * len(widths)))
        pairs = list(zip((3, *widths[:-1]), widths, strict=True))
        self.down = [DoubleConv(n, m, next(keys), dtype) for n, m in pairs]
        self.up = [eqx.nn.ConvTranspose2d(m, n, 2, 2, key=next(keys), dtype=dtype) for n, m in pairs[:0:-1]]
        self.merge = [DoubleConv(2 * n, n, next(keys), dtype) for n, _ in pairs[:0:-1]]
        self.last = eqx.nn.Conv2d(widths[0], 1, 1, key=next(keys), dtype=dtype)
        self.pool = eqx.nn.MaxPool2d(2, 2)

    def __call__(self, x):
        skipped = []
        for n, block in enumerate(self.down):
            x = block(x if n == 0 else self.pool(x))
            skipped.append(x)
        for up, merge, skip in zip(self.up, self.merge, skipped[-2::-1], strict=True):
            x = merge(jnp.concatenate([skip, up(x)]))
        return self.last(x)


class Residual(nn.Module):
    """A block of the diffusion U-Net, which knows the time."""

    width: int

    @nn.compact
    def __call__(self, x, time):
        kind = {"param_dtype": x.dtype}
        y = nn.Conv(self.width, (3, 3), **kind)(nn.silu(nn.GroupNorm(4, **kind)(x)))
        y += nn.Dense(self.width, **kind)(nn.silu(time))[:, None, None]
        y = nn.Conv(self.width, (3, 3), **kind)(nn.silu(nn.GroupNorm(4, **kind)(y)))
        return y + (x if x.shape == y.shape else nn.Conv(self.width, (1, 1), **kind)(x))


class DiffusionUNet(nn.Module):
    """The network of "Denoising diffusion probabilistic models" (Ho and others, 2020), in Linen."""

    widths: tuple[int, ...] = (8, 16)

    @nn.compact
    def __call__(self, x, step):
        kind = {"param_dtype": x.dtype}
        angles = step[:, None] * 10000.0 ** -jnp.linspace(0, 1, 4, dtype=x.dtype)
        time = nn.Dense(16, **kind)(jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1))
        y, skipped = nn.Conv(self.widths[0], (3, 3), **kind)(x), []
        for width in self.widths:
            y = Residual(width)(y, time)
            skipped.append(y)
            y = nn.Conv(width, (3, 3), strides=2, **kind)(y)
        flat = nn.GroupNorm(4, **kind)(y).reshape(y.shape[0], -1, y.shape[-1])
        y += nn.MultiHeadDotProductAttention(2, param_dtype=x.dtype)(flat, flat).reshape(y.shape)
        for width in self.widths[::-1]:
            y = nn.ConvTranspose(width, (4, 4), strides=(2, 2), **kind)(y)
            y = Residual(width)(jnp.concatenate([y, skipped.pop()], -1), time)
        return nn.Conv(x.shape[-1], (3, 3), **kind)(nn.silu(nn.GroupNorm(4, **kind)(y)))
