"""Predictions: one row a sample and repeat, whatever made them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Predictions", "read_predictions"]

Kind = Literal["decision", "probability"]

# What was written with few decimals does not add up exactly.
_ROUNDING = 5e-3


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
        read as frequencies, and only scores of one fold can be ranked together.
    probabilities : ndarray of float64, shape (n, n_classes), or None
        Calibrated probabilities, in the order of ``classes``; None where there are none.
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
    probabilities: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        rows = [self.repeats, self.folds, self.labels, self.predicted, self.scores]
        if self.groups is not None:
            rows.append(self.groups)
        if any(len(r) != n for r in rows) or self.scores.shape != (n, len(self.classes)):
            raise DataError("predictions need one value per row, and one score per class")
        if not np.isfinite(self.scores).all():
            raise DataError("predictions hold scores that are not finite")
        if self.probabilities is not None:
            if self.probabilities.shape != self.scores.shape:
                raise DataError("predictions need one probability per row and class")
            # NaN compares as false.
            if not ((self.probabilities >= 0) & (self.probabilities <= 1)).all():
                raise DataError("predictions hold probabilities that are not between 0 and 1")

    def __len__(self) -> int:
        return len(self.ids)

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a table.

        Its columns are id, group, repeat, fold, label, predicted, score_* for every class
        and, where known, probability_*.
        """
        import pandas as pd

        columns = {
            "id": self.ids,
            "group": self.groups if self.groups is not None else "",
            "repeat": self.repeats,
            "fold": self.folds,
            "label": self.labels,
            "predicted": self.predicted,
        }
        try:
            frame = pd.DataFrame(columns)
        except UnicodeEncodeError:
            # Arrow, which pandas takes where it is installed, refuses names that are no UTF-8.
            with pd.option_context("mode.string_storage", "python"):
                frame = pd.DataFrame(columns)
        for column, name in enumerate(self.classes):
            frame[f"score_{name}"] = self.scores[:, column]
        if self.probabilities is not None:
            for column, name in enumerate(self.classes):
                frame[f"probability_{name}"] = self.probabilities[:, column]
        return frame

    def take(self, rows: NDArray) -> Predictions:
        """Return some of the rows, by number or by mask."""
        optional = (self.groups, self.probabilities)
        groups, probabilities = (None if a is None else a[rows] for a in optional)
        return dataclasses.replace(
            self,
            ids=self.ids[rows],
            groups=groups,
            repeats=self.repeats[rows],
            folds=self.folds[rows],
            labels=self.labels[rows],
            predicted=self.predicted[rows],
            scores=self.scores[rows],
            probabilities=probabilities,
        )

    @staticmethod
    def concatenate(parts: Sequence[Predictions]) -> Predictions:
        """Join the predictions of several folds or repeats of one arm."""
        first = parts[0]
        if any(p.classes != first.classes or p.kind != first.kind for p in parts):
            raise DataError("predictions of different classes or kinds cannot be joined")
        for field in ("groups", "probabilities"):
            if len({getattr(p, field) is None for p in parts}) > 1:
                raise DataError(f"predictions with and without {field} cannot be joined")

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
            probabilities=None if first.probabilities is None else joined("probabilities"),
        )


