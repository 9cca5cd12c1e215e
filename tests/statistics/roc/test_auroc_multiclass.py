"""The mean AUROC of several classes, compared with that of one and the jackknife."""

import numpy as np
import pytest
from binormal import binormal, numbers
from sklearn.metrics import roc_auc_score

from bottleneck.statistics.roc.auroc import roc_auc_interval
from bottleneck.statistics.roc.auroc_multiclass import macro_auc_interval


def three_classes(n_patients=60, images=2, seed=0):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), images)
    labels = np.array(list("abc"))[patient % 3]
    scores = 0.6 * rng.standard_normal((n_patients, 3))[patient]
    scores += 0.6 * rng.standard_normal((len(patient), 3))
    scores[np.arange(len(patient)), patient % 3] += 0.9
    return labels, scores, patient


def test_macro_auroc_of_two_classes_is_that_of_one():
    y, score, patient = binormal()
    both = np.column_stack([-score, score])
    labels = np.array(["n", "p"])[y]
    single = macro_auc_interval(labels, both, patient)
    expected = roc_auc_interval(y, score, patient)
    assert numbers(single) == pytest.approx(numbers(expected), abs=1e-12)
    folds = patient // 2 % 5
    expected = roc_auc_interval(y, score, patient, folds)
    assert numbers(macro_auc_interval(labels, both, patient, folds)) == pytest.approx(
        numbers(expected), abs=1e-12
    )


def test_macro_auroc_is_that_of_scikit_learn_with_the_jackknifes_variance():
    labels, scores, patient = three_classes()
    interval = macro_auc_interval(labels, scores, patient)

    def macro(rows):
        columns = dict(zip("abc", scores.T, strict=True))
        return np.mean([roc_auc_score(labels[rows] == c, s[rows]) for c, s in columns.items()])

    assert interval.value == pytest.approx(macro(slice(None)))
    left_out = np.array([macro(patient != p) for p in range(60)])
    strata = [left_out[c::3] for c in range(3)]  # patients of one class are of one class
    jackknife = sum(19 / 20 * np.sum((part - part.mean()) ** 2) for part in strata)
    assert interval.standard_error**2 == pytest.approx(jackknife, rel=0.05)


def test_macro_auroc_does_not_change_with_copies():
    labels, scores, patient = three_classes()
    folds = patient // 3 % 4
    once = macro_auc_interval(labels, scores, patient, folds)
    twice = macro_auc_interval(*(np.repeat(v, 2, axis=0) for v in (labels, scores, patient, folds)))
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)


def test_perfect_and_constant_macro_auroc():
    labels, scores, patient = three_classes(images=1)
    perfect = macro_auc_interval(labels, np.eye(3)[patient % 3], patient)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(0.025 ** (1 / 20))
    same = macro_auc_interval(labels, np.ones_like(scores), patient)
    assert (same.low, same.high) == (0.5, 0.5)
