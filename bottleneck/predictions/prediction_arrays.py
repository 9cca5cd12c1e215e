"""Predictions from arrays in memory, and what tables of predictions share with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.labels.positive_class import recognise_positive
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import BottleneckError, DataError, UsageError
from bottleneck.features.arrays.matrix import index_of, is_frame, read_numbers
from bottleneck.features.arrays.sample_columns import (
    name_ids,
    name_samples,
    read_names,
)
from bottleneck.predictions import Kind, Predictions, predicted_classes
from bottleneck.statistics.arguments import check_same_rows

__all__ = ["add_up", "from_columns", "kind_of", "renumbered"]

# Probabilities with two decimals do not add up to 1 exactly: each is wrong by as much as this.
# Numbers of another kind are not taken for them, however many classes there are.
_ROUNDING, _MOST_ROUNDING = 5e-3, 5e-2
_PREFIXES = ("score_", "probability_")


def from_columns(
    y: object,
    scores: object,
    *,
    groups: object,
    ids: object,
    folds: object,
    repeats: object,
    probabilities: object,
    classes: Sequence[str | int] | None,
) -> Predictions:
    """Return what ``Predictions.from_arrays`` documents."""
    check_same_rows(
        y=y,
        scores=scores,
        groups=groups,
        ids=ids,
        folds=folds,
        repeats=repeats,
        probabilities=probabilities,
    )
    labels = read_names(y, "y")
    n = len(labels)
    if not n:
        raise UsageError("y has no label: there is nothing to evaluate")
    if repeats is not None and ids is None:
        raise UsageError("repeats need ids, which identify the rows of one sample: pass ids=")
    index = next((i for i in map(index_of, (y, scores)) if i is not None), None)
    codes = [
        np.zeros(n, np.int64) if column is None else _code(read_names(column, what, n, rows="y"))
        for column, what in ((repeats, "repeats"), (folds, "folds"))
    ]
    identities = (
        name_ids(ids, index, n, rows="y")
        if repeats is None
        else np.array(read_names(ids, "ids", n, rows="y"), str)
    )
    keys = Counter(zip(identities.tolist(), codes[0].tolist(), strict=True))
    if twice := [name for (name, _), times in keys.items() if times > 1]:
        raise DataError(
            f"ids has '{twice[0]}' several times in one repeat: predictions have every sample once "
            "per repeat; pass an arm per model"
        )
    patients = None if groups is None else read_names(groups, "groups", n, rows="y")
    try:
        spelled, stated, _ = name_samples(identities, labels, patients)
    except BottleneckError as error:
        raise type(error)(f"y, groups and ids: {error}") from error
    in_order = _order_classes(y, labels, spelled.tolist())
    names = _name_classes(scores, classes, in_order)
    values = _read_scores(scores, "scores", names, n, is_stated=classes is not None)
    known = match_names(spelled.tolist(), names)
    if unknown := sorted(set(spelled.tolist()) - set(known)):
        raise DataError(
            f"y has the label '{unknown[0]}', and the scores are of {', '.join(names)}: pass a "
            "score for each class of y, and their names as classes="
        )
    order = np.argsort(names)
    values = values[:, order]
    ordered = tuple(names[i] for i in order)
    calibrated = None
    if probabilities is not None:
        stated_names = _name_classes(probabilities, classes, list(names))
        if set(stated_names) != set(names):
            raise UsageError(
                f"probabilities are of {', '.join(stated_names)}, and scores of {', '.join(names)}"
            )
        columns = _read_scores(
            probabilities, "probabilities", stated_names, n, is_stated=classes is not None
        )
        calibrated = columns[:, np.argsort(stated_names)]
        if not (np.all((calibrated >= 0) & (calibrated <= 1)) and add_up(calibrated)):
            raise DataError("probabilities need to be between 0 and 1 and to add up to 1 in a row")
    return Predictions(
        ids=identities,
        groups=stated,
        repeats=codes[0],
        folds=renumbered(*codes),
        labels=np.array([known[label] for label in spelled.tolist()], str),
        predicted=predicted_classes(values, ordered),
        scores=values,
        classes=ordered,
        kind=kind_of(values),
        probabilities=calibrated,
    )


def kind_of(scores: NDArray[np.float64]) -> Kind:
    """Return "probability" if the scores of every row are between 0 and 1 and add up to 1."""
    is_probability = bool(np.all((scores >= 0) & (scores <= 1))) and add_up(scores)
    return "probability" if is_probability else "decision"


def renumbered(repeats: NDArray[np.int64], folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return folds that are numbered from 0 without gaps within each repeat."""
    folds = folds.copy()
    for repeat in np.unique(repeats):
        rows = repeats == repeat
        folds[rows] = np.unique(folds[rows], return_inverse=True)[1]
    return folds


