"""Predictions of all arms as data frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["external_predictions_frame", "inner_frame", "predictions_frame"]


def predictions_frame(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the predictions of all arms: "arm", then the columns of ``Predictions.to_frame``."""
    import pandas as pd

    frames = [e.predictions.to_frame() for e in evaluations]
    for frame, evaluation in zip(frames, evaluations, strict=True):
        frame.insert(0, "arm", evaluation.name)
    return pd.concat(frames, ignore_index=True)


def external_predictions_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the predictions on all external cohorts: "cohort", then as ``predictions_frame``."""
    import pandas as pd

    frames = [predictions_frame(external.evaluations) for external in comparison.external]
    for frame, external in zip(frames, comparison.external, strict=True):
        frame.insert(0, "cohort", external.dataset["name"])
    return pd.concat(frames, ignore_index=True)


def inner_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the scores on which thresholds and calibrations are set.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.

    Returns
    -------
    DataFrame
        Columns arm, repeat, fold, id, group, label and score_<class> for every class. The rows of
        a repeat and fold are the training set of that test fold, with the out-of-fold scores of
        its inner folds; for a trained network they are its validation set. Arms without inner
        scores have no rows. With ``unit`` "patient", a row is a patient.
    """
    import pandas as pd

    frames = [
        part.to_frame().drop(columns="predicted").assign(arm=name)
        for name, parts in comparison.inner.items()
        for part in parts
    ]
    named = ["arm", "repeat", "fold", "id", "group", "label"]
    scores = [f"score_{name}" for name in comparison.classes]
    if not frames:
        return pd.DataFrame(columns=[*named, *scores])
    return pd.concat(frames, ignore_index=True)[[*named, *scores]]
