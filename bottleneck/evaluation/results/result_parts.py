"""Parts of the results of a comparison: choice, curves, shifts, drops, margins, conflicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.result_views import records_frame
from bottleneck.statistics.roc.noninferiority import Verdict
from bottleneck.text.short_repr import describe, show_fields

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ArmChoice",
    "ConflictEffect",
    "ConflictSummary",
    "Drop",
    "FeatureEmbedding",
    "LearningCurve",
    "MarginResults",
    "MarginTest",
    "NonDiagnoses",
    "Shift",
]


@dataclasses.dataclass(frozen=True)
class ArmChoice:
    """AUROCs with intervals that allow for the choice of one arm by the samples that test it.

    Attributes
    ----------
    best : str
        Name of the arm with the highest AUROC.
    auroc : mapping of str to Metric
        AUROC of each arm that can be chosen, by its name: the value and the upper bound are its
        own, and the lower bounds of all arms hold together, so that the one of the chosen arm
        does. See ``statistics.best_auc_interval``.
    """

    best: str
    auroc: Mapping[str, Metric]

    @property
    def n_arms(self) -> int:
        """Number of arms that can be chosen."""
        return len(self.auroc)

    @property
    def of_best(self) -> Metric:
        """AUROC of the arm with the highest one."""
        return self.auroc[self.best]

    __repr__ = show_fields


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

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class NonDiagnoses:
    """Test samples whose image could not be read, and the decisions of an arm if these count.

    Attributes
    ----------
    n_samples : int
        Number of unreadable test samples; with ``unit`` "patient", of patients without a readable
        image.
    classes : mapping of str to int
        Their number in each class, where the label is known.
    n_unknown : int
        Number without a known label. They count in the class that each metric is about.
    wrong, right : mapping of str to Metric
        Sensitivity, specificity and accuracy if all of them count as errors, which is the worst
        case, and if all count as right, the best case; with several classes and no positive one,
        balanced accuracy (if all labels are known) and accuracy.
    """

    n_samples: int
    classes: Mapping[str, int]
    n_unknown: int
    wrong: Mapping[str, Metric]
    right: Mapping[str, Metric]

    __repr__ = show_fields

    @property
    def touched(self) -> list[str]:
        """Names of the metrics in which one of them counts: the sensitivity needs a positive."""
        return [name for name in self.wrong if self.wrong[name].value != self.right[name].value]


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

    __repr__ = show_fields


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

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class MarginTest:
    """The test of one arm for non-inferiority to the reference arm.

    Attributes
    ----------
    arm : str
        Name of the arm.
    value : float
        Its AUROC minus that of the reference.
    low, high : float
        Bounds of the two-sided 95 % interval, not adjusted for the number of arms.
    p, p_adjusted : float
        One-sided p value of a loss of the margin or more, and the p value adjusted by Holm's
        method over the arms. The level is 0.025.
    verdict : str
        As ``judge_margin`` returns it from the interval. It is "inconclusive" unless it also
        holds after Holm's adjustment over the arms, and "superior" and "lower within the margin"
        are "non-inferior" unless the adjusted p value of the difference is below 0.05.
    method : str
        Name of the interval and test.
    """

    arm: str
    value: float
    low: float
    high: float
    p: float
    p_adjusted: float
    verdict: Verdict
    method: str

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class MarginResults:
    """Tests of all arms for non-inferiority to one of them.

    Attributes
    ----------
    margin : float
        The largest loss of AUROC that is accepted.
    reference : str
        Name of the reference arm.
    tests : tuple of MarginTest
        One per other arm with images, in their order.
    words : str
        What was tested, for a methods section.
    reference_auroc : Metric or None
        AUROC of the reference on the same samples, with its interval: to be as good as an arm at
        chance level is worth nothing.
    """

    margin: float
    reference: str
    tests: tuple[MarginTest, ...]
    words: str
    reference_auroc: Metric | None = None

    __repr__ = show_fields

    def to_frame(self) -> pd.DataFrame:
        """Return the tests as a table: one row per arm, with the attributes of ``MarginTest``."""
        return records_frame(self.tests, MarginTest)


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

    __repr__ = show_fields


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

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureEmbedding:
    """Principal components of the features of some samples, without their ids.

    Attributes
    ----------
    features : str
        Name of the features.
    labels : ndarray of str, shape (n,)
        Classes of the samples: of up to 2,000, drawn at random from all.
    components : ndarray of float32, shape (n, n_components)
        Up to 50 principal components of the standardised columns, the largest first.
    explained : ndarray of float64, shape (n_components,)
        Share of each in the variance of the standardised columns.
    n_samples : int
        Number of samples from which these were drawn.
    seed : int
        Seed of the draw.
    wrong : mapping of str to ndarray of bool, shape (n,)
        Samples that an arm misclassified in the first repeat, by its name.
    """

    features: str
    labels: NDArray[np.str_]
    components: NDArray[np.float32]
    explained: NDArray[np.float64]
    n_samples: int
    seed: int
    wrong: Mapping[str, NDArray[np.bool_]]

    def __repr__(self) -> str:
        n, width = self.components.shape
        return describe(self, self.features, f"{width} components of {n:,} samples")
