"""Tables of predictions: one row per image, and one per patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.deploy.prediction.deployed_model import Decisions
from bottleneck.text.table_text import text_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_rows"]


def frame_rows(
    first: Mapping[str, NDArray[Any]],
    decided: Decisions,
    rows: NDArray[np.intp],
    reasons: NDArray[np.str_],
    then: Mapping[str, NDArray[Any]],
) -> pd.DataFrame:
    """Return a table of decisions, with empty cells in the rows that have none.

    Parameters
    ----------
    first : mapping of str to ndarray, each of shape (n_rows,)
        The first columns, such as the ids.
    decided : Decisions
        Predictions of n_decided rows.
    rows : ndarray of int, shape (n_decided,)
        Their places in the table.
    reasons : ndarray of str, shape (n_rows,)
        Why a row has no prediction.
    then : mapping of str to ndarray, each of shape (n_decided,)
        Columns that follow the sets.
    """
    predictions, n = decided.predictions, len(reasons)
    columns: dict[str, Any] = dict(first)
    columns["predicted"] = _spread(predictions.predicted, rows, n)
    if predictions.probabilities is not None:
        for name, column in zip(predictions.classes, predictions.probabilities.T, strict=True):
            columns[f"probability_{name}"] = _spread(column, rows, n)
    columns["decision"] = _spread(decided.decisions, rows, n)
    if decided.sets is not None:
        columns["set"] = _spread(_name_sets(decided.sets, predictions.classes), rows, n)
    for name, column in then.items():
        columns[name] = _spread(column, rows, n)
    columns["reason"] = reasons
    for name, column in zip(predictions.classes, predictions.scores.T, strict=True):
        columns[f"score_{name}"] = _spread(column, rows, n)
    return text_frame(columns)


def _spread(values: NDArray[Any], rows: NDArray[np.intp], n: int) -> Any:
    """Return a column with values in some rows, and nothing in the others."""
    import pandas as pd

    if values.dtype.kind in "bi":
        column = pd.array([pd.NA] * n, dtype="boolean" if values.dtype.kind == "b" else "Int64")
        column[rows] = values
        return column
    empty: Any = np.nan if values.dtype.kind == "f" else ""
    spread = np.full(n, empty, dtype=values.dtype)
    spread[rows] = values
    return spread


def _name_sets(sets: NDArray[np.bool_], classes: tuple[str, ...]) -> NDArray[np.str_]:
    """Return the classes of each set in one text; the few different sets are named once."""
    kinds, codes = np.unique(sets, axis=0, return_inverse=True)
    names = [" | ".join(np.array(classes)[kind]) for kind in kinds]
    return np.array(names, str)[codes.ravel()]
