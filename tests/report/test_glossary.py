"""Every metric and method that a report can name has its sentence."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from report.reading import Page
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score

import bottleneck
from bottleneck.evaluation.metrics.metrics import METRICS as COMPUTED
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.page import render
from bottleneck.report.wording.glossary import (
    METHODS,
    METRIC_LINES,
    TERMS,
    explain_methods,
    explain_metrics,
)
from bottleneck.report.wording.labels import METRICS
from bottleneck.statistics.inference.intervals import JACKKNIFED

ROOMS = [Path(bottleneck.__file__).parent / room for room in ("statistics", "evaluation")]
# Words of a method's name that need no sentence: numbers, and what joins the terms.
JOINING = re.compile(
    r"\bwith\b|inside|outside|estimator|seed|draws|of them without a value|in the smaller "
    r"(class|cohort)|patients?|samples|instead of accuracy, since only one of the arms is known "
    r"to weight the classes equally|\d[\d.,]*|%|[\W_]"
)


def unexplained(method: str) -> str:
    for pattern, _, _ in METHODS:
        method = re.sub(pattern, "", method)
    return JOINING.sub("", method)


def spell(node: ast.expr) -> list[str]:
    """Return the texts that an expression can give; what is computed is left out."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else [""]
    if isinstance(node, ast.IfExp):
        return spell(node.body) + spell(node.orelse)
    if isinstance(node, ast.FormattedValue):
        return spell(node.value)
    pieces = []
    if isinstance(node, ast.JoinedStr):
        pieces = node.values
    elif isinstance(node, ast.BinOp):
        pieces = [node.left, node.right]
    return ["".join(chosen) for chosen in itertools.product(*map(spell, pieces))]


def named_methods() -> set[str]:
    """Texts that the code gives to ``method``, or returns as the name of a method."""
    texts = set()
    for path in (path for room in ROOMS for path in room.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values = []
            if isinstance(node, ast.keyword) and node.arg == "method":
                values = [node.value]
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "method":
                values = [node.value]
            if isinstance(node, ast.FunctionDef) and node.name in ("variance_name", "_method"):
                values = [r.value for r in ast.walk(node) if isinstance(r, ast.Return) and r.value]
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Interval":
                values = node.args[5:6]
            texts |= {text for value in values for text in spell(value)}
    # Names of estimators that other libraries choose, not of methods that a report shows.
    return texts - {"BFGS", "bounded", "holm"}


def test_every_method_that_the_code_names_is_explained() -> None:
    named = named_methods()
    assert {"clustered McNemar", "constant score", "Obuchowski"} <= named
    assert {text: left for text in named if (left := unexplained(text))} == {}


@pytest.mark.parametrize(
    "method",
    [
        "LeDell with Nadeau & Bengio's correction, logit scale, 95%",
        f"LeDell{JACKKNIFED}, logit scale, 95%",
        "bootstrap of patients (BCa, 2,000 draws, seed 0) with Nadeau & Bengio's correction; "
        "estimate only: 18 patients in the smaller class, 95%",
        "MOVER (inside: recalls joined (clustered Wilson), 95%; outside: Wilson, 95%)",
        "prediction interval, random effects of 6 centres, REML, Hartung & Knapp, logit scale, 95%",
    ],
)
def test_a_composed_name_is_explained_term_by_term(method: str) -> None:
    assert unexplained(method) == ""
    assert len(explain_methods([method])) >= 3


def test_a_plain_and_a_clustered_method_are_told_apart() -> None:
    terms = [entry.term for entry in explain_methods(["clustered Wilson, 95%", None])]
    assert terms == ["Clustered Wilson"]
    assert [entry.term for entry in explain_methods(["McNemar, Tango's interval"])] == [
        "McNemar",
        "Tango",
    ]


def test_every_metric_has_a_sentence_and_its_own_one_of_users_too() -> None:
    assert set(METRIC_LINES) == set(METRICS)
    assert set(COMPUTED) <= set(METRIC_LINES)
    (own,) = explain_metrics(["net_cost"])
    assert (own.term, "user defined" in own.line) == ("Net cost", True)
    for text in (*METRIC_LINES.values(), *(term[1] for term in TERMS.values())):
        assert text.endswith(".")


def test_chance_levels_are_those_of_scikit_learn(binary: Comparison) -> None:
    labels = binary.evaluations[0].predictions.labels
    y = labels == binary.positive
    p = np.full(len(y), y.mean())
    most = DummyClassifier().fit(labels[:, None], labels).predict(labels[:, None])
    chance = {
        "accuracy": accuracy_score(labels, most),
        "auprc": y.mean(),
        "npv": 1 - y.mean(),
        "f1": f1_score(y, np.ones_like(y)),
        "brier": brier_score_loss(y, p),
    }
    for name, value in chance.items():
        (entry,) = explain_metrics([name], binary.evaluations, binary.positive)
        assert f"({value:.3f} here)" in entry.line
        assert "here" not in explain_metrics([name])[0].line


def test_the_page_explains_what_it_shows(binary: Comparison) -> None:
    page = Page(render(binary)).text
    for name in {name for e in binary.evaluations for name in e.metrics}:
        line = explain_metrics([name], binary.evaluations, binary.positive)[0].line
        assert line in page
    methods = {m.method for e in binary.evaluations for m in e.metrics.values()}
    methods |= {d.method for d in binary.differences}
    for entry in explain_methods(methods):
        assert entry.line in page
