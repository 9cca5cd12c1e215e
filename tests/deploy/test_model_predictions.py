"""Predictions of a deployed model: rows, sets, patients, metrics and files."""

from __future__ import annotations

import csv
import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import openpyxl
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from bottleneck.deploy.inputs.input_rows import InputRows
from bottleneck.deploy.models.conformal import ConformalSets
from bottleneck.deploy.prediction.application import apply_model
from bottleneck.errors import UsageError
from bottleneck.predictions import Predictions, predicted_classes

CLASSES = ("benign", "malignant")


class Logistic:
    """The logistic function in place of fitted sigmoids."""

    slopes = (1.0,)

    def apply(self, predictions: Predictions) -> np.ndarray:
        shares = 1 / (1 + np.exp(-predictions.scores))
        return shares / shares.sum(axis=1, keepdims=True)


def make_scores(
    n: int,
    classes: tuple[str, ...] = CLASSES,
    labels: Any = "",
    groups: Any = None,
    seed: int = 0,
) -> Predictions:
    scores = np.random.default_rng(seed).normal(size=(n, len(classes)))
    if len(classes) == 2:
        scores = np.stack([-scores[:, 0], scores[:, 0]], axis=1)
    zeros = np.zeros(n, dtype=np.int64)
    return Predictions(
        ids=np.array([f"image-{i}" for i in range(n)]),
        groups=None if groups is None else np.array(groups).astype(str),
        repeats=zeros,
        folds=zeros,
        labels=np.broadcast_to(np.array(labels, str), n).copy(),
        predicted=predicted_classes(scores, classes),
        scores=scores,
        classes=classes,
        kind="decision",
    )


