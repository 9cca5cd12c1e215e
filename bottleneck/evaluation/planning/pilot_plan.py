"""What a pilot says of a larger study: its learning curve, extrapolated, and its patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Gt, Le
from scipy import optimize, special

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.checks.ignored_checks import Ignore, leave_out, read_codes
from bottleneck.data.labels.positive_class import choose_positive, spell_label
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.cross_validation.evaluate_arm import auroc_metric
from bottleneck.evaluation.cross_validation.nested_cv import Progress, RunOptions
from bottleneck.evaluation.cross_validation.split_plan import plan_split
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.metrics.patient_aggregation import unit_aggregation
from bottleneck.evaluation.planning.pilot_curve import CurvePoints, measure_curve
from bottleneck.evaluation.planning.pilot_patients import PilotPatients, describe_patients
from bottleneck.features.arrays.feature_inputs import (
    Column,
    FeatureInput,
    SampleFields,
    read_features,
)
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.search import check_finite
from bottleneck.processes.work_steps import shows_progress
from bottleneck.settings.schema import Expected, validate
from bottleneck.statistics.planning.power_law import fit_power_law
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe, show_fields

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TIMES", "FutureAuroc", "PilotPlan", "plan_from_pilot", "predict_aurocs"]

#: Multiples of the pilot's patients for which the AUROC is predicted.
TIMES = (2.0, 5.0, 10.0)

_Times = Annotated[
    tuple[Annotated[float, Gt(1), Le(1000)], ...],
    Expected("numbers above 1 and at most 1,000, such as (2, 5, 10)"),
]
_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class FutureAuroc:
    """The AUROC that more patients are expected to give.

    Attributes
    ----------
    times : float
        Multiple of the pilot's patients.
    n_patients : int
        Number of patients.
    value, low, high : float
        Median and bounds of the 95 % interval of the AUROC that models trained on so many patients
        have on average. Wide intervals are not left out: those of pilots whose AUROC is too high
        by chance would remain.
    """

    times: float
    n_patients: int
    value: float
    low: float
    high: float

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True, eq=False)
class PilotPlan:
    """The learning curve of a pilot, and what it predicts.

    Attributes
    ----------
    dataset, head : str
        Names of the data set and of the classifier.
    positive : str
        The positive class.
    patients : PilotPatients
        Numbers of patients and images, and how alike the scores of a patient's images are.
    points : CurvePoints
        AUROCs after training on shares of the training sets.
    auroc : Metric
        AUROC of the whole pilot, with its interval.
    future : tuple of FutureAuroc
        Predictions for more patients; empty where the curve says nothing about them.
    refusal : str
        Why the curve says nothing; "" if it does.
    text : str
        Sentences for a protocol.
    warnings : tuple of CheckWarning
        Warnings on the folds.
    ignored : mapping of str to int
        Number of findings of each check that was ignored, by its code.
    """

    dataset: str
    head: str
    positive: str
    patients: PilotPatients
    points: CurvePoints
    auroc: Metric
    future: tuple[FutureAuroc, ...]
    refusal: str
    text: str
    warnings: tuple[CheckWarning, ...] = ()
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per point: kind, patients, auroc, low and high."""
        import pandas as pd

        errors = 1.96 * np.sqrt(np.diag(self.points.covariance))
        rows: list[tuple[Any, ...]] = [
            ("measured", n, value, max(value - error, 0.0), min(value + error, 1.0))
            for n, value, error in zip(
                self.points.n_patients, self.points.auroc, errors, strict=True
            )
        ]
        rows += [
            ("predicted", one.times * self.points.n_patients[-1], one.value, one.low, one.high)
            for one in self.future
        ]
        return pd.DataFrame(rows, columns=["kind", "training_patients", "auroc", "low", "high"])

    def __repr__(self) -> str:
        last = self.future[-1] if self.future else None
        return describe(
            self,
            self.dataset,
            f"AUROC {self.auroc.text} with {counted(self.patients.n_patients, 'patient')}",
            f"{last.value:.3f} [{last.low:.3f}, {last.high:.3f}] with {last.n_patients}"
            if last is not None
            else "no prediction",
        )


