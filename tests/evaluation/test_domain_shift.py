"""Domain shift between two cohorts, in numbers and in words."""

import dataclasses

import numpy as np
import pytest
from made_features import make_features

from bottleneck.errors import FeatureFileError, ProtocolError, UsageError
from bottleneck.evaluation.external import domain_shift as shift
from bottleneck.evaluation.external.domain_shift import measure_shift


def cohorts(n_inside=60, n_outside=40, images=3, width=16, move=0.0, seed=0):
    """One cohort of clustered Gaussian features, cut in two."""
    rng = np.random.default_rng(seed)
    made = make_features(n_patients=n_inside + n_outside, images=images, width=width)
    effects = rng.normal(size=(n_inside + n_outside, width)).repeat(images, axis=0)
    X = (effects + rng.normal(size=effects.shape)).astype(np.float32)
    here, away = np.split(np.arange(len(made)), [n_inside * images])
    X[away] += move
    return [
        dataclasses.replace(
            made,
            X=X[rows],
            y=made.y[rows],
            ids=made.ids[rows],
            stated_patients=made.stated_patients[rows],
        )
        for rows in (here, away)
    ]


def test_halves_of_one_cohort_do_not_differ():
    found = [measure_shift(*cohorts(seed=s), permutations=99) for s in range(12)]
    assert np.mean([f.domain_auroc.value for f in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([f.mmd for f in found]) == pytest.approx(0, abs=0.003)
    assert np.mean([f.outside for f in found]) == pytest.approx(6, abs=3)
    assert all(f.outside_expected == 6 for f in found)
    assert sum(f.domain_auroc.low <= 0.5 <= f.domain_auroc.high for f in found) >= 10


def test_a_distant_cohort_differs():
    found = measure_shift(*cohorts(move=6.0), permutations=199, seed=3)
    assert found.features == "resnet18 (imagenet)"
    assert found.mmd > 0.3
    assert (found.mmd_p, found.permutations) == (1 / 200, 199)
    assert found.domain_auroc.value > 0.99
    assert found.outside == 120


def test_domain_auroc_of_a_move_is_near_that_of_the_best_discriminant():
    """Two Gaussians with equal covariance: AUROC is Phi(Mahalanobis distance / sqrt 2)."""
    from scipy.stats import norm

    inside, outside = cohorts(400, 400, images=1, width=4, move=0.7)
    expected = norm.cdf(np.sqrt(4 * 0.7**2 / 2) / np.sqrt(2))
    found = measure_shift(inside, outside, permutations=9).domain_auroc
    assert found.value == pytest.approx(expected, abs=0.03)
    assert found.low < expected < found.high


def test_the_same_seed_gives_the_same_shift():
    assert measure_shift(*cohorts(), permutations=19) == measure_shift(*cohorts(), permutations=19)


def test_same_names_of_patients_are_different_patients():
    inside, outside = cohorts(20, 20)
    renamed = dataclasses.replace(outside, stated_patients=inside.stated_patients, ids=inside.ids)
    given, alike = (measure_shift(inside, o, permutations=19) for o in (outside, renamed))
    assert given.domain_auroc == alike.domain_auroc
    assert given.outside == alike.outside


def test_without_patients_every_image_is_one():
    inside, outside = cohorts(30, 20, images=1)
    named = measure_shift(inside, outside, permutations=19)
    unnamed = dataclasses.replace(outside, stated_patients=None)
    # The order of the names decides how folds are drawn, so that names are kept alike.
    inside = dataclasses.replace(inside, stated_patients=np.char.add("image", inside.ids))
    found = measure_shift(inside, unnamed, permutations=19)
    assert "external cohort names no patients" in found.words
    assert "names no patients" not in named.words
    assert (found.outside, found.outside_expected) == (named.outside, 1.0)


def test_words_say_the_three():
    inside, outside = cohorts(move=6.0)
    words = measure_shift(inside, outside, permutations=999).words
    assert "features of the external cohort differ" in words
    assert "999 permutations: p = 0.001)" in words
    assert "AUROC of 1.00" in words
    assert "120 of 120 external images are outliers" in words
    assert "training cohort, 6.0 would be expected" in words
    assert "sampled at random (seed" not in words
    assert "patient-" not in words
    assert "does not prove that there is none" in measure_shift(*cohorts(), permutations=99).words


def test_large_cohorts_are_drawn_from_by_patient(monkeypatch):
    monkeypatch.setattr(shift, "_MOST", 50)
    inside, outside = cohorts(60, 10, move=6.0)
    found = measure_shift(inside, outside, permutations=19)
    assert "Of the 180 images of the internal cohort, 48 were used: whole" in found.words
    assert "images of the external cohort, " not in found.words
    assert found.outside == 30


def test_other_recipes_are_refused():
    inside, outside = cohorts(4, 4)[0], make_features(width=16, recipe={"pooling": "max"})
    with pytest.raises(ProtocolError, match="pooling is 'max', not 'avg'"):
        measure_shift(inside, outside)


def test_a_single_patient_is_refused():
    inside, outside = cohorts(10, 1)
    with pytest.raises(ProtocolError, match="external cohort, 'phantom', holds a single patient"):
        measure_shift(inside, outside)


def test_features_that_are_not_finite_are_refused():
    inside, outside = cohorts(10, 10)
    outside.X[0, 0] = np.nan
    with pytest.raises(FeatureFileError, match="not finite"):
        measure_shift(inside, outside)


def test_no_permutation_is_refused():
    with pytest.raises(UsageError, match="number of permutations"):
        measure_shift(*cohorts(4, 4), permutations=0)


def test_words_explain_a_test_and_a_classifier_that_disagree():
    # A change of spread, which a linear classifier cannot detect.
    inside, outside = cohorts(200, 200, images=1, width=8)
    spread = dataclasses.replace(outside, X=2 * outside.X)
    found = measure_shift(inside, spread, permutations=99)
    assert found.mmd_p < 0.05
    assert found.domain_auroc.low < 0.5 < found.domain_auroc.high
    assert "The two tests differ" in found.words
    assert "interval of the AUROC includes 0.5" in found.words
    assert "two tests differ" not in measure_shift(*cohorts(move=6.0), permutations=99).words
