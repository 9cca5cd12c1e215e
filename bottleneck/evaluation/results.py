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
    Centres,
    DecisionCurve,
    Difference,
    Metric,
    OperatingPoint,
    Subgroup,
)
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.predictions import Predictions

__all__ = [
    "Comparison",
    "ConflictEffect",
    "ConflictSummary",
    "Drop",
    "Evaluation",
    "External",
    "LearningCurve",
    "Shift",
]


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """AUROC against the number of training patients, in the same test folds.

    Attributes
    ----------
    n_patients : tuple of float
        Mean number over folds, rising; samples where no patients are known.
    auroc : tuple of Metric
        AUROC for each of these numbers.
    """

    n_patients: tuple[float, ...]
    auroc: tuple[Metric, ...]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results of one arm: features and a head, or imported predictions.

    Attributes
    ----------
    name : str
        "resnet18 (imagenet) + svm", unique in a comparison; "prior only" and "metadata only"
        for the arms without images.
    backbone, weights : str or None
        None for the arms without images, and for imported predictions.
    head : str
        "svm", "logistic", "mlp"; "prior", "metadata" for the arms without images;
        "predictions" for imported ones.
    predictions : Predictions
        One row per test sample (with ``unit`` "patient": test patient) and repeat.
    metrics : mapping of str to Metric
        Metrics by the names in ``metrics.METRICS``, as far as they can be computed.
    confusion : ndarray of int, shape (n_classes, n_classes)
        Confusion matrix of the first repeat: rows are true classes, columns predicted ones, in
        the order of ``classes``.
    chosen : tuple of mapping
        Hyperparameters that the inner search chose in each fold.
    seconds : float
        Sum of the time of all folds.
    per_class : mapping of str to mapping of str to Metric
        One-vs-rest metrics of each class, if there are three or more and no positive one.
    operating_points : tuple of OperatingPoint
        Sensitivity and specificity at thresholds chosen in training.
    calibration : Calibration or None
        Calibration of the probabilities, where there are any.
    decision_curve : DecisionCurve or None
        Net benefit of the probabilities, where there are any.
    subgroups : tuple of Subgroup
        Metrics of the subgroups asked for.
    learning_curve : LearningCurve or None
        Learning curve, where asked for.
    centres : Centres or None
        AUROC of each centre, if each was left out in turn.
    cost : mapping
        Record of the training of a network, as far as known: trained_parameters, device,
        peak_memory_bytes, images_seen, seconds; curves, with one entry per epoch; training, with
        network, seed, config and versions.
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
    centres: Centres | None = None
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def uses_images(self) -> bool:
        """Whether the arm uses images, unlike the prior and the metadata baseline."""
        return self.head not in ("prior", "metadata")

    @property
    def weights_classes(self) -> bool | None:
        """Whether the classes were weighted equally in training; None if it is not known."""
        if self.head == "predictions":
            config = self.cost.get("training", {}).get("config")
            known = isinstance(config, Mapping) and "class_weights" in config
            return config["class_weights"] != "none" if known else None
        return self.head in HEADS and HEADS[self.head].balanced


