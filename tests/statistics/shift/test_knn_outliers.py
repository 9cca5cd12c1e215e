"""Outliers of a training set, compared with scikit-learn patient by patient."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from bottleneck.statistics.shift.knn_outliers import knn_outliers


def clustered(n_patients, images, width, seed):
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(n_patients), images)
    X = np.sqrt(0.7) * rng.normal(size=(n_patients, width))[patients]
    return X + np.sqrt(0.3) * rng.normal(size=X.shape), patients


def distance(train, test, k):
    scaler = StandardScaler().fit(train)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(scaler.transform(train))
    return search.kneighbors(scaler.transform(test))[0][:, -1]


def by_scikit_learn(inside, patients, outside, k=5):
    known = np.empty(len(inside))
    for patient in np.unique(patients):
        own = patients == patient
        known[own] = distance(inside[~own], inside[own], k)
    return distance(inside, outside, k) > np.quantile(known, 0.95)


@pytest.mark.parametrize("images", [1, 3])
def test_beyond_is_what_scikit_learn_finds_one_patient_left_out_at_a_time(images):
    inside, patients = clustered(25, images, 6, seed=0)
    outside = clustered(60, 1, 6, seed=1)[0] * 1.3
    inside, outside = (10.0 ** np.arange(-3, 3) * X + 5 for X in (inside, outside))
    found = knn_outliers(inside, outside, patients)
    np.testing.assert_array_equal(found, by_scikit_learn(inside, patients, outside))
    assert 0 < found.sum() < 60


def test_features_that_are_constant_inside_keep_their_unit():
    inside, patients = clustered(25, 2, 6, seed=0)
    outside = clustered(60, 1, 6, seed=1)[0]
    inside[:, 2] = outside[:, 2] = 0.1
    inside[:, 3], inside[0, 3] = 0.3, 40  # of one patient alone, constant in all others
    found = knn_outliers(inside.astype(np.float32), outside.astype(np.float32), patients)
    np.testing.assert_array_equal(found, by_scikit_learn(inside, patients, outside))


def test_five_of_a_hundred_of_the_same_kind_are_beyond():
    rng = np.random.default_rng(0)
    shares = []
    for seed in range(30):
        inside, patients = clustered(60, 4, 256, seed)
        outside = rng.normal(size=(200, 256))
        shares.append(knn_outliers(inside, outside, patients).mean())
    assert np.mean(shares) == pytest.approx(0.05, abs=0.015)


def test_all_that_is_far_away_is_beyond_and_all_at_the_centre_is_not():
    inside, patients = clustered(30, 2, 8, seed=0)
    assert knn_outliers(inside, inside[:10] + 20, patients).all()
    assert not knn_outliers(inside, np.zeros((3, 8)), patients).any()


def test_two_patients_are_enough():
    inside, patients = clustered(2, 1, 4, seed=0)
    assert knn_outliers(inside, inside + 50, patients).tolist() == [True, True]
