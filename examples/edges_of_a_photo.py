"""The edges of a photograph by several operators of convjax, and a blur that is recovered by gradient descent.

The figure shows magnitude and direction of the gradient by Sobel, Prewitt, Scharr and Roberts, the Laplacian of the
Gaussian and where it changes sign, and Canny's edges at three scales.

The second part needs filters with a derivative. One copy of the photograph is blurred by a Gaussian of --blur, another
by a shaken camera, and both get a little noise. From the sharp and the blurred pictures, Adam finds the width of the
Gaussian and every weight of the shake.

Everything is saved as one figure, edges_of_a_photo.png.
"""

from example_parts import command

if __name__ == "__main__":
    command.launch(__file__)

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm import tqdm  # type: ignore[import-untyped]

from convjax import edges, kernels, ndimage
from example_parts import pictures

SAVED = "edges_of_a_photo.png"
OPERATORS = ("sobel", "prewitt", "scharr", "roberts")
SMALLEST, CROP = 32, 384  # pixels: smallest side of a picture, largest side of the part that is learned from
RADIUS = 5  # pixels, of the window of the shake
NOISE = 0.002  # standard deviation, in grey values from 0 (black) to 1 (white)
START = 1.0  # sigma at the first step of gradient descent, in pixels
CHUNK = 10  # steps in one call of the compiled function
WIDEST = 8.0  # pixels: largest --blur, whose Gaussian must fit into the window of the learned one


class Found(NamedTuple):
    """The learned values and the loss at every step."""

    values: np.ndarray
    losses: np.ndarray


def main(argv: list[str] | None = None) -> int:
    return command.run(make_parser(), edges_of_a_photo, argv)


def make_parser() -> command.Parser:
    parser = command.Parser(__doc__ or "", "out")
    add = parser.add_argument
    add("--image", type=command.existing_file, help="any picture; matplotlib's sample photograph if not given")
    add("--sigma", type=command.real(50), default=2.0, help="scale of the Laplacian and of Canny's edges (%(default)s)")
    add("--blur", type=command.real(WIDEST), default=2.4, help="standard deviation to be recovered (%(default)s)")
    add("--steps", type=command.whole(1, 10**6), default=400, help="of gradient descent (%(default)s)")
    add("--seed", type=command.whole(0, 2**31 - 1), default=0, help="of the noise and the shake (%(default)s)")
    return parser


def edges_of_a_photo(arguments: Namespace) -> int:
    photo = pictures.read_photograph(Path(arguments.image) if arguments.image else None)
    height, width = photo.shape
    if min(height, width) < SMALLEST:
        raise command.Problem(f"the picture is {width} x {height}; give an --image of at least {SMALLEST} x {SMALLEST}")
    if not (np.isfinite(photo).all() and np.ptp(photo) > 0):
        raise command.Problem("there are no edges in the picture: all of it is the same grey")
    command.open_folder(arguments.out, [SAVED])
    sharp = jnp.asarray(middle(photo))
    noise = jax.random.split(jax.random.key(arguments.seed), 3)
    shake = shaken(noise[0])
    blurred = ndimage.gaussian_filter(sharp, arguments.blur) + NOISE * jax.random.normal(noise[1], sharp.shape)
    moved = ndimage.correlate(sharp, shake) + NOISE * jax.random.normal(noise[2], sharp.shape)
    with tqdm(total=2 * arguments.steps, unit="step") as bar:
        width = learn("sigma", gaussian, jnp.log(START), sharp, blurred, arguments.steps, bar)
        even = jnp.full(shake.shape, 1 / shake.size)
        weights = learn("shake", shaking, even, sharp, moved, arguments.steps, bar)
    sigmas, learned = np.exp(width.values), weights.values[-1]
    print(f"sigma: {arguments.blur:.4f} hidden, {sigmas[-1]:.4f} found")
    print(f"shake: weights up to {shake.max():.4f}, largest error {np.abs(learned - shake).max():.4f}")
    figure = draw(photo, arguments.sigma, blurred, sigmas, arguments.blur, moved, np.asarray(shake), weights)
    print(f"saved: {pictures.save(figure, arguments.out / SAVED)}")
    return 0


# ---- what is learned ----


def gaussian(log_sigma: jax.Array, image: jax.Array) -> jax.Array:
    """The width is learned as a logarithm, which keeps it positive."""
    return ndimage.gaussian_filter(image, jnp.exp(log_sigma), radius=int(4 * WIDEST))


def shaking(weights: jax.Array, image: jax.Array) -> jax.Array:
    return ndimage.correlate(image, weights)


def shaken(key: jax.Array) -> jax.Array:
    """The blur kernel of a camera that shakes while the shutter is open: a smoothed random walk, of sum 1."""
    walk = jnp.cumsum(0.5 * jax.random.normal(key, (60, 2)), 0)
    walk = ndimage.gaussian_filter1d(walk, 4.0, axis=0)
    walk = jnp.clip(walk - walk.mean(0), 0.5 - RADIUS, RADIUS - 0.5)
    grid = jnp.arange(-RADIUS, RADIUS + 1)
    near = jnp.exp(-((grid[:, None, None] - walk[:, 0]) ** 2 + (grid[:, None] - walk[:, 1]) ** 2))
    return near.sum(-1) / near.sum()


