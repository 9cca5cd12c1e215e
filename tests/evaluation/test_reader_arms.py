"""Human readers as arms: their figures, compared with closed forms and with scikit-learn."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from made_features import make_features
from made_predictions import predict
from sklearn.metrics import confusion_matrix, roc_auc_score

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.analyses.best_arm import best_arm
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.page import write_report
from bottleneck.report.summary import summarise
from bottleneck.report.wording.headline import describe_choice
from bottleneck.statistics import roc_auc_difference, roc_auc_interval

QUICK = Protocol(n_splits=3, inner_splits=2, seed=5)


@pytest.fixture(scope="module")
def features():
    return make_features()


def rate(y: np.ndarray, skill: float, seed: int) -> np.ndarray:
    """Ratings of 1 to 5, with many ties."""
    noise = np.random.default_rng(seed).normal(size=len(y))
    return np.clip(np.round(3 + (y - 0.5) * skill + noise), 1, 5).astype(int)


@pytest.fixture(scope="module")
def table(features):
    y = features.y == "malignant"
    ratings = {"Dr A": rate(y, 2, 0), "Dr B": rate(y, 1, 1)}
    return pd.DataFrame({"id": features.ids, **ratings}).sample(frac=1, random_state=0)


@pytest.fixture(scope="module")
def made(features, table) -> Comparison:
    repeated = dataclasses.replace(QUICK, repeats=2)
    four = Measures(reader_threshold=4, reader_mean=True)
    return compare(features, ["lda"], readers=table, protocol=repeated, measures=four)


def in_order(table: pd.DataFrame, features, column: str) -> np.ndarray:
    return table.set_index("id")[column].loc[features.ids].to_numpy()


def test_a_reader_is_ranked_over_all_samples(made, features, table):
    y, names = features.y == "malignant", [e.name for e in made.evaluations]
    assert names[1:] == ["reader 1", "reader 2", "mean of 2 readers", "prior only"]
    both = [in_order(table, features, f"Dr {name}") for name in "AB"]
    for arm, ratings in zip(made.evaluations[1:4], [*both, np.mean(both, axis=0)], strict=True):
        found = arm.metrics["auroc"]
        # Obuchowski's variance by patient, without any factor for folds.
        expected = roc_auc_interval(y, ratings, features.stated_patients)
        assert found.value == pytest.approx(roc_auc_score(y, ratings), abs=1e-12)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        (tn, fp), (fn, tp) = confusion_matrix(y, ratings >= 4)
        assert arm.confusion.tolist() == [[tn, fp], [fn, tp]]
        assert arm.metrics["sensitivity"].value == pytest.approx(tp / (tp + fn))
        assert arm.metrics["specificity"].value == pytest.approx(tn / (tn + fp))
        assert arm.is_reader
        assert not arm.operating_points
        assert arm.calibration is None
        assert arm.decision_curve is None


def test_differences_are_those_of_the_figures_shown(made, features, table):
    arms = {e.name: e.metrics for e in made.evaluations}
    for d in made.differences:
        if d.metric == "auroc":
            shown = arms[d.a]["auroc"].value - arms[d.b]["auroc"].value
            assert d.value == pytest.approx(shown, abs=1e-12)
    y = features.y == "malignant"
    a, b = (in_order(table, features, f"Dr {name}") for name in "AB")
    expected = roc_auc_difference(y, a, b, features.stated_patients)
    (between,) = [d for d in made.differences if (d.a, d.b, d.metric) == PAIR]
    assert (between.low, between.high, between.p) == pytest.approx(
        (expected.low, expected.high, expected.p), abs=1e-9
    )
    assert (between.method, between.repeats) == ("Obuchowski, MOVER, 95%", 1)
    roles = {(d.a, d.b): d.role for d in made.differences if d.metric == "auroc"}
    assert roles["resnet18 (imagenet) + lda", "reader 1"] == "primary"
    assert roles["reader 1", "reader 2"] == "secondary"
    for d in made.differences:
        if d.metric == "auroc" and d.role == "primary":
            of_arm = arms[d.a]["auroc"].method.split(",")[0]
            assert "jackknife" in of_arm
            assert d.method == f"{of_arm} of one of both, MOVER, 95%"
            assert d.method in made.protocol["primary"]
    text = " ".join(describe_choice(made, summarise(made)))
    assert "the only arm that is not a baseline or reader" in text


PAIR = ("reader 1", "reader 2", "auroc")


def test_against_one_test_set_the_difference_is_delongs():
    arm = predict(80, skill=1.2)
    y = arm.labels == "malignant"
    ratings = rate(y, 1.5, 3)
    table = pd.DataFrame({"id": arm.ids, "reader": "R", "score": [f"TR{n}" for n in ratings]})
    made = compare(predictions=arm, readers=table, measures=Measures(reader_threshold="TR4"))
    (d,) = [d for d in made.differences if d.metric == "auroc"]
    expected = roc_auc_difference(y, arm.scores[:, 1], ratings)
    assert (d.value, d.low, d.high, d.p) == pytest.approx(
        (expected.difference, expected.low, expected.high, expected.p), abs=1e-12
    )
    assert d.method == "DeLong, MOVER, 95%"


@pytest.mark.slow
def test_the_factor_for_folds_is_that_of_the_arm_alone(features, table):
    """A reader as good as a coin adds its own variance, and not a multiple of it."""
    made = compare(features, ["lda"], readers=table, protocol=QUICK, measures=FOUR)
    arm, reader = made.evaluations[:2]
    (d,) = [d for d in made.differences if (d.a, d.b, d.metric) == (arm.name, "reader 1", "auroc")]
    y, scores = arm.predictions.labels == "malignant", arm.predictions.scores[:, 1]
    groups, folds = arm.predictions.groups, arm.predictions.folds
    of_arm, plain = (
        roc_auc_interval(y, scores, groups, folds, corrected=c).standard_error
        for c in (True, False)
    )
    of_reader = roc_auc_interval(y, reader.predictions.scores[:, 1], groups).standard_error
    # Whatever the correlation, the standard error is within these bounds (Cauchy and Schwarz).
    most = of_arm**2 - plain**2 + (plain + of_reader) ** 2
    least = of_arm**2 - plain**2
    width = (d.high - d.low) / (2 * 1.96)
    assert least**0.5 < width < 1.6 * most**0.5


FOUR = Measures(reader_threshold=4)


@pytest.mark.slow
def test_wide_and_long_tables_and_spellings_are_one(features, table, made, tmp_path):
    long = table.melt("id", var_name="Reader", value_name="rating")
    long["id"] = [f" {i}\u00a0" for i in long["id"]]
    long["rating"] = [f"ti-rads {n}" if n % 2 else f"TIRADS-{n}" for n in long["rating"]]
    long["Reader"] = [name.upper() if n % 3 else name for n, name in enumerate(long["Reader"])]
    long["label"] = (
        np.repeat([[]], 1, axis=0).ravel().tolist()
        or features.y[np.searchsorted(features.ids, [i.strip() for i in long["id"]])]
    )
    path = tmp_path / "readers.xlsx"
    long.to_excel(path, index=False)
    again = compare(features, ["lda"], readers=[path], protocol=QUICK, measures=FOUR)
    by_name = {e.name: e for e in again.evaluations}
    for name in ("reader 1", "reader 2"):
        before = next(e for e in made.evaluations if e.name == name)
        assert by_name[name].metrics == before.metrics


@pytest.mark.slow
def test_probabilities_have_calibration_and_net_benefit(features):
    y = features.y == "malignant"
    share = np.clip(rate(y, 2, 0) / 5 - 0.1, 0, 1)
    table = pd.DataFrame({"id": features.ids, "R": [f"{100 * p:.0f} %" for p in share]})
    made = compare(features, ["lda"], readers=table, protocol=QUICK)
    arm = made.evaluations[1]
    assert arm.metrics["brier"].value == pytest.approx(np.mean((share - y) ** 2))
    assert arm.calibration is not None
    assert arm.decision_curve is not None
    assert (arm.predictions.predicted == "malignant").sum() == (share >= 0.5).sum()


@pytest.mark.slow
def test_classes_have_one_operating_point(features):
    called = np.where(rate(features.y == "malignant", 2, 0) >= 4, "Malignant", "benign ")
    table = pd.DataFrame({"id": features.ids, "R": called})
    made = compare(features, ["lda"], readers=table, protocol=QUICK)
    arm = made.evaluations[1]
    mean = (arm.metrics["sensitivity"].value + arm.metrics["specificity"].value) / 2
    assert arm.metrics["auroc"].value == pytest.approx(mean)
    assert any("that of one operating point" in text for text in made.warnings)


@pytest.mark.slow
def test_classes_of_several_are_a_reader_too():
    features = make_features(classes=("a", "b", "c"), n_patients=45)
    table = pd.DataFrame({"id": features.ids, "R": np.where(features.y == "c", "b", features.y)})
    made = compare(features, ["lda"], readers=table, protocol=QUICK)
    assert made.evaluations[1].confusion.tolist() == [[30, 0, 0], [0, 30, 0], [0, 30, 0]]
    assert made.evaluations[1].metrics["accuracy"].value == pytest.approx(2 / 3)
    numbers = table.assign(R=range(len(table)))
    with pytest.raises(UsageError, match="gave numbers, which rank two classes, but there are 3"):
        compare(features, ["lda"], readers=numbers, protocol=QUICK, measures=FOUR)


def test_samples_that_not_all_readers_scored_stop_or_are_dropped(features, table):
    some = table.astype({"Dr A": object})
    some.loc[some.index[:12], "Dr A"] = ["", "NA", "?", "not assessed"] * 3
    with pytest.raises(ProtocolError, match=r"reader 1 has no score of 12 of the 80 test samples"):
        compare(features, ["lda"], readers=some, protocol=QUICK, measures=FOUR)
    dropped = dataclasses.replace(FOUR, unread="drop")
    made = compare(features, ["lda"], readers=some, protocol=QUICK, measures=dropped)
    assert {e.predictions.n_samples for e in made.evaluations} == {68}
    assert made.warnings[0].startswith("all figures are of the 68 of 80 test samples")
    whole = compare(features, ["lda"], protocol=QUICK).evaluations[0].predictions
    kept = made.evaluations[0].predictions
    rows = np.isin(whole.ids, kept.ids)
    # Models are trained on all samples.
    np.testing.assert_array_equal(whole.scores[rows], kept.scores)


@pytest.mark.slow
def test_patients_are_scored(features, table):
    by_patient = dataclasses.replace(QUICK, unit="patient")
    made = compare(features, ["lda"], readers=table, protocol=by_patient, measures=FOUR)
    means = in_order(table, features, "Dr A").reshape(-1, 2).mean(axis=1)
    y = (features.y == "malignant").reshape(-1, 2)[:, 0]
    arm = made.evaluations[1]
    assert arm.metrics["auroc"].value == pytest.approx(roc_auc_score(y, means))
    assert (arm.predictions.predicted == "malignant").sum() == (means >= 4).sum()
    # Or the readers gave one score per patient.
    patients = pd.DataFrame({"id": features.stated_patients[::2], "R": rate(y, 2, 0)})
    again = compare(features, ["lda"], readers=patients, protocol=by_patient, measures=FOUR)
    assert again.evaluations[1].metrics["auroc"].value == pytest.approx(
        roc_auc_score(y, patients["R"])
    )
    with pytest.raises(ProtocolError, match="are those of patients"):
        compare(features, ["lda"], readers=patients, protocol=QUICK, measures=FOUR)


def test_readers_alone_need_labels(features, table):
    labelled = table.assign(
        label=features.y[np.searchsorted(features.ids, table["id"])],
        patient=features.stated_patients[np.searchsorted(features.ids, table["id"])],
    )
    made = compare(readers=labelled, measures=FOUR)
    y = features.y == "malignant"
    expected = roc_auc_interval(y, in_order(table, features, "Dr A"), features.stated_patients)
    assert made.evaluations[0].metrics["auroc"].low == pytest.approx(expected.low)
    assert "trained outside" not in made.protocol["words"]


def test_no_name_of_a_reader_is_in_the_report(made, tmp_path):
    write_report(made, tmp_path / "report", with_ids=True)
    for path in (tmp_path / "report").rglob("*"):
        if path.is_file():
            assert b"Dr A" not in path.read_bytes(), path
    record = json.loads((tmp_path / "report" / "results.json").read_text())
    assert "The readers are fixed" in record["protocol"]["words"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "mean of 2 readers" in page
    # A reader may be better, and is still no arm that could be chosen.
    assert max(e.metrics["auroc"].value for e in made.evaluations) > 0.95
    told = "Of 3 arms of human readers, 2 (reader 1, mean of 2 readers) have a higher AUROC;"
    assert told in " ".join(page.split())
    best = next(e for e in made.evaluations if not e.is_reader)
    assert best_arm(made.evaluations) is best


def test_a_reader_has_the_name_that_the_user_gives(table):
    alone = table.assign(label=np.where(table["Dr A"] > 2, "malignant", "benign"))
    made = compare(readers=alone, measures=FOUR, names={"dr a ": "senior", "reader 2": "junior"})
    assert [e.name for e in made.evaluations] == ["senior", "junior"]


@pytest.mark.slow
def test_readers_are_in_no_ensemble(features, table):
    made = compare(
        features, ["ridge", "lda"], readers=table, ensemble="mean", protocol=QUICK, measures=FOUR
    )
    (mean,) = [e for e in made.evaluations if e.head == "ensemble"]
    assert len(mean.members) == 2
    assert not any("reader" in name for name in mean.members)


@pytest.mark.slow
def test_own_metrics_of_readers_and_folds(features, table):
    from sklearn.metrics import cohen_kappa_score

    made = compare(
        features,
        ["lda"],
        readers=table,
        protocol=dataclasses.replace(QUICK, repeats=2),
        measures=FOUR,
        metrics={"kappa": cohen_kappa_score},
    )
    arm = made.evaluations[1]
    kappa = cohen_kappa_score(arm.predictions.labels, arm.predictions.predicted)
    assert arm.metrics["kappa"].value == pytest.approx(kappa)
    shown = [d for d in made.differences if d.metric == "kappa" and "reader 1" in (d.a, d.b)]
    assert all(d.low < d.value < d.high for d in shown[:1])
