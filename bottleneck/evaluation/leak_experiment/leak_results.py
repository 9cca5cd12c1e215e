"""What comes of the leak experiment: the figures of each protocol, with their spread."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIGURES", "LeakExperiment", "ProtocolResult"]

FIGURES = ("auroc_pooled", "auroc", "accuracy", "sensitivity", "specificity")


@dataclasses.dataclass(frozen=True)
class ProtocolResult:
    """What one protocol makes of the features.

    Attributes
    ----------
    name : str
        The protocol.
    honest : bool
        Whether its figures hold for patients who were not trained on.
    why : str
        Why it is wrong, or what makes it right.
    n_tested : int
        Images tested in each repeat.
    n_trained : float
        Images trained on, the mean over folds.
    picture_known : float
        Share of the tested images of which the model was trained on another copy, or on the
        original.
    patient_known : float
        Share of the tested images of whose patient it was trained on some picture.
    repeats : mapping of str to tuple of float
        By the names in ``FIGURES``, one value a repeat. "auroc" is the mean of the AUROC within
        each fold; "auroc_pooled" ranks the raw scores of all folds together, as published work
        often does, although they come from different models.
    """

    name: str
    honest: bool
    why: str
    n_tested: int
    n_trained: float
    picture_known: float
    patient_known: float
    repeats: Mapping[str, tuple[float, ...]]

    def mean(self, figure: str) -> float:
        """Return the mean of a figure over the repeats."""
        return statistics.fmean(self.repeats[figure])

    def spread(self, figure: str) -> float | None:
        """Return the standard deviation of a figure over the repeats; None for a single one.

        It tells how much depends on the draw of the folds. It is no standard error: every
        repeat sees the same patients.
        """
        values = self.repeats[figure]
        return statistics.stdev(values) if len(values) > 1 else None


@dataclasses.dataclass(frozen=True)
class LeakExperiment:
    """What came of the experiment.

    Attributes
    ----------
    dataset : str
        The augmented data set.
    features : mapping
        Provenance of its features.
    head : str
        The classifier, in words.
    n_images, n_patients : int
        Originals, and whom they are of.
    copies : int
        Altered copies of each original.
    positive : str or None
        The positive class; None for the mean of each class against the rest.
    n_splits, seed : int
        Number of folds, and the seed of the first repeat.
    rows : tuple of ProtocolResult
        The worst protocol first.
    warnings : tuple of str
        What a reader must know before the figures.
    """

    dataset: str
    features: Mapping[str, Any]
    head: str
    n_images: int
    n_patients: int
    copies: int
    positive: str | None
    n_splits: int
    seed: int
    rows: tuple[ProtocolResult, ...]
    warnings: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row a protocol: what was tested, then each figure and its spread."""
        import pandas as pd

        return pd.DataFrame(
            {
                "protocol": row.name,
                "honest": row.honest,
                "n_tested": row.n_tested,
                "n_trained": row.n_trained,
                "picture_known": row.picture_known,
                "patient_known": row.patient_known,
                "repeats": len(row.repeats[FIGURES[0]]),
            }
            | {
                column: value
                for figure in FIGURES
                for column, value in (
                    (figure, row.mean(figure)),
                    (f"{figure}_sd", row.spread(figure)),
                )
            }
            for row in self.rows
        )
