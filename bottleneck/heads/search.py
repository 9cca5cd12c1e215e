"""The choice of hyperparameters within a training part."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.grouping import inner_folds
from bottleneck.errors import FeatureFileError
from bottleneck.heads.catalogue import Head

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["SearchResult", "refuse_not_finite", "score_classes", "search"]


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A head fitted with the hyperparameters that did best within its training part.

    Attributes
    ----------
    estimator : Pipeline
        Fitted to the whole training part.
    chosen : mapping of str to value
        The hyperparameters; empty for a head that has none.
    score : float or None
        Their mean AUROC over the inner folds, which flatters: it is the best of many.
    converged : bool
        False where the solver stopped at its limit.
    """

    estimator: Pipeline
    chosen: Mapping[str, Any]
    score: float | None
    converged: bool


def search(
    head: Head,
    X: NDArray[np.floating],
    y: NDArray[np.str_],
    groups: NDArray[np.str_] | None,
    *,
    inner_splits: int = 5,
    seed: int = 0,
    n_jobs: int | None = None,
) -> SearchResult:
    """Choose the hyperparameters of a head and fit it.

    Every candidate is fitted and scored in the same inner folds, which keep patients
    together; the scaler is part of the candidate, so it sees the fitted part alone.

    Parameters
    ----------
    head : Head
        The head.
    X : ndarray of float, shape (n_samples, n_features)
        Features of the training part.
    y : ndarray of str, shape (n_samples,)
        Labels.
    groups : ndarray of str, shape (n_samples,), or None
        Patients; an empty string where a row has none.
    inner_splits : int
        Number of inner folds, fewer where a class has fewer patients.
    seed : int
        Decides the inner folds and what the head draws at random.
    n_jobs : int or None
        Processes, as joblib counts them.

    Returns
    -------
    SearchResult
        The fitted head. AUROC decides; with three classes or more, the mean of each
        class against the rest.

    Raises
    ------
    ProtocolError
        If the samples do not allow two inner folds.
    FeatureFileError
        If a feature is not finite.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV
    from threadpoolctl import threadpool_limits

    refuse_not_finite(X)
    X = X.astype(np.float64)
    estimator = head.build(seed)
    best: dict[str, Any] = {}
    score = None
    # Matrices this small are multiplied several times faster by one thread than by many that
    # wait for each other, and the figures no longer depend on the number of cores.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", ConvergenceWarning)
        if head.grid:
            grid = GridSearchCV(
                estimator,
                [dict(part) for part in head.grid],
                scoring="roc_auc" if len(np.unique(y)) == 2 else partial(_mean_auroc, head),
                cv=inner_folds(y, groups, inner_splits, seed),
                refit=False,
                error_score="raise",
                n_jobs=n_jobs,
            ).fit(X, y)
            best, score = grid.best_params_, float(grid.best_score_)
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.set_params(**best).fit(X, y)
    stopped = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    for other in caught:
        if other not in stopped:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    chosen = {name.removeprefix(f"{head.name}__"): value for name, value in best.items()}
    return SearchResult(estimator, chosen, score, converged=not stopped)


def score_classes(head: Head, estimator: Pipeline, X: NDArray[np.floating]) -> NDArray[np.float64]:
    """Score samples with a fitted head.

    Parameters
    ----------
    head : Head
        The head that the estimator was built by.
    estimator : Pipeline
        The fitted estimator.
    X : ndarray of float, shape (n_samples, n_features)
        Features.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_classes)
        One score per class, in the order of the sorted labels. A binary decision
        function is given to the second class, and its negative to the first.
    """
    X = X.astype(np.float64)
    if head.kind == "probability":
        return estimator.predict_proba(X)
    scores = estimator.decision_function(X)
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def refuse_not_finite(X: NDArray[np.floating]) -> None:
    """Refuse features that hold NaN or infinity.

    Raises
    ------
    FeatureFileError
        With the number of such samples.
    """
    rows = int((~np.isfinite(X)).any(axis=1).sum())
    if rows:
        raise FeatureFileError(
            f"the features of {rows} of {len(X)} samples are not finite (NaN or infinity): "
            f"extract them again, in float32 if they were made in half precision"
        )


def _mean_auroc(head: Head, estimator: Pipeline, X: NDArray, y: NDArray[np.str_]) -> float:
    """Score for ``GridSearchCV``: the mean AUROC of each class against the rest."""
    from sklearn.metrics import roc_auc_score

    truth = y[:, np.newaxis] == estimator.classes_
    return roc_auc_score(truth, score_classes(head, estimator, X), average="macro")
