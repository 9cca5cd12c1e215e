"""The AUROC of each centre, and a prediction interval for a new one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from bottleneck.evaluation.metrics.inference.metric_intervals import auroc_interval
from bottleneck.evaluation.metrics.metric_values import Centre, Centres, Metric, as_metric
from bottleneck.predictions import Predictions
from bottleneck.statistics.heterogeneity.meta_analysis import random_effects
from bottleneck.statistics.inference.intervals import Interval

__all__ = ["evaluate_centres"]

# With fewer centres, their variance is hardly known.
_LEAST_CENTRES = 5


def evaluate_centres(
    predictions: Predictions, names: Sequence[str], positive: str | None
) -> Centres:
    """Compute the AUROC of every centre, and predict that of a new centre.

    Parameters
    ----------
    predictions : Predictions
        Predictions of one arm; each fold tests one centre.
    names : sequence of str
        Names of the centres by the number of their fold.
    positive : str or None
        As for ``compute_metrics``.

    Returns
    -------
    Centres
        AUROCs with the interval of one test set. From five centres on, ``new_centre`` is the mean
        of ``random_effects`` of their logits, with the prediction interval, both transformed
        back to AUROCs. The standard error of a logit is that of the AUROC divided by
        AUROC (1 - AUROC).
    """
    parts = [predictions.take(predictions.folds == fold) for fold in np.unique(predictions.folds)]
    intervals = [auroc_interval(part, positive) for part in parts]
    each = tuple(
        Centre(
            names[int(part.folds[0])],
            len(np.unique(part.ids)),
            None if part.groups is None else len(np.unique(part.groups)),
            as_metric(interval.value, interval),
        )
        for part, interval in zip(parts, intervals, strict=True)
    )
    lacking = [
        centre.name
        for centre, interval in zip(each, intervals, strict=True)
        if not (interval.standard_error > 0 and 0 < interval.value < 1)
    ]
    if len(each) < _LEAST_CENTRES:
        note = f"no prediction interval for a new centre: {len(each)} centres, 5 are needed"
        return Centres(each, None, note)
    if lacking:
        note = (
            f"no prediction interval for a new centre: the AUROC of centre '{lacking[0]}' has no "
            f"standard error"
        )
        return Centres(each, None, note)
    return Centres(each, _predict(intervals), "")


def _predict(intervals: Sequence[Interval]) -> Metric:
    values = np.array([interval.value for interval in intervals])
    errors = np.array([interval.standard_error for interval in intervals])
    level = intervals[0].level
    found = random_effects(special.logit(values), errors / (values * (1 - values)), level)
    mean, low, high = special.expit([found.mean, found.prediction_low, found.prediction_high])
    method = f"prediction interval, {found.method}, logit scale, {level:.0%}"
    return Metric(float(mean), float(low), float(high), method)
