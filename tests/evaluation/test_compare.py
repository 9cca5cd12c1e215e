"""Comparisons, against scikit-learn's own loop, and refusals."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from made_features import VGG, changed, divide_alike, make_features
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bottleneck
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import FeatureFileError, ProtocolError, UsageError
from bottleneck.evaluation.compare import compare, evaluate
from bottleneck.evaluation.metrics.metrics import METRICS, compute_metrics, fold_aurocs
from bottleneck.heads.head_catalogue import get_head

QUICK = Protocol(n_splits=3, inner_splits=2)
FEW = Protocol(n_splits=2, inner_splits=2)


def shuffle(features, seed=0):
    """The same samples in another order."""
    order = np.random.default_rng(seed).permutation(len(features))
    rows = {
        f.name: value[order]
        for f in dataclasses.fields(features)
        if isinstance(value := getattr(features, f.name), np.ndarray)
    }
    return dataclasses.replace(features, **rows)


def test_a_comparison_is_scikit_learns_nested_loop():
    f = make_features(signal=1.0, n_patients=60)
    comparison = compare(f, ["logistic"], protocol=Protocol(n_splits=4, inner_splits=3, seed=2))
    X, grid = (
        f.X.astype(float),
        {"logisticregression__C": get_head("logistic").grid[0]["logistic__C"]},
    )
    scores, aurocs, chosen = np.zeros(len(f)), [], []
    outer = StratifiedGroupKFold(4, shuffle=True, random_state=2)
    parts = list(outer.split(X, f.y, f.groups))
    for (train, test), inner in zip(parts, divide_alike(f.y, f.groups, parts, 3, 2), strict=True):
        model = GridSearchCV(
            make_pipeline(
                StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
            ),
            grid,
            scoring="roc_auc",
            cv=inner,
        ).fit(X[train], f.y[train])
        scores[test] = model.predict_proba(X[test])[:, 1]
        aurocs.append(roc_auc_score(f.y[test], scores[test]))
        chosen.append({"C": model.best_params_["logisticregression__C"]})
    arm = comparison.evaluations[0]
    by_id = dict(zip(arm.predictions.ids, arm.predictions.scores[:, 1], strict=True))
    np.testing.assert_allclose([by_id[i] for i in f.ids], scores)
    assert arm.metrics["auroc"].value == pytest.approx(np.mean(aurocs))
    assert list(arm.chosen) == chosen
    assert arm.confusion.sum() == len(f)


def test_every_arm_is_tested_on_the_same_samples_in_the_same_folds():
    first, second = make_features(), shuffle(make_features(seed=1, recipe=VGG))
    comparison = compare([first, second], ["svm", "logistic"], protocol=QUICK)
    assert [e.name for e in comparison.evaluations] == [
        "resnet18 (imagenet) + svm",
        "resnet18 (imagenet) + logistic",
        "vgg16 (imagenet) + svm",
        "vgg16 (imagenet) + logistic",
        "prior only",
    ]
    for e in comparison.evaluations:
        for field in ("ids", "folds", "repeats", "labels", "groups"):
            np.testing.assert_array_equal(
                getattr(e.predictions, field),
                getattr(comparison.evaluations[0].predictions, field),
            )
        assert set(e.metrics) == set(METRICS)
        assert e.seconds > 0
    assert sorted(comparison.evaluations[0].predictions.ids) == sorted(first.ids)
    # The second set's rows came shuffled; its figures are those it has alone and in order.
    alone = evaluate(make_features(seed=1, recipe=VGG), "svm", protocol=QUICK)
    np.testing.assert_array_equal(
        alone.predictions.scores, comparison.evaluations[2].predictions.scores
    )


def test_differences_are_means_of_differences_within_folds():
    sets = [make_features(), make_features(seed=1, recipe=VGG)]
    comparison = compare(
        sets, ["logistic"], protocol=Protocol(n_splits=3, repeats=2, inner_splits=2)
    )
    a, b, prior = comparison.evaluations
    pairs = [(a.name, b.name), (a.name, prior.name), (b.name, prior.name)]
    found = [(d.a, d.b, d.metric, d.role) for d in comparison.differences]
    # Differences to an arm without images are secondary.
    roles = ("primary", "secondary", "secondary")
    assert found[:3] == [(*pair, "auroc", r) for pair, r in zip(pairs, roles, strict=True)]
    assert found[3:] == [(*pair, "accuracy", "secondary") for pair in pairs]
    first = comparison.differences[0]
    per_fold = fold_aurocs(a.predictions, positive="malignant") - fold_aurocs(
        b.predictions, positive="malignant"
    )
    assert len(per_fold) == 6
    assert first.value == pytest.approx(per_fold.mean())
    assert first.value == pytest.approx(a.metrics["auroc"].value - b.metrics["auroc"].value)


def test_prior_only_knows_nothing():
    prior = compare(make_features(signal=9.0), ["logistic"], protocol=QUICK).evaluations[-1]
    assert (prior.name, prior.backbone, prior.weights, prior.head) == (
        "prior only",
        None,
        None,
        "prior",
    )
    assert prior.metrics["auroc"].value == 0.5
    assert prior.chosen == ()


def test_patients_that_features_give_away_do_not_help_when_grouped():
    # A vector a patient, noise an image, no word of the class: the leak of a split by image.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(48), 5).astype(str)
    X = np.repeat(rng.normal(size=(48, 40)), 5, axis=0) + 0.1 * rng.normal(size=(240, 40))
    f = make_features(n_patients=48, images=5, X=X.astype(np.float32), stated_patients=groups)
    honest = evaluate(f, "svm").metrics["auroc"].value
    leaked = evaluate(dataclasses.replace(f, stated_patients=None), "svm").metrics["auroc"].value
    assert abs(honest - 0.5) < 0.15
    assert leaked > 0.95


def test_permuted_labels_come_to_half():
    f = make_features(n_patients=120, images=1, signal=5.0)
    assert evaluate(f, "logistic", protocol=QUICK).metrics["auroc"].value > 0.95
    y = np.random.default_rng(1).permutation(f.y)
    permuted = evaluate(dataclasses.replace(f, y=y), "logistic", protocol=QUICK)
    assert abs(permuted.metrics["auroc"].value - 0.5) < 0.15


def test_the_test_part_does_not_reach_the_fit():
    # Were the scaler or the head shown the test part, moving it would move its other scores.
    f = make_features()
    splits = np.repeat(["train", "test"], [60, 20])
    moved = f.X.copy()
    moved[-1] += 1e4
    one, other = (
        evaluate(dataclasses.replace(f, X=X, splits=splits), "svm", protocol=QUICK).predictions
        for X in (f.X, moved)
    )
    np.testing.assert_array_equal(one.scores[:-1], other.scores[:-1])
    assert not np.allclose(one.scores[-1], other.scores[-1])


def test_three_classes():
    f = make_features(classes=("a", "b", "c"), n_patients=45, signal=4.0)
    comparison = compare(f, ["svm"], protocol=QUICK)
    arm, prior = comparison.evaluations
    assert comparison.positive is None
    assert arm.predictions.scores.shape == (90, 3)
    assert arm.confusion.shape == (3, 3)
    assert arm.metrics["auroc"].value > 0.9
    assert arm.metrics["sensitivity"].value == pytest.approx(arm.metrics["balanced_accuracy"].value)
    assert prior.metrics["auroc"].value == 0.5


def test_given_folds_and_fixed_splits_are_used():
    f = make_features()
    published = np.repeat(["1", "2", "3", "4"], 20)
    given = compare(dataclasses.replace(f, folds=published), ["logistic"])
    assert (given.protocol["kind"], given.protocol["folds"]) == ("given folds", 4)
    p = given.evaluations[0].predictions
    expected = dict(zip(f.ids, published, strict=True))
    assert [str(fold + 1) for fold in p.folds] == [expected[i] for i in p.ids]
    splits = np.repeat(["train", "val", "test"], [40, 16, 24])
    fixed = compare(dataclasses.replace(f, splits=splits), ["logistic"])
    assert fixed.protocol["kind"] == "fixed split"
    assert sorted(fixed.evaluations[0].predictions.ids) == sorted(f.ids[56:])


f = make_features()


@pytest.mark.parametrize(
    ("features", "options", "error", "message"),
    [
        ([], {}, UsageError, "name at least one feature file"),
        (f, {"heads": []}, UsageError, "there is no head"),
        (f, {"heads": ["svn"]}, UsageError, "unknown head 'svn'; did you mean 'svm'"),
        (f, {"heads": ["svm", "svm"]}, UsageError, "head 'svm' is listed twice"),
        (f, {"positive": "malign"}, UsageError, "unknown positive label 'malign'"),
        (make_features(classes=("2", "5")), {}, UsageError, "which label is the positive class"),
        (make_features(classes=("benign",)), {}, ProtocolError, "a head needs at least two"),
        (make_features(n_patients=6), {}, ProtocolError, "class 'benign' has 3 patients"),
        (
            make_features(n_patients=4),
            {"protocol": Protocol(n_splits=2)},
            ProtocolError,
            "one training set holds 1 patient of class 'benign'",
        ),
        (
            dataclasses.replace(f, X=changed(f.X, 3, np.nan)),
            {},
            FeatureFileError,
            "1 of 80 samples are not finite",
        ),
        ("none.h5", {}, FeatureFileError, "none.h5 does not exist"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(features, options, error, message):
    with pytest.raises(error, match=message):
        compare(features, **options)


def test_a_positive_class_that_is_stated_wins():
    wanted = evaluate(f, "logistic", protocol=QUICK, positive="benign")
    usual = evaluate(f, "logistic", protocol=QUICK)
    assert wanted.metrics["sensitivity"].value == usual.metrics["specificity"].value
    assert wanted.metrics["auroc"].value == pytest.approx(usual.metrics["auroc"].value)


def test_figures_are_those_of_the_predictions():
    arm = evaluate(f, "svm", protocol=Protocol(n_splits=3, repeats=2, inner_splits=2))
    assert len(arm.predictions) == 160
    assert {k: m.value for k, m in arm.metrics.items()} == compute_metrics(
        arm.predictions, positive="malignant"
    )
    assert arm.predictions.kind == "decision"


def test_the_spread_is_that_of_the_single_repeats():
    features = make_features(n_patients=24)
    protocol = Protocol(n_splits=3, inner_splits=2, repeats=3)
    arm = compare(features, ["logistic"], protocol=protocol).evaluations[0]
    p = arm.predictions
    aurocs, accuracies = [], []
    for repeat in range(3):
        rows = p.repeats == repeat
        folds = [rows & (p.folds == fold) for fold in range(3)]
        score = p.scores[:, 1]
        aurocs.append(np.mean([roc_auc_score(p.labels[f], score[f]) for f in folds]))
        accuracies.append(accuracy_score(p.labels[rows], p.predicted[rows]))
    for name, values in (("auroc", aurocs), ("accuracy", accuracies)):
        metric = arm.metrics[name]
        assert metric.value == pytest.approx(np.mean(values))
        assert metric.spread == pytest.approx((min(values), max(values)))
    row = arm.to_frame().set_index("metric").loc["auroc"]
    assert (row["lowest_repeat"], row["highest_repeat"]) == arm.metrics["auroc"].spread
    once = compare(features, ["logistic"], protocol=dataclasses.replace(protocol, repeats=1))
    assert once.evaluations[0].metrics["auroc"].spread is None


@pytest.mark.repeats
def test_few_patients_are_divided_as_often_as_the_methods_say():
    few = compare(make_features(n_patients=12), ["logistic"], protocol=FEW)
    assert few.protocol["repeats"] == 5
    assert few.evaluations[0].predictions.n_repeats == 5
    assert "repeated 5 times with new folds, as is the default below" in few.protocol["words"]


def test_rows_without_a_patient_keep_to_themselves_in_the_predictions():
    some = dataclasses.replace(f, stated_patients=changed(f.stated_patients, slice(0, 10), ""))
    comparison = compare(some, ["logistic"], protocol=QUICK)
    groups = comparison.evaluations[0].predictions.groups
    assert len(set(groups)) == comparison.dataset["n_patients"] == 45
    assert comparison.warnings[0].startswith("10 samples without a patient")


def test_progress_counts_every_fold_of_every_arm():
    seen = []
    compare(f, ["logistic"], protocol=QUICK, progress=lambda *step: seen.append(step))
    arm = "resnet18 (imagenet) + logistic"
    steps = [(i, 6, arm) for i in (0, 1, 2, 3)] + [(i, 6, "prior only") for i in (4, 5, 6)]
    dividing = "dividing the samples"
    divided = [(0, 3, "dividing the training sets")]
    before = [(0, 1, text) for text in (dividing, "searching for leaks", dividing)]
    assert seen[:11] == [*before, *divided, *steps]
    measured = [(0, 2, f"metrics of {arm}"), (1, 2, "metrics of prior only")]
    tested = [(1, 1, f"testing differences of the {name}") for name in ("AUROC", "accuracy")]
    nearest = [(done, 1, "searching for the nearest images") for done in (0, 1)]
    assert seen[11:] == [*measured, *tested, *nearest]


def test_several_processes_give_the_same():
    one = compare(f, ["svm"], protocol=QUICK)
    two = compare(f, ["svm"], protocol=QUICK, n_jobs=2)
    np.testing.assert_array_equal(
        one.evaluations[0].predictions.scores, two.evaluations[0].predictions.scores
    )
    assert one.evaluations[0].chosen == two.evaluations[0].chosen


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_an_interruption_passes_through_in_silence(n_jobs, recwarn):
    def interrupt(done: int, total: int, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(f, ["svm"], protocol=QUICK, n_jobs=n_jobs, progress=interrupt)
    assert not list(recwarn)


def test_evaluate_takes_the_prior_too():
    assert evaluate(f, "prior", protocol=QUICK).name == "prior only"


def test_importing_a_comparison_loads_neither_torch_nor_pandas():
    code = (
        "import sys, bottleneck.evaluation.compare, bottleneck.deploy.fit; "
        "print({'torch', 'pandas', 'sklearn', 'skops'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X: bottleneck.compare(X, protocol={"n_splits": 3}), "such as bottleneck.Protocol"),
        (lambda X: bottleneck.evaluate(X, measures=0.9), "such as bottleneck.Measures"),
        (bottleneck.load_features, "named by its path, not by array"),
        (bottleneck.audit_features, "pass y="),
        (bottleneck.fit, "pass y="),
        (lambda X: bottleneck.write_report(X, "report"), "a report needs a Comparison"),
    ],
)
def test_other_things_in_place_of_the_right_ones_are_named(call, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(np.eye(4))
