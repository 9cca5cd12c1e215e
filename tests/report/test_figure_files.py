"""Files of the figures: for any program, the same each time, and no link to one that is missing."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image
from report.reading import Page

from bottleneck import (
    plot_confusion,
    plot_embedding,
    plot_forest,
    plot_noninferiority,
    plot_roc,
    plot_training,
)
from bottleneck.errors import UsageError
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.figures import arm_styles
from bottleneck.report.figures.output import figure_kinds
from bottleneck.report.page import write_report

CSS = Path(arm_styles.__file__).parents[1] / "templates" / "pages" / "page.css"


def links(page: Path) -> set[str]:
    return {link for link in Page(page.read_text()).links if link.startswith("figures/")}


def test_a_page_without_files_of_figures_has_no_link_to_one(
    binary: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "figures").mkdir()
    old, own = (tmp_path / "figures" / name for name in ("external-2-roc.png", "roc-edited.svg"))
    old.write_text("")
    own.write_text("mine")
    assert not links(write_report(binary, tmp_path, figures=False))
    assert not old.exists()
    assert own.read_text() == "mine"


@pytest.mark.slow(reason="every figure is drawn, twice, and opened by other programs")
@pytest.mark.figures
def test_files_are_linked_open_in_other_programs_and_are_the_same_again(
    full: Comparison, tmp_path: Path
) -> None:
    odd = f"$x_1$ 甲 / 😀 {'y' * 40}"
    named = dataclasses.replace(
        full,
        evaluations=tuple(dataclasses.replace(e, name=f"{e.name} {odd}") for e in full.evaluations),
        differences=(),
        external=(),
    )
    for made, folder in ((full, "a"), (full, "b"), (named, "odd")):
        page = write_report(made, tmp_path / folder)
        files = {str(path.relative_to(page.parent)) for path in page.parent.glob("figures/*")}
        assert files == links(page)
    first, second = (sorted((tmp_path / folder / "figures").iterdir()) for folder in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    for path in sorted(tmp_path.glob("*/figures/*")):
        data = path.read_bytes()
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert round(image.info["dpi"][0]) == 300
                image.load()
        if path.suffix == ".svg":
            assert b"var(" not in data
            assert b"case-" not in data
            assert b"pat-" not in data
            open_with("rsvg-convert", path)
        if path.suffix == ".pdf":
            assert b"/FontFile2" in data  # TrueType
            assert b"/Type3" not in data
            open_with("pdftoppm", path)


def open_with(program: str, path: Path) -> None:
    if shutil.which(program):
        done = subprocess.run([program, path], capture_output=True, check=True)
        assert len(done.stdout) > 1000
        assert not done.stderr


def test_colours_are_those_of_the_page() -> None:
    light = CSS.read_text().split("@media")[0]
    assert dict(re.findall(r"--([\w-]+): (#\w+);", light)).items() >= arm_styles.COLOURS.items()


def test_up_to_32_arms_have_styles_of_their_own(binary: Comparison) -> None:
    for form in ("network {} + svm", "network + head {}"):
        arms = [
            dataclasses.replace(binary.evaluations[0], name=form.format(n), head="svm")
            for n in range(32)
        ]
        assert len(set(arm_styles.arm_styles(arms))) == 32


def test_a_plot_on_given_axes_leaves_pyplot_and_its_settings_alone(binary: Comparison) -> None:
    before = dict(matplotlib.rcParams), plt.get_fignums()
    axes = matplotlib.figure.Figure().add_subplot()
    arm = dataclasses.replace(binary.evaluations[0], name="_$x$ 100 % {a}", positive="malignant")
    assert plot_roc(arm, band=False, ax=axes) is axes
    assert (dict(matplotlib.rcParams), plt.get_fignums()) == before
    legend = axes.get_legend() or axes.figure.legends[0]
    assert legend.get_texts()[0].get_text().startswith("_$x$ 100 % {a}: ")
    assert not legend.get_texts()[0].get_parse_math()


def test_wrong_use_is_refused_in_a_sentence(binary: Comparison) -> None:
    figure = matplotlib.figure.Figure()
    with pytest.raises(UsageError, match="ax must be matplotlib axes, not"):
        plot_roc(binary, ax=figure)
    with pytest.raises(UsageError, match="unknown arm 'svm'"):
        plot_roc(binary, arms=["svm"])
    with pytest.raises(UsageError, match="plot_roc needs a Comparison"):
        plot_roc(binary.evaluations)
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (plot_roc, {"arms": 3}, "unknown arm '3'"),
        (plot_forest, {"arm": []}, "arm must be a string"),
        (plot_roc, {"arms": [["a"]]}, "unknown arm"),
        (plot_confusion, {"arm": []}, "arm must be a string"),
        (plot_confusion, {"title": 3}, "title must be a string"),
        (plot_training, {"what": "lr"}, "what must be loss or metrics"),
        (plot_noninferiority, {}, "non-inferiority was not tested"),
        (plot_embedding, {"features": ["a"]}, "features must be a string"),
        (plot_embedding, {"errors_of": {}}, "errors_of must be a string"),
    ]
    for plot, options, message in wrong:
        with pytest.raises(UsageError, match=message):
            plot(binary, ax=figure.add_subplot(), **options)


def test_the_margin_is_drawn_with_the_differences_to_the_reference(full: Comparison) -> None:
    axes = plot_noninferiority(full, ax=Figure().add_subplot())
    results = full.noninferiority
    assert results is not None
    assert [text.get_text() for text in axes.get_yticklabels()] == [t.arm for t in results.tests]
    spans = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert [-0.05, -0.05] in [list(span) for span in spans]
    for test in results.tests:
        assert [test.low, test.high] in [list(span) for span in spans]


def test_tests_write_no_files_of_figures() -> None:
    assert figure_kinds.KINDS == ()
