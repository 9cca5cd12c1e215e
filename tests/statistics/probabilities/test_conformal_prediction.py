"""Conformal sets: those of crepes for one image per patient, and their coverage."""

import numpy as np
import pytest
from crepes import ConformalClassifier
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck.errors import UsageError
from bottleneck.statistics import conformal_p_values, conformal_sets
from bottleneck.statistics.probabilities.conformal_prediction import patients_needed


def draw(rng, y):
    """Probabilities of three classes, with ties, right more often than not."""
    odds = rng.normal(size=(len(y), 3)) + 1.5 * np.eye(3)[y]
    shares = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    return shares.round(2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 60))
def test_with_one_image_per_patient_p_values_are_those_of_crepes(seed, n):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(3), rng.integers(0, 3, n - 3)])
    known, new = draw(rng, y), draw(rng, rng.integers(0, 3, 20))
    judge = ConformalClassifier().fit(1 - known[np.arange(n), y], bins=y)
    for column in range(3):
        p = judge.predict_p(1 - new, bins=np.full(20, column), smoothing=False)[:, column]
        ours = conformal_p_values(y, known, rng.permutation(n), new=new)
        np.testing.assert_allclose(ours[:, column], p, atol=1e-12)
    for error in (0.05, 0.1, 0.25, 1 / 3):
        # crepes includes a class if its p value is at least the error rate, except for rounding.
        held = conformal_sets(y, known, new=new, error_rate=error)
        np.testing.assert_array_equal(held, ours > error + 1e-9)


def test_repeating_the_images_of_a_patient_changes_nothing():
    rng = np.random.default_rng(0)
    y, new = np.arange(40) % 3, draw(rng, np.arange(12) % 3)
    known, times = draw(rng, y), rng.integers(1, 9, 40)
    plain = conformal_p_values(y, known, new=new)
    copied = conformal_p_values(
        y.repeat(times), known.repeat(times, axis=0), np.arange(40).repeat(times), new=new
    )
    np.testing.assert_allclose(plain, copied, atol=1e-12)


@pytest.mark.parametrize("error", [0.05, 0.1, 0.2, 0.37])
def test_classes_with_one_patient_too_few_are_in_every_set(error):
    enough = patients_needed(error)
    for n, excluded in ((enough - 1, False), (enough, True)):
        y = np.array([0] * n + [1] * 60)
        known = np.eye(2)[y]
        held = conformal_sets(y, known, new=[[0.0, 1.0]], error_rate=error)
        assert held.tolist() == [[not excluded, True]]


def test_sets_cover_the_images_of_new_patients_where_patients_are_exchangeable():
    # Images of a patient differ in number and are alike. Taken as independent, they would miss.
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(500):
        patient = np.repeat(np.arange(40), rng.choice([1, 12], 40))
        level = rng.normal(size=40) * 2
        odds = level[patient] + 0.3 * rng.normal(size=len(patient))
        p = 1 / (1 + np.exp(-odds))
        both, y = np.stack([1 - p, p], axis=1), np.ones(len(p), int)
        old = patient < 30
        held = conformal_sets(
            y[old], both[old], patient[old], new=both[~old], error_rate=0.1, classes=[0, 1]
        )[:, 1]
        shares.append(np.mean([held[patient[~old] == k].mean() for k in range(30, 40)]))
    # 1 - 0.1 up to that plus 1 / 31, with a standard error of 0.003.
    assert 0.89 < np.mean(shares) < 0.945


def test_a_class_without_samples_is_in_every_set():
    held = conformal_sets(["a"] * 30, [[0.9, 0.1]] * 30, new=[[1.0, 0.0]], classes=["a", "b"])
    assert held.tolist() == [[True, True]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"error_rate": 0}, "between 0 and 1, not be 0"),
        ({"error_rate": 1.0}, "between 0 and 1"),
        ({"error_rate": 5}, "5 % is 0.05"),
        ({"error_rate": float("nan")}, "between 0 and 1, not be nan"),
        ({"error_rate": "0.1"}, "between 0 and 1"),
        ({"error_rate": True}, "between 0 and 1"),
        ({"new": [[0.5, np.nan]]}, "new must hold finite numbers"),
        ({"new": [[0.5, 1.5]]}, "such as 1.5"),
        ({"new": [[0.5, 0.2, 0.3]]}, "one column for each of the 2 classes"),
        ({"new": [0.5, 0.5]}, "one row per sample"),
        ({"probabilities": [[0.5, 0.5]] * 3}, "one row for each of the 4 samples"),
        ({"groups": ["a", "b", "c", None]}, "missing for 1 of the 4"),
        ({"classes": [0, 2]}, "lack 1 of y_true"),
        ({"classes": [0, 0]}, "one column"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    arguments = {
        "y_true": [0, 0, 1, 1],
        "probabilities": [[0.5, 0.5]] * 4,
        "groups": None,
        "new": [[0.5, 0.5]],
        **change,
    }
    if change.get("classes") == [0, 0]:
        arguments["y_true"], message = [0] * 4, "hold one class twice"
    with pytest.raises(UsageError, match=message):
        conformal_sets(**arguments)


def test_no_new_samples_have_no_sets():
    held = conformal_sets([0, 1], [[0.5, 0.5]] * 2, new=np.empty((0, 2)))
    assert held.shape == (0, 2)