@dataclasses.dataclass(frozen=True)
class Shift:
    """Domain shift: distance of the features of an external cohort from the internal ones.

    Attributes
    ----------
    features : str
        Name of the features, such as "resnet18 (imagenet)".
    mmd : float
        Squared maximum mean discrepancy, unbiased.
    mmd_p : float
        p value of a permutation test that keeps patients together.
    permutations : int
        Number of permutations.
    domain_auroc : Metric
        AUROC of a classifier of the cohort, on patients that it was not trained on.
    outside : int
        Number of external samples that are outliers of the training set.
    outside_expected : float
        Expected number of outliers among as many further internal samples.
    words : str
        Description of the three measures.
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
    """External minus internal metric of one arm.

    Attributes
    ----------
    arm, metric : str
        Name of the arm and of the metric.
    inside, outside : Metric
        Metric in the folds of the internal data set, and on the external cohort after training
        on all internal samples.
    difference : Metric
        ``outside`` minus ``inside``.
    """

    arm: str
    metric: str
    inside: Metric
    outside: Metric
    difference: Metric


@dataclasses.dataclass(frozen=True)
class ConflictEffect:
    """AUROC of one arm with and without copies that have different labels.

    Attributes
    ----------
    arm : str
        Name of the arm.
    without, with_them : Metric or None
        AUROC over the test samples without these copies, and with all of them under the labels
        of the data set; None where it is not defined, or the arm did not predict all of them.
        Both are of the same models.
    """

    arm: str
    without: Metric | None
    with_them: Metric | None


@dataclasses.dataclass(frozen=True)
class ConflictSummary:
    """Copies of one image with different labels, and their effect.

    Attributes
    ----------
    how : str
        "drop", "keep" or "majority", as in ``Protocol``.
    sets, images, dropped, relabelled : int
        Number of sets of such copies, of images in them, of images that are left out, and of
        images that took the label of most copies.
    words : str
        The same in a sentence.
    auroc : tuple of ConflictEffect
        One per arm.
    """

    how: str
    sets: int
    images: int
    dropped: int
    relabelled: int
    words: str
    auroc: tuple[ConflictEffect, ...]


@dataclasses.dataclass(frozen=True)
class External:
    """Results of an external cohort, tested once by heads trained on all internal samples.

    Attributes
    ----------
    dataset : mapping
        As ``Comparison.dataset``.
    evaluations : tuple of Evaluation
        Arms, under the same names.
    differences : tuple of Difference
        Differences between pairs of arms on this cohort.
    drops : tuple of Drop
        Drops of all metrics of all arms.
    shifts : tuple of Shift
        One per feature set.
    definitions : mapping of str to mapping of str to str
        Texts for "inside" and "outside" by property: "labels", "images", "size" and others.
    warnings : tuple of str
        Warnings about the cohort, the most severe first.
    conflicts : ConflictSummary or None
        Copies of the cohort with different labels; None where there are none.
    """

    dataset: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    drops: tuple[Drop, ...]
    shifts: tuple[Shift, ...]
    definitions: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...] = ()
    conflicts: ConflictSummary | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Results of several arms on the same samples.

    Attributes
    ----------
    dataset : mapping
        name, fingerprint, n_samples, n_patients (or None), n_unnamed (samples without a
        patient), classes (label to count), patients (label to count, or None), positive,
        failures, excluded (reason to count).
    protocol : mapping
        kind ("cross-validation", "fixed split", "given folds" or "centres"), folds, repeats,
        inner_folds, seed, grouped (bool), unit ("image" or "patient"), aggregate ("mean",
        "max" or None), allow_leakage (bool), conflicts ("drop", "keep" or "majority"), primary
        ("auroc: DeLong …"), prevalence (float or None), and ``words``: some sentences for a
        methods section.
    classes : tuple of str
        All labels, sorted.
    positive : str or None
        The positive class; None with three classes or more where none was stated.
    evaluations : tuple of Evaluation
        Arms; those without images come last, the prior-only arm at the end.
    differences : tuple of Difference
        Differences between pairs of arms.
    warnings : tuple of str
        Warnings, the most severe first.
    features : tuple of mapping
        Provenance of each feature file.
    audit : Audit or None
        Leak audit of the samples.
    thumbnails : mapping of int to ndarray of uint8, shape (32, 32)
        Grey thumbnails of the images that findings of the audit are about, by row.
    external : tuple of External
        External cohorts.
    conflicts : ConflictSummary or None
        Copies with different labels; None where there are none.
    inner : mapping of str to tuple of Predictions
        Inner predictions of each arm, by its name, one element per fold and repeat: out-of-fold
        predictions of the training set, or those of the validation set. Thresholds and
        calibrations are set on them.
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
    conflicts: ConflictSummary | None = None
    inner: Mapping[str, tuple[Predictions, ...]] = dataclasses.field(default_factory=dict)
