"""What quantisation costs on the test folds of a comparison."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.inference.paired_tests import paired_tests
from bottleneck.evaluation.metrics.patient_aggregation import unit_aggregation
from bottleneck.explain.recorded.fold_heads import find_head
from bottleneck.explain.recorded.recorded_cases import RecordedCases
from bottleneck.explain.recorded.recorded_comparison import RecordedArm
from bottleneck.export.quantised.quantised_graph import FeatureGraph, quantise_graph
from bottleneck.export.quantised.recorded_pictures import RecordedPictures
from bottleneck.heads.search import score_classes
from bottleneck.predictions import Predictions, predicted_classes
from bottleneck.processes.progress_bar import Progress
from bottleneck.statistics.roc.auroc_difference import AucDifference

__all__ = ["N_CALIBRATION", "QuantisedLoss", "draw_calibration", "measure_loss"]

#: Images that set the ranges of the values between layers.
N_CALIBRATION = 128

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class QuantisedLoss:
    """What quantisation costs on the test folds of a comparison.

    Attributes
    ----------
    arm : str
        The arm of the comparison.
    unit : {"image", "patient"}
        What was predicted.
    n, n_patients : int or None
        Number of predictions, repeats included; number of patients, None where unknown.
    n_folds : int
        Number of folds, repeats included. In each, the network was quantised with images of the
        training part alone.
    auroc, auroc_int8 : float
        AUROC of the recorded predictions, and of those with the quantised network; for more than
        two classes, or without a positive class, macro-averaged.
    difference, low, high : float
        ``auroc - auroc_int8``: the loss, with the bounds of its paired interval.
    level : float
        Confidence level of the interval.
    method : str
        Name of the interval.
    n_changed : int
        Predictions whose class changed.

    Examples
    --------
    >>> labels, folds = ["a", "b"] * 4, [0] * 4 + [1] * 4
    >>> scores = [-1.0, 2.0, -2.0, 1.0, 1.5, 0.5, -1.0, 2.0]
    >>> recorded = Predictions.from_arrays(labels, scores, folds=folds, classes=["a", "b"])
    >>> loss = QuantisedLoss.of(recorded, recorded, arm="svm", unit="image", positive="b")
    >>> loss.difference, loss.n_changed
    (0.0, 0)
    """

    arm: str
    unit: str
    n: int
    n_patients: int | None
    n_folds: int
    auroc: float
    auroc_int8: float
    difference: float
    low: float
    high: float
    level: float
    method: str
    n_changed: int

    @classmethod
    def of(
        cls, recorded: Predictions, quantised: Predictions, *, arm: str, unit: str, positive: Any
    ) -> QuantisedLoss:
        """Compare predictions of the same samples in the same folds.

        Parameters
        ----------
        recorded, quantised : Predictions
            Those of the network of the comparison, and of the quantised one.
        arm, unit : str
            As in the attributes.
        positive : str or None
            The positive class.
        """
        names = ("recorded", "quantised")
        (test,) = paired_tests(
            dict(zip(names, (recorded, quantised), strict=True)), positive, family=names
        )
        result: AucDifference = test.result
        return cls(
            arm=arm,
            unit=unit,
            n=len(recorded),
            n_patients=None if recorded.groups is None else len(np.unique(recorded.groups)),
            n_folds=len(np.unique(np.stack([recorded.repeats, recorded.folds]), axis=1).T),
            auroc=result.auc_a,
            auroc_int8=result.auc_b,
            difference=result.difference,
            low=result.low,
            high=result.high,
            level=result.level,
            method=result.method,
            n_changed=int((recorded.predicted != quantised.predicted).sum()),
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The loss in words."""
        each = "patients" if self.unit == "patient" else "images"
        return (
            f"On the test folds of '{self.arm}', the AUROC is {self.auroc_int8:.3f} with 8-bit "
            f"integers, and {self.auroc:.3f} without.",
            f"The loss of AUROC is {self.difference:.3f} ({self.level:.0%} {self.low:.3f} to "
            f"{self.high:.3f}"
            + ("; a value below 0 is a gain)." if round(self.difference, 3) < 0 else ")."),
            f"The decision changes for {self.n_changed} of {self.n} {each} "
            f"({self.n_changed / self.n:.1%}).",
        )


def draw_calibration(ids: Sequence[str], seed: int = 0) -> list[str]:
    """Return the images that set the ranges: 128 drawn at random, or all of fewer.

    Parameters
    ----------
    ids : sequence of str
        Training images.
    seed : int
        Seed of the draw.

    Examples
    --------
    >>> draw_calibration(["a", "b"])
    ['a', 'b']
    """
    if len(ids) <= N_CALIBRATION:
        return list(ids)
    drawn = np.random.default_rng(seed).choice(len(ids), N_CALIBRATION, replace=False)
    return [ids[number] for number in sorted(drawn.tolist())]


def measure_loss(
    cases: RecordedCases,
    arm: RecordedArm,
    pictures: RecordedPictures,
    graph: Path,
    heads: Sequence[Any] = (),
    progress: Progress | None = None,
) -> QuantisedLoss:
    """Measure what quantisation costs on the test folds of an arm.

    In each fold, the network is quantised with images of the training part, the head is fitted
    again on the recorded features of this part, and predicts the test images from the features of
    the quantised network.

    Parameters
    ----------
    cases : RecordedCases
        The comparison, with its features and folds.
    arm : RecordedArm
        The arm.
    pictures : RecordedPictures
        The images of the features.
    graph : Path
        The exported graph, from ``add_features``.
    heads : sequence of str, estimator or Head
        Heads that are not built in.
    progress : callable or None
        Called with the number of images read, their total, and a text.

    Raises
    ------
    UsageError
        If a head, fitted again, gives other scores than the recorded ones.
    DataError
        If an image cannot be read.
    """
    assert cases.plan is not None
    comparison, plan, features = cases.comparison, cases.plan, cases.features_of(arm)
    head = find_head(arm, heads)
    to_unit = unit_aggregation(comparison.protocol, comparison.positive, features)
    recorded, quantised = [], []
    with tempfile.TemporaryDirectory(prefix="bottleneck-") as folder:
        for number, fold in enumerate(plan.folds):
            words = f"quantised, fold {number + 1} of {len(plan.folds)}"
            fitted = cases.fold_head(arm, fold.repeat, fold.index)
            training = features.ids[plan.rows[fold.train]].tolist()
            file = Path(folder, "fold.onnx")
            quantise_graph(
                graph, file, pictures.read(draw_calibration(training), progress, f"{words}: ranges")
            )
            network = FeatureGraph(file)
            test = pictures.read(fitted.scores.ids.tolist(), progress, f"{words}: test images")
            rows = [network.features(one) for one in test]
            scores = score_classes(head, fitted.estimator, np.concatenate(rows), comparison.classes)
            recorded.append(to_unit(fitted.scores))
            quantised.append(to_unit(_replace_scores(fitted.scores, scores)))
    if not recorded:
        raise UsageError("this comparison has no folds to measure on: compare again")
    return QuantisedLoss.of(
        Predictions.concatenate(recorded),
        Predictions.concatenate(quantised),
        arm=arm.name,
        unit=comparison.protocol.unit,
        positive=comparison.positive,
    )


def _replace_scores(predictions: Predictions, scores: Floats) -> Predictions:
    return dataclasses.replace(
        predictions,
        scores=scores,
        predicted=predicted_classes(scores, predictions.classes),
        probabilities=None,
    )
