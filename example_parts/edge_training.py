"""The training of learn_edges.py: Adam on random crops of one photograph, with the steps inside one scan."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]

import convjax
from example_parts import command

CHUNK = 10  # steps in one call of the compiled function

PAIR, COMPASS = ("Gx", "Gy"), ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
TEACHERS = {"sobel": PAIR, "prewitt": PAIR, "scharr": PAIR, "laplacian": ("L",), "kirsch": COMPASS}

conv2d = partial(convjax.conv2d, precision="highest")  # accelerators would round the kernels to fewer digits


@dataclass(frozen=True)
class Settings:
    """The settings that, with the number of steps, determine the result of training."""

    teacher: str = "sobel"
    image: str = ""  # the sample photograph
    noise: float = 0.0
    batch: int = 16
    crop: int = 32
    lr: float = 0.2
    half_life: int = 500
    seed: int = 0


class Lesson(NamedTuple):
    """The data of the student: a photograph (1, H, W), and the teacher's responses (O, H - 2, W - 2)."""

    photograph: jax.Array
    responses: jax.Array


class State(NamedTuple):
    """The values that a step changes. The key stays the same, and every step derives its own key from it."""

    params: convjax.ConvParams
    optimiser: Any
    key: jax.Array
    step: jax.Array


class Run(NamedTuple):
    """A state and its history: the loss of every step, and the weights at step 0 and after every chunk."""

    state: State
    losses: tuple[np.ndarray, ...]
    frames: tuple[tuple[int, np.ndarray], ...]

    @property
    def step(self) -> int:
        """The steps made so far."""
        return int(self.state.step)


def teacher_of(settings: Settings) -> jax.Array:
    return getattr(convjax.kernels, settings.teacher)()


def teach(photograph: np.ndarray, teacher: jax.Array) -> Lesson:
    """Scale the photograph to mean 0 and standard deviation 1, for easier training, and compute the responses."""
    x = jnp.asarray((photograph - photograph.mean()) / photograph.std(), jnp.float32)[None]
    return Lesson(x, conv2d(x, teacher))


def optimiser(settings: Settings) -> optax.GradientTransformation:
    # The rate depends on the number of the step only, so training can stop and resume anywhere. The gradients shrink by
    # orders of magnitude. A small b2 lets the steps follow them, and a large eps keeps the last steps small.
    return optax.adam(optax.exponential_decay(settings.lr, settings.half_life, 0.5), b2=0.99, eps=1e-3)


def start(settings: Settings) -> Run:
    first, later = jax.random.split(jax.random.key(settings.seed))
    params = convjax.init_conv(first, 1, len(TEACHERS[settings.teacher]), 3)
    state = State(params, optimiser(settings).init(params), later, jnp.int32(0))
    return Run(state, (), ((0, np.asarray(params.weight)),))


def draw_crops(key: jax.Array, lesson: Lesson, settings: Settings) -> tuple[jax.Array, jax.Array]:
    """Random crops of the photograph, and the teacher's responses to them."""
    where, noise = jax.random.split(key)
    height, width = lesson.photograph.shape[1:]
    room = jnp.array([[height - settings.crop], [width - settings.crop]], jnp.int32)
    corners = jax.random.randint(where, (2, settings.batch), 0, room + 1, jnp.int32)

    def cut(image: jax.Array, size: int) -> jax.Array:
        shape = (image.shape[0], size, size)
        return jax.vmap(lambda y, x: jax.lax.dynamic_slice(image, (jnp.int32(0), y, x), shape))(*corners)

    x, target = cut(lesson.photograph, settings.crop), cut(lesson.responses, settings.crop - 2)
    if settings.noise:
        target += jnp.float32(settings.noise) * jax.random.normal(noise, target.shape, target.dtype)
    return x, target


def loss_of(params: convjax.ConvParams, x: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.mean((conv2d(x, *params) - target) ** 2)


def learn(state: State, lesson: Lesson, settings: Settings) -> tuple[State, jax.Array]:
    """One step of gradient descent."""
    x, target = draw_crops(jax.random.fold_in(state.key, state.step), lesson, settings)
    loss, gradient = jax.value_and_grad(loss_of)(state.params, x, target)
    updates, memory = optimiser(settings).update(gradient, state.optimiser)
    return State(optax.apply_updates(state.params, updates), memory, state.key, state.step + 1), loss


@partial(jax.jit, static_argnames="settings")
def advance(state: State, lesson: Lesson, end: jax.Array, *, settings: Settings) -> tuple[State, jax.Array]:
    """Run CHUNK steps, or fewer if `end` comes first. One compiled function is enough for any number of steps."""

    def go(state: State) -> tuple[State, jax.Array]:
        return learn(state, lesson, settings)

    def stay(state: State) -> tuple[State, jax.Array]:
        return state, jnp.float32(jnp.nan)

    return jax.lax.scan(lambda state, _: jax.lax.cond(state.step < end, go, stay, state), state, length=CHUNK)


def train(run: Run, lesson: Lesson, settings: Settings, end: int) -> Iterator[Run]:
    """Train up to step `end`, one chunk at a time."""
    while run.step < end:
        state, losses = advance(run.state, lesson, jnp.int32(end), settings=settings)
        step = int(state.step)
        known = np.asarray(losses)[: step - run.step]
        if not np.isfinite(known).all():
            raise _diverged(f"the loss is no longer finite, before step {step}", settings)
        run = Run(state, (*run.losses, known), (*run.frames, (step, np.asarray(state.params.weight))))
        yield run


def check_convergence(run: Run, lesson: Lesson, settings: Settings) -> None:
    """Raise an error if the mean loss over the second half of a run is over 10 times the untrained student's loss.

    The loss is a mean, because the loss of one step depends on its crops. The untrained student's loss is measured on
    the whole photograph. In a run of fewer than 100 steps it may be up to 1000 times that loss, because Adam's first
    steps are as long as --lr, and a larger --lr overshoots more. With --lr 1 the loss becomes 90 times as large, and
    the student still learns well.
    """
    first, last = (
        float(loss_of(state.params, *lesson)) + settings.noise**2 for state in (start(settings).state, run.state)
    )
    late = float(np.concatenate((*run.losses, [last]))[run.step // 2 :].mean())
    if late > (10 if run.step >= 100 else 1000) * first:
        raise _diverged(f"the loss rose from {first:.2g} to {late:.2g}, its mean since step {run.step // 2}", settings)


def _diverged(how: str, settings: Settings) -> command.Problem:
    return command.Problem(f"learning diverged: {how}; start again with a lower --lr than {settings.lr:g}")


def largest_error(params: convjax.ConvParams, teacher: jax.Array) -> float:
    """The largest difference between a learned number and the true one, which is 0 for a bias."""
    true = convjax.ConvParams(teacher, jnp.zeros(len(teacher), teacher.dtype))
    errors = jax.tree.map(lambda learned, number: jnp.abs(learned - number).max(), params, true)
    return max(map(float, jax.tree.leaves(errors)))
