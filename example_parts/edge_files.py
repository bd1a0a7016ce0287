"""The npz file of learn_edges.py: a complete run, to inspect or to resume. Its contents are checked before use."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import convjax
from example_parts import command
from example_parts.edge_training import Run, Settings, State, start

Saved = Mapping[str, np.ndarray]


def save_run(path: Path, run: Run, settings: Settings, photograph: np.ndarray) -> Path:
    arrays = {name: np.asarray(array) for name, array in _arrays_of(run.state).items()}
    arrays["teacher"] = np.array(settings.teacher)
    arrays["settings"] = np.array(json.dumps(asdict(settings)))
    arrays["photograph_sha256"] = np.array(_fingerprint(photograph))
    arrays["losses"] = np.concatenate((np.zeros(0, np.float32), *run.losses))
    arrays["frame_steps"] = np.array([step for step, _ in run.frames], np.int32)
    arrays["frames"] = np.stack([weight for _, weight in run.frames])

    def fill(file: Any) -> None:
        np.savez(file, allow_pickle=False, **arrays)

    return command.write(path, fill)


def read_saved(path: Path) -> Saved:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise command.Problem(f"there is no file {path} to resume from") from error
    except Exception as error:  # a broken file can make numpy raise nearly anything
        raise command.Problem(f"cannot resume from {path}: it is not an npz file, or broken") from error


def saved_settings(path: Path, saved: Saved, given: Mapping[str, Any], parsers: Mapping[str, Any]) -> Settings:
    """The settings in a file, checked like options. Options that are given too must have the same values."""
    try:
        values = json.loads(str(saved["settings"]))
        parsers = {**parsers, "image": str}  # the picture may have been moved since
        settings = Settings(**{name: parsers[name](str(value)) for name, value in values.items()})
        complete = set(values) == set(parsers) and str(saved["teacher"]) == settings.teacher
    except Exception as error:  # a broken file may have anything in place of settings
        raise _unusable(path, "it does not hold the settings of learn_edges.py") from error
    if not complete:
        raise _unusable(path, "its settings are not complete")
    for name, value in given.items():
        kept = getattr(settings, name)
        if name != "image" and value != kept:
            option = f"--{name.replace('_', '-')}"
            raise _unusable(path, f"it was trained with {option} {kept}, and {option} {value} is asked for")
    return replace(settings, image=given.get("image", settings.image))


def resumed(path: Path, saved: Saved, settings: Settings, photograph: np.ndarray) -> Run:
    """The run that a file contains."""
    fresh = start(settings)
    for name, array in _arrays_of(fresh.state).items():
        if name not in saved or (saved[name].shape, saved[name].dtype) != (array.shape, array.dtype):
            raise _unusable(path, f"its {name} is missing or of another shape")
    _check_history(path, saved)
    if str(saved.get("photograph_sha256")) != _fingerprint(photograph):
        raise _unusable(path, "it learned from another picture; give that one with --image")
    frames = zip(saved["frame_steps"], saved["frames"], strict=True)
    state = _state_from(saved, fresh.state)
    return Run(state, (saved["losses"],), tuple((int(step), weight) for step, weight in frames))


def _check_history(path: Path, saved: Saved) -> None:
    none = np.zeros(())
    losses, steps, frames = (saved.get(name, none) for name in ("losses", "frame_steps", "frames"))
    if losses.shape != (int(saved["step"]),) or losses.dtype != np.float32:
        raise _unusable(path, "its losses do not fit its step")
    if steps.dtype != np.int32 or steps.size == 0 or frames.shape != (steps.size, *saved["weight"].shape):
        raise _unusable(path, "its frames are missing or of another shape")
    for name, array in saved.items():
        if array.dtype.kind not in "US" and not (array.dtype.kind in "iuf" and np.isfinite(array).all()):
            raise _unusable(path, f"its {name} has values that are not finite numbers")


def _arrays_of(state: State) -> dict[str, Any]:
    arrays = {"weight": state.params.weight, "bias": state.params.bias, "step": state.step}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.optimiser):
        arrays[f"optimiser_{jax.tree_util.keystr(path, simple=True, separator='_')}"] = leaf
    return {**arrays, "key": jax.random.key_data(state.key)}


def _state_from(saved: Saved, like: State) -> State:
    memory = [jnp.asarray(saved[name]) for name in _arrays_of(like) if name.startswith("optimiser_")]
    return State(
        convjax.ConvParams(jnp.asarray(saved["weight"]), jnp.asarray(saved["bias"])),
        jax.tree.unflatten(jax.tree.structure(like.optimiser), memory),
        jax.random.wrap_key_data(jnp.asarray(saved["key"])),
        jnp.asarray(saved["step"]),
    )


def _fingerprint(photograph: np.ndarray) -> str:
    return hashlib.sha256(repr(photograph.shape).encode() + photograph.tobytes()).hexdigest()


def _unusable(path: Path, why: str) -> command.Problem:
    return command.Problem(f"cannot resume from {path}: {why}")
