"""`python -m benchmarks.pooling`: pooling of lax and its gradient, the same with `accelerate`, and torch's.

Poolings of ResNet, VGG, Inception, YOLO and DenseNet, with NHWC and NCHW arrays, float32.
"""

import functools
import os
import sys

from benchmarks.__main__ import ALLOCATOR
from benchmarks.timing import fastest

POOLS = {  # kind, images (N, C, H, W), window, stride, padding
    "max 3x3 s2 p1 (ResNet)": ("max", (8, 64, 112, 112), 3, 2, 1),
    "max 2x2 s2 (VGG)": ("max", (8, 64, 112, 112), 2, 2, 0),
    "max 3x3 s1 p1 (Inception)": ("max", (8, 192, 28, 28), 3, 1, 1),
    "max 5x5 s1 p2 (YOLO)": ("max", (8, 256, 20, 20), 5, 1, 2),
    "mean 3x3 s1 p1 (Inception)": ("avg", (8, 192, 28, 28), 3, 1, 1),
    "mean 2x2 s2 (DenseNet)": ("avg", (8, 128, 56, 56), 2, 2, 0),
    "mean 3x3 s2 p1": ("avg", (8, 128, 56, 56), 3, 2, 1),
}


def calls(kind, shape, window, stride, padding, last: bool) -> dict:
    """Calls of the backward pass of lax and of convjax, and of both passes of these and of torch."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import torch

    import convjax

    space = (1, 2) if last else (2, 3)
    by_axis = lambda value, rest: tuple(value if axis in space else rest for axis in range(4))  # noqa: E731
    start, reduce, scale = {"max": (-np.inf, jax.lax.max, 1), "avg": (0.0, jax.lax.add, 1 / window**2)}[kind]
    reduced = functools.partial(
        jax.lax.reduce_window,
        init_value=start,
        computation=reduce,
        window_dimensions=by_axis(window, 1),
        window_strides=by_axis(stride, 1),
        padding=by_axis((padding, padding), (0, 0)),
    )
    pool = lambda x: scale * reduced(x)  # noqa: E731
    rng = np.random.default_rng(0)
    images = rng.standard_normal(shape, np.float32)
    x = jnp.asarray(images.transpose(0, 2, 3, 1) if last else images)
    ct = jnp.asarray(rng.standard_normal(jax.eval_shape(pool, x).shape, np.float32))
    backward = lambda x, ct: jax.vjp(pool, x)[1](ct)[0]  # noqa: E731
    both = lambda x, ct: (lambda y, pull: (y, pull(ct)[0]))(*jax.vjp(pool, x))  # noqa: E731
    made = {
        "lax backward": jax.jit(backward),
        "convjax backward": convjax.accelerate(backward),
        "lax both": jax.jit(both),
        "convjax both": convjax.accelerate(both),
    }
    ready = {name: functools.partial(_wait, f, x, ct) for name, f in made.items()}
    results = [made[name](x, ct) for name in ("lax backward", "convjax backward")]
    np.testing.assert_allclose(*results, rtol=0, atol=1e-5)
    tensor = torch.from_numpy(images)
    tensor = (tensor.to(memory_format=torch.channels_last) if last else tensor).requires_grad_()
    grad = torch.from_numpy(np.array(ct.transpose(0, 3, 1, 2) if last else ct))
    grad = grad.to(memory_format=torch.channels_last) if last else grad
    if jax.default_backend() == "gpu":
        tensor, grad = tensor.detach().cuda().requires_grad_(), grad.cuda()
    ready["torch both"] = functools.partial(_torch, kind, tensor, grad, window, stride, padding)
    return ready


def _wait(f, *args) -> None:
    import jax

    jax.block_until_ready(f(*args))


def _torch(kind, x, grad, window, stride, padding) -> None:
    import torch

    function = getattr(torch.nn.functional, f"{kind}_pool2d")
    torch.autograd.grad(function(x, window, stride, padding), x, grad)
    if x.is_cuda:
        torch.cuda.synchronize()


def main() -> int:
    print("| pool | backward, lax | convjax | times | both passes, lax | convjax | torch | times torch |")
    print("|---|---|---|---|---|---|---|---|")
    for last in (True, False):
        for name, pool in POOLS.items():
            seconds = {k: 1e3 * s for k, s in fastest(calls(*pool, last), rounds=7).items()}
            cells = [f"{name}, {'NHWC' if last else 'NCHW'}", f"{seconds['lax backward']:.3g}"]
            cells += [f"{seconds['convjax backward']:.3g}"]
            cells += [f"{seconds['lax backward'] / seconds['convjax backward']:.3g}", f"{seconds['lax both']:.3g}"]
            cells += [f"{seconds['convjax both']:.3g}", f"{seconds['torch both']:.3g}"]
            cells += [f"{seconds['torch both'] / seconds['convjax both']:.2f}"]
            print("|", " | ".join(cells), "|", flush=True)
    return 0


if __name__ == "__main__":
    if any(os.environ.get(k) != v for k, v in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.pooling", *sys.argv[1:]], os.environ | ALLOCATOR)
    sys.exit(main())
