"""What fit keeps is what compare evaluates: probabilities and thresholds of the same training set.

For a held-out fold, the model that is fitted to the training set of the fold has the probabilities
that ``compare`` states for the fold, and its threshold.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any

import numpy as np
import pytest
from made_features import make_features
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bottleneck.data.splits.protocol import Protocol
from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model_words import describe_model, describe_order
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.cross_validation.nested_cv import RunOptions, plan_inner_folds
from bottleneck.evaluation.cross_validation.split_plan import plan_split
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.search import search

TWO, THREE = ("benign", "malignant"), ("a", "b", "c")


def features_with_copies(classes: tuple[str, ...], n_patients: int = 18) -> FeatureSet:
    """Features in which two patients of each class share an image, and two copies disagree."""
    f = make_features(classes=classes, n_patients=n_patients, images=3, width=4, signal=1.2)
    pixels = np.array([f"{i:064d}" for i in range(len(f))])
    k = len(classes)
    for c in range(k):
        pixels[3 * (c + k)] = pixels[3 * c]
    # The same image with another label: it is left out of training and of tests.
    pixels[3 * (3 * k)] = pixels[3 * (3 * k + 1)]
    return dataclasses.replace(f, pixels=pixels)


def check(
    monkeypatch: pytest.MonkeyPatch,
    head: Any,
    classes: tuple[str, ...],
    unit: str = "image",
    **protocol: Any,
) -> None:
    features = features_with_copies(classes)
    plan = Protocol(n_splits=3, inner_splits=3, seed=4, unit=unit, **protocol)
    positive = "malignant" if classes == TWO else None
    compared = compare(features, [head], protocol=plan, positive=positive)
    split = plan_split(features, plan)
    assert len(split.samples) == len(features) - 2
    rows = split.plan.rows
    evaluation = next(e for e in compared.evaluations if e.uses_images)
    told = evaluation.predictions
    assert told.probabilities is not None
    target = {"at_sensitivity": 0.9} if classes == TWO else {}
    counting = {"unit": plan.unit, "aggregate": plan.aggregate}
    # ``fit`` divides its samples by itself; here it has the inner folds of the training set.
    inner = plan_inner_folds(split.samples, split.folds, RunOptions(plan.inner_splits)).folds
    for n, fold in enumerate(split.folds):
        tested = [rows[fold.test], split.plan.dropped_tests[n]]
        training = features.take(np.setdiff1d(np.arange(len(features)), np.concatenate(tested)))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="1 set of copies")
            given = functools.partial(search, folds=inner[n])
            monkeypatch.setattr("bottleneck.deploy.fit.search", given)
            model = fit(training, head, seed=fold.seed, inner_splits=3, **counting, **target)
        assert model.n_samples == len(fold.train)
        predicted = model.predict(features.take(rows[fold.test]))
        made = predicted.predictions
        if unit == "patient":
            assert predicted.by_patient is not None
            made = predicted.by_patient.decided.predictions
        expected = told.take((told.folds == fold.index) & (told.repeats == fold.repeat))
        assert made.ids.tolist() == expected.ids.tolist()
        np.testing.assert_allclose(made.probabilities, expected.probabilities, atol=1e-6, rtol=0)
        if target:
            point = evaluation.operating_points[0]
            assert model.operating_point.threshold == pytest.approx(point.thresholds[n], abs=1e-6)
            assert (model.operating_point.held, model.operating_point.target) == (
                point.held,
                point.target,
            )


OWN = make_pipeline(StandardScaler(), GaussianNB())
HEADS = ["logistic", "svm", "svm_2018", "linear_svc_2018", "random_forest", OWN]


@pytest.mark.parametrize(("classes", "unit"), [(THREE, "image"), (TWO, "patient")])
def test_probabilities_of_a_head_without_a_grid_are_those_of_the_fold(
    monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...], unit: str
) -> None:
    check(monkeypatch, "svm_2018", classes, unit=unit)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["image", "patient"])
@pytest.mark.parametrize("classes", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_probabilities_are_those_of_the_fold(
    monkeypatch: pytest.MonkeyPatch, head: Any, classes: tuple[str, ...], unit: str
) -> None:
    check(monkeypatch, head, classes, unit=unit)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"unit": "patient", "aggregate": "max"}, {"repeats": 2}])
def test_maxima_and_repeats_are_those_of_the_fold(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    check(monkeypatch, "logistic", TWO, **changes)


def test_a_threshold_reaches_its_target_on_the_out_of_fold_scores() -> None:
    f = make_features(n_patients=20, images=1, width=3, signal=1.0)
    for held in ("sensitivity", "specificity"):
        model = fit(f, "svm_2018", **{f"at_{held}": 0.9})
        point = model.operating_point
        assert point is not None
        assert (point.held, getattr(point, held)) == (held, 0.9)
    assert fit(f, "svm_2018").operating_point is None


def test_units_and_thresholds_that_do_not_fit_are_refused() -> None:
    f = make_features(n_patients=12, images=2)
    three = make_features(classes=THREE, n_patients=12)
    y = f.y.copy()
    y[0] = "malignant"
    mixed, alone = dataclasses.replace(f, y=y), dataclasses.replace(f, stated_patients=None)
    both = {"at_sensitivity": 0.9, "at_specificity": 0.9}
    for features, head, options, message in (
        (f, "logistic", both, "a model has one threshold"),
        (f, "logistic", {"at_sensitivity": 95}, "target sensitivity must be .*, not 95"),
        (f, "logistic", {"at_specificity": 0.0}, "target specificity must be"),
        (f, "logistic", {"at_specificity": np.nan}, "target specificity must be"),
        (f, "prior", {"at_sensitivity": 0.9}, "which prior is trained without"),
        (three, "logistic", {"at_sensitivity": 0.9}, "needs a positive class"),
        (three, "logistic", {"aggregate": "max", "unit": "patient"}, "needs two classes"),
        (f, "logistic", {"unit": "patients"}, "unknown unit"),
        (f, "logistic", {"aggregate": "median"}, "unknown aggregate"),
    ):
        with pytest.raises(UsageError, match=message):
            fit(features, head, **options)
    for features, message in ((alone, "names none"), (mixed, "several classes")):
        with pytest.raises(ProtocolError, match=message):
            fit(features, "logistic", unit="patient")


def test_models_that_order_samples_the_wrong_way_say_so() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 1)), np.repeat(["benign", "malignant"], 10)
    good = fit(X + 3 * (y == "malignant")[:, None], "lda", y=y)
    # A training sample of the other class lies next to every sample.
    X = np.repeat(10 * np.arange(20), 2)[:, None] + np.tile([0, 0.1], 20)[:, None]
    bad = fit(X, "knn", y=np.tile(["benign", "malignant"], 20))
    for model, words in ((good, ""), (bad, "the wrong way")):
        assert words in describe_order(model)
        assert bool(describe_order(model)) == bool(words)
        assert words in describe_model(model)["probabilities"]
        assert any("the wrong way" in text for text in model.predict(X[:3]).warnings) == bool(words)


def test_copies_of_different_labels_in_a_test_have_a_note() -> None:
    features = features_with_copies(TWO)
    model = fit(features.take(np.arange(24, 54)), "prior")
    for rows, words in ((np.arange(18), False), (np.arange(18, 22), True)):
        notes = " ".join(model.predict(features.take(rows)).notes)
        assert ("2 images are identical to images that have another label" in notes) == words
    unknown = dataclasses.replace(features, y=np.full(len(features), ""))
    assert "another label" not in " ".join(model.predict(unknown).notes)
