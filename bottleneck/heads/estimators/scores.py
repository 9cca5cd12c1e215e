"""Scores of a fitted estimator, checked: one finite number per sample and class, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.heads.estimators.suitability import has_method, last_step
from bottleneck.predictions import Kind

__all__ = ["order_classes", "read_scores", "refuse_company", "refuse_contradiction"]

# The share of samples that may be predicted as another class. With three classes or more, a
# support vector machine predicts by votes over pairs.
_MOST_TWO, _MOST_MANY = 0.05, 0.5
# Samples that are scored by themselves, and what their scores may differ by for rounding.
_ALONE, _MOST_APART = 3, 1e-4
# Sums of probabilities in half precision differ from 1 by this much.
_MOST_ROUNDING = 2e-3


def order_classes(estimator: Any, classes: Sequence[str]) -> list[int]:
    """Return the column of every class among the scores of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Estimator fitted to the labels, or to their codes 0, 1, …
    classes : sequence of str
        All labels, sorted.

    Raises
    ------
    UsageError
        If its classes are others.
    """
    known = np.asarray(getattr(estimator, "classes_", ())).tolist()
    names = [str(one) for one in known]
    by_name = sorted(names) == sorted(classes)
    is_code = all(isinstance(one, int | float) for one in known)
    by_code = is_code and known == list(range(len(classes)))
    # Of the texts "0" to "10", the code of "10" is 2.
    if by_name and by_code and names != list(classes):
        raise UsageError(
            f"{type(last_step(estimator)).__name__} takes the codes 0, 1, … for labels, which "
            "cannot be distinguished from these labels: name the classes by words"
        )
    if not (by_name or by_code):
        shown = ", ".join(names[:10]) or "none (no classes_)"
        raise UsageError(
            f"{type(last_step(estimator)).__name__} was fitted to the labels "
            f"{', '.join(map(str, classes[:10]))}, but its classes are {shown}: after fit, "
            "classes_ must hold the labels that it was given, in the order of its scores"
        )
    return [names.index(one) for one in classes] if by_name else list(range(len(classes)))


def read_scores(
    kind: Kind, estimator: Any, X: NDArray[np.floating], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Return finite scores of a fitted estimator, one column per class in sorted order.

    Parameters
    ----------
    kind : {"decision", "probability"}
        Which scores.
    estimator : estimator
        Fitted estimator.
    X : array, shape (n_samples, n_features)
        Inputs.
    classes : sequence of str
        All labels, sorted.

    Raises
    ------
    UsageError
        If the scores have another shape, are not finite, or are probabilities that are not
        between 0 and 1 or do not add up to 1.
    """
    method = "predict_proba" if kind == "probability" else "decision_function"
    n = X.shape[0]  # A transformer may have made them sparse.
    scores = np.asarray(getattr(estimator, method)(X), dtype=np.float64)
    if kind == "decision" and len(classes) == 2 and scores.size == n:
        scores = scores.reshape(n)
        scores = np.column_stack([-scores, scores])
    name = f"{method} of {type(last_step(estimator)).__name__}"
    if scores.shape != (n, len(classes)):
        raise UsageError(
            f"{name} must return one score per sample and class, an array of shape "
            f"{(n, len(classes))}, and returned {scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise UsageError(
            f"{name} returned scores that are not finite (NaN or infinity): scale the features "
            "in a pipeline, or change the parameters"
        )
    if kind == "probability" and not ((scores > -1e-6) & (scores < 1 + 1e-6)).all():
        raise UsageError(f"{name} returned probabilities that are not between 0 and 1")
    if kind == "probability" and (abs((sums := scores.sum(axis=1)) - 1) > _MOST_ROUNDING).any():
        at = int(abs(sums - 1).argmax())
        raise UsageError(
            f"{name} returned probabilities that do not add up to 1 over the classes (but, in one "
            f"sample, to {sums[at]:.3g}): divide them by their sum, or return them from "
            "decision_function, without a predict_proba"
        )
    return scores[:, order_classes(estimator, classes)]


def refuse_contradiction(
    kind: Kind, estimator: Any, X: NDArray[np.floating], classes: Sequence[str]
) -> None:
    """Raise ``UsageError`` if an estimator predicts other classes than its scores say.

    Its columns may be in another order than its classes, or it has a threshold of its own.

    Parameters
    ----------
    kind, estimator, X, classes
        As for ``read_scores``, with training samples.
    """
    if not has_method(estimator, "predict"):
        return
    scores = read_scores(kind, estimator, X, classes)
    known = np.asarray(estimator.classes_).tolist()
    order = order_classes(estimator, classes)
    predicted = [order.index(known.index(p)) for p in np.ravel(estimator.predict(X)).tolist()]
    two = np.sort(scores, axis=1)[:, -2:]
    clear = ~np.isclose(two[:, 0], two[:, 1])
    other = int((clear & (scores.argmax(axis=1) != predicted)).sum())
    if other > (_MOST_TWO if len(classes) == 2 else _MOST_MANY) * len(X):
        name = type(last_step(estimator)).__name__
        method = "predict_proba" if kind == "probability" else "decision_function"
        raise UsageError(
            f"{name} predicts another class than the one with the largest score ({method}) for "
            f"{other} of {len(X)} training samples: the scores must follow classes_, and "
            "thresholds are chosen with Measures(at_sensitivity=...), not by the estimator"
        )


def refuse_company(
    kind: Kind, estimator: Any, X: NDArray[np.floating], classes: Sequence[str]
) -> None:
    """Raise ``UsageError`` if the score of a sample depends on which others are scored with it.

    Such an estimator has another score for tomorrow's image than the one that was evaluated.

    Parameters
    ----------
    kind, estimator, X, classes
        As for ``read_scores``, with training samples.
    """
    together = read_scores(kind, estimator, X, classes)
    most = _MOST_APART * max(1.0, float(np.ptp(together)))
    for row in range(0, len(X), max(1, -(-len(X) // _ALONE))):
        alone = read_scores(kind, estimator, X[row : row + 1], classes)[0]
        if (apart := abs(alone - together[row])).max() > most:
            column = int(apart.argmax())
            raise UsageError(
                f"{type(last_step(estimator)).__name__} scores a sample {alone[column]:.4g} by "
                f"itself and {together[row, column]:.4g} among {len(X)} samples: the score of a "
                "sample must not depend on the other samples, so use values of the training "
                "samples instead"
            )
