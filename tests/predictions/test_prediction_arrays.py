"""Predictions from arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.naive_bayes import GaussianNB

from bottleneck import BottleneckError, Predictions

Y = np.array([0, 1, 1, 0])
P = np.array([0.2, 0.9, 0.4, 0.1])


def test_one_column_is_the_score_of_the_positive_class():
    made = Predictions.from_arrays(Y, P)
    np.testing.assert_allclose(made.scores, np.c_[1 - P, P])
    assert (made.kind, made.predicted.tolist()) == ("probability", ["0", "1", "0", "0"])
    decision = Predictions.from_arrays(Y, P * 4 - 2)
    assert (decision.kind, decision.predicted.tolist()) == ("decision", made.predicted.tolist())
    names = np.where(Y, "cancer", "healthy")
    assert Predictions.from_arrays(names, P).predicted[1] == "cancer"
    stated = Predictions.from_arrays(np.where(Y, "a", "x"), P, classes=["x", "a"])
    assert stated.classes == ("a", "x")
    np.testing.assert_allclose(stated.scores[:, 0], P)


def test_columns_are_the_classes_in_their_stated_order():
    scores = softmax(np.random.default_rng(0).normal(size=(4, 3)), axis=1)
    plain = Predictions.from_arrays(Y, scores, classes=[2, 0, 1])
    np.testing.assert_array_equal(plain.scores, scores[:, [1, 2, 0]])
    frame = pd.DataFrame(scores, columns=["score_2", "score_0", "score_1"])
    named = Predictions.from_arrays(Y, frame, probabilities=scores, classes=[2, 0, 1])
    np.testing.assert_array_equal(named.scores, plain.scores)
    np.testing.assert_array_equal(named.probabilities, plain.scores)
    np.testing.assert_array_equal(Predictions.from_arrays(Y, frame).scores, plain.scores)


@pytest.mark.parametrize(
    "names",
    [
        [2, 10, 30],
        [-2, -1, 0],
        [1.0, 10.0, 2.0],
        ["2", "10", "1"],
        [" b", "a", "c"],
        ["'z", "a", "b"],
    ],
)
def test_columns_have_the_order_of_scikit_learn(names):
    y = np.array(names)[np.arange(60) % 3]
    X = np.eye(3)[np.arange(60) % 3] + np.random.default_rng(0).normal(size=(60, 3))
    model = GaussianNB().fit(X, y)
    scores = model.predict_proba(X)
    shuffled = pd.DataFrame(scores, columns=model.classes_).iloc[:, [2, 0, 1]]
    right = model.predict(X) == y
    for given in (scores, shuffled, pd.DataFrame(scores)):
        for labels in (y, pd.Series(pd.Categorical(y, categories=names))):
            made = Predictions.from_arrays(labels, given)
            np.testing.assert_array_equal(made.labels == made.predicted, right)


def test_folds_and_repeats_are_numbered():
    made = Predictions.from_arrays(
        [0, 1, 0, 1], P, ids=["a", "b", "a", "b"], repeats=[1, 1, 2, 2], folds=[10, 9, 2, 2]
    )
    assert made.repeats.tolist() == [0, 0, 1, 1]
    assert made.folds.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], []), {}, "no label"),
        ((Y, P[:2]), {}, "2 rows, and y 4 labels"),
        ((Y, np.where(Y, np.nan, P)), {}, "missing or infinite values, first in row 1"),
        ((Y, P.astype(str)), {}, "not numbers"),
        ((Y, (p for p in P)), {}, "generator"),
        ((Y, np.c_[P, P, P]), {}, "one column per class"),
        ((np.where(Y, "a", "x"), P), {}, "is a high score 'a' or 'x'"),
        (([0, 1, 2, 0], P), {}, "one column, and there are 3 classes"),
        ((Y * 0, P), {}, "two classes or more"),
        ((P, P), {}, "measurement"),
        ((Y, P), {"classes": "01"}, "not the text"),
        ((Y, np.c_[P, P]), {"classes": ["a", "b"]}, "label '0', and the scores are of a, b"),
        ((Y, P), {"repeats": Y}, "repeats need ids"),
        ((Y, P), {"ids": Y}, "several times"),
        ((Y, P), {"ids": ["a"] * 4, "repeats": [0, 0, 1, 1]}, "several times in one repeat"),
        ((Y, P), {"folds": [None] * 4}, "folds has no name"),
        ((Y, P), {"groups": [np.nan] * 4}, "no patient"),
        ((Y, P), {"probabilities": P * 3}, "between 0 and 1"),
        ((pd.Series(Y), pd.Series(P, index=[3, 2, 1, 0])), {}, "different indexes"),
    ],
)
def test_wrong_arrays_have_messages(arguments, options, message):
    with pytest.raises(BottleneckError, match=message):
        Predictions.from_arrays(*arguments, **options)
