"""Distances from a training set, compared with scikit-learn patient by patient."""

import numpy as np
import pytest
from scipy.stats import percentileofscore
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler, normalize

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics import distance_percentiles
from bottleneck.statistics.shift.training_distances import TrainingDistances

SHAPES = [(60, 1, 25), (60, 2, 25), (40, 300, 20), (25, 3000, 25), (300, 33, 40)]


def drawn(n, width, n_patients, seed=0):
    rng = np.random.default_rng(seed)
    patients = np.sort(np.concatenate([np.arange(n_patients), rng.integers(0, n_patients, n)]))
    effects = rng.normal(size=(n_patients, width))
    return effects[patients] + rng.normal(size=(len(patients), width)) + 1, patients


def by_scikit_learn(train, new, *, one_unit):
    blocks = [(train, new)]
    if one_unit:
        blocks.append((normalize(train), normalize(new)))
        scaled = [(a / np.sqrt(a.var(0).sum()), b / np.sqrt(a.var(0).sum())) for a, b in blocks]
        train, new = (np.hstack(side) for side in zip(*scaled, strict=True))
    else:
        scaler = StandardScaler().fit(train)
        train, new = scaler.transform(train), scaler.transform(new)
    search = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(train)
    return search.kneighbors(new)[0][:, -1]


@pytest.mark.parametrize("one_unit", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_those_of_scikit_learn_one_patient_left_out_at_a_time(shape, one_unit):
    X, patients = drawn(*shape)
    new = drawn(*shape, seed=1)[0][:20]
    measured = TrainingDistances(X, patients, one_unit=one_unit)
    expected = by_scikit_learn(X, new, one_unit=one_unit)
    np.testing.assert_allclose(measured.of(new), expected, rtol=1e-6, atol=1e-9)
    within = measured.within()
    for patient in range(0, shape[2], 6):
        own = patients == patient
        expected = by_scikit_learn(X[~own], X[own], one_unit=one_unit)
        np.testing.assert_allclose(within[own], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("one_unit", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_distance_is_the_same_to_the_last_bit_whatever_the_company(shape, one_unit):
    X, patients = drawn(*shape)
    new = np.concatenate([drawn(*shape, seed=1)[0], X])[:70].astype(np.float32)
    measured = TrainingDistances(X, patients, one_unit=one_unit)
    together = measured.of(new)
    alone = [measured.of(new[n : n + 1]).item() for n in range(len(new))]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, measured.of(new[::-1])[::-1])
    np.testing.assert_array_equal(together, measured.of(np.asfortranarray(new)))
    np.testing.assert_array_equal(together[30:], measured.of(new[30:]))


def test_each_patient_has_the_same_weight():
    X, patients = drawn(100, 4, 30)
    new = drawn(100, 4, 30, seed=1)[0]
    measured = TrainingDistances(X, patients, one_unit=True)
    within, of_new = measured.within(), measured.of(new)
    expected = np.mean(
        [
            [percentileofscore(within[patients == one], each, "strict") for each in of_new]
            for one in range(30)
        ],
        axis=0,
    )
    found = distance_percentiles(X, new, patients, one_unit=True)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_no_neighbour_of_a_training_sample_is_of_the_same_patient():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(30), 8)
    X = rng.normal(size=(30, 16))[patients] + 1e-6 * rng.normal(size=(240, 16))
    assert TrainingDistances(X, patients, one_unit=True).within().min() > 0.1


@pytest.mark.parametrize("one_unit", [False, True])
def test_one_in_a_hundred_patients_of_the_same_kind_is_beyond_the_99th_percentile(one_unit):
    shares = []
    for seed in range(20):
        X, patients = drawn(120, 64, 150, seed)
        new = drawn(1, 64, 400, seed + 1000)[0]
        shares.append((distance_percentiles(X, new, patients, one_unit=one_unit) > 99).mean())
    assert np.mean(shares) == pytest.approx(0.015, abs=0.01)


@pytest.mark.parametrize("one_unit", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e-30, 1e30, 1e300])
def test_any_finite_numbers_have_percentiles(scale, one_unit):
    X, patients = drawn(40, 6, 30)
    with np.errstate(all="raise", under="ignore"):
        found = distance_percentiles(X * scale, [[1e300] * 6, [0] * 6], patients, one_unit=one_unit)
    assert np.isfinite(found).all()
    assert scale == 1e300 or found[0] == 100


def test_identical_and_constant_training_samples():
    patients = np.arange(30)
    same = np.full((30, 5), 0.1)
    new = np.array([[0.1] * 5, [0.1] * 4 + [0.7]])
    for one_unit in (False, True):
        found = distance_percentiles(same, new, patients, one_unit=one_unit)
        assert found.tolist() == [0, 100]


def test_what_cannot_be_measured_is_refused():
    X, patients = drawn(40, 6, 30)
    with pytest.raises(ProtocolError, match="two patients"):
        distance_percentiles(X, X, np.zeros(len(X)))
    with pytest.raises(UsageError, match="has 6, not 5"):
        distance_percentiles(X, X[:, :5], patients)
    with pytest.raises(UsageError, match="finite"):
        distance_percentiles(X, np.full((1, 6), np.nan), patients)
