"""Random specs and random calls against the float64 loops."""

import jax
import jax.numpy as jnp
import numpy as np
import reference
from cases import normal
from hypothesis import given, settings
from hypothesis import strategies as st

import convjax
from convjax._operation.primitive import convolve
from convjax._spec import ConvSpec, extent

settings.register_profile("convjax", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("convjax")


@st.composite
def convolutions(draw):
    """A spec and the shapes of its operands; crops, dilations of both, groups and left-over elements included."""
    dims = draw(st.integers(1, 3))
    small = st.integers(1, 3)
    groups, batch, inputs, outputs = draw(small), draw(st.integers(0, 2)), draw(small), draw(st.integers(1, 2))
    per_dim = [[] for _ in range(6)]
    for _ in range(dims):
        n, k, s, a, r = draw(st.integers(1, 6)), draw(small), draw(small), draw(small), draw(small)
        shortest = extent(k, r) - extent(n, a)  # what low + high must at least be
        low = draw(st.integers(-min(extent(n, a) - 1, 2), 3))
        high = draw(st.integers(max(shortest - low, -2 if extent(n, a) + low > 3 else 0), max(shortest - low, 3)))
        for values, value in zip(per_dim, (n, k, s, (low, high), a, r), strict=True):
            values.append(value)
    n, k, s, padding, a, r = map(tuple, per_dim)
    spec = ConvSpec(s, padding, a, r, groups)
    return spec, (batch, groups * inputs, *n), (groups * outputs, inputs, *k)


@given(convolutions())
def test_any_spec_and_its_gradients(case):
    spec, x_shape, w_shape = case
    x, w = normal(0, x_shape), normal(1, w_shape)
    y, vjp = jax.vjp(lambda x, w: convolve(x, w, spec), x, w)
    want = reference.conv(x, w, spec)
    assert y.shape == want.shape == spec.output_shape(x_shape, w_shape)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)
    ct = normal(2, y.shape)
    for got, expected in zip(vjp(ct), reference.gradients(x, w, ct, spec), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=3e-5)


@given(convolutions(), st.sampled_from([(0, None), (None, 0), (1, 1), (2, 0)]))
@settings(max_examples=25)
def test_any_spec_batched(case, axes):
    spec, x_shape, w_shape = case
    x, w = normal(0, x_shape), normal(1, w_shape)
    xs, ws = (a if axis is None else np.stack([a, 1 - a], axis) for a, axis in zip((x, w), axes, strict=True))
    got = jax.vmap(lambda x, w: convolve(x, w, spec), axes)(xs, ws)
    for i in range(2):
        pair = [a if axis is None else np.take(a, i, axis) for a, axis in zip((xs, ws), axes, strict=True)]
        np.testing.assert_allclose(got[i], reference.conv(*pair, spec), rtol=1e-5, atol=1e-4)


@given(st.data())
@settings(max_examples=40)
def test_conv_transpose_is_the_adjoint(data):
    dims = data.draw(st.integers(1, 2))
    each = lambda low, high: tuple(data.draw(st.integers(low, high)) for _ in range(dims))  # noqa: E731
    kernel, stride, dilation, padding = each(1, 4), each(1, 3), each(1, 2), each(0, 2)
    groups = data.draw(st.integers(1, 2))
    n = tuple(max(m, (k - 1) * d + 1 - 2 * p) for m, k, d, p in zip(each(1, 7), kernel, dilation, padding, strict=True))
    x, w = normal(0, (2, 2 * groups, *n)), normal(1, (3 * groups, 2, *kernel))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = convjax.conv(x, w, **options)
    ct = normal(2, y.shape)
    left_over = tuple(
        (m + 2 * p - (k - 1) * d - 1) % s for m, k, d, p, s in zip(n, kernel, dilation, padding, stride, strict=True)
    )
    back = convjax.conv_transpose(ct, w, output_padding=left_over, **options)
    assert back.shape == x.shape
    np.testing.assert_allclose(np.vdot(back, x), np.vdot(ct, y), rtol=1e-3, atol=1e-3)


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4))
@settings(max_examples=40)
def test_unfold_against_strides(kernel, size, stride, dilation, pad):
    size = max(size, extent(kernel, dilation) - 2 * pad)
    x = jnp.arange(2.0 * size, dtype=jnp.float32).reshape(1, 2, size)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, extent(kernel, dilation), axis=2)[
        :, :, ::stride, ::dilation
    ]
    got = convjax.unfold(x, (kernel,), dilation, pad, stride)
    np.testing.assert_array_equal(got, windows.swapaxes(2, 3).reshape(1, 2 * kernel, -1))