def make_model(**fields: Any) -> Any:
    made = {
        "head": "svm",
        "kind": "decision",
        "classes": CLASSES,
        "positive": "malignant",
        "fingerprint": "f" * 64,
        "trained_on": "all samples",
        "unit": "image",
        "aggregate": "mean",
        "sigmoids": Logistic(),
        "operating_point": SimpleNamespace(held="sensitivity", target=0.9, threshold=-0.3),
        "conformal": None,
    } | fields
    training = make_scores(60, made["classes"], np.resize(made["classes"], 60), np.arange(60) // 2)
    training = dataclasses.replace(training, probabilities=Logistic().apply(training))
    return SimpleNamespace(**{**made, "conformal": ConformalSets.fit(training)})


def test_a_row_per_image_in_the_order_of_the_input() -> None:
    scores = make_scores(4)
    names = ["image-2", "broken", "image-0", "image-3", "image-1"]
    inputs = InputRows(np.array(names), np.full(5, ""), np.array(["", "P1", "", "P2", ""]))
    made = apply_model(
        make_model(),
        scores,
        np.array([1.0, 99.5, 99.0, 50.0]),
        [("broken", "no image")],
        inputs=inputs,
    )
    frame = made.to_frame().set_index("id")
    assert frame.index.tolist() == names
    assert "label" not in frame
    assert frame["patient"].tolist() == ["", "P1", "", "P2", ""]
    for row, name in enumerate(scores.ids.tolist()):
        assert frame.loc[name, "score_malignant"] == scores.scores[row, 1]
        expected = 1 / (1 + np.exp(-scores.scores[row, 1]))
        assert frame.loc[name, "probability_malignant"] == pytest.approx(expected)
        decided = "malignant" if scores.scores[row, 1] >= -0.3 else "benign"
        assert frame.loc[name, "decision"] == decided
    assert frame.loc["broken", ["predicted", "decision", "set", "reason"]].tolist() == [
        "", "", "", "no image",
    ]  # fmt: skip
    assert frame["probability_benign"].isna().tolist() == [False, True, False, False, False]
    assert frame["unlike_training"].sum() == made.n_unlike == 1


def test_decisions_of_several_classes_name_the_positive_one_or_not() -> None:
    classes = ("a", "b", "c")
    scores = make_scores(30, classes)
    model = make_model(classes=classes, positive="b")
    decisions = apply_model(model, scores).decided.decisions
    np.testing.assert_array_equal(decisions == "b", scores.scores[:, 1] >= -0.3)
    assert set(decisions.tolist()) == {"b", "not b"}
    plain = apply_model(make_model(classes=classes, positive=None, operating_point=None), scores)
    np.testing.assert_array_equal(plain.decided.decisions, scores.predicted)


def test_sets_are_those_of_the_conformal_sets_at_the_stated_rate() -> None:
    scores = make_scores(50)
    model = make_model()
    for rate in (0.05, 0.3):
        made = apply_model(model, scores, error_rate=rate)
        kept = model.conformal.sets(made.predictions.probabilities, rate)
        for text, row in zip(made.to_frame()["set"], kept, strict=True):
            assert text == " | ".join(c for c, holds in zip(CLASSES, row, strict=True) if holds)
    with pytest.raises(UsageError, match="error rate"):
        apply_model(model, scores, error_rate=1.0)


def test_patients_are_aggregated_and_images_count_as_patients_of_one_image() -> None:
    groups = np.array(["p", "q", "p", "r", "q", "q"])
    labels = ["benign", "malignant", "benign", "", "malignant", ""]
    scores = make_scores(6, labels=labels, groups=groups)
    inputs = InputRows(
        np.array([*scores.ids, "x", "y"]),
        np.array([*labels, "", ""]),
        np.array([*groups, "q", "lost"]),
    )
    lost = [("x", "broken"), ("y", "broken")]
    made = apply_model(make_model(unit="patient"), scores, np.zeros(6), lost, inputs=inputs)
    frame = made.patients
    assert frame is not None
    assert frame["patient"].tolist() == ["p", "q", "r", "lost"]
    assert frame["label"].tolist() == ["benign", "malignant", "", ""]
    assert frame["images"].tolist() == [2, 3, 1, 0]
    assert frame["unread"].tolist() == [0, 1, 0, 1]
    assert frame["reason"].tolist()[:3] == ["", "", ""]
    assert frame["reason"][3]
    for name, score in zip("pqr", frame["score_malignant"][:3], strict=True):
        assert score == pytest.approx(scores.scores[groups == name, 1].mean())
    alone = apply_model(make_model(), scores)
    np.testing.assert_array_equal(made.predictions.probabilities, alone.predictions.probabilities)
    assert made.evaluation is not None
    assert made.evaluation.predictions.ids.tolist() == ["p", "q"]


def test_metrics_are_those_of_scikit_learn() -> None:
    labels = np.resize(CLASSES, 60)
    scores = make_scores(60, labels=labels, groups=np.arange(60) // 2 * 2 + np.arange(60) % 2)
    evaluation = apply_model(make_model(), scores).evaluation
    assert evaluation is not None
    true, score = labels == "malignant", scores.scores[:, 1]
    assert evaluation.metrics["auroc"].value == pytest.approx(roc_auc_score(true, score))
    (point,) = evaluation.operating_points
    assert point.metrics["sensitivity"].value == pytest.approx(recall_score(true, score >= -0.3))
    assert point.metrics["specificity"].value == pytest.approx(recall_score(~true, score < -0.3))
    assert point.metrics["sensitivity"].low is not None


@pytest.mark.parametrize("unit", ["image", "patient"])
@pytest.mark.parametrize("classes", [CLASSES, ("a", "b", "c")])
def test_metrics_say_what_is_missing_in_place_of_failing(
    unit: str, classes: tuple[str, ...]
) -> None:
    for positive in (None, classes[-1]):
        point = None if positive is None else make_model().operating_point
        model = make_model(classes=classes, positive=positive, unit=unit, operating_point=point)
        for n in (1, 2, 7):
            scores = make_scores(n, classes, labels=classes[0], groups=np.arange(n) // 2)
            made = apply_model(model, scores, fingerprint="f" * 64)
            assert made.evaluation is not None
            assert np.isnan(made.evaluation.metrics["auroc"].value)
            assert "trained on this data set" in made.warnings[0]
            assert f"label '{classes[-1]}'" in " ".join(made.warnings)
    unknown = apply_model(model, make_scores(4, classes, labels=classes[0]))
    assert "no patients are known" in " ".join(unknown.warnings)


def test_files_are_exact_safe_and_replace_only_predictions(tmp_path: Any) -> None:
    scores = make_scores(5, groups=["=p", "=p", "q", "q", "r"])
    made = apply_model(make_model(unit="patient"), scores, np.linspace(0, 100, 5))
    for suffix in (".csv", ".xlsx"):
        path = made.save(tmp_path / f"predictions{suffix}")
        with pytest.raises(UsageError, match="--overwrite"):
            made.save(path)
        made.save(path, overwrite=True)
    with (tmp_path / "predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert made.predictions.probabilities is not None
    for row, exact in zip(rows, made.predictions.probabilities[:, 1], strict=True):
        assert float(row["probability_malignant"]) == pytest.approx(exact, abs=1e-8)
    with (tmp_path / "predictions-patients.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["patient"] for row in csv.DictReader(file)] == ["'=p", "q", "r"]
    book = openpyxl.load_workbook(tmp_path / "predictions.xlsx")
    assert book.sheetnames == ["predictions", "patients"]
    assert not any(c.data_type == "f" for sheet in book for row in sheet for c in row)

    mine = tmp_path / "cases.csv"
    mine.write_text("id,label\n1,benign\n")
    for path in (mine, tmp_path / "cases.txt", tmp_path):
        with pytest.raises(UsageError, match="--output"):
            made.save(path, overwrite=True)
    assert mine.read_text() == "id,label\n1,benign\n"
    # A run that was killed between the two files is repeated without being asked to overwrite.
    (tmp_path / "predictions.csv").unlink()
    made.save(tmp_path / "predictions.csv")
    # Patients of an earlier run are not left next to images of this one.
    alone = apply_model(make_model(), scores)
    alone.save(tmp_path / "predictions.csv", overwrite=True)
    assert not (tmp_path / "predictions-patients.csv").exists()