def read_predictions(path: str | Path) -> tuple[Predictions, Predictions | None]:
    """Read predictions that were made elsewhere.

    Parameters
    ----------
    path : str or Path
        A CSV with the columns of ``Predictions.to_frame``, with commas, tabs or semicolons
        between fields; with semicolons, numbers may have decimal commas. Needed are id, label and
        score_<class> for every class. Without predicted, the class of the largest score is
        taken; without repeat or fold, all rows are of one; probability_<class> is taken for
        calibrated. A column part may tell "test" rows from "validation" rows, on which the
        model of the row's fold was chosen; thresholds are set on these.

    Returns
    -------
    test : Predictions
        Their kind is "probability" where every row's scores lie in 0 to 1 and add up to 1.
    validation : Predictions or None
        None where the file has no such rows.

    Raises
    ------
    DataError
        If the file cannot be read, or is no such table.
    """
    import pandas as pd

    from bottleneck.data.readers.csv_tables import read_table

    frame, delimiter = read_table(path)
    named = frame.columns.tolist()
    if twice := [name for name in named if named.count(name) > 1]:
        raise DataError(f"{path} has several columns '{twice[0]}'; rename all but one")
    prefix = "score_"
    classes = tuple(sorted(c.removeprefix(prefix) for c in named if c.startswith(prefix)))
    if "" in classes:
        raise DataError(f"{path} has a column '{prefix}', which names no class")
    lacking = [c for c in ("id", "label") if c not in frame]
    if lacking or len(classes) < 2 or frame.empty:
        missing = f"no column '{lacking[0]}'" if lacking else f"{len(classes)} columns score_…"
        raise DataError(
            f"{path} is no table of predictions: it has {missing if len(frame) else 'no row'}; "
            f"needed are id, label and a column score_<class> for each of two classes or more"
        )
    if unknown := sorted(set(frame["label"]) - set(classes)):
        raise DataError(
            f"{path} has the label '{unknown[0]}', but no column score_{unknown[0]}; its scores "
            f"are of {', '.join(classes)}"
        )

    def numbers(columns: list[str]) -> NDArray[np.float64]:
        texts = frame[columns]
        if delimiter == ";":  # Of languages that write 0,5 for a half.
            texts = texts.replace(",", ".", regex=True)
        values = texts.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        wrong = ~np.isfinite(values)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{path}, line {frame.index[row]}: {columns[column]} needs a number, not "
                f"{frame[columns[column]].iloc[row]!r}"
            )
        return values

    scores = numbers([f"{prefix}{name}" for name in classes])
    shares = bool(np.all((scores >= 0) & (scores <= 1)))
    kind: Kind = (
        "probability" if shares and np.allclose(scores.sum(1), 1, atol=_ROUNDING) else "decision"
    )
    known = [f"probability_{name}" for name in classes]
    text = {name: frame[name].to_numpy(str) for name in frame if name not in known}
    first = np.zeros(len(frame), dtype=np.int64)

    def count(name: str) -> NDArray[np.int64]:
        values = numbers([name])[:, 0] if name in frame else first
        if wrong := [v for v in values.tolist() if not (0 <= v < 2**31 and v == int(v))]:
            raise DataError(
                f"{path}: {name} needs whole numbers from 0, not {wrong[0]:g}; number them anew"
            )
        return values.astype(np.int64)

    # From 0 without gaps, whatever they were called: folds within their repeat.
    repeats = np.unique(count("repeat"), return_inverse=True)[1]
    folds = count("fold")
    for repeat in range(repeats.max() + 1):
        rows = repeats == repeat
        folds[rows] = np.unique(folds[rows], return_inverse=True)[1]
    predicted = text.get("predicted", np.array(classes)[scores.argmax(axis=1)])
    if strange := sorted(set(predicted) - set(classes)):
        raise DataError(f"{path} predicts '{strange[0]}', but has no column score_{strange[0]}")
    groups = text.get("group")
    everything = Predictions(
        ids=text["id"],
        groups=None if groups is None or not np.any(groups != "") else groups,
        repeats=repeats,
        folds=folds,
        labels=text["label"],
        predicted=predicted,
        scores=scores,
        classes=classes,
        kind=kind,
        probabilities=numbers(known) if set(known) <= set(frame) else None,
    )
    stated = everything.probabilities
    if stated is not None and not np.allclose(stated.sum(axis=1), 1, atol=_ROUNDING):
        raise DataError(f"{path}: the probabilities of a row must add up to 1")
    part = text.get("part", np.full(len(frame), "test"))
    if strange := sorted(set(part) - {"test", "validation"}):
        raise DataError(f"{path} names a part '{strange[0]}', where test or validation is needed")
    if not np.any(part == "test"):
        raise DataError(f"{path} has no row of the part 'test'")
    validation = part == "validation"
    test = everything.take(~validation)
    keys = pd.DataFrame({"id": test.ids, "repeat": test.repeats})
    if keys.duplicated().any():
        raise DataError(
            f"{path} predicts '{keys[keys.duplicated()]['id'].iloc[0]}' twice; "
            "a table holds one arm, and every sample once a repeat"
        )
    return test, everything.take(validation) if validation.any() else None
