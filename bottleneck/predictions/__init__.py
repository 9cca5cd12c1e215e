"""Predictions: one row per sample and repeat, whatever model they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.data.splits.patients import count_by_class
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_counts, describe, show_html
from bottleneck.text.table_text import text_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Predictions", "predicted_classes"]

Kind = Literal["decision", "probability"]


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of an arm for every test sample.

    Its arrays must not be changed, since some of what follows from them is remembered.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Sample ids, unique within a repeat.
    groups : ndarray of str, shape (n,), or None
        Patients, or larger groups of samples that are not independent; None where unknown.
    repeats, folds : ndarray of int, shape (n,)
        Repeat and test fold of each row, from 0.
    labels, predicted : ndarray of str, shape (n,)
        True and predicted classes.
    scores : ndarray of float64, shape (n, n_classes)
        A score per class, in the order of ``classes``; larger means more likely.
    classes : tuple of str
        All labels, sorted.
    kind : {"decision", "probability"}
        Whether the scores are values of a decision function or probabilities. Scores of
        different folds come from different models and are not ranked together.
    probabilities : ndarray of float64, shape (n, n_classes), or None
        Calibrated probabilities, in the order of ``classes``; None where there are none.
    jackknife : ndarray of float64, shape (n, n_parts, n_classes), or None
        Scores by models that were trained without one part of the training patients: within a
        repeat, the patients are divided into the same parts for all folds. The variance that the
        training sets add to an AUROC is estimated from them; None where there are none.

    Raises
    ------
    DataError
        If lengths differ, or a score or probability is out of range.

    Examples
    --------
    >>> made = Predictions.from_arrays(["benign", "malignant"], [[0.8, 0.2], [0.3, 0.7]])
    >>> made.classes, made.labels.tolist()
    (('benign', 'malignant'), ['benign', 'malignant'])
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
    jackknife: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        rows = [self.repeats, self.folds, self.labels, self.predicted, self.scores]
        if self.groups is not None:
            rows.append(self.groups)
        if any(len(r) != n for r in rows) or self.scores.shape != (n, len(self.classes)):
            raise DataError(
                "predictions need one value per row in every column, and one score per class"
            )
        if not np.isfinite(self.scores).all():
            raise DataError(
                "predictions hold scores that are not finite: replace or leave out these rows"
            )
        if self.probabilities is not None:
            if self.probabilities.shape != self.scores.shape:
                raise DataError("predictions need one probability per row and class")
            # NaN compares as false.
            if not ((self.probabilities >= 0) & (self.probabilities <= 1)).all():
                raise DataError("predictions hold probabilities that are not between 0 and 1")
        if self.jackknife is not None:
            if self.jackknife.ndim != 3 or self.jackknife[:, 0].shape != self.scores.shape:
                raise DataError("predictions need one jackknife score per row, part and class")
            if not np.isfinite(self.jackknife).all():
                raise DataError("predictions hold jackknife scores that are not finite")

    @staticmethod
    def from_arrays(
        y: ArrayLike | pd.Series,
        scores: ArrayLike | pd.DataFrame,
        groups: ArrayLike | pd.Series | None = None,
        ids: ArrayLike | pd.Series | pd.Index | None = None,
        *,
        folds: ArrayLike | pd.Series | None = None,
        repeats: ArrayLike | pd.Series | None = None,
        probabilities: ArrayLike | pd.DataFrame | None = None,
        classes: Sequence[str | int] | None = None,
    ) -> Predictions:
        """Return predictions from labels and scores in arrays.

        Parameters
        ----------
        y : array-like of shape (n,)
            True labels, as in ``FeatureSet.from_arrays``.
        scores : array-like of shape (n, n_classes) or (n,)
            A score per class, or of two classes that of the positive class. A score of one
            column is a probability if all are between 0 and 1, and otherwise a decision value
            with the threshold 0.
        groups : array-like of shape (n,) or None
            Patients; "" for an unknown one.
        ids : array-like of shape (n,) or None
            Samples, each once per repeat; by default the numbers of the rows.
        folds, repeats : array-like of shape (n,) or None
            Test fold and repeat of each row, as whole numbers or names. Scores of different folds
            come from different models and are not ranked together.
        probabilities : array-like of shape (n, n_classes) or (n,), or None
            Calibrated probabilities, in the form of the scores.
        classes : sequence of str or None
            Classes in the order of the columns; for one column, the other class and then the
            positive one. By default the names of a data frame's columns, or ``numpy.unique(y)``,
            which is the order of scikit-learn's ``predict_proba``: 2 comes before 10.

        Raises
        ------
        UsageError
            If shapes or lengths differ, or it is open which class is the positive one.
        DataError
            If a value is missing or no number, a label is not a class, or a sample occurs twice.

        Examples
        --------
        >>> made = Predictions.from_arrays([0, 1, 1], [0.2, 0.9, 0.4], groups=["a", "b", "b"])
        >>> made.classes, made.predicted.tolist(), made.kind
        (('0', '1'), ['0', '1', '0'], 'probability')
        """
        from bottleneck.predictions.prediction_arrays import from_columns

        return from_columns(
            y,
            scores,
            groups=groups,
            ids=ids,
            folds=folds,
            repeats=repeats,
            probabilities=probabilities,
            classes=classes,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def n_samples(self) -> int:
        """Number of samples; repeats count once."""
        one_repeat = (self.repeats == self.repeats[:1]).all()  # Ids are unique within it.
        return len(self) if one_repeat else len(np.unique(self.ids))

    @cached_property
    def n_repeats(self) -> int:
        """How often each sample was tested."""
        return len(np.unique(self.repeats))

    def __repr__(self) -> str:
        first = np.unique(self.ids, return_index=True)[1]
        size = f"{counted(len(self), 'row')} of {counted(len(first), 'sample')}"
        return describe(self, "", size, class_counts(count_by_class(self.labels[first])), self.kind)

    _repr_html_ = show_html

    def to_frame(self) -> pd.DataFrame:
        """Return a table with the columns id, group, repeat, fold, label, predicted and score_*.

        Where probabilities are known, it has the columns probability_* too.

        Examples
        --------
        >>> made = Predictions.from_arrays(["benign", "malignant"], [[0.8, 0.2], [0.3, 0.7]])
        >>> made.to_frame().columns.tolist()[:6]
        ['id', 'group', 'repeat', 'fold', 'label', 'predicted']
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
        frame = text_frame(columns)
        # Inserted one by one, hundreds of columns would lie in as many blocks of memory.
        parts = [frame, pd.DataFrame(self.scores, columns=[f"score_{c}" for c in self.classes])]
        if self.probabilities is not None:
            names = [f"probability_{name}" for name in self.classes]
            parts.append(pd.DataFrame(self.probabilities, columns=names))
        return pd.concat(parts, axis=1)

    def take(self, rows: NDArray) -> Predictions:
        """Return some of the rows, selected by number or by mask.

        Examples
        --------
        >>> made = Predictions.from_arrays(["benign", "malignant"], [[0.8, 0.2], [0.3, 0.7]])
        >>> made.take(made.labels == "benign").ids.tolist()
        ['0']
        """
        optional = (self.groups, self.probabilities, self.jackknife)
        groups, probabilities, jackknife = (None if a is None else a[rows] for a in optional)
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
            jackknife=jackknife,
        )

    @staticmethod
    def concatenate(parts: Sequence[Predictions]) -> Predictions:
        """Join predictions of several folds or repeats of one arm.

        Raises
        ------
        DataError
            If classes or kinds differ, or only some have groups or probabilities.

        Notes
        -----
        Jackknife scores are kept where all have the same number of parts.

        Examples
        --------
        >>> made = Predictions.from_arrays(["benign", "malignant"], [[0.8, 0.2], [0.3, 0.7]])
        >>> parts = [made.take(made.ids == name) for name in ("1", "0")]
        >>> Predictions.concatenate(parts).ids.tolist()
        ['1', '0']
        """
        first = parts[0]
        if any(p.classes != first.classes or p.kind != first.kind for p in parts):
            raise DataError("predictions of different classes or kinds cannot be joined")
        for field in ("groups", "probabilities"):
            if len({getattr(p, field) is None for p in parts}) > 1:
                raise DataError(f"predictions with and without {field} cannot be joined")

        shapes = {None if p.jackknife is None else p.jackknife.shape[1] for p in parts}
        if len(shapes) > 1:
            parts = [dataclasses.replace(p, jackknife=None) for p in parts]
            first = parts[0]
        joined: dict[str, Any] = {
            field.name: np.concatenate([getattr(p, field.name) for p in parts])
            for field in dataclasses.fields(first)
            if isinstance(getattr(first, field.name), np.ndarray)
        }
        return dataclasses.replace(first, **joined)


