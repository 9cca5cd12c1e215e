"""Copies with different labels in a comparison: who is scored, and the AUROC with and without."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_features import make_features
from sklearn.metrics import roc_auc_score

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.compare import compare
from bottleneck.features.sets.feature_set import FeatureSet

CV = Protocol(kind="cv", n_splits=4, inner_splits=2)
# Patient i is benign if i is even. Copies: image 4 (patient 2) and 7 (patient 3), and the only
# images of patients 40 and 41.
PAIRS = ((4, 7), (80, 81))
LOST = [f"image-{n:03d}" for pair in PAIRS for n in pair]


def with_conflicts(**fields: object) -> FeatureSet:
    rows = np.r_[np.arange(81), 82]  # Two images of 40 patients, one each of two more.
    f = make_features(n_patients=42).take(rows)
    f = dataclasses.replace(f, ids=np.array([f"image-{n:03d}" for n in range(82)]))
    pixels = np.array([f"{i:064d}" for i in range(82)])
    for a, b in PAIRS:
        pixels[b] = pixels[a]
        f.X[b] = f.X[a]
    return dataclasses.replace(f, pixels=pixels, **fields)


def auroc(frame: pd.DataFrame) -> float:
    """The mean over folds, by another library."""
    each = [
        roc_auc_score(rows["label"] == "malignant", rows["score_malignant"])
        for _, rows in frame.groupby(["repeat", "fold"])
    ]
    return float(np.mean(each))


@pytest.fixture(scope="module")
def dropped():
    return compare(with_conflicts(), ["logistic"], protocol=CV, positive="malignant")


def test_both_copies_are_left_out_and_counted(dropped) -> None:
    assert dropped.warnings[0].startswith(
        "2 sets of copies (4 images) have different labels: these are left out (--conflicts drop)"
    )
    assert dropped.dataset["n_samples"] == 78
    assert dropped.dataset["excluded"] == {"copies with different labels": 4}
    for e in dropped.evaluations:
        assert sorted(e.predictions.ids) == sorted(set(with_conflicts().ids) - set(LOST))
    # It is as if they had never been there, but that their patients stay together.
    f = with_conflicts()
    groups = np.where(np.isin(f.groups, ["patient-02", "patient-03"]), "patient-02", f.groups)
    rest = np.flatnonzero(~np.isin(f.ids, LOST))
    alone = compare(
        dataclasses.replace(f.take(rest), stated_patients=groups[rest]), ["logistic"], protocol=CV
    )
    for one, other in zip(dropped.evaluations, alone.evaluations, strict=True):
        a, b = (e.predictions.to_frame().set_index(["repeat", "id"]) for e in (one, other))
        np.testing.assert_allclose(a["score_benign"], b["score_benign"].loc[a.index], rtol=1e-9)


def test_the_auroc_with_them_is_that_of_the_same_models(dropped, tmp_path) -> None:
    f = with_conflicts()
    summary = dropped.conflicts
    effect = summary.auroc[0]
    assert (summary.sets, summary.images, summary.dropped, summary.relabelled) == (2, 4, 4, 0)
    frame = dropped.evaluations[0].predictions.to_frame()
    assert effect.without.value == pytest.approx(auroc(frame), abs=1e-12)
    assert f"{effect.without.value:.3f} without these copies" in dropped.warnings[0]
    assert f"{effect.with_them.value:.3f} with them" in dropped.warnings[0]
    # Identical features have identical scores: each pair has one score, of a fold without it.
    assert effect.with_them.value < effect.without.value
    assert effect.with_them.low < effect.with_them.value < effect.with_them.high

    # Imported predictions of all images give both figures by hand.
    rng = np.random.default_rng(5)
    fold = np.arange(82) // 4 % 4
    score = rng.random(82).round(4)
    table = pd.DataFrame(
        {
            "id": f.ids,
            "label": f.y,
            "repeat": 0,
            "fold": fold,
            "score_benign": 1 - score,
            "score_malignant": score,
        }
    )
    table.to_csv(tmp_path / "theirs.csv", index=False)
    both = compare(
        f,
        ["logistic"],
        predictions=[tmp_path / "theirs.csv"],
        positive="malignant",
        protocol=Protocol(inner_splits=2),
    )
    (theirs,) = (e for e in both.conflicts.auroc if e.arm == "theirs")
    kept = table[~table["id"].isin(LOST)]
    assert theirs.with_them.value == pytest.approx(auroc(table), abs=1e-12)
    assert theirs.without.value == pytest.approx(auroc(kept), abs=1e-12)
    (scored,) = (e for e in both.evaluations if e.name == "theirs")
    assert scored.metrics["auroc"].value == pytest.approx(auroc(kept), abs=1e-12)
    # Predictions that hold none of the copies are taken too, without a figure with them.
    kept.to_csv(tmp_path / "theirs.csv", index=False)
    again = compare(
        f,
        ["logistic"],
        predictions=[tmp_path / "theirs.csv"],
        positive="malignant",
        protocol=Protocol(inner_splits=2),
    )
    (theirs,) = (e for e in again.conflicts.auroc if e.arm == "theirs")
    assert theirs.with_them is None
    assert theirs.without.value == pytest.approx(auroc(kept), abs=1e-12)


def test_other_decisions(tmp_path) -> None:
    f = with_conflicts()
    keep = dataclasses.replace(CV, conflicts="keep")
    kept = compare(f, ["logistic"], protocol=keep, positive="malignant")
    assert kept.dataset["n_samples"] == 82
    assert "these are used as they are labelled" in kept.warnings[0]
    effect = kept.conflicts.auroc[0]
    frame = kept.evaluations[0].predictions.to_frame()
    assert effect.with_them.value == pytest.approx(auroc(frame), abs=1e-12)
    assert effect.without.value == pytest.approx(auroc(frame[~frame["id"].isin(LOST)]), abs=1e-12)
    # A third copy of the first pair decides it; the other pair is a tie.
    f = with_conflicts()
    f.pixels[8], f.X[8] = f.pixels[4], f.X[4]
    most = compare(
        f,
        ["logistic"],
        protocol=dataclasses.replace(CV, conflicts="majority"),
        positive="malignant",
    )
    labels = most.evaluations[0].predictions.to_frame().set_index("id")["label"]
    assert set(labels[["image-004", "image-007", "image-008"]]) == {"benign"}
    assert not {"image-080", "image-081"} & set(labels.index)
    assert "1 image took the label of most copies, and 2 on a tie are left out" in most.warnings[0]
    assert most.dataset["excluded"] == {"copies with different labels": 2}
    with pytest.raises(ProtocolError, match="'image-080' "):
        compare(f, ["logistic"], protocol=dataclasses.replace(CV, conflicts="stop"))


def test_without_conflicts_nothing_changes() -> None:
    f = make_features(pixels=np.array([f"{i:064d}" for i in range(80)]))
    f.pixels[5] = f.pixels[0]
    results = [
        compare(f, ["logistic"], protocol=dataclasses.replace(CV, conflicts=how))
        for how in ("drop", "stop")
    ]
    for one in results:
        assert one.conflicts is None
        assert one.warnings == results[0].warnings
        assert one.dataset == results[0].dataset
        np.testing.assert_array_equal(
            one.evaluations[0].predictions.scores, results[0].evaluations[0].predictions.scores
        )


def test_an_external_cohort_leaves_them_out_too() -> None:
    inside = make_features()
    outside = dataclasses.replace(
        with_conflicts(),
        provenance={
            **inside.provenance,
            "dataset": {**inside.provenance["dataset"], "name": "other", "fingerprint": "e" * 64},
        },
    )
    found = compare(inside, ["logistic"], external=outside, protocol=CV, positive="malignant")
    assert found.conflicts is None
    (cohort,) = found.external
    assert cohort.dataset["n_samples"] == 78
    assert cohort.warnings[0].startswith("2 sets of copies (4 images) have different labels")
    assert not set(LOST) & set(cohort.evaluations[0].predictions.ids)
    assert cohort.conflicts.auroc[0].with_them.value < cohort.conflicts.auroc[0].without.value


def test_a_fixed_split_is_scored_with_the_copies_that_it_tests() -> None:
    # The first pair is in the training set, the second in the test set.
    f = with_conflicts(splits=np.where(np.arange(82) < 40, "train", "test"))
    found = compare(f, ["logistic"], positive="malignant", protocol=Protocol(inner_splits=2))
    effect = found.conflicts.auroc[0]
    assert (found.conflicts.dropped, found.dataset["n_samples"]) == (4, 78)
    p = found.evaluations[0].predictions
    assert len(p) == 40
    assert effect.without.value == pytest.approx(
        roc_auc_score(p.labels == "malignant", p.scores[:, 1]), abs=1e-12
    )
    # The two add one score for each class: half of each comparison that they are in.
    assert effect.with_them.value != effect.without.value
    assert "conflicts" in found.protocol


def test_copies_that_are_left_out_are_no_leak_of_the_data_sets_own_split() -> None:
    # The first pair is in two centres: without it, no image is on both sides.
    f = with_conflicts(centres=np.where(np.arange(82) // 2 % 4 < 2, "north", "south"))
    f.centres[4:8] = ["north", "north", "south", "south"]
    f.centres[[80, 81]] = ["north", "south"]
    centres = Protocol(kind="centres", inner_splits=2)
    found = compare(f, ["logistic"], positive="malignant", protocol=centres)
    assert len(found.evaluations[0].predictions) == 78
    assert not found.audit.leaks
    assert found.conflicts.auroc[0].with_them is not None
    with pytest.raises(ProtocolError, match="2 groups of identical"):
        compare(f, ["logistic"], protocol=dataclasses.replace(centres, conflicts="keep"))
