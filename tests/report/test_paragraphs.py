"""Paragraphs for a manuscript, and the inner scores: their numbers are those of the tables."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_features import VGG, make_features
from report.reading import Page
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.report.page import render, write_report
from bottleneck.report.wording.paragraphs import methods_paragraph, results_paragraph


@pytest.fixture(scope="module")
def compared() -> Comparison:
    pixels = np.array([f"{row:064d}" for row in range(80)])
    pixels[[4, 7]], pixels[[0, 20]] = "conflict", "copy"
    sets = [
        make_features(pixels=pixels, signal=1.0),
        make_features(pixels=pixels, signal=1.0, seed=1, recipe=VGG),
    ]
    return compare(
        sets,
        ["logistic"],
        positive="malignant",
        measures=Measures(at_sensitivity=0.85),
        protocol=Protocol(kind="cv", n_splits=3, inner_splits=2),
    )


def test_the_paragraphs_have_the_numbers_of_the_table(compared: Comparison, tmp_path: Path) -> None:
    page = write_report(compared, tmp_path)
    table = (tmp_path / "table.md").read_text()
    text = (tmp_path / "paragraphs.md").read_text()
    results, methods = results_paragraph(compared), methods_paragraph(compared)
    assert text == f"## Methods\n\n{methods}\n\n## Results\n\n{results}\n"
    shown = Page(page.read_text()).text
    assert results in shown
    assert methods in shown
    # Every AUROC and its interval, as the table writes them.
    cells = re.findall(r"\| ([^|]+) \| 78 \| ([\d.]+) \[([\d.]+), ([\d.]+)\] \|", table)
    assert len(cells) == 3
    for arm, value, low, high in cells:
        assert f"{arm} {value} (95 % CI {low} to {high}" in results
    best = max(cells[:2], key=lambda cell: cell[1])
    row = next(line for line in table.splitlines() if line.startswith(f"| {best[0]}"))
    assert re.search(r"sensitivity ([\d.]+ \(95 % CI [\d.]+ to [\d.]+)", results)[1] in (
        row.replace(" [", " (95 % CI ").replace(", ", " to ")
    )
    (primary,) = (d for d in compared.differences if d.role == "primary")
    assert f"{primary.a} and {primary.b} {primary.value:+.3f}".replace("-", "−") in results
    assert f"p = {primary.p_adjusted:.3f}, adjusted by Holm's method" in results
    for sentence in (
        "had 78 samples of 40 patients (39 benign, 39 malignant; prevalence of malignant 50.0 %)",
        "after 2 samples had been excluded (copies with different labels: 2)",
        "3-fold cross-validation",
        "Limitations: 1 set of copies (2 images) has different labels",
    ):
        assert sentence in results.replace("‑", "-")
    for sentence in (compared.audit.ties, compared.protocol["words"], compared.protocol["primary"]):
        assert " ".join(sentence.split()) in methods
    assert "\n" not in results + methods
    assert "image-0" not in results + methods


def test_arms_are_named_where_their_intervals_have_different_methods(compared: Comparison) -> None:
    one, two = compared.evaluations[:2]
    auroc = dataclasses.replace(two.metrics["auroc"], method="bootstrap by patient")
    other = dataclasses.replace(two, metrics={**two.metrics, "auroc": auroc})
    like_one = [dataclasses.replace(one, name=name) for name in ("b", "c")]

    def methods(*arms: Evaluation) -> str:
        return methods_paragraph(dataclasses.replace(compared, evaluations=arms))

    assert f" of {one.name}: " not in methods(one, two)
    for text, names in (
        (methods(one, other), one.name),
        (methods(one, *like_one, other), "the other arms"),
    ):
        assert f"AUROC of {names}: {one.metrics['auroc'].method}" in text
        assert f"AUROC of {other.name}: bootstrap by patient" in text


def test_estimates_only_stay_so(compared: Comparison) -> None:
    few = compare(
        make_features(n_patients=14),
        ["logistic"],
        positive="malignant",
        protocol=Protocol(kind="cv", n_splits=2, inner_splits=2),
    )
    assert "estimate only)" in results_paragraph(few)
    assert "estimate only:" in results_paragraph(few)
    three = compare(
        make_features(n_patients=30, classes=("a", "b", "c")),
        ["logistic"],
        protocol=Protocol(kind="cv", n_splits=2, inner_splits=2),
    )
    assert "Macro-averaged one-vs-rest AUROC: resnet18" in results_paragraph(three)
    assert "prevalence" not in results_paragraph(three)
    assert results_paragraph(dataclasses.replace(three, warnings=())).count("Limitations") == 0


def test_thresholds_and_calibration_follow_from_the_inner_scores(
    compared: Comparison, tmp_path: Path
) -> None:
    write_report(compared, tmp_path, inner_scores=True)
    inner = pd.read_csv(tmp_path / "inner_scores.csv")
    assert list(inner) == [
        "arm",
        "repeat",
        "fold",
        "id",
        "group",
        "label",
        "score_benign",
        "score_malignant",
    ]
    tests = pd.read_csv(tmp_path / "predictions.csv")
    for e in compared.evaluations[:2]:
        (point,) = (p for p in e.operating_points if p.held == "sensitivity")
        folds = [rows for _, rows in inner[inner["arm"] == e.name].groupby(["repeat", "fold"])]
        assert len(folds) == len(point.thresholds) == 3
        for rows, threshold in zip(folds, point.thresholds, strict=True):
            test = tests[
                (tests["arm"] == e.name)
                & (tests["repeat"] == rows["repeat"].iloc[0])
                & (tests["fold"] == rows["fold"].iloc[0])
            ]
            assert not set(rows["id"]) & set(test["id"])
            assert len(rows) + len(test) == 78
            # The highest threshold with at least 85 % of the positive samples at or above it.
            score = rows["score_malignant"].to_numpy()
            true = (rows["label"] == "malignant").to_numpy()
            reached = [s for s in np.unique(score) if (score[true] >= s).mean() >= 0.85 - 1e-12]
            assert threshold == pytest.approx(max(reached), abs=1e-12)
            # Calibration: Platt's sigmoid of the log-odds; its targets are not quite 0 and 1.
            log_odds, width = logit(score), logit(score).std()
            n, n_others = true.sum(), (~true).sum()
            target = np.where(true, (n + 1) / (n + 2), 1 / (n_others + 2))
            sigmoid = LogisticRegression(C=1e8, tol=1e-8, max_iter=1000).fit(
                np.tile(log_odds / width, 2)[:, None],
                np.repeat([1, 0], len(score)),
                sample_weight=np.concatenate([target, 1 - target]),
            )
            tested = logit(test[["score_malignant"]].to_numpy()) / width
            wanted = sigmoid.predict_proba(tested)[:, 1]
            np.testing.assert_allclose(test["probability_malignant"], wanted, atol=1e-4)
    # Without the option there is none, and one of an earlier report is not left behind.
    write_report(compared, tmp_path, overwrite=True)
    assert not (tmp_path / "inner_scores.csv").exists()
    assert "inner_scores.csv" in render(compared, inner_scores=True)
    assert "inner_scores.csv" not in render(compared)


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        ({}, None),
        ({"name": "table"}, None),
        (
            {"name": "acme", "package": "acme-package", "version": "1.5"},
            "It was read by the reader 'acme' of acme-package 1.5.",
        ),
        ({"name": "own", "package": "mine"}, "It was read by the reader 'own' of mine."),
    ],
)
def test_a_reader_of_another_package_is_named(compared: Comparison, reader, words) -> None:
    (first, *rest) = compared.features
    described = {**first, "dataset": {**first["dataset"], "reader": reader}}
    text = methods_paragraph(dataclasses.replace(compared, features=(described, *rest)))
    assert ("read by the reader" in text) == (words is not None)
    assert words is None or words in text
