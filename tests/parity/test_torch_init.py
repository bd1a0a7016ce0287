from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import torch

import convjax

LAYERS = [
    (torch.nn.Conv1d, 6, 9, (5,), {"groups": 3}),
    (torch.nn.Conv2d, 3, 64, (3, 3), {}),
    (torch.nn.Conv2d, 32, 32, (7, 5), {"groups": 32}),
    (torch.nn.Conv2d, 8, 16, 3, {"bias": False}),
    (torch.nn.Conv3d, 4, 16, (3, 2, 1), {"groups": 2}),
    (torch.nn.ConvTranspose1d, 6, 9, (5,), {"groups": 3}),
    (torch.nn.ConvTranspose2d, 3, 64, (4, 4), {}),
    (torch.nn.ConvTranspose2d, 32, 16, (3, 3), {"groups": 4, "bias": False}),
    (torch.nn.ConvTranspose3d, 8, 4, (3, 2, 1), {"groups": 2}),
]


def both(layer, inputs, outputs, kernel, options, seed=0):
    torch.manual_seed(seed)
    transpose = "Transpose" in layer.__name__
    params = convjax.init_conv(jax.random.key(seed), inputs, outputs, kernel, transpose=transpose, **options)
    return params, layer(inputs, outputs, kernel, **options)


def test_parameters_of_a_torch_layer_are_accepted():
    x, layer = torch.randn(2, 4, 9, 9), torch.nn.Conv2d(4, 6, 3, padding=1)
    got = convjax.conv2d(x, layer.weight, layer.bias, padding=1)
    np.testing.assert_allclose(got, layer(x).detach(), rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match=r"`weight` is not an array.*\n.*\n.*\n.*with \.float\(\)"):
        convjax.conv2d(x, layer.weight.bfloat16())


@pytest.mark.parametrize(("layer", "inputs", "outputs", "kernel", "options"), LAYERS)
def test_shapes_and_dtypes(layer, inputs, outputs, kernel, options):
    params, module = both(layer, inputs, outputs, kernel, options)
    assert params.weight.shape == module.weight.shape
    assert (params.bias is None) == (module.bias is None)
    assert params.weight.dtype == jnp.float32
    if module.bias is not None:
        assert params.bias.shape == module.bias.shape


@pytest.mark.parametrize(("layer", "inputs", "outputs", "kernel", "options"), LAYERS[::2])
def test_distribution(layer, inputs, outputs, kernel, options):
    """Compare 40 draws of each layer. In about 80 comparisons, p-values near 0.01 occur by chance."""
    init = partial(
        convjax.init_conv,
        in_channels=inputs,
        out_channels=outputs,
        kernel_size=kernel,
        transpose="Transpose" in layer.__name__,
        **options,
    )
    params = jax.vmap(init)(jax.random.split(jax.random.key(0), 40))
    torch.manual_seed(0)
    modules = [layer(inputs, outputs, kernel, **options) for _ in range(40)]
    bound = modules[0].weight[0].numel() ** -0.5
    for name in ("weight", "bias") if options.get("bias", True) else ("weight",):
        ours = np.ravel(getattr(params, name)).astype(np.float64)
        theirs = torch.cat([getattr(module, name).detach().ravel() for module in modules]).double().numpy()
        assert ours.size == theirs.size
        assert scipy.stats.ks_2samp(ours, theirs, method="asymp").pvalue > 1e-4
        for values in (ours, theirs):  # torch's values are checked too, to show that the bound is right
            assert bound * (1 - 20 / values.size) < np.abs(values).max() <= bound * (1 + 1e-6)
            assert scipy.stats.kstest(values, scipy.stats.uniform(-bound, 2 * bound).cdf, method="asymp").pvalue > 1e-4
            # 4 standard errors: a uniform variable has variance bound^2 / 3, and its square bound^4 * 4 / 45.
            assert abs(values.mean()) < 4 * bound / (3 * values.size) ** 0.5
            assert abs((values**2).mean() - bound**2 / 3) < 4 * bound**2 * (4 / 45 / values.size) ** 0.5


@pytest.mark.parametrize("read", [lambda v: v, lambda v: v.numpy()], ids=["tensors", "numpy"])
@pytest.mark.parametrize(("layer", "inputs", "outputs", "kernel", "options"), LAYERS)
def test_state_dict_drops_in(layer, inputs, outputs, kernel, options, read):
    torch.manual_seed(0)
    module = layer(inputs, outputs, kernel, stride=2, padding=1, **options)
    x = torch.randn(2, inputs, *[8] * (module.weight.ndim - 2))
    params = convjax.ConvParams(**{"bias": None} | {name: read(v) for name, v in module.state_dict().items()})
    function = convjax.conv_transpose if "Transpose" in layer.__name__ else convjax.conv
    got = function(read(x), *params, stride=2, padding=1, groups=options.get("groups", 1))
    assert isinstance(got, jax.Array)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, module(x).detach().numpy(), rtol=0, atol=1e-5)
