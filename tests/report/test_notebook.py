"""What notebooks show of results: the report's figures, nothing active, and no ids."""

from __future__ import annotations

import ast
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from made_features import make_features

import bottleneck
from bottleneck.checks.check_warnings import warn
from bottleneck.errors import UsageError
from bottleneck.evaluation.leak_experiment.leak_results import FIGURES, LeakExperiment, LeakRow
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.notebook import _content
from bottleneck.report.wording.labels import metric_names

HOSTILE = '<script>alert("x")</script><img src=http://a.example/x onerror=y>\u202e{{ 7*7 }}'
TAGS = frozenset({"div", "style", "p", "strong", "ul", "li", "span", "bdi", "wbr"}) | frozenset(
    {
        "table",
        "caption",
        "tbody",
        "thead",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "dl",
        "dt",
        "dd",
        "abbr",
    }
)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open += [tag] if tag != "wbr" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if self.open and self.open[-1] == "style" else data


@pytest.fixture(scope="module")
def results(full: Comparison) -> dict[str, Any]:
    features = make_features(dataset={"name": HOSTILE}, classes=("benign", HOSTILE))
    row = LeakRow(HOSTILE, True, "", 8, 6.0, 0.5, 0.5, dict.fromkeys(FIGURES, (0.9, 0.8)))
    arm = dataclasses.replace(full.evaluations[0], name=HOSTILE)
    comparison = dataclasses.replace(
        full,
        warnings=warn("BF305", [HOSTILE, "see /home/anna/x.csv"]),
        evaluations=(arm, *full.evaluations),
        dataset={**full.dataset, "name": HOSTILE},
    )
    external = dataclasses.replace(full.external[0], warnings=warn("BF305", [HOSTILE]))
    images = bottleneck.load_dataset("phantom", limit=3)
    rng = np.random.default_rng(0)
    y = np.repeat(["benign", HOSTILE], 40)
    X, new = rng.normal(size=(2, 80, 2)) + (y == HOSTILE)[:, np.newaxis]
    model = bottleneck.fit(X, "logistic", y=y, positive="benign", at_sensitivity=0.9)
    ids = [f"case-{number}" for number in range(80)]
    return {
        "new": model.predict(new, y=y, groups=[f"pat-{n // 2}" for n in range(80)], ids=ids),
        "recalibration": bottleneck.recalibrate(model, new, y=y, ids=ids, what="threshold"),
        "comparison": comparison,
        "evaluation": arm,
        "external": external,
        "audit": full.audit,
        "features": features,
        "predictions": arm.predictions,
        "model": bottleneck.fit(features, "logistic", positive="benign"),
        "images": dataclasses.replace(images, name=HOSTILE),
        "leaky": LeakExperiment(
            *(HOSTILE, {}, HOSTILE, 8, 4, 2, "ill", 5, 0, (row,)), warn("BF303", [HOSTILE])
        ),
    }


KINDS = ("comparison", "evaluation", "external", "audit", "features", "predictions", "model")


@pytest.mark.parametrize("kind", [*KINDS, "images", "leaky", "new", "recalibration"])
def test_nothing_in_it_is_active_or_a_name_of_a_patient(results: dict[str, Any], kind: str) -> None:
    page = results[kind]._repr_html_()
    tags = Tags(page)
    assert not tags.open
    assert tags.names <= TAGS
    assert tags.attributes <= {
        "class",
        "role",
        "scope",
        "title",
        "colspan",
        "data-sort",
        "data-name",
    }
    assert not re.search(r"url\(|@import|\u202e", page)
    assert not re.search(r"\b(case|pat|image|patient)-\d|/home/", tags.text)
    assert "49" not in tags.text.split()
    assert bottleneck.to_html(results[kind]) == page


def test_it_has_the_metrics_and_warnings_of_the_report(full: Comparison) -> None:
    warned = dataclasses.replace(
        full, warnings=warn("BF303", ["random weights", "see /home/anna/x.csv"])
    )
    text = " ".join(Tags(warned._repr_html_()).text.split())
    assert "Before you read the results BF303 random weights BF303 see x.csv" in text
    for e in full.evaluations:
        for name in metric_names([e.metrics]):
            value = f"{e.metrics[name].value:.3f}".replace("-", "−").replace("nan", "n/a")
            assert value in text, (e.name, name)
    assert full.audit is not None
    assert full.audit.verdict in text


def test_every_class_that_notebooks_show_as_html_has_some() -> None:
    """Classes with the method, wherever they are defined, are those that ``to_html`` takes."""
    shown = set()
    for path in Path(bottleneck.__file__).parent.rglob("*.py"):
        text = path.read_text()
        if "_repr_html_" not in text:
            continue
        classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
        shown |= {c.name for c in classes if "_repr_html_" in ast.unparse(c)}
    assert shown == {kind.__name__ for kind in _content.registry} - {"object"}


def test_predictions_and_recalibrations_show_their_figures(results: dict[str, Any]) -> None:
    made, moved = results["new"], results["recalibration"]
    text = " ".join(Tags(made._repr_html_()).text.split())
    assert "80 images" in text
    assert f"{made.evaluation.metrics['auroc'].value:.3f}" in text
    assert made.set_words in text
    (point,) = made.evaluation.operating_points
    assert f"Sensitivity{point.metrics['sensitivity'].value:.3f}" in text
    text = " ".join(Tags(moved._repr_html_()).text.split())
    for metrics in (moved.before, moved.after):
        assert f"{metrics['sensitivity'].value:.3f}" in text
    assert moved.words in text


def test_ipython_shows_it_with_the_short_text_as_its_substitute(results: dict[str, Any]) -> None:
    for result in results.values():
        shown, _ = DisplayFormatter().format(result)
        assert shown["text/html"] == result._repr_html_()
        assert shown["text/plain"] == repr(result)


@pytest.mark.parametrize("value", [None, 3, "text", np.zeros(3), Comparison, {}])
def test_other_objects_are_refused(value: object) -> None:
    with pytest.raises(UsageError, match="shows a result, such as a Comparison"):
        bottleneck.to_html(value)
