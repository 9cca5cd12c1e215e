"""Domain shift: distance of the features of an external cohort from those of the training set."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import inner_folds
from bottleneck.data.splits.shortage import ESTIMATE_ONLY, shortage
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.external.compatibility import refuse_other_recipe
from bottleneck.evaluation.metrics.metric_values import as_metric
from bottleneck.evaluation.results.result_parts import Shift
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.search import check_finite
from bottleneck.statistics.inference.intervals import Interval
from bottleneck.statistics.roc.auroc import roc_auc_interval
from bottleneck.statistics.shift.knn_outliers import EXPECTED_SHARE, N_NEIGHBOURS, knn_outliers
from bottleneck.statistics.shift.mmd import MmdResult, mmd_test

__all__ = ["measure_shift"]

Strings: TypeAlias = NDArray[np.str_]
Indices: TypeAlias = NDArray[np.intp]
Bools: TypeAlias = NDArray[np.bool_]

# Images of a data set above which patients are sampled: the kernel of 2 × 3000 takes 0.3 GB.
_MOST = 3000
_FOLDS = 5
_PENALTY = 1e-3
_SIGNIFICANT = 0.05


def measure_shift(
    internal: FeatureSet, external: FeatureSet, *, permutations: int = 1000, seed: int = 0
) -> Shift:
    """Measure how far the features of an external cohort lie from those of the training set.

    The images of a patient are not independent, so patients are the units; where no patients
    are known, every sample is one of its own. Labels are ignored: another distribution of the
    classes counts as a shift, too. From data sets with more than 3000 images, whole patients
    are sampled up to that number, and ``words`` says so. Three measures are computed:

    - Squared maximum mean discrepancy, on one image of each patient; see ``mmd_test``.
    - AUROC of a classifier that predicts the data set of a sample: the logistic head with a
      strong L2 penalty (C = 0.001), in 5 folds grouped by patient (fewer where a data set has
      fewer patients), averaged over the folds.
    - Number of external samples beyond the training features; see ``knn_outliers``.

    Parameters
    ----------
    internal, external : FeatureSet
        Features that heads are trained on, and those of the external cohort, by one recipe.
    permutations : int
        Number of permutations of the test.
    seed : int
        Seed of the sampling, the folds and the permutations.

    Returns
    -------
    Shift

    Raises
    ------
    UsageError
        If the number of permutations is not positive.
    ProtocolError
        If the recipes differ, or a data set has a single patient.
    FeatureFileError
        If a feature is not finite.
    """
    refuse_other_recipe(internal, external)
    rng = np.random.default_rng(seed)
    sides = []
    for which, one in (("internal", internal), ("external", external)):
        check_finite(one.X)
        own = one.ids if one.patients is None else one.patients
        patients = np.char.add(f"{which} ", own)
        if len(np.unique(patients)) < 2:
            raise ProtocolError(
                f"the {which} cohort, '{one.dataset}', holds a single patient: measuring a domain "
                f"shift needs two or more in each"
            )
        rows = _sample(patients, rng)
        sides.append((one.X[rows].astype(np.float64), patients[rows]))
    (A, of_A), (B, of_B) = sides
    X, patients = np.concatenate([A, B]), np.concatenate([of_A, of_B])
    is_outside = np.arange(len(X)) >= len(A)
    discrepancy = mmd_test(X, is_outside, patients, permutations=permutations, seed=rng)
    auroc = _domain_auroc(X, patients, is_outside, seed)
    # Columns of a table have units of their own.
    one_unit = "preprocessing" in internal.provenance["recipe"]
    beyond = int(knn_outliers(A, B, of_A, one_unit=one_unit).sum())
    return Shift(
        features=internal.title,
        mmd=discrepancy.value,
        mmd_p=discrepancy.p,
        permutations=permutations,
        domain_auroc=as_metric(auroc.value, auroc),
        outside=beyond,
        outside_expected=EXPECTED_SHARE * len(B),
        words=" ".join(
            [
                _describe_discrepancy(discrepancy, permutations),
                _describe_auroc(auroc),
                *_describe_disagreement(discrepancy, auroc),
                _describe_beyond(beyond, len(B)),
                *_describe_limits(internal, external, (len(A), len(B)), seed),
            ]
        ),
    )


def _sample(patients: Strings, rng: np.random.Generator) -> Indices:
    """Return all rows, or those of randomly sampled patients with at most ``_MOST`` images."""
    if len(patients) <= _MOST:
        return np.arange(len(patients))
    _, codes, counts = np.unique(patients, return_inverse=True, return_counts=True)
    order = rng.permutation(len(counts))
    fitting = int((np.cumsum(counts[order]) <= _MOST).sum())
    return np.flatnonzero(np.isin(codes, order[: max(fitting, 2)]))


def _domain_auroc(
    X: NDArray[np.float64], patients: Strings, is_outside: Bools, seed: int
) -> Interval:
    from threadpoolctl import threadpool_limits

    cohort = np.where(is_outside, "external", "internal")
    score, fold = np.empty(len(X)), np.empty(len(X), dtype=np.int64)
    for number, (train, test) in enumerate(inner_folds(cohort, patients, _FOLDS, seed)):
        classifier = get_head("logistic").build(seed).set_params(logistic__C=_PENALTY)
        with threadpool_limits(1):  # On such small data, threads wait for each other.
            classifier.fit(X[train], is_outside[train])
            score[test] = classifier.decision_function(X[test])
        fold[test] = number
    interval = roc_auc_interval(is_outside, score, patients, fold)
    lacking = shortage(cohort, patients)
    caution = f"; {ESTIMATE_ONLY}: {lacking} in the smaller cohort" if lacking else ""
    return dataclasses.replace(interval, method=interval.method + caution)


def _describe_discrepancy(mmd: MmdResult, permutations: int) -> str:
    test = (
        f"(squared maximum mean discrepancy {mmd.value:.3g}, permutation test with one image of "
        f"each patient and {permutations:,} permutations: p = {mmd.p:.2g})"
    )
    if mmd.p >= _SIGNIFICANT:
        return (
            f"No difference between the features of the two cohorts was shown {test}; this does "
            f"not prove that there is none."
        )
    return f"The features of the external cohort differ from those of the training set {test}."


def _describe_auroc(auroc: Interval) -> str:
    caution = auroc.method.partition(f"; {ESTIMATE_ONLY}: ")[2]
    return (
        f"A classifier of the cohort, tested on patients that it was not trained on, reaches an "
        f"AUROC of {auroc.value:.2f} ({auroc.level:.0%} interval {auroc.low:.2f} to "
        f"{auroc.high:.2f}; 0.5 is chance{f'; {ESTIMATE_ONLY}: {caution}' if caution else ''})."
    )


def _describe_disagreement(mmd: MmdResult, auroc: Interval) -> list[str]:
    """Explain a test that shows a difference where the classifier shows none, or the reverse."""
    differs, classified = mmd.p < _SIGNIFICANT, auroc.low > 0.5
    if differs == classified:
        return []
    test = f"the permutation test {'shows' if differs else 'does not show'} a difference"
    interval = f"the interval of the AUROC {'excludes' if classified else 'includes'} 0.5"
    return [
        f"The two tests differ: {test}, and {interval}. The first uses one image of each "
        f"patient and any difference of the distributions, the second all images and a linear "
        f"difference."
    ]


def _describe_beyond(beyond: int, n: int) -> str:
    return (
        f"{beyond} of {n:,} external images are outliers of the training set: they are farther "
        f"from their {N_NEIGHBOURS}th nearest training image than {1 - EXPECTED_SHARE:.0%} of the "
        f"training images are from theirs among other patients. Of as many further images of the "
        f"training cohort, {EXPECTED_SHARE * n:.1f} would be expected to be outliers."
    )


def _describe_limits(
    internal: FeatureSet, external: FeatureSet, drawn: tuple[int, int], seed: int
) -> list[str]:
    notes = ["Labels were ignored: a different distribution of the classes also counts as a shift."]
    cohorts = {"internal": internal, "external": external}
    for (which, one), n in zip(cohorts.items(), drawn, strict=True):
        if one.patients is None:
            notes.append(f"The {which} cohort names no patients: every image counts as one.")
        if n < len(one):
            notes.append(
                f"Of the {len(one):,} images of the {which} cohort, {n:,} were used: whole "
                f"patients, sampled at random (seed {seed})."
            )
    return notes
