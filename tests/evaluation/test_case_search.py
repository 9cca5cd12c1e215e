"""Misclassified samples and their nearest training images, against NumPy and scikit-learn."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from made_features import make_features
from sklearn.neighbors import NearestNeighbors

from bottleneck import FeatureSet, Predictions, Protocol, compare
from bottleneck.evaluation.results.comparison_results import Comparison

N_PATIENTS, IMAGES = 36, 2
N = N_PATIENTS * IMAGES
PATIENT = np.repeat(np.arange(N_PATIENTS), IMAGES)
# Copies of two patients each; those of rows 2 and 12 have different labels.
COPIES = ((2, 12), (0, 4), (5, 8), (15, 18), (17, 20), (23, 26))
THIRDS = {
    "splits": np.where(PATIENT % 3 == 0, "test", np.where(PATIENT % 3 == 1, "val", "train")),
    "folds": (PATIENT // 2 % 3).astype(str),
    "centres": np.array(["Bern", "Basel", "Chur"])[PATIENT // 2 % 3],
}
# Copies on one side of each of these, so that none refuses them.
THIRDS["splits"] = np.where(PATIENT < 14, "train", THIRDS["splits"])
for column in ("folds", "centres"):
    THIRDS[column] = np.where(PATIENT < 14, THIRDS[column][0], THIRDS[column])


def cohort(*, width: int = 5, signal: float = 0.8, seed: int = 0, **fields: Any) -> FeatureSet:
    pixels = np.array([f"{row:064x}" for row in range(N)])
    for a, b in COPIES:
        pixels[b] = pixels[a]
    columns: dict[str, Any] = {"pixels": pixels, **THIRDS, **fields}
    made = make_features(
        n_patients=N_PATIENTS, images=IMAGES, width=width, signal=signal, seed=seed, **columns
    )
    for a, b in COPIES:
        made.X[b] = made.X[a] * (1 + 1e-4 * (b % 7 + 1))
    return made


def tied(features: FeatureSet) -> np.ndarray:
    """Group of every row, by spreading the smallest number over patients and copies."""
    group = PATIENT.copy()
    before = None
    while before is None or (before != group).any():
        before = group.copy()
        for column in (PATIENT, features.pixels):
            for value in np.unique(column):
                group[column == value] = group[column == value].min()
    return group


def check(comparison: Comparison, features: FeatureSet, *, dropped: tuple[int, ...] = ()) -> int:
    """Compare all cases with what follows from the predictions and the features."""
    row_of = {identity: row for row, identity in enumerate(features.ids.tolist())}
    group, n_near = tied(features), 0
    X = features.X.astype(float)
    both = X, X / np.linalg.norm(X, axis=1, keepdims=True)
    for e in comparison.evaluations:
        if not e.uses_images:
            assert e.name not in comparison.cases
            continue
        p = e.predictions
        for case in comparison.cases[e.name]:
            assert (case.id, case.label) == (features.ids[case.row], features.y[case.row])
            assert case.patient == features.stated_patients[case.row]
            assert case.label != case.predicted
            at = (p.repeats == case.repeat) & (p.folds == case.fold)
            tested = [row_of[i] for i in p.ids[at].tolist() if i in row_of]
            if comparison.protocol["unit"] == "patient":
                tested = np.flatnonzero(np.isin(features.stated_patients, p.ids[at])).tolist()
            train = np.setdiff1d(np.arange(N), [*tested, *dropped])
            allowed = train[group[train] != group[case.row]]
            near = [one.row for one in case.nearest]
            assert case.row in tested
            assert set(near) <= set(train.tolist())
            assert not set(PATIENT[near]) & {PATIENT[case.row]}
            assert not set(features.pixels[near]) & {*features.pixels[PATIENT[case.row] == PATIENT]}
            # Features and directions, each in units of its total deviation in the training set.
            Z = np.hstack([half / np.sqrt(half[train].var(axis=0).sum()) for half in both])
            judge = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(Z[allowed])
            apart, which = (found[0] for found in judge.kneighbors(Z[[case.row]]))
            assert near == allowed[which].tolist()
            np.testing.assert_allclose([one.distance for one in case.nearest], apart, rtol=1e-9)
            assert [one.label for one in case.nearest] == features.y[near].tolist()
            n_near += len(near)
    return n_near


PROTOCOLS = {
    "cv": Protocol("cv", n_splits=3, repeats=2, inner_splits=2),
    "patients": Protocol("cv", n_splits=3, inner_splits=2, unit="patient"),
    "split": Protocol("split", inner_splits=2),
    "folds": Protocol("folds", inner_splits=2),
    "centres": Protocol("centres", inner_splits=2),
}
LOST = COPIES[0]


QUICK = ("cv",)


@pytest.mark.parametrize(
    "kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in PROTOCOLS]
)
def test_nearest_images_are_those_of_scikit_learn_and_of_no_tied_patient(kind: str) -> None:
    features = cohort()
    comparison = compare(features, ["lda"], protocol=PROTOCOLS[kind])
    assert check(comparison, features, dropped=LOST) >= 30


def test_leakage_that_is_allowed_puts_no_patient_and_no_copy_next_to_itself() -> None:
    divided = np.where(np.arange(N) % 2 == 0, "train", "test")
    features = cohort(splits=divided, signal=0.3)
    protocol = Protocol("split", inner_splits=2, allow_leakage=True)
    comparison = compare(features, ["lda"], protocol=protocol)
    assert check(comparison, features, dropped=LOST) >= 30


def own_predictions(features: FeatureSet, *, repeats: int = 2) -> Predictions:
    """Noisy probabilities of each sample, in the published folds and then in two others."""
    rng, rows = np.random.default_rng(3), np.tile(np.arange(N), repeats)
    half = np.where(PATIENT < 14, 0, PATIENT // 2 % 2)
    folds = np.concatenate([THIRDS["folds"].astype(int), half])[: len(rows)]
    ill = features.y[rows] == "malignant"
    scores = np.clip(0.35 + 0.3 * ill + rng.normal(scale=0.25, size=len(rows)), 0.01, 0.99)
    return Predictions.from_arrays(
        features.y[rows],
        scores,
        probabilities=scores,
        ids=features.ids[rows],
        folds=folds,
        repeats=np.repeat(np.arange(repeats), N),
    )


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["image", "patient"])
def test_imported_predictions_have_neighbours_in_the_first_features(unit: str) -> None:
    features = cohort()
    given = {"reader": own_predictions(features)}
    protocol = Protocol(unit=unit, inner_splits=2, conflicts="keep")
    comparison = compare(features, ["lda"], predictions=given, protocol=protocol, ensemble="mean")
    assert {"reader", "ensemble (mean)"} < set(comparison.cases)
    if unit == "patient":
        return
    assert check(comparison, features) >= 60
    # Without features there is nothing to be near in.
    alone = compare(predictions=given)
    assert len(alone.cases["reader"]) > 5
    assert not any(case.nearest for case in alone.cases["reader"])
    assert [c.confidence for c in alone.cases["reader"]] == sorted(
        (c.confidence for c in alone.cases["reader"]), reverse=True
    )


@pytest.mark.parametrize("leaks", [pytest.param(False, marks=pytest.mark.slow), True])
def test_errors_in_a_cohort_have_neighbours_in_the_training_data(leaks: bool) -> None:
    inside = cohort()
    pixels = np.array([f"{row + N:064x}" for row in range(N)])
    names = np.array([f"other-{p}" for p in PATIENT])
    if leaks:  # A copy of an internal image, and a patient of the same name.
        pixels[3], names[8:10] = inside.pixels[30], inside.stated_patients[40]
    outside = cohort(pixels=pixels, stated_patients=names, seed=5, signal=0.2)
    outside = dataclasses.replace(
        outside,
        ids=np.char.add("b", outside.ids),
        pixels=pixels,
        provenance={
            **outside.provenance,
            "dataset": {**outside.provenance["dataset"], "name": "b", "fingerprint": "b" * 64},
        },
    )
    protocol = Protocol("cv", n_splits=2, inner_splits=2, allow_leakage=leaks)
    comparison = compare(inside, ["lda"], external=outside, protocol=protocol)
    (external,) = comparison.external
    (cases,) = external.cases.values()
    train = np.setdiff1d(np.arange(N), LOST)
    X = np.vstack([inside.X, outside.X]).astype(float)
    both = X, X / np.linalg.norm(X, axis=1, keepdims=True)
    Z = np.hstack([half / np.sqrt(half[train].var(axis=0).sum()) for half in both])
    group = tied(inside)
    for case in cases:
        assert (case.id, case.label) == (outside.ids[case.row], outside.y[case.row])
        assert external.image_names[case.row].patient == case.patient == names[case.row]
        lost = {group[30]} if leaks and case.row in (2, 3) else set()
        lost |= {group[40]} if leaks and case.row in (8, 9) else set()
        allowed = train[~np.isin(group[train], list(lost))]
        judge = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(Z[allowed])
        which = judge.kneighbors(Z[[N + case.row]], return_distance=False)[0]
        assert [near.row for near in case.nearest] == allowed[which].tolist()
        assert {near.row for near in case.nearest} <= comparison.image_names.keys()
    assert len(cases) == 24


@pytest.mark.slow
def test_images_that_a_network_was_chosen_on_are_no_training_images() -> None:
    features = cohort()
    test = own_predictions(features, repeats=1)
    folds = THIRDS["folds"].astype(int)
    # A fifth of the patients of the next fold validates each fold.
    chosen = [(f, r) for f in range(3) for r in np.flatnonzero(folds == (f + 1) % 3)[-10:]]
    fold, rows = (np.array(column) for column in zip(*chosen, strict=True))
    scores = np.where(features.y[rows] == "malignant", 0.7, 0.3) + np.tile([0.0, 0.1], 15) - 0.05
    validation = Predictions.from_arrays(
        features.y[rows],
        scores,
        probabilities=scores,
        ids=features.ids[rows],
        folds=fold,
        repeats=fold,
        classes=["benign", "malignant"],
    )
    validation = dataclasses.replace(validation, repeats=np.zeros(len(rows), int), folds=fold)
    protocol = Protocol(inner_splits=2, conflicts="keep")
    given = {"net": (test, validation)}
    comparison = compare(features, ["lda"], predictions=given, protocol=protocol)
    assert len(comparison.cases["net"]) > 10
    for case in comparison.cases["net"]:
        near = {one.row for one in case.nearest}
        assert len(near) == 5
        assert not near & set(rows[fold == case.fold].tolist())
    near_of = {case.row: case.nearest for case in comparison.cases["resnet18 (imagenet) + lda"]}
    shared = [case for case in comparison.cases["net"] if case.row in near_of]
    assert any(case.nearest != near_of[case.row] for case in shared)
