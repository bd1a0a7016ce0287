"""`python -m benchmarks.models`: models of Haiku and Keras as they are shipped, unmodified and accelerated.

It needs the extra `models`. Forward, and the loss and its gradient in training mode, with 8 images of 224x224.
"""

import argparse
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

from benchmarks.__main__ import ALLOCATOR

HAIKU = ("MobileNetV1", "ResNet18")
KERAS = ("MobileNetV2", "EfficientNetB0", "ResNet50")


def of_haiku(name: str, x):
    """Returns (predict, loss, parameters)."""
    import haiku as hk
    import jax

    network = hk.transform_with_state(lambda x, train: getattr(hk.nets, name)(num_classes=1000)(x, is_training=train))
    parameters, state = network.init(jax.random.key(0), x[:1], True)
    predict = lambda p, x: network.apply(p, state, None, x, False)[0]  # noqa: E731
    return predict, lambda p, x: (network.apply(p, state, None, x, True)[0] ** 2).mean(), parameters


def of_keras(name: str, x):
    """Returns (predict, loss, parameters)."""
    import keras

    model = getattr(keras.applications, name)(weights=None)
    trained, others = ([v.value for v in vs] for vs in (model.trainable_variables, model.non_trainable_variables))
    predict = lambda p, x: model.stateless_call(p, others, x, training=False)[0]  # noqa: E731
    return predict, lambda p, x: (model.stateless_call(p, others, x, training=True)[0] ** 2).mean(), trained


def main(only: str, rounds: int) -> int:
    import jax
    import jax.numpy as jnp
    import numpy as np

    import convjax

    x = jnp.asarray(np.random.default_rng(0).standard_normal((8, 224, 224, 3)), jnp.float32)
    models = [("Haiku", name, of_haiku) for name in HAIKU] + [("Keras", name, of_keras) for name in KERAS]
    print("| model | forward, ms | accelerated | | step, ms | accelerated | | compile, s | accelerated |")
    print("|---|---|---|---|---|---|---|---|---|")
    for library, name, make in models:
        if only not in name:
            continue
        predict, loss, parameters = make(name, x)
        cells, compile_seconds = [f"{library} {name}"], [0.0, 0.0]
        for f in (predict, jax.value_and_grad(loss)):
            found = convjax.compare(f, rounds=rounds)(parameters, x)
            before, after = 1e3 * found.seconds_before, 1e3 * found.seconds
            cells += [f"{before:.0f}", f"{after:.0f}", f"{before / after:.2f}"]
            compile_seconds = [found.first_seconds_before, found.first_seconds]
        print("|", " | ".join([*cells, *(f"{s:.1f}" for s in compile_seconds)]), "|", flush=True)
    return 0


if __name__ == "__main__":
    if any(os.environ.get(k) != v for k, v in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.models", *sys.argv[1:]], os.environ | ALLOCATOR)
    parser = argparse.ArgumentParser("python -m benchmarks.models", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--only", default="", help="models with this in their name")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed; the shortest time counts")
    options = parser.parse_args()
    sys.exit(main(options.only, options.rounds))