@shows_progress()
def plan_from_pilot(
    features: FeatureInput,
    head: str | Head | Any = "logistic",
    *,
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    times: Sequence[float] = TIMES,
    protocol: Protocol = Protocol(),
    positive: str | int | None = None,
    ignore: Ignore = (),
    n_jobs: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    note: Callable[[str], None] | None = None,
) -> PilotPlan:
    """Predict the AUROC that more patients would give, from the learning curve of a pilot.

    The classifier is trained on an eighth to all of each training set, and tested on the same
    test sets. An inverse power law is fitted to the AUROCs, and its uncertainty is that of the
    patients, of the exponent and of the limit (``fit_power_law``).

    Parameters
    ----------
    features : FeatureSet, path, array or data frame
        Features of the pilot, or a feature file. An array or a data frame needs ``y``.
    head : str, estimator or Head
        The classifier, as for ``compare``.
    y, groups, ids : array-like of shape (n_samples,) or None
        Labels, patients and ids of the samples in an array, as for ``FeatureSet.from_arrays``.
    times : sequence of float
        Multiples of the pilot's patients.
    protocol : Protocol
        How samples are split, and whether the AUROC is that of images or patients.
    positive : str, int or None
        The positive class; by default the one stated at extraction, or a label such as
        "malignant".
    ignore : str or sequence of str
        Codes of checks whose findings and warnings are not shown, such as "BF201". They are
        counted in ``ignored``, and the checks protect the split as before.
    n_jobs : int or None
        Number of processes, as in joblib.
    progress : callable or None
        Called with the number of folds done, their total over all shares, and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
    note : callable or None
        Called with sentences on leaks and copies, before any training.

    Returns
    -------
    PilotPlan
        Predictions are for the same cross-validation of more patients of the same kind. There are
        none, and a reason, where the interval of the pilot's AUROC reaches 0.5.

    Raises
    ------
    UsageError
        If a number is out of its range, there are not two classes, or there is no such check.
    ProtocolError
        If the samples cannot be split as asked, or there are too few patients for a curve.
    FeatureFileError
        If a file cannot be read, or a feature is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import Protocol, plan_from_pilot
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(80) % 2
    >>> X = rng.normal(size=(80, 20)) + 0.5 * y[:, None]
    >>> quick = Protocol(repeats=1, inner_splits=2)
    >>> pilot = plan_from_pilot(X, "lda", y=y, protocol=quick)
    >>> [one.n_patients for one in pilot.future]
    [160, 400, 800]
    """
    codes = read_codes(ignore)
    multiples = validate(_Times, tuple(map(float, times)), "times")
    pilot = read_features(features, SampleFields(y, groups, ids))
    made = get_head(head)
    made.for_samples(len(pilot))
    check_finite(pilot.X)
    stated = pilot.positive if positive is None else spell_label(positive)
    chosen = choose_positive(pilot.classes, stated)
    if chosen is None:
        raise UsageError(
            f"a plan needs two classes, but the pilot has {len(pilot.classes)}: choose two, or "
            "merge the others"
        )
    split = plan_split(pilot, protocol, progress=progress, note=note, ignore=codes)
    rows = split.plan.rows
    points, last = measure_curve(
        Arm(made.name, None, pilot.X[rows], made),
        split.folds,
        split.samples,
        count=unit_aggregation(protocol, chosen, pilot),
        positive=chosen,
        options=RunOptions(protocol.inner_splits, n_jobs, progress, needs_scores=False),
    )
    auroc = auroc_metric(last, chosen)
    patients = describe_patients(split.samples, last, chosen)
    future, refusal = predict_aurocs(points, auroc, patients.n_patients, multiples)
    planned = PilotPlan(
        dataset=pilot.dataset,
        head=made.name,
        positive=chosen,
        patients=patients,
        points=points,
        auroc=auroc,
        future=future,
        refusal=refusal,
        text=_describe(auroc, patients, future, made.name),
        warnings=tuple(split.folds.warnings),
    )
    return leave_out(planned, codes)


def predict_aurocs(
    points: CurvePoints, auroc: Metric, n_patients: int, times: Sequence[float]
) -> tuple[tuple[FutureAuroc, ...], str]:
    """Return the predictions of a pilot's curve, or none and the reason.

    Parameters
    ----------
    points : CurvePoints
        The learning curve.
    auroc : Metric
        AUROC of the whole pilot.
    n_patients : int
        Number of patients of the pilot.
    times : sequence of float
        Multiples of them.
    """
    if auroc.low is None or auroc.low <= 0.5:
        return (), (
            f"The curve cannot predict results with more patients: an AUROC of {auroc.text} does "
            "not show "
            "that the pilot is better than chance."
        )
    curve = fit_power_law(
        points.n_patients,
        points.auroc,
        points.covariance,
        least=_least_auroc(auroc.value, auroc.low),
    )
    tail = (1 - _LEVEL) / 2
    future = []
    for factor in times:
        n = factor * float(points.n_patients[-1])
        low, median, high = map(float, curve.quantiles(n, [tail, 0.5, 1 - tail]))
        future.append(FutureAuroc(factor, round(factor * n_patients), median, low, high))
    return tuple(future), ""


def _least_auroc(value: float, low: float) -> float:
    """Return the AUROC whose interval would begin at 0.5, with the same standard error."""

    def error(auroc: float, end: float) -> float:
        # On the logit scale, as ``roc_auc_interval``.
        return float((special.logit(auroc) - special.logit(end)) * auroc * (1 - auroc))

    # At an AUROC of 1 the interval does not rest on a standard error.
    value = min(value, 1 - 1e-9)
    known = error(value, low)
    return float(optimize.brentq(lambda auroc: error(auroc, 0.5) - known, 0.5, value))


def _describe(
    auroc: Metric, patients: PilotPatients, future: Sequence[FutureAuroc], head: str
) -> str:
    """Return the sentences that a protocol can state."""
    positives = f"{patients.n_positive} of them positive"
    sentences = [
        f"In a pilot of {counted(patients.n_patients, 'patient')} ({positives}), the "
        f"cross-validated AUROC of the classifier {head} was {auroc.text}"
    ]
    told = [
        f"{one.value:.2f} (95 % interval {one.low:.2f} to {one.high:.2f}) with "
        f"{one.n_patients:,} patients"
        for one in future
    ]
    if told:
        sentences.append(
            "Its learning curve, extrapolated by an inverse power law, predicts an AUROC of "
            + ", and of ".join(told)
        )
    return ". ".join(sentences) + "."
