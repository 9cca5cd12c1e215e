"""The choice of hyperparameters within a training part."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import inner_folds
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.heads.registry import LARGE, Head

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
    inner_scores : ndarray of float64, shape (n_samples, n_classes), or None
        What the chosen hyperparameters made of each sample of the training part when it was
        left out, as ``score_classes`` gives it; None for a head that has none.
    """

    estimator: Pipeline
    chosen: Mapping[str, Any]
    score: float | None
    converged: bool
    inner_scores: NDArray[np.float64] | None = None


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
    together; the scaler is fitted in each fold, and sees the fitted part alone. The scores
    are those of ``GridSearchCV`` with the head's pipeline; what the candidates of a fold
    have in common is calculated once. A head may have another take its place for many
    samples (``Head.for_samples``).

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
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    from bottleneck.heads.shared_fits import fit_pipeline

    if n_jobs == 0:
        raise UsageError("0 processes cannot work; ask for 1 or more, or -1 for one a core")
    refuse_not_finite(X)
    head = head.for_samples(len(X))
    if len(X) <= LARGE:
        X = X.astype(np.float64)
    chosen: Mapping[str, Any] = {}
    score = inner_scores = None
    # Matrices this small are multiplied several times faster by one thread than by many that
    # wait for each other, and the figures no longer depend on the number of cores.
    with threadpool_limits(1), config_context(assume_finite=True):
        if head.grid:
            folds = inner_folds(y, groups, inner_splits, seed)
            chosen, score, inner_scores = _choose(head, X, y, folds, seed=seed, n_jobs=n_jobs)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            estimator = fit_pipeline(head.build(seed), chosen, X, y)
    stopped = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    for other in caught:
        if other not in stopped:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return SearchResult(
        estimator,
        {**head.stated, **chosen},
        score,
        converged=not stopped,
        inner_scores=inner_scores,
    )


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
    return _score(head, estimator, np.asarray(X, dtype=np.float64))


def _score(head: Head, classifier: Any, X: NDArray[np.floating]) -> NDArray[np.float64]:
    if head.kind == "probability":
        return classifier.predict_proba(X)
    scores = classifier.decision_function(X)
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


def _choose(
    head: Head,
    X: NDArray[np.floating],
    y: NDArray[np.str_],
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    *,
    seed: int,
    n_jobs: int | None,
) -> tuple[Mapping[str, Any], float, NDArray[np.float64]]:
    """Return the candidate of the highest mean AUROC, the first of several, that mean, and
    what it made of every sample that was left out."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import ParameterGrid
    from sklearn.svm import SVC
    from sklearn.utils.parallel import Parallel, delayed

    candidates = [
        {name.removeprefix(f"{head.name}__"): value for name, value in candidate.items()}
        for candidate in ParameterGrid([dict(part) for part in head.grid])
    ]
    # These leave Python while they work, so that threads can share the samples. liblinear may
    # not have threads: they would draw from one random generator.
    threads = isinstance(head.build(seed)[-1], SVC | LogisticRegression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        judged = Parallel(n_jobs=n_jobs, prefer="threads" if threads else None)(
            delayed(_score_candidates)(head, candidates, X, y, train, test, seed)
            for train, test in folds
        )
    means = np.mean([aurocs for aurocs, _ in judged], axis=0)
    best = int(means.argmax())
    left_out = np.empty((len(y), judged[0][1].shape[2]))
    for (_, test), (_, scores) in zip(folds, judged, strict=True):
        left_out[test] = scores[best]
    return candidates[best], float(means[best]), left_out


def _score_candidates(
    head: Head,
    candidates: Sequence[Mapping[str, Any]],
    X: NDArray[np.floating],
    y: NDArray[np.str_],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the AUROC and the scores of every candidate in one fold."""
    from sklearn.metrics import get_scorer
    from threadpoolctl import threadpool_limits

    from bottleneck.heads.shared_fits import fit_candidates

    classes = np.unique(y)
    two = len(classes) == 2
    judge: Callable[..., float] = get_scorer("roc_auc") if two else partial(_mean_auroc, head)
    pipeline = head.build(seed)
    transform, classifier = pipeline[:-1], pipeline[-1]
    aurocs = np.empty(len(candidates))
    scores = np.empty((len(candidates), len(test), len(classes)))
    with threadpool_limits(1):  # a process of its own has not heard of the limit
        X_train, X_test = transform.fit_transform(X[train]), transform.transform(X[test])
        for fitted in fit_candidates(classifier, candidates, X_train, y[train], X_test):
            aurocs[fitted.number] = judge(fitted.classifier, fitted.inputs, y[test])
            scores[fitted.number] = _score(head, fitted.classifier, fitted.inputs)
    return aurocs, scores


def _mean_auroc(head: Head, classifier: Any, X: NDArray, y: NDArray[np.str_]) -> float:
    """Return the mean AUROC of each class against the rest."""
    from sklearn.metrics import roc_auc_score

    truth = y[:, np.newaxis] == classifier.classes_
    return roc_auc_score(truth, _score(head, classifier, X), average="macro")
