"""Depthwise layers with the channels last, on random sizes, against XLA's own convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import Case, by, channels_last, normal, specs

import convjax
from convjax._algorithms import ALGORITHMS
from convjax._choice.choose import why_unsupported
from convjax._machine import this_machine

HERE = this_machine("cpu")


def random_layer(rng, longest: int) -> Case:
    """A layer whose windows fit, on images up to `longest` wider than a window."""
    dims, channels, images = int(rng.integers(1, 4)), int(rng.integers(2, 40)), int(rng.integers(1, 4))
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, 4, dims))) for _ in range(3))
    padding = tuple((int(low), int(high)) for low, high in rng.integers(0, 5, (dims, 2)))
    reach = [(k - 1) * r + 1 for k, r in zip(kernel, dilation, strict=True)]
    sizes = [int(n) + r for n, r in zip(rng.integers(0, longest, dims), reach, strict=True)]
    options = {"groups": channels, "stride": stride, "padding": padding, "dilation": dilation}
    return Case("depthwise", (images, channels, *sizes), (channels, 1, *kernel), options)


def check(got, want, name=""):
    np.testing.assert_allclose(got, want, rtol=0, atol=3e-6 * max(float(jnp.abs(want).max()), 1), err_msg=name)


@pytest.mark.parametrize("seed", range(6))
def test_weight_gradients(seed):
    rng = np.random.default_rng([7, seed])
    for _ in range(5):
        spec, x, w = specs(random_layer(rng, 6))["weight gradient"]
        spec = channels_last(spec)
        x, w = normal(seed, x.shape), normal(seed + 1, w.shape)
        names = [
            "xla",
            "depthwise_reduce",
            *["onednn"] * (why_unsupported(ALGORITHMS["onednn"], spec, x, w, HERE) is None),
        ]
        assert not any(why_unsupported(ALGORITHMS[name], spec, x, w, HERE) for name in names)
        assert not HERE.has_onednn(x.dtype) or len(names) == 3
        want, *results = jax.jit(lambda x, w, s=spec, names=names: [by(name, s)(x, w) for name in names])(x, w)
        for name, got in zip(names[1:], results, strict=True):
            check(got, want, name)


@pytest.mark.parametrize("seed", range(6))
def test_layers_and_input_gradients(seed):
    """An input gradient reads the weight before its flip."""
    rng = np.random.default_rng([8, seed])
    for _ in range(4):
        case = random_layer(rng, 9)
        x, w = normal(seed, case.x), normal(seed + 1, case.weight)

        def both(x, w, options=case.options, **named):
            y, pull = jax.vjp(lambda x: convjax.conv(x, w, **options, **named), x)
            return y, pull(jnp.sin(y))[0]

        got = both(x, w, algorithm="depthwise_add", memory_format="channels_last")
        for each, want in zip(got, both(x, w, algorithm="xla"), strict=True):
            check(each, want)


@pytest.mark.parametrize("seed", range(6))
def test_input_gradients_of_strided_layers(seed):
    """All phases in one loop: kernels shorter and longer than the stride, sizes that it divides or not."""
    rng = np.random.default_rng([9, seed])
    served = 0
    for _ in range(8):
        layer = random_layer(rng, 9)
        case = layer._replace(options=layer.options | {"dilation": 1})
        spec, x, w = specs(case)["input gradient"]
        spec = channels_last(spec)
        if max(spec.lhs_dilation) == 1:
            continue
        served += 1
        x, w = normal(seed, x.shape), normal(seed + 1, w.shape)
        assert why_unsupported(ALGORITHMS["depthwise_add"], spec, x, w, HERE) is None
        want, got = jax.jit(lambda x, w, s=spec: [by(name, s)(x, w) for name in ("xla", "depthwise_add")])(x, w)
        check(got, want)
    assert served >= 4


def test_every_tap_of_a_strided_layer_is_counted_once():
    """A quarter of the definition's multiply-adds, the other three being with zeros between the elements."""
    case = Case("depthwise", (2, 8, 12, 12), (8, 1, 3, 3), {"groups": 8, "stride": 2, "padding": 1})
    spec, x, w = specs(case)["input gradient"]
    counts = [ALGORITHMS[name].multiply_adds(channels_last(spec), x, w) for name in ("depthwise_add", "xla")]
    assert counts == [2 * 8 * 9 * 6 * 6, 2 * 8 * 9 * 12 * 12]
