"""Predictions: one row a sample and repeat, whatever made them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Predictions"]

Kind = Literal["decision", "probability"]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What an arm said of every sample that it was tested on.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Sample ids. With repeats, every id comes once a repeat.
    groups : ndarray of str, shape (n,), or None
        Patients, where known.
    repeats, folds : ndarray of int, shape (n,)
        Which repeat and which test fold the row comes from, from 0.
    labels, predicted : ndarray of str, shape (n,)
        The truth and the prediction.
    scores : ndarray of float64, shape (n, n_classes)
        A score per class, in the order of ``classes``; larger means more of it.
    classes : tuple of str
        All labels, sorted.
    kind : {"decision", "probability"}
        Whether the scores are distances or probabilities. Only probabilities
        can be calibrated, and only scores of one fold can be ranked together.
    """

    ids: NDArray[np.str_]
    groups: NDArray[np.str_] | None
    repeats: NDArray[np.int64]
    folds: NDArray[np.int64]
    labels: NDArray[np.str_]
    predicted: NDArray[np.str_]
    scores: NDArray[np.float64]
    classes: tuple[str, ...]
    kind: Kind

    def __post_init__(self) -> None:
        n = len(self.ids)
        rows = [self.repeats, self.folds, self.labels, self.predicted, self.scores]
        if self.groups is not None:
            rows.append(self.groups)
        if any(len(r) != n for r in rows) or self.scores.shape != (n, len(self.classes)):
            raise DataError("predictions need one value per row, and one score per class")
        if not np.isfinite(self.scores).all():
            raise DataError("predictions hold scores that are not finite")

    def __len__(self) -> int:
        return len(self.ids)

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a table: id, group, repeat, fold, label, predicted, score_*."""
        import pandas as pd

        frame = pd.DataFrame(
            {
                "id": self.ids,
                "group": self.groups if self.groups is not None else "",
                "repeat": self.repeats,
                "fold": self.folds,
                "label": self.labels,
                "predicted": self.predicted,
            }
        )
        for column, name in enumerate(self.classes):
            frame[f"score_{name}"] = self.scores[:, column]
        return frame

    @staticmethod
    def concatenate(parts: Sequence[Predictions]) -> Predictions:
        """Join the predictions of several folds or repeats of one arm."""
        first = parts[0]
        if any(p.classes != first.classes or p.kind != first.kind for p in parts):
            raise DataError("predictions of different classes or kinds cannot be joined")
        if any((p.groups is None) != (first.groups is None) for p in parts):
            raise DataError("predictions with and without groups cannot be joined")

        def joined(field: str) -> NDArray:
            return np.concatenate([getattr(p, field) for p in parts])

        return Predictions(
            ids=joined("ids"),
            groups=None if first.groups is None else joined("groups"),
            repeats=joined("repeats"),
            folds=joined("folds"),
            labels=joined("labels"),
            predicted=joined("predicted"),
            scores=joined("scores"),
            classes=first.classes,
            kind=first.kind,
        )
