"""The heads of the folds of a comparison, fitted again from its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_features import make_features
from sklearn.linear_model import LogisticRegression

from bottleneck import (
    FeatureSet,
    Head,
    Predictions,
    Protocol,
    Selection,
    compare,
    explain_predictions,
    write_report,
)
from bottleneck.errors import UsageError
from bottleneck.explain.recorded.recorded_cases import RecordedCases
from bottleneck.explain.recorded.recorded_comparison import read_comparison


def made_with_parts() -> FeatureSet:
    features = make_features(n_patients=24, width=4)
    n = np.arange(len(features)) // 2  # Patients.
    return features.take(
        np.arange(len(features)),
        splits=np.array(["train", "train", "test", "test"])[n % 4],
        folds=np.char.mod("fold %d", n // 2 % 3),
        centres=np.array(["Bern", "Basel"])[n // 2 % 2],
    )


PROTOCOLS = {
    "repeated": Protocol(kind="cv", n_splits=2, repeats=2, seed=5, inner_splits=2),
    "patients": Protocol(kind="cv", n_splits=2, unit="patient", inner_splits=2),
    "highest": Protocol(kind="cv", n_splits=2, unit="patient", aggregate="max", inner_splits=2),
    "split": Protocol(kind="split", inner_splits=2),
    "folds": Protocol(kind="folds", inner_splits=2),
    "centres": Protocol(kind="centres", inner_splits=2),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(one, marks=[] if one in ("repeated", "patients") else [pytest.mark.slow])
        for one in PROTOCOLS
    ],
)
def test_the_head_of_each_fold_gives_the_recorded_scores(name: str, tmp_path: Path) -> None:
    features = made_with_parts()
    comparison = compare(features, ["ridge"], protocol=PROTOCOLS[name], n_jobs=1, quiet=True)
    page = write_report(comparison, tmp_path / "report", figures=False, quiet=True)
    for source in (page.parent, comparison):
        recorded = read_comparison(source)
        cases = RecordedCases(recorded, features)
        assert cases.plan is not None
        (arm,) = recorded.arms
        fitted = [cases.fold_head(arm, one.repeat, one.index) for one in cases.plan.folds]
        assert {one.difference for one in fitted} == {0.0}
        tested = sum(len(one.scores) for one in fitted)
        assert tested == sum(len(one.test) for one in cases.plan.folds)
        patient_of = dict(zip(features.ids, features.patients, strict=True))
        for case in cases.cases(arm, most=50):
            assert case.label != case.predicted
            fold = next(
                one
                for one in cases.plan.folds
                if (one.repeat, one.index) == (case.repeat, case.fold)
            )
            train = set(features.ids[cases.plan.rows[fold.train]])
            assert case.id not in train
            assert {one.id for one in case.nearest} <= train
            assert patient_of[case.id] not in {patient_of[one.id] for one in case.nearest}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    features = make_features(n_patients=16, width=4)
    features.save(tmp_path / "features" / "made.h5")
    comparison = compare(
        features, ["lda"], protocol=Protocol(n_splits=2, inner_splits=2), n_jobs=1, quiet=True
    )
    return write_report(comparison, tmp_path / "report", figures=False, quiet=True).parent


def fold_heads(report: Path, source: Any) -> None:
    recorded = read_comparison(report)
    cases = RecordedCases(recorded, source)
    assert cases.plan is not None
    for fold in cases.plan.folds:
        cases.fold_head(recorded.arms[0], fold.repeat, fold.index)


def test_a_score_that_is_not_that_of_the_head_is_refused(report: Path) -> None:
    fold_heads(report, report.parent / "features")
    table = pd.read_csv(report / "predictions.csv", dtype={"id": str})
    table.loc[0, ["score_benign", "score_malignant"]] *= 1.001
    table.to_csv(report / "predictions.csv", index=False)
    with pytest.raises(UsageError, match=r"gives other scores than predictions\.csv records"):
        fold_heads(report, report.parent / "features")


def test_folds_that_are_not_drawn_again_are_refused(report: Path) -> None:
    results = json.loads((report / "results.json").read_text())
    results["protocol"]["seed"] = 7
    (report / "results.json").write_text(json.dumps(results))
    with pytest.raises(UsageError, match=r"the folds of .* cannot be drawn again"):
        fold_heads(report, report.parent / "features")


def test_features_of_other_samples_are_not_those_of_the_report(report: Path) -> None:
    other = make_features(n_patients=18, width=4)
    with pytest.raises(UsageError, match=r"are not in the features that are given: name their"):
        fold_heads(report, other)


def test_a_head_of_ones_own_is_named_again() -> None:
    features = make_features(n_patients=16, width=4)
    own = Head(LogisticRegression(), {"C": [0.1, 1.0]}, name="mine")
    quick = Protocol(n_splits=2, inner_splits=2)
    comparison = compare(features, [own], protocol=quick, n_jobs=1, quiet=True)
    recorded = read_comparison(comparison)
    for heads, refused in (((), True), ((own,), False), ((LogisticRegression(),), True)):
        cases = RecordedCases(recorded, features, heads=heads)
        if refused:
            with pytest.raises(
                UsageError, match=r"mine of .* is not built in: name it with --head"
            ):
                cases.fold_head(recorded.arms[0], 0, 0)
        else:
            assert cases.fold_head(recorded.arms[0], 0, 0).difference == 0


def test_a_selection_is_made_again() -> None:
    features = make_features(n_patients=24, width=4, classes=("a", "b", "c"))
    selection = Selection(merge={"ab": ("a", "b")}, exclude=["image-001"])
    comparison = compare(
        features,
        ["lda"],
        protocol=Protocol(n_splits=2, inner_splits=2),
        selection=selection,
        positive="c",
        n_jobs=1,
        quiet=True,
    )
    with pytest.raises(UsageError, match="give the same --exclude, --merge and --classes"):
        explain_predictions(comparison, features=features, quiet=True)
    done = explain_predictions(comparison, features=features, selection=selection, quiet=True)
    assert {case.label for case in done.arms[0].cases} <= {"ab", "c"}


def test_imported_predictions_and_ensembles_have_cases_without_maps() -> None:
    features = make_features(n_patients=16, width=4)
    rng = np.random.default_rng(0)
    p = rng.random(len(features))
    own = Predictions.from_arrays(
        features.y,
        p,
        probabilities=p,
        ids=features.ids,
        groups=features.patients,
        folds=np.arange(len(features)) // 2 // 2 % 2,
    )
    together = compare(
        features,
        ["lda"],
        predictions={"theirs": own},
        ensemble="mean",
        protocol=Protocol(inner_splits=2),
        n_jobs=1,
        quiet=True,
    )
    done = explain_predictions(together, features=features, quiet=True)
    by_name = {arm.name: arm for arm in done.arms}
    assert "imported" in " ".join(by_name["theirs"].words)
    assert "the mean of other arms" in " ".join(by_name["ensemble (mean)"].words)
    assert all(case.nearest for arm in done.arms for case in arm.cases)
    alone = compare(predictions={"theirs": own}, quiet=True)
    (arm,) = explain_predictions(alone, quiet=True).arms
    assert arm.n_wrong == by_name["theirs"].n_wrong
    assert not any(case.nearest for case in arm.cases)
