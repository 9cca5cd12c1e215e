"""Heads on features in further repeats, next to predictions that have one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from bottleneck import Comparison, FeatureSet, Protocol, compare, to_html, write_report
from bottleneck.errors import ProtocolError
from bottleneck.explain.recorded.recorded_cases import RecordedCases
from bottleneck.explain.recorded.recorded_comparison import read_comparison
from bottleneck.predictions import Predictions
from bottleneck.report.tables.text_tables import markdown_table

AUTO = Protocol(inner_splits=2, repeats=3, seed=4)
FEATURES = make_features(n_patients=24)
PATIENTS = FEATURES.stated_patients
CLASSES = ("benign", "malignant")


def imported(seed: int, features: FeatureSet = FEATURES) -> Predictions:
    """Predictions of a model of two features, in folds that scikit-learn draws."""
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
    number = np.zeros(len(features), int)
    for n, (_, test) in enumerate(folds.split(features.X, features.y, PATIENTS)):
        number[test] = n
    score = features.X[:, :2].sum(axis=1).astype(float)
    share = 1 / (1 + np.exp(-score))
    return Predictions.from_arrays(
        features.y, share, ids=features.ids, folds=number, probabilities=share, classes=CLASSES
    )


def mean_auroc(predictions: Predictions, repeats: range) -> float:
    """The mean of scikit-learn's AUROC over the folds of some repeats."""
    p = predictions
    folds = [(p.repeats == r) & (p.folds == f) for r in repeats for f in range(3)]
    return float(
        np.mean([roc_auc_score(p.labels[f] == "malignant", p.scores[f, 1]) for f in folds])
    )


def share_right(predictions: Predictions, repeats: range) -> float:
    p = predictions.take(np.isin(predictions.repeats, repeats))
    return float(np.mean(p.labels == p.predicted))


@pytest.fixture(scope="module")
def mixed() -> Comparison:
    return compare(
        FEATURES,
        ["ridge", "lda"],
        predictions={"theirs": imported(1)},
        protocol=AUTO,
        ensemble="mean",
        metrics={"right": lambda true, predicted: np.mean(true == predicted)},
    )


def test_heads_have_further_repeats_and_the_others_keep_theirs(mixed: Comparison) -> None:
    arms = {e.head: e for e in mixed.evaluations}
    repeats = {head: e.predictions.n_repeats for head, e in arms.items()}
    assert repeats == {"ridge": 3, "lda": 3, "predictions": 1, "ensemble": 1, "prior": 3}
    own, theirs = arms["ridge"].predictions, imported(1)
    first = own.take(own.repeats == 0)
    fold_of = dict(zip(theirs.ids, theirs.folds, strict=True))
    assert [fold_of[i] for i in first.ids] == first.folds.tolist()
    # Seed 4 and the next ones draw the further folds.
    for repeat, seed in ((1, 4), (2, 5)):
        drawn = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
        expected = {
            frozenset(FEATURES.ids[test])
            for _, test in drawn.split(FEATURES.X, FEATURES.y, PATIENTS)
        }
        rows = own.repeats == repeat
        assert {frozenset(own.ids[rows & (own.folds == f)]) for f in range(3)} == expected
    assert arms["ridge"].metrics["auroc"].value == pytest.approx(mean_auroc(own, range(3)))
    assert arms["predictions"].metrics["auroc"].spread is None


def test_pairs_are_compared_in_the_repeats_that_both_have(mixed: Comparison) -> None:
    of = {e.name: e.predictions for e in mixed.evaluations}
    heads = {e.name: e.head for e in mixed.evaluations}
    for d in mixed.differences:
        few = {heads[d.a], heads[d.b]} & {"predictions", "ensemble"}
        once = d.metric == "accuracy" or bool(few)
        assert d.repeats == (1 if once else 3)
        if d.metric != "balanced_accuracy":
            measure = mean_auroc if d.metric == "auroc" else share_right
            gap = measure(of[d.a], range(d.repeats)) - measure(of[d.b], range(d.repeats))
            assert d.value == pytest.approx(gap)
    alone = compare(
        FEATURES,
        ["ridge"],
        predictions={"theirs": imported(1)},
        protocol=dataclasses.replace(AUTO, repeats=1),
    )
    pair = {"theirs", alone.evaluations[0].name}
    once, more = (
        next(d for d in one.differences if {d.a, d.b} == pair and d.metric == "auroc")
        for one in (alone, mixed)
    )
    assert (once.value, once.low, once.high, once.p) == pytest.approx(
        (more.value, more.low, more.high, more.p)
    )