def add_up(values: NDArray[np.float64]) -> bool:
    """Return whether the numbers of each row add up to 1, as far as two decimals allow."""
    most = min(_ROUNDING * values.shape[1], _MOST_ROUNDING)
    return bool((abs(values.sum(axis=1) - 1) <= most + 1e-9).all())


def _code(names: list[str]) -> NDArray[np.int64]:
    """Number names from 0, whole numbers in their order."""
    if all(name.lstrip("-").isdigit() for name in names):
        return np.unique(np.array(names, np.int64), return_inverse=True)[1].astype(np.int64)
    return np.unique(np.array(names, str), return_inverse=True)[1].astype(np.int64)


def _order_classes(y: Any, labels: list[str], spelled: list[str]) -> list[str]:
    """Return the classes in the order of ``numpy.unique(y)``, as ``predict_proba`` has them."""
    classes = dict(zip(labels, spelled, strict=True))
    if len(set(classes.values())) < len(classes):
        return sorted(set(spelled))
    values = np.asarray(y)
    are_numbers = values.dtype.kind in "iuf" or (
        values.dtype.kind == "O" and {type(v) for v in values.tolist()} <= {int, float}
    )
    return [classes[name] for name in sorted(classes, key=float if are_numbers else None)]


def _name_classes(scores: Any, classes: Sequence[str | int] | None, labels: list[str]) -> list[str]:
    """Return the classes in the order of the columns."""
    if classes is not None:
        if isinstance(classes, str):
            raise UsageError(f"classes need the name of each class, not the text '{classes}'")
        names = read_names(list(classes), "classes")
    elif is_frame(scores) and len(scores.columns) > 1 and not _is_numbered(scores):
        names = read_names(list(scores.columns), "the columns of scores")
        for prefix in _PREFIXES:
            if all(name.startswith(prefix) for name in names):
                names = [name.removeprefix(prefix) for name in names]
    else:
        names = labels
    if len(set(names)) < len(names) or len(names) < 2:
        raise UsageError(
            f"predictions need two classes or more, each once, not {', '.join(names) or 'none'}: "
            "pass classes="
        )
    return names


def _is_numbered(frame: Any) -> bool:
    """Return whether the columns of a data frame are 0, 1, 2, … because nobody named them."""
    return list(frame.columns) == list(range(len(frame.columns)))


def _read_scores(
    scores: Any, what: str, classes: list[str], n: int, *, is_stated: bool
) -> NDArray[np.float64]:
    """Return one column per class, of one or several columns."""
    values = read_numbers(scores, what)
    if len(values) != n:
        raise UsageError(f"{what} has {len(values)} rows, and y {n} labels: pass one row per label")
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        return _two_columns(values.reshape(n), what, classes, is_stated=is_stated)
    if values.ndim != 2 or values.shape[1] != len(classes):
        raise UsageError(
            f"{what} needs one column per class ({', '.join(classes)}), and has the shape "
            f"{values.shape}: pass classes= if y lacks one of them"
        )
    return values


def _two_columns(
    values: NDArray[np.float64], what: str, classes: list[str], *, is_stated: bool
) -> NDArray[np.float64]:
    if len(classes) != 2:
        raise UsageError(
            f"{what} has one column, and there are {len(classes)} classes "
            f"({', '.join(classes)}): pass one column per class"
        )
    positive = 1
    if not is_stated:
        recognised = recognise_positive(classes)
        if len(recognised) != 1:
            raise UsageError(
                f"{what} has one column: is a high score '{classes[0]}' or '{classes[1]}'? Pass "
                f"classes=[the other class, the class of high scores]"
            )
        positive = classes.index(recognised[0])
    is_probability = bool(((values >= 0) & (values <= 1)).all())
    columns = np.stack([1 - values if is_probability else -values, values], axis=1)
    return columns if positive == 1 else columns[:, ::-1]
