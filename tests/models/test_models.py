"""Models of Flax, Equinox, Haiku and Keras, as they are, accelerated: their own values and gradients.

They need an environment with the extra `models`: `pytest tests/models`.
"""

import contextlib

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import keras
import networks
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import subjaxprs

import convjax.lax
from convjax import accelerate

pytestmark = [pytest.mark.filterwarnings(f"ignore:::{module}") for module in ("haiku", "keras", "flax", "equinox")]


def images(dtype, size: int = 32, batch: int = 2):
    return jnp.asarray(np.random.default_rng(0).standard_normal((batch, size, size, 3)), dtype)


def linen(network, *more):
    def make(dtype):
        x = images(dtype)
        rest = [a.astype(dtype) for a in more]
        variables = network.init(jax.random.key(0), x, *rest)
        fixed = {name: v for name, v in variables.items() if name != "params"}
        return lambda p, x: network.apply({"params": p, **fixed}, x, *rest), variables["params"], x

    return make


def resnet_in_training(dtype):
    """With the statistics of the batch, as in a training step."""
    network, x = networks.ResNet(), images(dtype)
    variables = network.init(jax.random.key(0), x)

    def run(p, x):
        return network.apply({**variables, "params": p}, x, True, mutable=["batch_stats"])

    return run, variables["params"], x


def mobilenet(dtype):
    model = networks.MobileNet(nnx.Rngs(0), dtype)
    model.eval()
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    return lambda p, x: nnx.merge(graph, p, rest)(x), parameters, images(dtype)


def unet(dtype):
    """The module itself is the argument: its activation functions are leaves of it."""
    model = networks.UNet(jax.random.key(0), dtype)
    return lambda model, x: jax.vmap(model)(x.transpose(0, 3, 1, 2)), model, images(dtype)


def haiku(name: str, size: int = 32):
    def make(dtype):
        def forward(x):
            network = getattr(hk.nets, name)(num_classes=10)
            return network(x, is_training=True)

        network, x = hk.transform_with_state(forward), images(dtype, size)
        parameters, state = network.init(jax.random.key(0), x)
        return lambda p, x: network.apply(p, state, None, x), parameters, x

    return make


