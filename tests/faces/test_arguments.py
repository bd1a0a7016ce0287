"""Unusual arguments that are valid: pairs in arrays, torch tensors, other byte orders, and very large sizes."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal

import convjax

X, W = np.ones((2, 4, 8, 8), np.float32), np.ones((6, 4, 3, 3), np.float32)


def test_paddings_in_arrays():
    pairs = [[1, 0], [0, 2]]
    want = convjax.conv2d(X, W, padding=pairs)
    assert want.shape == (2, 6, 7, 8)
    for array in (np.array(pairs), np.array(pairs, np.uint8), jnp.array(pairs), [np.array(pair) for pair in pairs]):
        np.testing.assert_array_equal(convjax.conv2d(X, W, padding=array), want)
    one = convjax.conv2d(X, W, padding=(1, 2), stride=(2, 1))
    np.testing.assert_array_equal(convjax.conv2d(X, W, padding=jnp.array([1, 2]), stride=jnp.array([2, 1])), one)
    with pytest.raises(TypeError, match="mark padding as static"):
        jax.jit(lambda p: convjax.conv2d(X, W, padding=p))(jnp.array(pairs))


class Tensor:
    """The part of torch.nn.Parameter that convjax uses. Conversion to an array raises an error before `detach`."""

    def __init__(self, array, reason=None):
        self.array, self.reason = array, reason

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: f"torch.{self.array.dtype}")

    def __array__(self, *args, **options):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return self

    def numpy(self):
        if self.reason:
            raise TypeError(self.reason)
        return self.array


def test_parameters_of_torch_are_accepted():
    x, weight = (np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((1, 4, 5, 5), (2, 4, 3, 3)))
    want = convjax.conv2d(x, weight)
    np.testing.assert_array_equal(convjax.conv2d(x, Tensor(weight)), want)
    assert convjax.plan(x, Tensor(weight), platform="cpu") == convjax.plan(x, weight, platform="cpu")
    with pytest.raises(TypeError, match=re.escape("weight.detach().cpu().numpy(), with .float()")):
        convjax.conv2d(x, Tensor(weight, "Got unsupported ScalarType BFloat16"))


def test_arrays_in_the_byte_order_of_other_machines():
    rng = np.random.default_rng(0)
    for kind in ("f4", "f8", "i2", "c8"):
        x, weight = (np.round(4 * rng.standard_normal(s)).astype(kind) for s in ((1, 2, 6, 6), (1, 2, 3, 3)))
        swapped = x.astype(x.dtype.newbyteorder("S"))
        assert not swapped.dtype.isnative
        want = convjax.conv2d(x, weight)
        np.testing.assert_array_equal(convjax.conv2d(swapped, weight), want)
        np.testing.assert_array_equal(convjax.conv2d(list(swapped), weight), want)
        assert convjax.plan(swapped, weight).dtype == convjax.plan(x, weight).dtype
        assert convjax.signal.choose_conv_method(swapped, swapped) in ("direct", "fft")
        image = swapped[0, 0]
        fill = np.array(2, image.dtype)
        got = convjax.ndimage.correlate(image, weight[0, 0], "constant", fill)
        np.testing.assert_array_equal(got, convjax.ndimage.correlate(x[0, 0], weight[0, 0], "constant", 2))
        np.testing.assert_array_equal(
            convjax.signal.convolve(image, swapped[0, 1]), convjax.signal.convolve(x[0, 0], x[0, 1])
        )
    np.testing.assert_array_equal(convjax.kernels.sobel(dtype=">f4"), convjax.kernels.sobel())
    half = [convjax.conv2d(a.astype(np.float16), a[:, :, :3, :3].astype(np.float16), preferred_element_type=dtype)
            for a in (rng.standard_normal((1, 2, 6, 6)),) for dtype in (">f4", "f4")]  # fmt: skip
    np.testing.assert_array_equal(*half)


def test_gpu_means_cuda():
    assert convjax.plan(X, W, platform="gpu") == convjax.plan(X, W, platform="cuda")


def lax_conv(x, weight, step, moved):
    stride, dilation = (step, 1) if moved else (1, step)
    return jax.lax.conv_general_dilated(x, weight, (stride,), [(step, step)], rhs_dilation=(dilation,))


@pytest.mark.parametrize("step", [2**32, 2**40 + 3, 2**55])
@pytest.mark.parametrize("moved", [True, False])
def test_steps_wider_than_32_bits(step, moved):
    """On five elements, a step of 8 gives the same windows as any wider step."""
    x, weight = jnp.asarray(normal(0, (2, 4, 5))), jnp.asarray(normal(1, (3, 4, 1 if moved else 3)))
    wide = partial(convjax.conv1d, padding=step, **{"stride" if moved else "dilation": step})
    near = partial(lax_conv, step=8, moved=moved)
    want, want_pullback = jax.vjp(near, x, weight)
    got, pullback = jax.vjp(wide, x, weight)
    ct = jnp.asarray(normal(2, want.shape))
    for y, z in zip((got, *pullback(ct)), (want, *want_pullback(ct)), strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)
    many = [jax.vmap(jax.vjp(f, x, weight)[1])(jnp.stack([ct, -2 * ct])) for f in (wide, near)]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), *many)


def test_steps_that_are_never_taken():
    x, weight = jnp.arange(4.0)[None, None] + 1, jnp.ones((1, 1, 1))
    for algorithm in ("auto", "xla", "shift_add", "space_to_depth"):
        y = convjax.conv1d(x, jnp.ones((1, 1, 2)), stride=2**62, padding=1, algorithm=algorithm)
        np.testing.assert_array_equal(y, [[[1]]])
    np.testing.assert_array_equal(convjax.conv1d(x, weight, dilation=2**63 - 1), x)
    np.testing.assert_array_equal(convjax.conv_transpose1d(x[..., 1:2], weight, stride=2**62), [[[2]]])
    np.testing.assert_array_equal(convjax.unfold(x, (2,), stride=2**62, padding=1), [[[0], [1]]])
    np.testing.assert_array_equal(convjax.unfold(x, (1,), dilation=2**62), x)


def test_symbolic_sizes_are_counted_if_they_are_certain():
    (n,) = jax.export.symbolic_shape("n")
    assert convjax.conv_output_shape((n, 1, n), (1, 1, 1), padding=2**40) == (n, 1, n + 2**41)
    with pytest.raises(ValueError, match="`padding` is too large"):
        convjax.conv_output_shape((n, 1, n), (1, 1, 1), padding=2**62)


def test_vmap_makes_nothing_that_cannot_be_counted():
    with pytest.raises(ValueError, match="`padding` is too large"):
        jax.vmap(lambda w: convjax.conv1d(jnp.ones((1, 1, 1)), w, padding=2**50))(jnp.ones((2**12, 1, 1, 1)))
