"""Reader of tables of predictions, which another program may have written."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.spelling.identifiers import canonical
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.data.spelling.spelling_variants import unify_spellings
from bottleneck.errors import DataError
from bottleneck.predictions import Predictions, predicted_classes
from bottleneck.predictions.prediction_arrays import add_up, kind_of, renumbered

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_arms", "read_parts", "read_predictions"]

_COLUMNS = ("id", "group", "repeat", "fold", "label", "predicted", "part")
# Columns of ``ModelPredictions.to_frame``.
_PATIENT, _REASON, _DECISION = "patient", "reason", "decision"


def read_predictions(path: str | Path) -> tuple[Predictions, Predictions | None]:
    """Read predictions from a table that another program may have written.

    Parameters
    ----------
    path : str or Path
        A workbook or a CSV file with the columns of ``Predictions.to_frame``; numbers may have
        decimal commas where commas do not separate the fields. The columns id, label and
        score_<class> for every class are needed. A column predicted must name the class of the
        largest score, or one of several; without it, the first of these is meant. By default,
        repeat and fold are 0. The columns probability_<class> hold calibrated
        probabilities. The patients are the column group, or patient, as ``ModelPredictions``
        writes them; of its table, the rows with a reason, which have no prediction, and those
        without a label are left out. A column part tells "test" rows from "validation" rows,
        which the model of the same repeat and fold was chosen on and its thresholds are set on.

    Returns
    -------
    test : Predictions
        Of kind "probability" if the scores of every row are between 0 and 1 and add up to 1.
    validation : Predictions or None
        None where the file has no such rows.

    Raises
    ------
    DataError
        If the file cannot be read, or is no such table.

    Warns
    -----
    UserWarning
        If rows without a prediction or a label were left out.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = "id,label,score_benign,score_malignant\\n"
    >>> table += "a,benign,0.8,0.2\\nb,malignant,0.3,0.7\\n"
    >>> _ = Path("table.csv").write_text(table)
    >>> predictions, _ = read_predictions("table.csv")
    >>> predictions.predicted.tolist(), predictions.kind
    (['benign', 'malignant'], 'probability')
    """
    predictions, part = read_parts(path)
    if not np.any(part == "test"):
        raise DataError(f"{path} has no row of the part 'test'")
    validation = part == "validation"
    test = predictions.take(~validation)
    keys = Counter(zip(test.ids.tolist(), test.repeats.tolist(), strict=True))
    if repeated := [name for (name, _), n in keys.items() if n > 1]:
        raise DataError(
            f"{path} predicts '{repeated[0]}' twice: "
            "a table has one arm, with every sample once per repeat"
        )
    return test, predictions.take(validation) if validation.any() else None


def read_parts(path: str | Path) -> tuple[Predictions, NDArray[np.str_]]:
    """Return all rows of a table of predictions, and the part of each.

    Parameters
    ----------
    path : str or Path
        A table as for ``read_predictions``.

    Returns
    -------
    predictions : Predictions
        All rows.
    part : ndarray of str, shape (n_rows,)
        "test" or "validation".

    Raises
    ------
    DataError
        If the file cannot be read, or is no such table.
    """
    return _read(_Table(path))


def read_arms(path: str | Path) -> dict[str, Predictions]:
    """Return the predictions of each arm in the ``predictions.csv`` of a report.

    Parameters
    ----------
    path : str or Path
        A table with the column arm, and the columns of ``Predictions.to_frame``.

    Returns
    -------
    dict of str to Predictions
        By the names of the arms, in their order.

    Raises
    ------
    DataError
        If the file cannot be read, or is no such table.
    """
    from bottleneck.data.readers.tables.csv_tables import read_table

    frame, delimiter = read_table(path)
    if "arm" not in frame:
        raise DataError(
            f"{path} has no column 'arm': it is not the predictions.csv of a report, which has the "
            "predictions of all arms"
        )
    arms = {}
    for name in frame["arm"].unique():
        own = frame[frame["arm"] == name].drop(columns="arm")
        # An arm without probabilities has empty cells where others have some.
        empty = [c for c in own if c.startswith("probability_") and (own[c] == "").all()]
        arms[name] = _read(_Table(path, (own.drop(columns=empty), delimiter)))[0]
    return arms


def _read(table: _Table) -> tuple[Predictions, NDArray[np.str_]]:
    classes, scores = table.classes, table.numbers([f"score_{name}" for name in table.classes])
    repeats, folds = table.repeats_and_folds()
    predictions = Predictions(
        ids=table.text("id"),
        groups=table.groups(),
        repeats=repeats,
        folds=folds,
        labels=table.spelled("label", classes, "has the label"),
        predicted=table.predicted(scores),
        scores=scores,
        classes=classes,
        kind=kind_of(scores),
        probabilities=table.probabilities(),
    )
    part = np.full(len(scores), "test")
    if "part" in table.frame:
        part = table.spelled("part", ("test", "validation"), "names a part")
    return predictions, part


def _spell_column(name: str) -> str:
    """Return the name of a column with the canonical name of its class, and its prefix as here."""
    for prefix in ("score_", "probability_"):
        if name.casefold().startswith(prefix):
            return prefix + canonical(name[len(prefix) :])
    return name if name not in _COLUMNS and name.casefold() not in _COLUMNS else name.casefold()


class _Table:
    """A table of predictions: its columns, checked and converted."""

    def __init__(self, path: str | Path, rows: tuple[pd.DataFrame, str] | None = None) -> None:
        from bottleneck.data.readers.tables.csv_tables import read_table

        self.path = path
        self.frame, self.delimiter = read_table(path) if rows is None else rows
        self.frame.columns = [_spell_column(name) for name in self.frame.columns]
        self._take_over()
        names = self.frame.columns.tolist()
        if repeated := [name for name in names if names.count(name) > 1]:
            raise DataError(f"{path} has several columns '{repeated[0]}'; rename all but one")
        prefix = "score_"
        self.classes = tuple(sorted(c.removeprefix(prefix) for c in names if c.startswith(prefix)))
        if "" in self.classes:
            raise DataError(f"{path} has a column '{prefix}', which names no class")
        lacking = [c for c in ("id", "label") if c not in self.frame]
        if lacking or len(self.classes) < 2 or self.frame.empty:
            n_scores = f"{len(self.classes)} columns score_…"
            fault = f"no column '{lacking[0]}'" if lacking else n_scores
            fault = "no row" if self.frame.empty else fault
            raise DataError(
                f"{path} is not a table of predictions: it has {fault}; needed are id, label and a "
                "column score_<class> for each of two classes or more. Where only the probability "
                "p of one class is known, write 1 - p for the other"
            )

    def _take_over(self) -> None:
        """Bring a table of ``ModelPredictions`` into the form of ``Predictions``."""
        frame = self.frame
        if not {_REASON, _DECISION, "label"} <= set(frame.columns):
            return
        if "group" not in frame and _PATIENT in frame:
            frame = frame.rename(columns={_PATIENT: "group"})
        used = (frame[_REASON] == "") & (frame["label"] != "")
        if n := int((~used).sum()):
            warnings.warn(
                f"{self.path}: {n} of {len(frame)} rows have no prediction or no label, and are "
                "left out",
                stacklevel=4,
            )
        self.frame = frame[used]

    def text(self, name: str) -> NDArray[np.str_]:
        """Return a column as text."""
        return self.frame[name].to_numpy(str)

    def spelled(self, name: str, known: Sequence[str], verb: str) -> NDArray[np.str_]:
        """Return a column of names as they are spelled in ``known``."""
        texts = self.text(name).tolist()
        found = match_names(texts, known)
        if unknown := sorted(set(texts) - set(found)):
            needed = ", ".join(known)
            raise DataError(f"{self.path} {verb} '{unknown[0]}'; needed is one of: {needed}")
        return np.array([found[text] for text in texts])

    def predicted(self, scores: NDArray[np.float64]) -> NDArray[np.str_]:
        """Return the predicted classes: the column's, if the scores do not contradict it."""
        if "predicted" not in self.frame:
            return predicted_classes(scores, self.classes)
        predicted = self.spelled("predicted", self.classes, "predicts")
        column = np.searchsorted(self.classes, predicted)
        own = scores[np.arange(len(scores)), column]
        # Of equal scores, a model may choose any. They are compared as they are written.
        wrong = np.flatnonzero(own < scores.max(axis=1))
        if not len(wrong):
            return predicted
        row = wrong[0]
        best = int(scores[row].argmax())
        name, other = self.classes[column[row]], self.classes[best]
        larger, smaller = float(scores[row, best]), float(own[row])
        advice = ""
        if len(self.classes) == 2:
            first, second = self.classes
            advice = (
                f" If a threshold t of score_{second} decides, write score_{second} - t in place "
                f"of score_{second}, and 0 in place of score_{first}: the larger one then decides "
                "in the same way, and columns probability_<class> may hold the probabilities."
            )
        raise DataError(
            f"{self.path}, line {self.frame.index[row]}: predicted is '{name}', but score_{other} "
            f"({larger}) is larger than score_{name} ({smaller}); so it is in {len(wrong)} of "
            f"{len(predicted)} rows. Remove the column predicted to take the class of the largest "
            f"score.{advice}"
        )

    def groups(self) -> NDArray[np.str_] | None:
        """Return the patients in one spelling, "" where there is none; None without any."""
        if "group" not in self.frame:
            return None
        texts = self.text("group").tolist()
        samples = [Sample(str(n), "x", "x", group=text or None) for n, text in enumerate(texts)]
        groups = [sample.group or "" for sample in unify_spellings(samples)[0]]
        return np.array(groups) if any(groups) else None

    def numbers(self, names: list[str]) -> NDArray[np.float64]:
        """Return columns as finite numbers, shape (n_rows, n_columns)."""
        texts = self.frame[names]
        if self.delimiter != ",":  # Used where 0,5 means a half.
            texts = texts.replace(",", ".", regex=True)
        # Not pandas' own conversion: before pandas 3.1 the last bit of every third number is wrong.
        values = texts.map(_to_number).to_numpy(np.float64)
        wrong = ~np.isfinite(values)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{self.path}, line {self.frame.index[row]}: {names[column]} needs a number, not "
                f"{self.frame[names[column]].iloc[row]!r}"
            )
        return values

    def counts(self, name: str) -> NDArray[np.int64]:
        """Return a column as whole numbers from 0; zeros where the column is missing."""
        if name not in self.frame:
            return np.zeros(len(self.frame), dtype=np.int64)
        values = self.numbers([name])[:, 0]
        if wrong := [v for v in values.tolist() if not (0 <= v < 2**31 and v == int(v))]:
            raise DataError(
                f"{self.path}: {name} needs whole numbers from 0, not {wrong[0]:g}; renumber it"
            )
        return values.astype(np.int64)

    def repeats_and_folds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return repeats, and folds within each repeat, renumbered from 0 without gaps."""
        repeats = np.unique(self.counts("repeat"), return_inverse=True)[1]
        return repeats, renumbered(repeats, self.counts("fold"))

    def probabilities(self) -> NDArray[np.float64] | None:
        """Return the calibrated probabilities; None where there is no such column."""
        prefix = "probability_"
        present = [c.removeprefix(prefix) for c in self.frame.columns if c.startswith(prefix)]
        if not present:
            return None
        known = match_names(present, self.classes)
        of_class = {known.get(name, name): f"{prefix}{name}" for name in present}
        if wrong := sorted(set(self.classes) ^ set(of_class)) or present[len(of_class) :]:
            raise DataError(
                f"{self.path} has a column '{prefix}{present[0]}', so it needs one probability for "
                f"each class that has a score ({', '.join(self.classes)}), and no others; check "
                f"'{prefix}{wrong[0]}'"
            )
        values = self.numbers([of_class[name] for name in self.classes])
        if not add_up(values):
            raise DataError(f"{self.path}: the probabilities of a row must add up to 1")
        return values


def _to_number(text: object) -> float:
    """Return the nearest float64 of a decimal number, and NaN for any other text."""
    try:
        return float(str(text).replace("_", "?"))  # Python alone reads 1_0 as 10.
    except ValueError:
        return math.nan
