"""An arm of trained networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck.predictions import Predictions
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

__all__ = ["Trained"]


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """An arm of trained networks, one per fold, with one seed.

    Attributes
    ----------
    name : str
        Name of the arm.
    path : Path
        Folder of ``predictions.csv``, ``training.json``, ``splits.csv``, and the network of
        each fold.
    seed : int
        Seed of the networks.
    predictions : Predictions
        Predictions of all test folds.
    validation : Predictions
        Predictions of all validation sets, which the epochs were chosen on.
    record : mapping
        The contents of ``training.json``.
    notes : tuple of str
        Notes for the user.
    """

    name: str
    path: Path
    seed: int
    predictions: Predictions
    validation: Predictions
    record: Mapping[str, Any]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        folds = counted(len(self.record.get("folds", ())), "fold")
        return describe(self, self.name, f"{folds}, seed {self.seed}", repr(self.predictions))
