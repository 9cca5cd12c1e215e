"""Comparisons, models and audits of arrays, data frames and predictions in memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from bottleneck import (
    BottleneckError,
    FeatureSet,
    Measures,
    Predictions,
    Protocol,
    audit_features,
    compare,
    evaluate,
    extract,
    fit,
    load_dataset,
    load_features,
    load_model,
    write_report,
)
from bottleneck.report.wording.paragraphs import methods_paragraph
from bottleneck.testing import tiny_backbone

N = 60
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, N)
GROUPS = np.repeat(np.arange(N // 2), 2)
X = RNG.normal(size=(N, 4)) + Y[:, None]
OTHER = RNG.normal(size=(N, 3))
FRAME = pd.DataFrame(X, columns=list("abcd"))
SCORES = Y + RNG.normal(size=N)
QUICK = Protocol(n_splits=3, inner_splits=2)


def names(comparison):
    return [arm.name for arm in comparison.evaluations]


def test_arrays_are_evaluated_like_the_feature_file_they_are_from(tmp_path):
    """Bit for bit, if near-duplicates, which arrays cannot have, are among the groups."""
    run = extract(load_dataset("phantom", limit=12), tiny_backbone(), output=tmp_path, quiet=True)
    features = load_features(run.path)
    of_file = evaluate(run.path, "logistic", protocol=QUICK)
    of_arrays = evaluate(
        np.asarray(features.X, np.float64),
        "logistic",
        y=features.y,
        groups=features.groups,
        ids=features.ids,
        protocol=QUICK,
    )
    for field in ("ids", "folds", "labels", "predicted", "scores", "probabilities"):
        np.testing.assert_array_equal(
            getattr(of_file.predictions, field), getattr(of_arrays.predictions, field)
        )
    assert repr(of_file.metrics) == repr(of_arrays.metrics)
    audit = audit_features(features.X, y=features.y, groups=features.stated_patients)
    assert "near-duplicates and burned-in text were not searched for" in audit.findings[-1].text


@pytest.mark.slow
def test_matrices_of_the_same_samples_are_compared_by_name():
    frame = FRAME.set_axis([f"s{i}" for i in range(N)])
    comparison = compare(
        {"radiomics": frame, "resnet": OTHER}, "logistic", y=Y, groups=GROUPS, protocol=QUICK
    )
    assert names(comparison) == ["radiomics + logistic", "resnet + logistic", "prior only"]
    alone = evaluate(OTHER, "logistic", y=Y, groups=GROUPS, protocol=QUICK)
    np.testing.assert_array_equal(
        comparison.evaluations[1].predictions.scores, alone.predictions.scores
    )
    text = methods_paragraph(comparison)
    assert "computed by other means: radiomics (4 columns), resnet (3 columns)" in text


def test_the_order_of_rows_does_not_matter():
    ids, order = np.array([f"s{i:02}" for i in range(N)]), RNG.permutation(N)

    def run(*orders):
        sets = [
            FeatureSet.from_arrays(x[o], Y[o], GROUPS[o], ids[o], recipe=name)
            for name, x, o in zip("ab", (X, OTHER), orders, strict=True)
        ]
        arms = compare(sets, "logistic", protocol=QUICK).evaluations
        return [
            dict(zip(arm.predictions.ids, arm.predictions.scores[:, 1], strict=True))
            for arm in arms
        ]

    both = zip(run(np.arange(N), np.arange(N)), run(order, np.arange(N)), strict=True)
    for one, other in both:
        assert one == pytest.approx(other)


@pytest.mark.parametrize(
    ("y", "positive"),
    [
        (Y.astype(bool), 1),
        (np.where(Y, 1, -1), None),
        (pd.Categorical(np.where(Y, "a", "b"), categories=["b", "a"]), "A"),
        (np.where(Y, 2, 1), 2),
        (np.where(Y, 0, 1), 0),
    ],
)
def test_sensitivity_is_the_recall_of_the_positive_class(y, positive):
    arm = evaluate(X, "logistic", y=y, groups=GROUPS, protocol=QUICK, positive=positive)
    is_positive = Y[arm.predictions.ids.astype(int)] == 1
    (name,) = set(arm.predictions.labels[is_positive])
    recall = recall_score(is_positive, arm.predictions.predicted == name)
    assert arm.metrics["sensitivity"].value == pytest.approx(recall)


def test_an_external_cohort_of_arrays_needs_the_same_columns():
    inside = FeatureSet.from_arrays(FRAME, Y, GROUPS)
    outside = FeatureSet.from_arrays(FRAME + 0.5, Y, GROUPS + 100, name="Basel")
    result = compare(inside, "logistic", external=outside, protocol=QUICK).external[0]
    model = fit(FRAME, "logistic", y=Y, groups=GROUPS, inner_splits=2)
    np.testing.assert_array_equal(
        result.evaluations[0].predictions.scores,
        model.predict(FRAME + 0.5, y=Y, groups=GROUPS + 100).predictions.scores,
    )
    for columns, message in (
        (FRAME[list("abc")], "the missing columns are 'd'"),
        (FRAME[list("bacd")], "the order of the columns"),
        (X, "have no names"),
    ):
        other = FeatureSet.from_arrays(columns * 2, Y, name="Basel")
        with pytest.raises(BottleneckError, match=message):
            compare(inside, "logistic", external=other)
        with pytest.raises(BottleneckError, match=message):
            model.predict(columns)


def test_a_saved_model_predicts_from_the_columns_of_a_data_frame(tmp_path):
    model = fit(FRAME, "logistic", y=Y, groups=GROUPS, positive=1)
    model.save(tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    assert again.positive == "1"
    unlabelled = again.predict(FRAME.iloc[:5]).predictions
    assert set(unlabelled.labels) == {""}
    expected = model.predict(FeatureSet.from_arrays(FRAME, Y)).predictions.scores[:5]
    np.testing.assert_array_equal(unlabelled.scores, expected)
    with pytest.raises(BottleneckError, match="have no label in 5 of 5 rows"):
        evaluate(unlabelled)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: evaluate(X), "needs labels: pass y="),
        (lambda: evaluate(FeatureSet.from_arrays(X, Y), y=Y), "leave out y="),
        (lambda: evaluate("features.h5", groups=GROUPS), "leave out groups="),
        (lambda: evaluate(X, y=Y[:9]), "9 labels, and X 60 rows"),
        (lambda: evaluate(X, y=Y * 0), "at least two classes"),
        (lambda: evaluate(X, y=Y, positive=2), "unknown positive label '2'"),
        (lambda: evaluate(X, y=Y, positive=[1]), "must be text"),
        (lambda: evaluate(5, y=Y), "not 5"),
        (lambda: evaluate({"a": X, "b": OTHER}, y=Y), "one feature set, not 2"),
        (lambda: compare(), "nothing to compare"),
        (lambda: compare([]), "no features"),
        (lambda: compare({1: X}, y=Y), "a text as their name"),
        (lambda: compare({"a": FRAME, "b": FRAME[::-1]}, y=Y), "different indexes"),
        (lambda: evaluate(X, y=pd.Series(Y)[::-1]), "unclear which rows belong together"),
        (lambda: evaluate(X, y=Y, groups=pd.Series(GROUPS)[::-1]), "groups.sort_index"),
        (
            lambda: evaluate(FRAME[::-1], y=Y),
            r"X.reset_index\(drop=True\) if both have the same "
            r"order",
        ),
        (lambda: compare([FRAME, OTHER], y=pd.Series(Y)[::-1]), "different indexes"),
        (lambda: compare([FRAME[::-1], OTHER], y=Y), "unclear which rows"),
        (lambda: evaluate(X, y=Y + 1), "which label is the positive class, '1' or '2'"),
        (
            lambda: compare([FeatureSet.from_arrays(X, Y), FeatureSet.from_arrays(-X, Y)]),
            "same recipe.*name them",
        ),
        (
            lambda: compare(
                {"a": FeatureSet.from_arrays(X, Y), "b": FeatureSet.from_arrays(X, 1 - Y)}
            ),
            "disagree on the labels",
        ),
        (lambda: compare(X, y=Y, external=X), "has its own labels"),
        (
            lambda: compare(
                FeatureSet.from_arrays(X, Y), external=FeatureSet.from_arrays(X, Y, name="B")
            ),
            "needs other samples",
        ),
        (
            lambda: compare(
                FeatureSet.from_arrays(X, Y),
                external=FeatureSet.from_arrays(np.r_[X[:1], X[1:] + 1], Y, name="B"),
            ),
            "1 of 60 external samples have the same features",
        ),
        (lambda: fit(X, "logistic"), "needs labels"),
        (lambda: write_report(evaluate(X, "prior", y=Y), "report"), "needs a Comparison"),
    ],
)
def test_wrong_inputs_have_messages(run, message):
    with pytest.raises(BottleneckError, match=message):
        run()


def test_own_scores_are_compared_without_features():
    one = Predictions.from_arrays(Y, SCORES, groups=GROUPS)
    two = Predictions.from_arrays(Y, -SCORES)
    comparison = compare(predictions={"a": one, "b": two})
    assert names(comparison) == ["a", "b"]
    values = [arm.metrics["auroc"].value for arm in comparison.evaluations]
    np.testing.assert_allclose(values, [roc_auc_score(Y, SCORES), roc_auc_score(Y, -SCORES)])
    assert comparison.dataset["n_patients"] == N // 2
    assert not comparison.protocol["grouped"]  # What the models were trained on is not known.
    assert evaluate(one).metrics["auroc"] == comparison.evaluations[0].metrics["auroc"]
    assert comparison.audit.ties == "Copies could not be searched for."


@pytest.mark.slow
def test_a_report_of_predictions_alone_names_no_images_and_no_prior(tmp_path):
    comparison = compare(predictions=Predictions.from_arrays(Y, SCORES, groups=GROUPS))
    text = write_report(comparison, tmp_path / "report").read_text()
    assert "Copies could not be searched for" in text
    assert "Comparison of classifiers" in text
    assert "prior-only" not in text


def test_predictions_in_memory_are_those_of_their_table(tmp_path):
    folds = GROUPS % 3
    net = Predictions.from_arrays(Y, SCORES, groups=GROUPS, folds=folds)
    path = tmp_path / "net.csv"
    net.to_frame().to_csv(path, index=False)
    comparison = compare(
        X, "logistic", y=Y, groups=GROUPS, predictions=[net, {"named": net}, path], protocol=QUICK
    )
    assert names(comparison)[1:4] == ["predictions", "named", "net"]
    first, *others = (arm.predictions for arm in comparison.evaluations[1:4])
    for other in others:
        for field in dataclasses.fields(Predictions):
            np.testing.assert_array_equal(getattr(first, field.name), getattr(other, field.name))


def test_thresholds_are_set_on_the_validation_set_of_a_pair():
    both = Predictions.from_arrays(Y, SCORES, groups=GROUPS)
    test, validation = both.take(np.arange(40)), both.take(np.arange(40, N))
    (arm,) = compare(predictions={"net": (test, validation)}).evaluations
    assert arm.operating_points
    assert not evaluate(test).operating_points


PAIR = Predictions.from_arrays(Y, SCORES, groups=GROUPS)


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        (X, {}, "Predictions.from_arrays"),
        ([FeatureSet.from_arrays(X, Y)], {}, "given as features"),
        ([None], {}, "not None"),
        ({1: PAIR}, {}, "a text as their name"),
        ([PAIR, PAIR.take(np.arange(9))], {}, "different samples"),
        ([PAIR, Predictions.from_arrays(1 - Y, SCORES)], {}, "another label"),
        ([PAIR, Predictions.from_arrays(Y, SCORES, groups=-GROUPS - 2)], {}, "another patient"),
        (PAIR, {"protocol": Protocol(kind="cv")}, "leave --protocol at auto"),
        (PAIR, {"y": Y}, "no effect without features"),
        (PAIR, {"measures": Measures(learning_curve=True)}, "learning curves need features"),
        (PAIR.take(np.array([], int)), {}, "have no row"),
        (Predictions.from_arrays(Y, SCORES, groups=GROUPS, folds=Y % 2), {}, "leaves no sample"),
        (
            Predictions.from_arrays(Y, SCORES, groups=GROUPS, folds=np.arange(N) % 2),
            {},
            "on both sides",
        ),
    ],
)
def test_wrong_predictions_have_messages(predictions, options, message):
    with pytest.raises(BottleneckError, match=message):
        compare(predictions=predictions, **options)