def keras_in(dtype: str) -> None:
    """Have Keras make its layers in a dtype. The policy is made from floatx once, by whichever test comes first."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


def of_keras(name: str):
    def make(dtype):
        keras_in(dtype)
        keras.utils.set_random_seed(0)
        model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=10)
        values = [[v.value for v in found] for found in (model.trainable_variables, model.non_trainable_variables)]
        return lambda p, x: model.stateless_call(p, values[1], x, training=False)[0], values[0], images(dtype)

    return make


MODELS = {
    "Flax Linen, ResNet": linen(networks.ResNet()),
    "Flax Linen, ResNet in training": resnet_in_training,
    "Flax Linen, diffusion U-Net": linen(networks.DiffusionUNet(), jnp.arange(2.0)),
    "Flax NNX, MobileNet": mobilenet,
    "Equinox, U-Net": unet,
    "Haiku, ResNet18": haiku("ResNet18"),
    "Haiku, MobileNetV1": haiku("MobileNetV1", 64),
    "Keras, MobileNetV2": of_keras("MobileNetV2"),
    "Keras, EfficientNetB0": of_keras("EfficientNetB0"),
    "Keras, ResNet50": of_keras("ResNet50"),
}


def step(run):
    """The loss and its gradient."""

    def loss(parameters, x):
        leaves = jax.tree.leaves(run(parameters, x))
        return sum(jnp.mean(jnp.cos(leaf) * leaf) for leaf in leaves)

    return eqx.filter_value_and_grad(loss)


def names(f, *args) -> list[str]:
    """The primitives of a function, and of all that it calls."""
    arrays, others = eqx.partition(args, eqx.is_array)

    def found(jaxpr):
        inner = [name for each in subjaxprs(jaxpr) for name in found(each)]
        return [equation.primitive.name for equation in jaxpr.eqns] + inner

    return found(jax.make_jaxpr(lambda arrays: eqx.filter(f(*eqx.combine(arrays, others)), eqx.is_array))(arrays).jaxpr)


def cast(tree, dtype):
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)


def error(got, want) -> float:
    """The distance, over all arrays, in multiples of the length of what is wanted."""
    arrays = lambda tree: [np.asarray(a, np.float64) for a in jax.tree.leaves(tree) if hasattr(a, "shape")]  # noqa: E731
    pairs = list(zip(arrays(got), arrays(want), strict=True))
    assert pairs
    length = lambda vectors: np.linalg.norm([np.linalg.norm(v) for v in vectors])  # noqa: E731
    return length([a - b for a, b in pairs]) / length([b for _, b in pairs])


@pytest.mark.parametrize("model", MODELS)
def test_values_and_gradients(model):
    """In float64 those of the model itself, in float32 as near to them as its own. No convolution of lax is left."""
    exact, parameters, x = MODELS[model]("float64")
    for change in (lambda f: f, step):
        ours, theirs = accelerate(change(exact)), eqx.filter_jit(change(exact))
        want = theirs(parameters, x)
        assert error(ours(parameters, x), want) < 1e-10
        traced = names(ours, parameters, x)
        assert "conv_general_dilated" not in traced
        assert traced.count("convjax_conv") == names(theirs, parameters, x).count("conv_general_dilated") > 3
        with jax.enable_x64(False):
            run, *_ = MODELS[model]("float32")
            given = cast((parameters, x), "float32")
            errors = [error(f(change(run))(*given), want) for f in (accelerate, eqx.filter_jit)]
        assert errors[0] < 2 * errors[1] + 1e-6


@pytest.mark.parametrize("memory_format", [None, "channels_last"])
def test_a_step_of_training_from_inside(memory_format):
    """The model alone is accelerated, and differentiated from outside. And then its training step is."""
    run, parameters, x = MODELS["Equinox, U-Net"]("float64")
    want = eqx.filter_jit(step(run))(parameters, x)
    fast = accelerate(run, memory_format=memory_format)
    assert error(eqx.filter_jit(step(fast))(parameters, x), want) < 1e-10
    assert error(accelerate(step(run), memory_format=memory_format)(parameters, x), want) < 1e-10


def test_models_with_state_are_refused():
    model = networks.MobileNet(nnx.Rngs(0), "float32")
    for call in (lambda: accelerate(model), lambda: accelerate(lambda m, x: m(x))(model, images("float32"))):
        with pytest.raises(TypeError, match=r"nnx\.split"):
            call()
    with pytest.raises(TypeError, match="stateless_call"):
        accelerate(keras.Sequential([keras.layers.Conv2D(3, 3)]))


def test_a_method_of_keras_that_is_given_the_state():
    """`stateless_call` of a model holds no array of its own, so the error's advice can be followed."""
    keras_in("float64")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    model, x = keras.Sequential([keras.Input((16, 16, 3)), *layers]), images("float64", 16)
    state = [[v.value for v in found] for found in (model.trainable_variables, model.non_trainable_variables)]
    assert "convjax_conv" in names(accelerate(model.stateless_call), *state, x)
    ours, theirs = (compiled(model.stateless_call, static_argnames="training") for compiled in (accelerate, jax.jit))
    assert error(ours(*state, x, training=True), theirs(*state, x, training=True)) < 1e-12
    with pytest.raises(TypeError, match="stateless_call"):
        accelerate(model.call)


def test_the_argument_of_flax():
    """Flax takes a function in place of lax's."""
    import flax.linen as nn

    x = images("float64")
    ours, theirs = (
        nn.Conv(4, (3, 3), strides=2, conv_general_dilated=f) for f in (convjax.lax.conv_general_dilated, None)
    )
    parameters = theirs.init(jax.random.key(0), x)
    assert "convjax_conv" in names(ours.apply, parameters, x)
    np.testing.assert_allclose(ours.apply(parameters, x), theirs.apply(parameters, x), rtol=1e-5, atol=1e-6)


def test_keras_fits_while_patched():
    """Its `fit` traces itself. The weights are those of the model itself."""
    keras_in("float64")
    weights, counts = [], []
    for patching in (contextlib.nullcontext, convjax.patched):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Conv2D(4, 3, padding="same"), keras.layers.DepthwiseConv2D(3, strides=2)]
        model = keras.Sequential([keras.Input((16, 16, 3)), *layers, keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        x, y = images("float64", 16, 8), jnp.arange(8.0)[:, None]
        with patching():
            model.fit(x, y, batch_size=4, epochs=2, verbose=0)
            weights.append(model.get_weights())
            predict = lambda x, model=model: model(x)  # noqa: E731
            counts.append(names(predict, x).count("convjax_conv"))
    assert counts == [0, 2]
    assert weights[0][0].dtype == np.float64
    assert error(weights[0], weights[1]) < 1e-9
