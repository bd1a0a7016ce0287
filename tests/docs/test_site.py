"""The site's sources: the reference is complete, the code blocks run, and the pages of the gallery can be copied."""

import ast
import pathlib
import re
import sys

import jax
import numpy as np
import pytest
import scipy.ndimage
from calls import EVERY

import convjax
from convjax._algorithms import ALGORITHMS

DOCS = pathlib.Path(__file__).parents[2] / "docs"
TEXTS = sorted(str(path.relative_to(DOCS)) for folder in (DOCS, DOCS / "guides") for path in folder.glob("*.md"))
PAGES = sorted((DOCS / "gallery").rglob("plot_*.py"))
MAX_LINES = 60
VALUES = {"ConvParams", "Machine", "Plan", "Explanation", "Comparison", "sharding.halo", "sharding.sharded"}
ALSO = {
    "plot_flax_made_faster": {"flax", "optax"},
    "plot_equinox_made_faster": {"equinox", "optax"},
    "plot_keras_made_faster": {"keras"},
    "plot_torch_state_dict": {"safetensors"},
}
SEEN = (
    "which_function",
    "many_devices",
    *(f"guides/{n}" for n in ("existing_models", "memory_order", "choosing", "padding", "derivatives")),
)


def test_the_reference_has_every_function():
    listed = set(re.findall(r"^   (\w+(?:\.\w+)?)$", (DOCS / "reference.rst").read_text(), re.MULTILINE))
    missing = (EVERY | VALUES) - listed
    # The poolings of one and of three dimensions are described by those of any number.
    assert all(re.fullmatch(r"\w+_(un)?pool[13]d", name) for name in missing), missing
    assert listed <= EVERY | VALUES


def names_after(page):
    """What the code blocks of a page define, run in their order as a reader would."""
    names: dict = {}
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
            exec(compile(block, page, "exec"), names)
    return names


@pytest.mark.parametrize("page", sorted(set(TEXTS) - {f"{name}.md" for name in SEEN}))
def test_the_code_of_a_page_runs(page):
    names_after(page)


def test_existing_models(capsys):
    names = names_after("guides/existing_models.md")
    printed = capsys.readouterr().out
    assert "weight gradient" in printed
    assert "times as fast" in printed
    given = names["params"], names["x"]
    np.testing.assert_allclose(names["predict"](*given), names["model"](*given))


def test_which_function():
    names = names_after("which_function.md")
    image = np.asarray(names["image"])
    wanted = scipy.ndimage.gaussian_filter(image, 2.0, mode="mirror")
    np.testing.assert_allclose(names["blurred"], wanted, rtol=1e-5, atol=1e-6)
    assert names["direction"].shape == names["outline"].shape == image.shape
    assert names["outline"].dtype == bool
    assert np.isfinite(names["slope"])
    page = (DOCS / "which_function.md").read_text()
    table = page[page.index("| SciPy | convjax |") : page.index("```python\nimport jax")]
    listed = set(re.findall(r"\b[a-z_]+\w*\b", table))
    assert {*convjax.signal.__all__, *convjax.ndimage.__all__} <= listed


def test_memory_order():
    np.testing.assert_array_equal(names_after("guides/memory_order.md")["last"], np.full((8, 30, 30, 64), 27.0))


def test_many_devices():
    names = names_after("many_devices.md")
    assert names["edges_of_it"].sharding.is_equivalent_to(names["large"].sharding, 4)
    assert names["edges_of_it"].shape == (1, 8, 64, 64)


def test_choosing():
    names = names_after("guides/choosing.md")
    assert len(names["recorded"]) >= 1
    assert names["same"].shape == (2, 8, 16, 16)


def test_the_costs_of_derivatives_are_counted():
    names = names_after("guides/derivatives.md")
    loss, given = names["loss"], (names["weight"], names["x"])

    def count(function, *arguments):
        return str(jax.make_jaxpr(function)(*arguments)).count("convjax_conv[")

    rows = {"the value alone": lambda f, *a: f(*a)}
    rows["`jax.grad`"] = lambda f, *a: jax.grad(f, tuple(range(len(a))))(*a)
    rows["`jax.jvp`"] = lambda f, *a: jax.jvp(f, a, a)
    rows["a Hessian times a vector, `jax.jvp` of `jax.grad`"] = lambda f, *a: jax.jvp(
        jax.grad(f, tuple(range(len(a)))), a, a
    )
    page = (DOCS / "guides/derivatives.md").read_text()
    with jax.numpy_dtype_promotion("standard"):
        for name, derivative in rows.items():
            one = count(lambda w, d=derivative: d(lambda w: loss(w, given[1]), w), given[0])
            both = count(lambda *a, d=derivative: d(loss, *a), *given)
            assert re.search(rf"\| {re.escape(name)} \| {one}( convolution)? \| {both} \|", page), (name, one, both)


def test_padding():
    names = names_after("guides/padding.md")
    wanted = jax.lax.conv_general_dilated(names["x"], names["weight"], (2, 2), "SAME")
    given = convjax.conv2d(names["x"], names["weight"], stride=2, padding=names["pairs"])
    np.testing.assert_array_equal(given, wanted)


@pytest.mark.parametrize("page", TEXTS)
def test_the_functions_that_a_page_names_exist(page):
    assert set(re.findall(r"\{func\}`convjax\.([\w.]+)`", (DOCS / page).read_text())) <= EVERY | VALUES


NOT_DRAWN = {"accelerate", "explain", "compare", "patched", "plan", "tune", "signal.choose_conv_method"}


def test_every_function_of_images_and_signals_has_an_example_that_draws():
    drawn = {
        str(path.relative_to(DOCS / "drawn").with_suffix("")).replace("/", ".")
        for path in (DOCS / "drawn").rglob("*.py")
    }
    poolings = {name for name in EVERY if re.fullmatch(r"\w+_(un)?pool[13]d", name)}
    assert drawn == EVERY - poolings - NOT_DRAWN


def test_how_it_works_has_every_algorithm():
    page = (DOCS / "how_it_works.md").read_text()
    assert sorted(re.findall(r"^### `(\w+)`$", page, re.MULTILINE)) == sorted(ALGORITHMS)


def test_the_gallery_has_twenty_pages():
    assert len(PAGES) >= 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_of_the_gallery_can_be_copied(page):
    """It is short, it draws, and it imports nothing private, and little that has to be installed."""
    text = page.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert "plt.show()\n" in text
    nodes = list(ast.walk(ast.parse(text)))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    packages = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert packages <= {"convjax", "jax", "numpy", "matplotlib"} | ALSO.get(page.stem, set())
    assert not any(part.startswith("_") for name in modules for part in name.split("."))
