"""Sphinx: `python -m sphinx -W -b html docs docs/_build`, in an environment with the extra `docs`."""

import re
import sys
from pathlib import Path

import jax

import convjax

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # for benchmark_charts and benchmarks, which are not installed
jax.config.update("jax_num_cpu_devices", 8)  # for the page of many devices, and before anything runs

import benchmark_charts

project = "convjax"
author = "the convjax developers"
copyright = "the convjax developers"
version = release = convjax.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "matplotlib.sphinxext.plot_directive",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery", "drawn", "drawings", "_static", "_templates"]
exclude_patterns += ["**sg_execution_times.rst"]  # sphinx-gallery's table of times fetches its script from outside
default_role = "code"  # the docstrings write `name`

highlight_language = "text"  # of formulas and pictures; code says that it is Python
html_theme = "furo"
html_title = "convjax"
html_show_sourcelink = False
html_static_path = ["_static"]
templates_path = ["_templates"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_preserve_defaults = True  # as they are written, not as they print
napoleon_numpy_docstring = False
napoleon_use_rtype = False  # what a function returns is described in prose
nitpicky = True  # a name that cannot be linked is a warning
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

DRAWN = HERE / "drawn"  # an example that draws, for each function that takes or makes an image or a signal
plot_basedir = str(DRAWN)
plot_include_source = True
plot_html_show_source_link = plot_html_show_formats = False
plot_formats = [("png", 100)]
plot_rcparams = {"figure.figsize": (7.2, 2.7), "figure.constrained_layout.use": True, "axes.titlesize": "medium"}
plot_apply_rcparams = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": "/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 10**6,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
}


def as_restructured_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text: an indented paragraph is a formula or a picture, and a star is a star."""
    written: list[str] = []
    literal = indent = 0  # the indent of the literal paragraph that a line is in, 0 outside; that of the text before
    in_example = False
    for n, line in enumerate(lines):
        here = len(line) - len(line.lstrip())
        after_blank = n == 0 or not lines[n - 1].strip()
        if not line.strip():
            in_example = False
            written.append(line)
            continue
        in_example = in_example or line.lstrip().startswith(">>>")
        if literal and here < literal:
            literal = 0
        if not literal and after_blank and here >= indent + 4 and not in_example:
            literal = here
            written += [" " * (here - 4) + "::", ""]  # inside of the item of a section, not beside it
        if literal or in_example:
            written.append(line)
            continue
        indent = here
        parts = line.split("`")
        parts[::2] = [part.replace("*", r"\*").replace("|", r"\|") for part in parts[::2]]
        written.append("`".join(parts))
    lines[:] = written


def with_its_picture(app, what, name: str, obj, options, lines: list[str]) -> None:
    """The example that draws, after the docstring."""
    script = Path(*name.split(".")[1:]).with_suffix(".py")
    if (DRAWN / script).is_file():
        lines += ["", ".. rubric:: In pictures", "", f".. plot:: {script.as_posix()}", ""]


RESULTS = HERE / "results"  # copies of the reports of benchmarks/, which lie outside of what Sphinx reads


def copy_results(app) -> None:
    """The reports as pages: found by links alone, and not by the search, which their rows would fill."""
    RESULTS.mkdir(exist_ok=True)
    for report in (*(HERE.parent / "benchmarks" / "results").glob("*.md"), HERE.parent / "benchmarks" / "slower.md"):
        text = report.read_text().replace("](results/", "](")
        title = "" if text.startswith("# ") else f"# {report.stem}\n\n"
        page = f"---\norphan: true\nnosearch: true\n---\n\n{title}{text}"
        copy = RESULTS / report.name
        if not copy.exists() or copy.read_text() != page:
            copy.write_text(page)


def link_to_copies(app, docname: str, source: list[str]) -> None:
    """In the repository the links of a page lead to the reports themselves."""
    source[0] = re.sub(r"\]\(((?:\.\./)*)\.\./benchmarks/(?:results/)?([\w.-]+\.md)\)", r"](\1results/\2)", source[0])


def with_charts(app, exception) -> None:
    """The data of the charts of the benchmarks, beside what Sphinx has written."""
    if exception is None and app.builder.format == "html":
        benchmark_charts.write(Path(app.outdir))


def setup(app) -> None:
    """Called by Sphinx. Napoleon, which reads the sections of docstrings, comes after."""
    app.connect("builder-inited", copy_results)
    app.connect("source-read", link_to_copies)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)
    app.connect("autodoc-process-docstring", with_its_picture, priority=900)
    app.connect("build-finished", with_charts)
