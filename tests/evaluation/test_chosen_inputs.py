"""Comparisons of a selection: the same as of data that were made so; predictions and cohorts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_features import make_features

from bottleneck.data.labels.selection import Selection
from bottleneck.data.splits.protocol import Protocol
from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model_file import read_model
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.predictions import Predictions
from bottleneck.report.json_record import results
from bottleneck.report.wording.paragraphs import methods_paragraph

QUICK = Protocol(n_splits=3, inner_splits=2)
CLASSES = ("benign", "malignant", "normal", "suspicious")
BAD = Selection(
    exclude=["image-000", "image-017"],
    merge={"bad": ["malignant", "suspicious"]},
    classes=["bad", "benign"],
)


@pytest.fixture(scope="module")
def features():
    return make_features(n_patients=64, classes=CLASSES, signal=2.5)


@pytest.fixture(scope="module")
def alone(features):
    return compare(features, ["logistic"], protocol=QUICK, selection=BAD)


def choose_by_hand(features):
    kept = ~np.isin(features.ids, BAD.exclude) & (features.y != "normal")
    y = np.where(np.isin(features.y, BAD.merge["bad"]), "bad", features.y)
    chosen = features.take(np.flatnonzero(kept))
    return dataclasses.replace(chosen, y=y[kept])


def test_a_comparison_of_a_selection_is_that_of_the_same_data(features, alone):
    by_hand = compare(choose_by_hand(features), ["logistic"], protocol=QUICK, positive="bad")
    assert alone.positive == "bad"
    for ours, theirs in zip(alone.evaluations, by_hand.evaluations, strict=True):
        assert ours.metrics["auroc"] == theirs.metrics["auroc"]
        np.testing.assert_array_equal(ours.predictions.scores, theirs.predictions.scores)
    merged = "malignant and suspicious merged into bad"
    words = f"excluded by list: 2; class normal left out: 32; {merged}"
    assert results(alone)["dataset"]["selection"]["words"] == words
    assert f"merged or renamed: {merged}" in methods_paragraph(alone)
    assert "class normal left out: 32" in methods_paragraph(alone)


def test_a_model_says_what_its_classes_are(features, tmp_path):
    model = fit(features, "logistic", selection=BAD, inner_splits=2)
    read = read_model(model.save(tmp_path / "model.skops"))
    assert read.classes == ("bad", "benign")
    assert read.positive == "bad"
    assert read.selection["merged"] == {"bad": ["malignant", "suspicious"]}
    assert read.fingerprint != features.provenance["dataset"]["fingerprint"]
    by_hand = fit(choose_by_hand(features), "logistic", positive="bad", inner_splits=2)
    chosen = features.choose(BAD)
    np.testing.assert_array_equal(
        read.predict(chosen).predictions.scores, by_hand.predict(chosen).predictions.scores
    )


def write_predictions(folder, features, *, kind="probability"):
    """Predictions of all four classes in three folds, by patient."""
    rng = np.random.default_rng(1)
    values = rng.dirichlet(np.ones(4), len(features)) + 2 * (features.y[:, None] == CLASSES)
    values /= values.sum(axis=1, keepdims=True)
    if kind == "decision":
        values = np.log(values)
    frame = pd.DataFrame(values, columns=[f"score_{c}" for c in CLASSES])
    patients = np.unique(features.stated_patients, return_inverse=True)[1]
    frame = frame.assign(id=features.ids, label=features.y, fold=patients // 4 % 3)
    frame.to_csv(folder / "theirs.csv", index=False)
    return folder / "theirs.csv", frame


def test_probabilities_of_merged_classes_add_up(features, tmp_path):
    path, frame = write_predictions(tmp_path, features)
    both = compare(features, ["logistic"], predictions=[path], selection=BAD, protocol=QUICK)
    theirs = both.evaluations[1].predictions
    expected = frame[~frame.id.isin(BAD.exclude) & (frame.label != "normal")].set_index("id")
    bad = expected.score_malignant + expected.score_suspicious
    bad = bad / (bad + expected.score_benign)
    assert sorted(theirs.ids) == sorted(expected.index)
    np.testing.assert_allclose(theirs.scores[:, 0], bad[theirs.ids])
    np.testing.assert_array_equal(
        theirs.predicted,
        np.where(bad > 0.5, "bad", "benign")[expected.index.get_indexer(theirs.ids)],
    )
    assert both.evaluations[0].predictions.classes == ("bad", "benign")


def test_a_jackknife_of_more_classes_is_none_of_the_merged_ones():
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    made = Predictions.from_arrays(["a", "b", "c"] * 20, shares)
    made = dataclasses.replace(made, jackknife=np.stack([shares, shares], axis=1))
    selection = Selection(merge={"rest": ["b", "c"]})
    merged = compare(predictions=made, selection=selection, positive="rest")
    predictions = merged.evaluations[0].predictions
    assert predictions.classes == ("a", "rest")
    assert predictions.jackknife is None


def test_scores_that_are_no_probabilities_are_not_added_up(features, tmp_path):
    path, _ = write_predictions(tmp_path, features, kind="decision")
    with pytest.raises(ProtocolError, match="not probabilities, so they cannot be added up"):
        compare(features, ["logistic"], predictions=[path], selection=BAD, protocol=QUICK)
    # Samples alone may be left out.
    excluded = compare(
        features,
        ["logistic"],
        predictions=[path],
        selection=Selection(exclude=["image-000"]),
        protocol=QUICK,
    )
    assert "image-000" not in excluded.evaluations[1].predictions.ids


@pytest.mark.slow
def test_predictions_of_the_selection_are_taken_as_they_are(features, alone, tmp_path):
    alone.evaluations[0].predictions.to_frame().to_csv(tmp_path / "theirs.csv", index=False)
    both = compare(
        features, ["logistic"], predictions=[tmp_path / "theirs.csv"], selection=BAD, protocol=QUICK
    )
    assert both.evaluations[1].metrics["auroc"] == alone.evaluations[0].metrics["auroc"]


@pytest.fixture(scope="module")
def elsewhere():
    n = 48
    return make_features(
        n_patients=24,
        classes=("Malignant", "benign", "other", "suspicious"),
        signal=2.5,
        dataset={"name": "elsewhere", "fingerprint": "e" * 64},
        ids=np.array([f"image-{i:03d}" if i < 4 else f"there-{i:03d}" for i in range(n)]),
        stated_patients=np.array([f"other-{i // 2:02d}" for i in range(n)]),
    )


def test_an_external_cohort_has_the_same_classes(features, elsewhere):
    told = []
    selection = dataclasses.replace(BAD, exclude=["image-001", "there-010"])
    both = compare(
        features,
        ["logistic"],
        external=elsewhere,
        selection=selection,
        protocol=QUICK,
        note=told.append,
    )
    cohort = both.external[0]
    assert cohort.dataset["classes"] == {"bad": 24, "benign": 11}
    assert cohort.dataset["selection"]["left_out"] == {"other": 12}
    ids = set(cohort.evaluations[0].predictions.ids)
    # An entry that names a sample of the first data set says nothing of others.
    assert "image-001" in ids
    assert "there-010" not in ids
    assert told[0].startswith("phantom: excluded by list: 1; class normal left out: 32")
    assert told[1].startswith("elsewhere: excluded by list: 1; class other left out: 12")


def test_an_entry_that_names_no_sample_of_any_cohort_is_refused(features, elsewhere):
    selection = dataclasses.replace(BAD, exclude=["image-001", "there-010", "nowhere"])
    with pytest.raises(UsageError, match="'nowhere'"):
        compare(features, ["logistic"], external=elsewhere, selection=selection, protocol=QUICK)
