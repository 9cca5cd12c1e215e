"""The correction for overlapping training sets, compared with covariances of folds."""

from __future__ import annotations

import numpy as np
import pytest

from bottleneck.statistics.inference.patient_variance import overlap_factor


@pytest.mark.parametrize("sizes", [[20] * 5, [800, 100, 100], [40, 100, 260], [1, 2]])
@pytest.mark.parametrize("by_fold", [False, True])
def test_the_factor_is_that_of_correlated_folds(sizes: list[int], by_fold: bool) -> None:
    tested = np.array(sizes)
    trained = tested.sum() - tested
    weights = np.ones(len(sizes)) / len(sizes) if by_fold else tested / tested.sum()
    # Each fold has the variance of its test samples; all share that of their training samples.
    of_test = np.diag(1 / tested)
    shared = (1 / trained[:, None] + 1 / trained) / 2
    expected = weights @ (of_test + shared) @ weights / (weights @ of_test @ weights)
    folds, patients = np.repeat(np.arange(len(sizes)), sizes), np.arange(tested.sum())
    assert overlap_factor(folds, patients, by_fold=by_fold) == pytest.approx(expected)
    # Neither several images nor repeats with the same sizes change it.
    images = np.repeat(folds, 3), np.repeat(patients, 3)
    assert overlap_factor(*images, by_fold=by_fold) == pytest.approx(expected)
    repeats = np.concatenate([folds, folds[::-1] + len(sizes)]), np.tile(patients, 2)
    assert overlap_factor(*repeats, by_fold=by_fold) == pytest.approx(expected)


@pytest.mark.parametrize("k", [2, 5, 10])
@pytest.mark.parametrize("by_fold", [False, True])
def test_equal_folds_have_nadeau_and_bengios_factor(k: int, by_fold: bool) -> None:
    patients = np.arange(20 * k)
    assert overlap_factor(patients % k, patients, by_fold=by_fold) == pytest.approx(1 + k / (k - 1))


def test_one_large_fold_raises_the_factor_of_pooled_samples() -> None:
    folds, patients = np.repeat([0, 1, 2], [800, 100, 100]), np.arange(1000)
    assert overlap_factor(folds, patients) == pytest.approx(1 + 800 / 200 + 2 * 100 / 900)
    assert overlap_factor(np.zeros(9, int), np.arange(9)) == 1