def middle(photo: np.ndarray) -> np.ndarray:
    starts = [max((n - CROP) // 2, 0) for n in photo.shape]
    return photo[tuple(slice(s, s + CROP) for s in starts)]


def learn(name: str, blur: Callable, first: Any, sharp: jax.Array, target: jax.Array, steps: int, bar: Any) -> Found:
    """Run Adam on the mean square of the Laplacian of the difference.

    Neighbouring pixels of a photograph are nearly the same, so their weights can hardly be told apart. The Laplacian
    removes the part that they have in common.
    """
    optimiser = optax.adam(optax.cosine_decay_schedule(0.1 if jnp.ndim(first) == 0 else 0.003, steps))

    def loss(value):
        return jnp.mean(ndimage.laplace(blur(value, sharp) - target) ** 2)

    @jax.jit
    def run_chunk(state):
        def step(state, _):
            value, moments = state
            error, slope = jax.value_and_grad(loss)(value)
            change, moments = optimiser.update(slope, moments)
            return (optax.apply_updates(value, change), moments), (value, error)

        return jax.lax.scan(step, state, length=CHUNK)

    state, history = (first, optimiser.init(first)), []
    bar.set_description(f"finding the {name}")
    for done in range(0, steps, CHUNK):
        state, chunk = run_chunk(state)
        history.append(chunk)
        bar.set_postfix_str(f"loss {float(chunk[1][-1]):.1e}", refresh=False)
        bar.update(min(CHUNK, steps - done))
    values, losses = (np.concatenate([np.asarray(chunk[i]) for chunk in history])[:steps] for i in (0, 1))
    return Found(values, losses)


# ---- the figure ----


def draw(photo, sigma, blurred, sigmas, blur, moved, shake, weights: Found) -> Figure:
    height = 2.6 * min(max(photo.shape[0] / photo.shape[1], 0.4), 1.8)
    figure = Figure(figsize=(15, 3 * (height + 0.4) + 4.0), layout="constrained")
    rows = figure.subplots(4, 5, height_ratios=[height] * 3 + [2.6])
    x = jnp.asarray(photo)
    gradients = {name: edges.gradient(x, per_pixel(getattr(kernels, name)())) for name in OPERATORS}
    shown = pictures.limits(np.asarray(gradients["sobel"].magnitude))
    grey(rows[0, 0], "photograph", photo)
    wheel(rows[1, 0])
    for axes, (name, found) in zip(rows[0, 1:], gradients.items(), strict=True):
        pictures.draw(axes, f"{name}: magnitude", np.asarray(found.magnitude), shown=shown, bar=False)
    for axes, (name, found) in zip(rows[1, 1:], gradients.items(), strict=True):
        turn = np.pi / 4 if name == "roberts" else 0.0
        axes.imshow(coloured(np.asarray(found.direction) + turn, np.asarray(found.magnitude)))
        plain(axes, f"{name}: direction")
    log = np.asarray(ndimage.gaussian_laplace(x, sigma))
    pictures.draw(rows[2, 0], f"Laplacian of the Gaussian, sigma {sigma:g}", log, bar=False)
    grey(rows[2, 1], "where it changes sign", np.asarray(crossings(log)))
    for axes, scale in zip(rows[2, 2:], (sigma / 2, sigma, 2 * sigma), strict=True):
        outline = edges.canny(x, scale, 0.75, 0.92, use_quantiles=True)
        grey(axes, f"Canny, sigma {scale:g}", np.asarray(outline))
    grey(rows[3, 0], f"blurred by a Gaussian, sigma {blur:g}", np.asarray(blurred))
    curve(rows[3, 1], f"found: sigma {sigmas[-1]:.3f}", sigmas, blur)
    grey(rows[3, 2], "shaken", np.asarray(moved))
    for axes, title, kernel in ((rows[3, 3], "the shake", shake), (rows[3, 4], "found", weights.values[-1])):
        grey(axes, f"{title}: {kernel.shape[0]} x {kernel.shape[1]} weights", kernel / shake.max())
    return figure


def per_pixel(pair: jax.Array) -> jax.Array:
    """Edge kernels scaled so that the responses of all operators to a step of height 1 are alike."""
    return pair / jnp.clip(pair[0], 0).sum()


def grey(axes: Axes, title: str, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    plain(axes, title)


def plain(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])


def coloured(direction: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """Direction as hue, magnitude as brightness."""
    strength = np.clip(magnitude / max(np.percentile(magnitude, 99), 1e-12), 0, 1)
    hue = (direction / (2 * np.pi)) % 1
    return colors.hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.9), strength], -1))


def wheel(axes: Axes) -> None:
    y, x = np.mgrid[-1:1:201j, -1:1:201j]
    inside = np.hypot(x, y) <= 1
    axes.imshow(np.where(inside[..., None], coloured(np.arctan2(y, x), np.hypot(x, y)), 1.0))
    plain(axes, "the colour of each direction\nin which the picture grows brighter")
    axes.set_frame_on(False)


def crossings(image: np.ndarray) -> jax.Array:
    """Pixels with a neighbour of the other sign, if the two differ by more than a photograph's noise."""
    least = 0.05 * np.abs(image).max()
    low, high = ndimage.minimum_filter(image, 3), ndimage.maximum_filter(image, 3)
    return (low < 0) & (high > 0) & (high - low > least) & (image >= 0)


def curve(axes: Axes, title: str, values: np.ndarray, hidden: float) -> None:
    axes.plot(values, color="#1b6ca8")
    axes.axhline(hidden, color="#d1495b", linewidth=1, linestyle="--", label="hidden")
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8)
    axes.set_title(title, fontsize=9)
