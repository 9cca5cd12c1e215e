"""Configuration of the site. ``make docs`` builds it, and runs every command and example on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinxcontrib.programoutput import program_output

import bottleneck

DOCS = Path(__file__).parent
# Each page has a folder here, in which its commands and its Python run.
RUNS = DOCS / "_run"

project = "bottleneck"
author = "bottleneck-features contributors"
version = release = bottleneck.__version__
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.programoutput",
]
# The source of the site is the checkout, so that links between its folders are the same here and
# on GitHub.
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/*.md",
    "examples/mobile/README.md",
    "features/README.md",
    "notebooks/*.ipynb",
]
exclude_patterns = [".*", "docs/_*", "*/node_modules"]
templates_path = [str(DOCS / "_templates")]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "bottleneck"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
# Pages that are a section of their own have no list of pages beside them.
html_sidebars = {page: [] for page in ("docs/first-hour", "docs/report", "CHANGELOG")}
html_additional_pages = {"index": "to-the-first-page.html"}
html_theme_options = {
    "navbar_align": "left",
    # All but development and the changelog.
    "header_links_before_dropdown": 7,
    # The button without a field leaves room for the sections.
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["research-use"],
    "footer_end": [],
}

# Commands print as in a terminal of 80 columns, without colours, and reach no network.
os.environ.update(COLUMNS="80", NO_COLOR="1", TERM="dumb", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
# IPython reads docs/_ipython/profile_default/startup/ before it runs the Python of a page.
os.environ["IPYTHONDIR"] = str(DOCS / "_ipython")
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# What a page starts with, by the line "folder: …" of its front matter. Without one, it starts with
# nothing.
STARTS = {
    # scans/ and new/: the images of the demo.
    "images": ["bottleneck demo --images ."],
    # These, with features/, report/ and models/.
    "evaluated": [
        "bottleneck demo --images .",
        "bottleneck extract scans --backbone efficientnet_lite0 --patient-pattern 'P\\d+'",
        "bottleneck compare --head svm --head logistic",
        "bottleneck fit --head logistic --positive malignant --at-sensitivity 0.9 "
        "--comparison report",
    ],
}

# Files that the commands of a page wrote and that become part of the site, so that pages can show
# them by HTML elements. Other links are checked before the commands run.
PUBLISHED = {
    "docs/first-hour": [
        "scans/*/P00?-1.png",
        "new/*",
        "report/*",
        "report/figures/*",
        "explanation/*.html",
    ]
}


def make_starts(app: Sphinx) -> None:
    """Make the folders that pages start with, once for all pages and each state of the package."""
    package = Path(bottleneck.__file__).parent
    changed = max(path.stat().st_mtime for path in package.rglob("*.py"))
    for name, commands in STARTS.items():
        folder = RUNS / name
        complete = folder / "complete"
        if complete.exists() and complete.stat().st_mtime > changed:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for command in commands:
            subprocess.run(command, shell=True, check=True, cwd=folder, capture_output=True)
        complete.touch()


def start_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the folder of a page anew, and forget the output of its commands."""
    named = re.match(r"---\n(?:.*\n)*?folder: (\w+)\n(?:.*\n)*?---\n", source[0])
    app.env.programoutput_cache.clear()
    folder = RUNS / "pages" / docname
    shutil.rmtree(folder, ignore_errors=True)
    if named:
        shutil.copytree(RUNS / named[1], folder, ignore=shutil.ignore_patterns("complete"))
    else:
        folder.mkdir(parents=True)
    os.environ["PAGE_FOLDER"] = str(folder)


def set_folder(app: Sphinx, doctree: nodes.document) -> None:
    """Let the commands of a page run in its folder."""
    for node in doctree.findall(program_output):
        node["working_directory"] = str(RUNS / "pages" / app.env.docname)


def publish(app: Sphinx, exception: Exception | None) -> None:
    """Copy files that commands wrote into the site, after all commands have run."""
    if exception is not None:
        return
    for page, patterns in PUBLISHED.items():
        folder = RUNS / "pages" / page
        for path in (path for pattern in patterns for path in folder.glob(pattern)):
            if path.is_file():
                target = Path(app.outdir) / page / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("builder-inited", make_starts)
    app.connect("source-read", start_page)
    # Before the extension runs the commands, whose priority is 500.
    app.connect("doctree-read", set_folder, priority=400)
    app.connect("build-finished", publish)