def predicted_classes(scores: NDArray[np.floating], classes: Sequence[str]) -> NDArray[np.str_]:
    """Return the class of the largest score of each row; of equal scores, the first class.

    Every model's predicted class is chosen here. An estimator's own ``predict`` may contradict its
    scores: libsvm takes the class that wins most pairs, and among equals the first.

    Parameters
    ----------
    scores : ndarray of float, shape (n, n_classes)
        A score per class.
    classes : sequence of str, length n_classes
        The classes, in the order of the columns.

    Examples
    --------
    >>> predicted_classes(np.array([[0.2, 0.8], [1.5, -1.5]]), ("benign", "malignant")).tolist()
    ['malignant', 'benign']
    """
    return np.array(classes)[np.argmax(scores, axis=1)]


def join_scores(
    scores: NDArray[np.float64],
    classes: tuple[str, ...],
    kind: Kind,
    *,
    ids: NDArray[np.str_],
    labels: NDArray[np.str_],
    groups: NDArray[np.str_] | None,
) -> Predictions:
    """Return scores as predictions, all in repeat 0 and fold 0.

    Parameters
    ----------
    scores : ndarray of float64, shape (n, n_classes)
        Scores of samples.
    classes, kind, ids, labels, groups
        As in ``Predictions``.

    Examples
    --------
    >>> one = np.array(["a"])
    >>> made = join_scores(
    ...     np.array([[0.2, 0.8]]), ("a", "b"), "probability", ids=one, labels=one, groups=None
    ... )
    >>> made.predicted.tolist(), made.folds.tolist()
    (['b'], [0])
    """
    zeros = np.zeros(len(scores), dtype=np.int64)
    return Predictions(
        ids=ids,
        groups=groups,
        repeats=zeros,
        folds=zeros,
        labels=labels,
        predicted=predicted_classes(scores, classes),
        scores=scores,
        classes=classes,
        kind=kind,
    )
