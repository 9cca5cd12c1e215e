"""Results of a comparison: arms, external cohorts and the whole. Values only, no arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit
from bottleneck.evaluation.metrics.metric_values import (
    Calibration,
    DecisionCurve,
    Difference,
    Metric,
    OperatingPoint,
    Subgroup,
)
from bottleneck.predictions import Predictions

__all__ = ["Comparison", "Drop", "Evaluation", "External", "LearningCurve", "Shift"]


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """AUROC against the number of patients trained on, in the same test folds.

    Attributes
    ----------
    n_patients : tuple of float
        Mean number over folds, rising; samples where no patients are known.
    auroc : tuple of Metric
    """

    n_patients: tuple[float, ...]
    auroc: tuple[Metric, ...]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One arm: features and a head, or predictions made elsewhere, and how it did.

    Attributes
    ----------
    name : str
        "resnet18 (imagenet) + svm", unique in a comparison; "prior only" and "metadata only"
        for the arms that see no image.
    backbone, weights : str or None
        None for the arms that see no image, and for predictions made elsewhere.
    head : str
        "svm", "logistic", "mlp"; "prior", "metadata" for the arms that see no image;
        "predictions" for those made elsewhere.
    predictions : Predictions
        One row a test sample (with ``unit`` "patient": a test patient) and repeat.
    metrics : mapping of str to Metric
        By the names in ``metrics.METRICS``, as far as they can be computed.
    confusion : ndarray of int, shape (n_classes, n_classes)
        Rows the truth, columns the prediction, in the order of ``classes``; first repeat.
    chosen : tuple of mapping
        Hyperparameters that the inner search chose, one a fold.
    seconds : float
        What the whole arm took.
    per_class : mapping of str to mapping of str to Metric
        With three classes or more and no positive one: each class against the rest.
    operating_points : tuple of OperatingPoint
    calibration : Calibration or None
    decision_curve : DecisionCurve or None
    subgroups : tuple of Subgroup
    learning_curve : LearningCurve or None
    cost : mapping
        For trained networks: trained_parameters, device, peak_memory_bytes, images_seen,
        seconds; curves, an epoch each; training: network, seed, config, versions. As far as known.
    """

    name: str
    backbone: str | None
    weights: str | None
    head: str
    predictions: Predictions
    metrics: Mapping[str, Metric]
    confusion: NDArray[np.int64]
    chosen: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0
    per_class: Mapping[str, Mapping[str, Metric]] = dataclasses.field(default_factory=dict)
    operating_points: tuple[OperatingPoint, ...] = ()
    calibration: Calibration | None = None
    decision_curve: DecisionCurve | None = None
    subgroups: tuple[Subgroup, ...] = ()
    learning_curve: LearningCurve | None = None
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def sees_images(self) -> bool:
        """Whether the arm is one of those that the question is about."""
        return self.head not in ("prior", "metadata")


@dataclasses.dataclass(frozen=True)
class Shift:
    """How far the features of an external cohort lie from those trained on.

    Attributes
    ----------
    features : str
        Which features: "resnet18 (imagenet)".
    mmd : float
        Squared maximum mean discrepancy, unbiased.
    mmd_p : float
        Of the permutation test that moves patients whole.
    permutations : int
    domain_auroc : Metric
        How well a classifier tells the cohorts apart in patients it was not trained on.
    outside : int
        External samples beyond the training cloud.
    outside_expected : float
        How many of them would lie there if they were more of the training cohort.
    words : str
        The three in words.
    """

    features: str
    mmd: float
    mmd_p: float
    permutations: int
    domain_auroc: Metric
    outside: int
    outside_expected: float
    words: str


@dataclasses.dataclass(frozen=True)
class Drop:
    """A metric of one arm outside minus inside.

    Attributes
    ----------
    arm, metric : str
    inside, outside : Metric
        Inside estimates the procedure (folds), outside the one refit on all of it.
    difference : Metric
    """

    arm: str
    metric: str
    inside: Metric
    outside: Metric
    difference: Metric


@dataclasses.dataclass(frozen=True)
class External:
    """A cohort from elsewhere, tested once by heads trained on all of the first.

    Attributes
    ----------
    dataset : mapping
        As ``Comparison.dataset``.
    evaluations : tuple of Evaluation
        The arms, under the same names.
    differences : tuple of Difference
        Pairs of arms on this cohort.
    drops : tuple of Drop
    shifts : tuple of Shift
        One a feature set.
    definitions : mapping of str to mapping of str to str
        Side by side: "labels", "images", "size", … to "inside" and "outside".
    warnings : tuple of str
    """

    dataset: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    drops: tuple[Drop, ...]
    shifts: tuple[Shift, ...]
    definitions: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Several arms on the same samples.

    Attributes
    ----------
    dataset : mapping
        name, fingerprint, n_samples, n_patients (or None), n_unnamed (samples without a
        patient), classes (label to count), patients (label to count, or None), positive,
        failures, excluded (reason to count).
    protocol : mapping
        kind ("cross-validation", "fixed split", "given folds" or "centres"), folds, repeats,
        inner_folds, seed, grouped (bool), unit ("image" or "patient"), aggregate ("mean",
        "max" or None), allow_leakage (bool), primary ("auroc: DeLong …"), prevalence (float
        or None), and ``words``: a sentence or two for a methods section.
    classes : tuple of str
        All labels, sorted.
    positive : str or None
        The positive class; None with three classes or more where none was stated.
    evaluations : tuple of Evaluation
        The arms; those that see no image come last, the prior-only arm at the end.
    differences : tuple of Difference
        Pairs of arms.
    warnings : tuple of str
        What a reader must know before the figures, the gravest first.
    features : tuple of mapping
        The provenance of each feature file.
    audit : Audit or None
        What the leak audit found before anything was scored.
    thumbnails : mapping of int to ndarray of uint8, shape (32, 32)
        Small grey pictures of the rows that the audit's findings are about.
    external : tuple of External
        Cohorts from elsewhere.
    """

    dataset: Mapping[str, Any]
    protocol: Mapping[str, Any]
    classes: tuple[str, ...]
    positive: str | None
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    features: tuple[Mapping[str, Any], ...]
    audit: Audit | None = None
    thumbnails: Mapping[int, NDArray[np.uint8]] = dataclasses.field(default_factory=dict)
    external: tuple[External, ...] = ()
