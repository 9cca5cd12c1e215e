"""How far the features of an external cohort lie from those that heads were trained on."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import inner_folds, name_patients
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.external.compatibility import refuse_other_recipe
from bottleneck.evaluation.metrics.metric_values import as_metric
from bottleneck.evaluation.results import Shift
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.heads.registry import get_head
from bottleneck.heads.search import check_finite
from bottleneck.statistics.auroc import cv_auc_interval
from bottleneck.statistics.intervals import Interval
from bottleneck.statistics.knn_outliers import EXPECTED_SHARE, N_NEIGHBOURS, knn_outliers
from bottleneck.statistics.mmd import MmdResult, mmd_test

__all__ = ["measure_shift"]

Strings: TypeAlias = NDArray[np.str_]
Indices: TypeAlias = NDArray[np.intp]
Bools: TypeAlias = NDArray[np.bool_]

# Images of a cohort from which on patients are drawn: the kernel of 6000 takes 0.3 GB.
_MOST = 3000
_FOLDS = 5
_PENALTY = 1e-3
_SIGNIFICANT = 0.05


def measure_shift(
    inside: FeatureSet, outside: FeatureSet, *, permutations: int = 1000, seed: int = 0
) -> Shift:
    """Say how far an external cohort lies from the one trained on.

    A patient's images are not independent, so patients are what is counted; where no
    patients are known, every sample is one of its own. Labels are not looked at: another mix
    of classes is a shift as well. Of cohorts with more than 3000 images, whole patients are
    drawn at random up to that number, and ``words`` says so.

    - Squared maximum mean discrepancy, on one image of each patient; see
      ``mmd_test``.
    - AUROC of a classifier that tells the cohorts apart: the logistic head with a strong
      L2 penalty (C = 0.001), in 5 folds that keep patients whole (fewer where a cohort has
      fewer patients), averaged over the folds.
    - Number of external samples that are outliers of the training set; see ``knn_outliers``.

    Parameters
    ----------
    inside, outside : FeatureSet
        Features trained on and of the external cohort, of one recipe.
    permutations : int
        Of the test.
    seed : int
        Decides what is drawn, the folds and the permutations.

    Returns
    -------
    Shift

    Raises
    ------
    UsageError
        If there is no permutation.
    ProtocolError
        If the features are of different recipes, or a cohort has a single patient.
    FeatureFileError
        If a feature is not finite.
    """
    refuse_other_recipe(inside, outside)
    rng = np.random.default_rng(seed)
    sides = []
    for which, one in (("first", inside), ("external", outside)):
        check_finite(one.X)
        known = name_patients(one.groups, one.ids)
        patients = np.char.add(f"{which} ", one.ids if known is None else known)
        if len(np.unique(patients)) < 2:
            raise ProtocolError(
                f"the {which} cohort, '{one.dataset}', holds a single patient: how far cohorts "
                f"lie apart needs two or more in each"
            )
        rows = _draw(patients, rng)
        sides.append((one.X[rows].astype(np.float64), patients[rows]))
    (A, of_A), (B, of_B) = sides
    X, patients = np.concatenate([A, B]), np.concatenate([of_A, of_B])
    is_outside = np.arange(len(X)) >= len(A)
    discrepancy = mmd_test(X, is_outside, patients, permutations=permutations, seed=rng)
    auroc = _tell_apart(X, patients, is_outside, seed)
    beyond = int(knn_outliers(A, of_A, B).sum())
    return Shift(
        features=f"{inside.backbone} ({inside.weights})",
        mmd=discrepancy.value,
        mmd_p=discrepancy.p,
        permutations=permutations,
        domain_auroc=as_metric(auroc.value, auroc),
        outside=beyond,
        outside_expected=EXPECTED_SHARE * len(B),
        words=" ".join(
            [
                _say_discrepancy(discrepancy, permutations),
                _say_auroc(auroc),
                _say_beyond(beyond, len(B)),
                *_say_limits(inside, outside, (len(A), len(B)), seed),
            ]
        ),
    )


def _draw(patients: Strings, rng: np.random.Generator) -> Indices:
    """Return all rows, or those of patients drawn until there would be too many images."""
    if len(patients) <= _MOST:
        return np.arange(len(patients))
    _, codes, counts = np.unique(patients, return_inverse=True, return_counts=True)
    order = rng.permutation(len(counts))
    fitting = int((np.cumsum(counts[order]) <= _MOST).sum())
    return np.flatnonzero(np.isin(codes, order[: max(fitting, 2)]))


def _tell_apart(
    X: NDArray[np.float64], patients: Strings, is_outside: Bools, seed: int
) -> Interval:
    from threadpoolctl import threadpool_limits

    cohort = np.where(is_outside, "external", "first")
    score, fold = np.empty(len(X)), np.empty(len(X), dtype=np.int64)
    for number, (train, test) in enumerate(inner_folds(cohort, patients, _FOLDS, seed)):
        classifier = get_head("logistic").build(seed).set_params(logistic__C=_PENALTY)
        with threadpool_limits(1):  # many threads would wait for each other on so little
            classifier.fit(X[train], is_outside[train])
            score[test] = classifier.decision_function(X[test])
        fold[test] = number
    return cv_auc_interval(is_outside, score, fold, patients)


def _say_discrepancy(found: MmdResult, permutations: int) -> str:
    test = (
        f"(squared maximum mean discrepancy {found.value:.3g}, permutation test with one image of "
        f"each patient and {permutations:,} permutations: p = {found.p:.2g})"
    )
    if found.p > _SIGNIFICANT:
        return (
            f"No difference between the features of the two cohorts was shown {test}, which is "
            f"no proof that there is none."
        )
    return f"The features of the external cohort differ from those trained on {test}."


def _say_auroc(auroc: Interval) -> str:
    return (
        f"A classifier tells the cohorts apart, in patients that it was not trained on, with an "
        f"AUROC of {auroc.value:.2f} ({auroc.level:.0%} interval {auroc.low:.2f} to "
        f"{auroc.high:.2f}; 0.5 is chance)."
    )


def _say_beyond(beyond: int, n: int) -> str:
    return (
        f"{beyond} of {n:,} external images are outliers of the training set: they are farther "
        f"from their {N_NEIGHBOURS}th nearest training image than {1 - EXPECTED_SHARE:.0%} of the "
        f"training images are from theirs among other patients. Of as many further images of the "
        f"training cohort, {EXPECTED_SHARE * n:.1f} would be expected to be outliers."
    )


def _say_limits(
    inside: FeatureSet, outside: FeatureSet, drawn: tuple[int, int], seed: int
) -> list[str]:
    said = ["Classes were not looked at: another mix of them counts as a difference, too."]
    cohorts = {"first": inside, "external": outside}
    for (which, one), n in zip(cohorts.items(), drawn, strict=True):
        if name_patients(one.groups) is None:
            said.append(f"The {which} cohort names no patients: every image counts as one.")
        if n < len(one):
            said.append(
                f"Of the {len(one):,} images of the {which} cohort, {n:,} were looked at: whole "
                f"patients, drawn at random (seed {seed})."
            )
    return said
