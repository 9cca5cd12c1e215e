"""Results of one arm of a comparison. Values only, no arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.metrics.metric_values import (
    Calibration,
    Centres,
    Metric,
    NetBenefit,
    OperatingPoint,
    Subgroup,
    SubgroupDifference,
)
from bottleneck.evaluation.results.arm_origin import READER, ArmOrigin
from bottleneck.evaluation.results.result_parts import LearningCurve, NonDiagnoses
from bottleneck.evaluation.results.result_views import (
    Part,
    evaluation_frame,
    show_evaluation,
    subgroup_frame,
)
from bottleneck.predictions import Predictions
from bottleneck.statistics.probabilities.net_benefit import DecisionCurve
from bottleneck.statistics.roc.free_response import FreeResponse
from bottleneck.text.short_repr import show_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Evaluation"]


@dataclasses.dataclass(frozen=True, eq=False)
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
        Name of the head, such as "svm" or a class of another package; "prior", "metadata" for
        the arms without images; "predictions" for imported ones, "ensemble" for the mean of
        other arms, and "reader" for human readers.
    predictions : Predictions
        One row per test sample (with ``unit`` "patient": test patient) and repeat.
    metrics : mapping of str to Metric
        Metrics by the names in ``metrics.METRICS``, as far as they can be computed.
    confusion : ndarray of int, shape (n_classes, n_classes)
        Confusion matrix of the first repeat, true classes in rows, in the order of ``classes``.
    chosen : tuple of mapping
        Hyperparameters that the inner search chose in each fold.
    classifier : mapping
        Record of the head: "steps" (class and parameters of each), "packages" (their versions),
        "grid" and "class_weights" ("balanced", "none" or "not known"); empty for imported
        predictions.
    seconds : float
        Sum of the time of all folds.
    per_class : mapping of str to mapping of str to Metric
        One-vs-rest metrics of each class, if there are three or more and no positive one.
    operating_points : tuple of OperatingPoint
        Sensitivity and specificity at thresholds chosen in training.
    calibration : Calibration or None
        Calibration of the probabilities, where there are any.
    decision_curve : DecisionCurve or None
        Net benefit of the probabilities by threshold, where there are any.
    net_benefits : tuple of NetBenefit
        Net benefit at 0.05, 0.1, 0.2, 0.3, 0.5 and ``Measures.act_at``, with intervals.
    non_diagnoses : NonDiagnoses or None
        Test samples that could not be read, where there are any, and the decisions if these count.
    subgroups : tuple of Subgroup
        Metrics of the subgroups asked for.
    subgroup_differences : tuple of SubgroupDifference
        Tests of whether they differ, by column and metric.
    learning_curve : LearningCurve or None
        Learning curve, where asked for.
    centres : Centres or None
        AUROC of each centre, if each was left out in turn.
    free_response : FreeResponse or None
        Sensitivity for lesions by false positives per scan, where the samples are candidates.
    cost : mapping
        Record of the training of a network, as far as known: trained_parameters, device,
        peak_memory_bytes, images_seen, seconds; curves, with one entry per epoch; training, with
        network, seed, config and versions.
    members : tuple of str
        Names of the arms that an ensemble averages.
    origin : ArmOrigin or None
        What ``fit`` recognises the arm by; None for arms that cannot be made again.
    positive : str or None
        The positive class; None with three classes or more where none was stated.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, evaluate
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> arm = evaluate(FeatureSet.from_arrays(X, y), "prior")
    >>> arm.name, len(arm.predictions)
    ('prior only', 40)
    """

    name: str
    backbone: str | None
    weights: str | None
    head: str
    predictions: Predictions
    metrics: Mapping[str, Metric]
    confusion: NDArray[np.int64]
    chosen: tuple[Mapping[str, Any], ...] = ()
    classifier: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    per_class: Mapping[str, Mapping[str, Metric]] = dataclasses.field(default_factory=dict)
    operating_points: tuple[OperatingPoint, ...] = ()
    calibration: Calibration | None = None
    decision_curve: DecisionCurve | None = None
    net_benefits: tuple[NetBenefit, ...] = ()
    non_diagnoses: NonDiagnoses | None = None
    subgroups: tuple[Subgroup, ...] = ()
    subgroup_differences: tuple[SubgroupDifference, ...] = ()
    learning_curve: LearningCurve | None = None
    centres: Centres | None = None
    free_response: FreeResponse | None = None
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    members: tuple[str, ...] = ()
    origin: ArmOrigin | None = None
    positive: str | None = None

    __repr__ = show_evaluation
    _repr_html_ = show_html

    def to_frame(self, part: Part = "metrics") -> pd.DataFrame:
        """Return the metrics as a table with one row per metric.

        Parameters
        ----------
        part : {"metrics", "classes", "subgroups", "operating points", "centres"}
            "metrics" for those of all samples; "classes" for those of each class against the
            rest; the others as asked for in ``Measures``, or by a protocol over centres.

        Returns
        -------
        DataFrame
            Columns metric, value, low, high (NaN without an interval), n (number of samples),
            method (of the interval) and estimate_only (bool). Before them: class for "classes";
            column and level for "subgroups"; held and target for "operating points"; centre for
            "centres". Without such results, it has no rows.

        Raises
        ------
        UsageError
            If there is no such part.

        Examples
        --------
        >>> import numpy as np
        >>> from bottleneck import FeatureSet, evaluate
        >>> y = np.repeat(["benign", "malignant"], 20)
        >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
        >>> frame = evaluate(FeatureSet.from_arrays(X, y), "prior").to_frame()
        >>> frame.columns[:4].tolist()
        ['metric', 'value', 'low', 'high']
        """
        return evaluation_frame(self, part)

    def subgroup_frame(self) -> pd.DataFrame:
        """Return the tests of subgroup differences as a table: one row per column and metric.

        Returns
        -------
        DataFrame
            Columns column, metric, levels, difference, low, high (NaN for three subgroups or
            more), p, p_adjusted, fewest and method, as in ``SubgroupDifference``.

        Examples
        --------
        >>> from bottleneck import Measures, Predictions, evaluate
        >>> scores = Predictions.from_arrays([0, 1] * 10, [0.1, 0.6, 0.4, 0.3] * 5)
        >>> device = {name: "old" if n % 4 < 2 else "new" for n, name in enumerate(scores.ids)}
        >>> arm = evaluate(scores, measures=Measures(subgroups={"device": device}))
        >>> arm.subgroup_frame()["metric"].tolist()
        ['auroc', 'sensitivity', 'specificity']
        """
        return subgroup_frame(self.subgroup_differences)

    @property
    def uses_images(self) -> bool:
        """Whether the arm uses images, unlike the prior and the metadata baseline."""
        return self.head not in ("prior", "metadata")

    @property
    def is_reader(self) -> bool:
        """Whether the arm is a human reader, or the mean of several."""
        return self.head == READER

    @property
    def weights_classes(self) -> bool | None:
        """Whether the classes were weighted equally in training; None if it is not known."""
        if self.head in ("predictions", READER):
            config = self.cost.get("training", {}).get("config")
            known = isinstance(config, Mapping) and "class_weights" in config
            return config["class_weights"] != "none" if known else None
        weights = {"balanced": True, "none": False}
        return weights.get(self.classifier.get("class_weights", "none"))
