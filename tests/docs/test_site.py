"""The site's sources: the reference is complete, the code blocks run, and the pages of the gallery can be copied."""

import ast
import pathlib
import re

import jax
import pytest
from calls import EVERY

DOCS = pathlib.Path(__file__).parents[2] / "docs"
TEXTS = ["start.md", "which_function.md", *sorted(f"guides/{path.name}" for path in (DOCS / "guides").glob("*.md"))]
PAGES = sorted((DOCS / "gallery").glob("plot_*.py"))
MAX_LINES = 60


def test_the_reference_has_every_function():
    listed = set(re.findall(r"^   ([a-z]\w*(?:\.\w+)?)$", (DOCS / "reference.rst").read_text(), re.MULTILINE))
    missing = EVERY - listed
    # The poolings of one and of three dimensions are described by those of any number.
    assert all(re.fullmatch(r"\w+_(un)?pool[13]d", name) for name in missing), missing
    assert listed <= EVERY


@pytest.mark.parametrize("page", TEXTS)
def test_the_code_of_a_page_runs(page):
    names: dict = {}
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
            exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", TEXTS)
def test_the_functions_that_a_page_names_exist(page):
    assert set(re.findall(r"\{func\}`convjax\.([\w.]+)`", (DOCS / page).read_text())) <= EVERY


def test_the_gallery_has_twenty_pages():
    assert len(PAGES) >= 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_of_the_gallery_can_be_copied(page):
    """It is short, it draws, and it imports nothing private and nothing that has to be installed besides matplotlib."""
    text = page.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert "plt.show()\n" in text
    nodes = list(ast.walk(ast.parse(text)))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert {name.partition(".")[0] for name in modules} <= {"convjax", "jax", "numpy", "matplotlib"}
    assert not any(part.startswith("_") for name in modules for part in name.split("."))
