"""What the package promises to those who import it."""

import ast
import doctest
import inspect
import os
import pathlib
import subprocess
import sys

import pytest

import convjax

ROOT = pathlib.Path(convjax.__file__).parent

NAMES = {
    "Comparison", "ConvParams", "Explanation", "Machine", "Plan", "accelerate", "compare", "conv", "conv1d",
    "adaptive_avg_pool", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "lp_pool", "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool", "max_pool1d", "max_pool2d",
    "max_pool3d", "max_unpool", "max_unpool1d", "max_unpool2d", "max_unpool3d",
    "conv2d", "conv3d", "conv_output_shape", "conv_transpose", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "edges", "explain", "fold", "init_conv", "kernels", "lax", "ndimage", "patched", "plan",
    "sharding", "signal", "tune", "unfold",
}  # fmt: skip

DIMS = ("", "1d", "2d", "3d")
CONV = "x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, padding_mode='zeros', "
CONV_TRANSPOSE = (
    "x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *, padding_mode='zeros', "
)
MORE = "memory_format='contiguous', precision=None, preferred_element_type=None, algorithm='auto'"
SIGNATURES = {
    **dict.fromkeys(("conv", "conv1d", "conv2d", "conv3d"), CONV + MORE),
    **dict.fromkeys([f"conv_transpose{d}" for d in ("", "1d", "2d", "3d")], CONV_TRANSPOSE + MORE),
    "unfold": "x, kernel_size, dilation=1, padding=0, stride=1",
    "fold": "x, output_size, kernel_size, dilation=1, padding=0, stride=1",
    **dict.fromkeys(
        [f"max_pool{d}" for d in DIMS],
        "x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, *, "
        "memory_format='contiguous'",
    ),
    "avg_pool1d": "x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, *, "
    "memory_format='contiguous'",
    **dict.fromkeys(
        ("avg_pool", "avg_pool2d", "avg_pool3d"),
        "x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, *, "
        "memory_format='contiguous'",
    ),
    **dict.fromkeys(
        [f"lp_pool{d}" for d in DIMS],
        "x, norm_type, kernel_size, stride=None, ceil_mode=False, *, memory_format='contiguous'",
    ),
    **dict.fromkeys([f"adaptive_avg_pool{d}" for d in DIMS], "x, output_size, *, memory_format='contiguous'"),
    **dict.fromkeys(
        [f"adaptive_max_pool{d}" for d in DIMS], "x, output_size, return_indices=False, *, memory_format='contiguous'"
    ),
    **dict.fromkeys(
        [f"max_unpool{d}" for d in DIMS], "x, indices, kernel_size, stride=None, padding=0, output_size=None"
    ),
    "init_conv": "key, in_channels, out_channels, kernel_size, *, groups=1, bias=True, transpose=False, dtype=float32",
    "plan": "x, weight, *args, function=conv, platform=None, machine=None, **options",
    "accelerate": "f, *, static_argnums=(), static_argnames=(), algorithm='auto', memory_format=None",
    "patched": "",
    "compare": "f, *, static_argnums=(), static_argnames=(), memory_format=None, rounds=5",
    "explain": "f, *, static_argnums=(), static_argnames=(), machine=None",
    "tune": "function, *args, rounds=5",
    "conv_output_shape": "x_shape, *args, function=conv, **options",
}


def test_names():
    assert set(convjax.__all__) == NAMES
    assert sorted(convjax.__all__) == convjax.__all__
    assert all(hasattr(convjax, name) for name in NAMES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name):
    parameters, star = [], False
    for p in inspect.signature(getattr(convjax, name)).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not star and "*args" not in parameters:
            parameters.append("*")
        star = star or p.kind is p.KEYWORD_ONLY
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        value = "" if p.default is p.empty else f"={getattr(p.default, '__name__', repr(p.default))}"
        parameters.append(prefix + p.name + value)
    assert ", ".join(parameters) == SIGNATURES[name]


def test_every_public_function_has_an_example_that_runs():
    objects = [getattr(convjax, name) for name in SIGNATURES] + [
        getattr(convjax.kernels, n) for n in convjax.kernels.__all__
    ]
    for function in objects:
        assert doctest.DocTestFinder().find(function)[0].examples, function.__name__


def test_only_public_jax():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        assert "jax._src" not in text
        imported = {
            (alias.name if isinstance(node, ast.Import) else node.module).split(".")[0]
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert imported <= {"jax", "jaxlib", "numpy", "convjax", *sys.stdlib_module_names}
        assert not any(isinstance(n, ast.Attribute) and n.attr == "custom_vjp" for n in ast.walk(ast.parse(text)))


def test_importing_touches_no_device():
    def run(program):
        env = {**os.environ, "JAX_PLATFORMS": "no_such_platform"}
        return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True).returncode

    assert run("import convjax") == 0
    assert run("import jax; jax.devices()") != 0


@pytest.mark.parametrize("how", ["a script", "a command"])
def test_a_folder_of_its_name_does_not_hide_it(tmp_path, how):
    """To Python a folder named convjax beside a script, such as a clone, is a package, only an empty one."""
    (tmp_path / "convjax").mkdir()
    (tmp_path / "script.py").write_text("import convjax; print(convjax.conv2d.__name__)")
    arguments = ["script.py"] if how == "a script" else ["-c", (tmp_path / "script.py").read_text()]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == "conv2d\n", done.stderr


def test_it_is_typed():
    assert (ROOT / "py.typed").exists()
