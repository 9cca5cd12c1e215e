"""Nearest training samples against scikit-learn, and against the distances of models."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from bottleneck.statistics.shift.nearest_neighbours import nearest_neighbours
from bottleneck.statistics.shift.training_distances import TrainingDistances

N, WIDTH = 300, 12
SCALES = np.geomspace(1e-3, 1e3, WIDTH)


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_features_of_arrays_are_standardised_in_the_training_set(offset: float) -> None:
    rng = np.random.default_rng(1)
    X = (rng.normal(size=(N, WIDTH)) * SCALES + offset).astype(np.float32)
    train, new = np.arange(60, N)[::-1], np.arange(60)
    found = nearest_neighbours(X, train, new, np.arange(N), 4, one_unit=False)
    scaler = StandardScaler().fit(X[train].astype(float))
    judge = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(scaler.transform(X[train]))
    apart, which = judge.kneighbors(scaler.transform(X[new]))
    assert [one.rows.tolist() for one in found] == train[which].tolist()
    np.testing.assert_allclose([one.distances for one in found], apart, rtol=1e-6)


@pytest.mark.parametrize("one_unit", [True, False])
def test_distances_are_those_by_which_models_know_strangers(one_unit: bool) -> None:
    rng = np.random.default_rng(2)
    X = rng.gamma(2.0, size=(N, WIDTH))
    X[:, 3] = 1.5
    train, new = np.arange(100), np.arange(100, N)
    found = nearest_neighbours(X, train, new, np.arange(N), 5, one_unit=one_unit)
    fifth = TrainingDistances(X[train], np.arange(100), one_unit=one_unit).of(X[new])
    np.testing.assert_allclose([one.distances[4] for one in found], fifth, rtol=1e-9)


def test_of_equal_distances_the_smaller_rows_come_first_however_many_there_are() -> None:
    X = np.random.default_rng(3).integers(0, 2, (N, 3)).astype(np.float32)
    groups = np.arange(N) // 2
    order = np.random.default_rng(4).permutation(N)
    found = nearest_neighbours(X, order, np.arange(10), groups, 6, one_unit=False)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    for row, near in enumerate(found):
        apart = np.linalg.norm(Z - Z[row], axis=1).round(6)
        apart[groups == groups[row]] = np.inf
        assert near.rows.tolist() == np.argsort(apart, kind="stable")[:6].tolist()


def test_there_are_fewer_neighbours_where_other_groups_are_small() -> None:
    X, groups = np.arange(6.0)[:, np.newaxis], np.array([0, 0, 0, 0, 1, 1])
    (near,) = nearest_neighbours(X, np.arange(6), np.array([0]), groups, 5, one_unit=True)
    assert near.rows.tolist() == [4, 5]
    (none,) = nearest_neighbours(X, np.arange(4), np.array([0]), groups, 5, one_unit=True)
    assert len(none.rows) == len(none.distances) == 0