def test_the_report_says_which_repeats(mixed: Comparison, tmp_path) -> None:
    words = mixed.protocol["words"]
    assert "Heads on features were tested 2 times more, each time in 3 new folds" in words
    assert (mixed.protocol["repeats"], mixed.protocol["common_repeats"]) == (3, 1)
    page = write_report(mixed, tmp_path, figures=False).read_text()
    assert "each tested 3 times by heads on features, and once by the other arms" in page
    assert '<th scope="col">Repeats</th>' in page
    assert "Two arms are compared in the repeats that both were tested in." in page
    assert "given folds, 3 repeats" in to_html(mixed)
    assert "Values are means over 3 repeats, and of some arms over 1." in markdown_table(mixed)
    primary = {d.method for d in mixed.differences if d.role == "primary"}
    assert len(primary) > 1
    assert all(method in mixed.protocol["primary"] for method in primary)


@pytest.mark.parametrize("by_report", [True, False])
def test_heads_of_further_repeats_are_fitted_again(mixed, tmp_path, by_report) -> None:
    source = write_report(mixed, tmp_path, figures=False).parent if by_report else mixed
    recorded = read_comparison(source)
    cases = RecordedCases(recorded, FEATURES)
    arm = recorded.arms[0]
    assert cases.plan is not None
    made = [cases.fold_head(arm, fold.repeat, fold.index) for fold in cases.plan.folds]
    assert len(made) == 9
    assert {one.difference for one in made} == {0.0}


@pytest.mark.repeats
def test_further_repeats_are_the_default_of_few_patients() -> None:
    one = compare(
        FEATURES,
        ["prior"],
        predictions={"theirs": imported(1)},
        protocol=Protocol(inner_splits=2),
    )
    assert {e.head: e.predictions.n_repeats for e in one.evaluations} == {
        "predictions": 1,
        "prior": 5,
    }


def columns(**named: np.ndarray) -> FeatureSet:
    return dataclasses.replace(FEATURES, **named)


FOLDS = np.array([f"part {n}" for n in imported(1).folds])


@pytest.mark.parametrize(
    ("features", "protocol"),
    [
        (columns(folds=FOLDS), AUTO),
        (columns(centres=FOLDS), AUTO),
        (FEATURES, dataclasses.replace(AUTO, kind="folds")),
        (FEATURES, dataclasses.replace(AUTO, repeats=1)),
    ],
    ids=["published folds", "centres", "as they are", "one repeat"],
)
def test_given_folds_are_kept_alone(features: FeatureSet, protocol: Protocol) -> None:
    one = compare(features, ["prior"], predictions={"theirs": imported(1)}, protocol=protocol)
    assert {e.predictions.n_repeats for e in one.evaluations} == {1}
    assert one.protocol["repeats"] == one.protocol["common_repeats"] == 1


def test_folds_that_a_repeat_would_draw_again_are_not_repeated() -> None:
    # The first seed draws the folds of the predictions.
    one = compare(FEATURES, ["prior"], predictions={"theirs": imported(4)}, protocol=AUTO)
    p = one.evaluations[-1].predictions
    tested = [
        frozenset(frozenset(p.ids[(p.repeats == r) & (p.folds == f)]) for f in range(3))
        for r in range(3)
    ]
    assert len(set(tested)) == 3


def test_repeats_that_were_asked_for_are_drawn_or_refused() -> None:
    """Two patients of a class fill two folds, of which no other two hold both."""
    few = FEATURES.take(np.flatnonzero(np.isin(PATIENTS, ["patient-00", "patient-01"])))
    assert len(few) == 4
    with pytest.raises(ProtocolError):
        compare(few, ["prior"], predictions={"theirs": imported(1)}, protocol=AUTO)
