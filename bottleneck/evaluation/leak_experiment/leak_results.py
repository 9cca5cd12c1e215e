"""Results of the leak experiment: metrics under each protocol, with their spread."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe, show_fields, show_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIGURES", "LeakExperiment", "LeakRow"]

FIGURES = ("auroc_pooled", "auroc", "accuracy", "sensitivity", "specificity")


@dataclasses.dataclass(frozen=True)
class LeakRow:
    """Metrics under one protocol.

    Attributes
    ----------
    name : str
        Name of the protocol.
    honest : bool
        Whether the metrics hold for new patients.
    why : str
        Why the protocol is wrong, or right.
    n_tested : int
        Number of test images in each repeat.
    n_trained : float
        Number of training images, averaged over folds.
    image_known : float
        Share of the test images with another copy, or the original, in the training set.
    patient_known : float
        Share of the test images with another image of the same patient in the training set.
    repeats : mapping of str to tuple of float
        One value per repeat, by the names in ``FIGURES``. "auroc" is the mean of the AUROC within
        each fold; "auroc_pooled" ranks the scores of all folds together, as published work often
        does although they come from different models.
    """

    name: str
    honest: bool
    why: str
    n_tested: int
    n_trained: float
    image_known: float
    patient_known: float
    repeats: Mapping[str, tuple[float, ...]]

    __repr__ = show_fields

    def mean(self, figure: str) -> float:
        """Return the mean of a metric over the repeats."""
        return statistics.fmean(self.repeats[figure])

    def spread(self, figure: str) -> float | None:
        """Return the standard deviation of a metric over the repeats; None for a single one.

        It shows how much depends on the random folds. It is not a standard error, since all
        repeats use the same patients.
        """
        values = self.repeats[figure]
        return statistics.stdev(values) if len(values) > 1 else None


@dataclasses.dataclass(frozen=True, eq=False)
class LeakExperiment:
    """Results of the leak experiment.

    Attributes
    ----------
    dataset : str
        Name of the augmented data set.
    features : mapping
        Provenance of its features.
    head : str
        Description of the classifier.
    n_images, n_patients : int
        Number of original images and of their patients.
    copies : int
        Number of altered copies of each original.
    positive : str or None
        The positive class; None for the mean of each class against the rest.
    n_splits, seed : int
        Number of folds, and the seed of the first repeat.
    rows : tuple of LeakRow
        One per protocol, those with leaks first.
    warnings : tuple of CheckWarning
        Warnings about the features and folds.
    ignored : mapping of str to int
        Number of findings of each check that was ignored, by its code.
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
    rows: tuple[LeakRow, ...]
    warnings: tuple[CheckWarning, ...] = ()
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        size = f"{counted(self.n_images, 'image')} of {counted(self.n_patients, 'patient')}"
        figures = [f"{row.name}: auroc_pooled {row.mean('auroc_pooled'):.3f}" for row in self.rows]
        return describe(self, self.dataset, f"{size}, copies of each: {self.copies}", *figures)

    _repr_html_ = show_html

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row per protocol: numbers of images, metrics and their spread."""
        import pandas as pd

        frame = pd.DataFrame(
            {
                "protocol": row.name,
                "honest": row.honest,
                "n_tested": row.n_tested,
                "n_trained": row.n_trained,
                "image_known": row.image_known,
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
        # Without a spread, pandas would take a column of None for one of objects.
        return frame.astype({f"{figure}_sd": float for figure in FIGURES})
