"""The search for the hyperparameters of a head within a training set."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import inner_folds
from bottleneck.errors import FeatureFileError
from bottleneck.heads.head_catalogue import LARGE, Head
from bottleneck.processes.worker_processes import joblib_options, joblib_workers
from bottleneck.settings.ranges import FoldCount, Jobs, Seed
from bottleneck.settings.schema import validate

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Rows = NDArray[np.intp]

_BLOCK = 4096
# scikit-learn takes classes of one or two samples for the numbers of a regression.
_MANY_CLASSES = "The number of unique classes is greater than"

__all__ = ["SearchResult", "check_finite", "score_classes", "search"]


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A head fitted with the best hyperparameters of the search.

    Attributes
    ----------
    estimator : Pipeline
        Pipeline fitted to the whole training set.
    chosen : mapping of str to value
        The hyperparameters; empty for a head without any.
    score : float or None
        Their mean AUROC over the inner folds, which is biased upwards as the best of many.
    converged : bool
        False if the solver stopped at its limit of iterations.
    inner_scores : ndarray of float64, shape (n_samples, n_classes), or None
        Out-of-fold scores of the training samples with these hyperparameters, in the form
        of ``score_classes``; None for a head without a search.
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
    rows: Rows | None = None,
    folds: Sequence[tuple[Rows, Rows]] | None = None,
    inner_splits: int = 5,
    seed: int = 0,
    n_jobs: int | None = None,
) -> SearchResult:
    """Choose the hyperparameters of a head by cross-validation, and fit it.

    All candidates are scored on the same inner folds, which keep patients together. The
    scaler is fitted within each fold, on its training samples only. The scores are those of
    ``GridSearchCV`` with the pipeline of the head; computations that the candidates of a
    fold share are done once. With many samples another head may be fitted in its place
    (``Head.for_samples``).

    Parameters
    ----------
    head : Head
        The head.
    X : ndarray of float, shape (n_samples, n_features)
        Features.
    y : ndarray of str, shape (n_samples,)
        Labels.
    groups : ndarray of str, shape (n_samples,), or None
        Patients; an empty string for a row without one.
    rows : ndarray of int or None
        Rows of the training set; by default all. Large training sets are not copied.
    folds : sequence of (ndarray of int, ndarray of int), or None
        Inner folds, as places in the training set; by default those of ``inner_folds``.
    inner_splits : int
        Number of inner folds; fewer if a class has fewer patients.
    seed : int
        Seed of the inner folds and of the head.
    n_jobs : int or None
        Number of processes, as in joblib.

    Returns
    -------
    SearchResult
        The fitted head. The criterion is the AUROC, macro-averaged one-vs-rest with three
        classes or more.

    Raises
    ------
    UsageError
        If ``n_jobs`` is 0.
    ProtocolError
        If there are too few samples for two inner folds.
    FeatureFileError
        If a feature is not finite.
    """
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    from bottleneck.heads.shared_fits import fit_pipeline

    validate(Jobs, n_jobs, "the number of processes")
    validate(Seed, seed, "the seed")
    validate(FoldCount, inner_splits, "the number of inner folds")
    check_finite(X)
    rows = np.arange(len(X)) if rows is None else rows
    head = head.for_samples(len(rows))
    y, groups = y[rows], None if groups is None else groups[rows]
    if len(rows) <= LARGE:
        X, rows = X[rows].astype(np.float64), np.arange(len(rows))
    chosen: Mapping[str, Any] = {}
    score = inner_scores = None
    # One thread multiplies matrices of this size several times faster than many threads do, and
    # the results do not depend on the number of cores.
    with threadpool_limits(1), config_context(assume_finite=True):
        if head.grid:
            if folds is None:
                folds = inner_folds(y, groups, inner_splits, seed)
            chosen, score, inner_scores = _search_grid(
                head, X, y, rows, folds, seed=seed, n_jobs=n_jobs
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            estimator = fit_pipeline(head.build(seed), chosen, X, y, rows)
    stopped = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    for other in caught:
        if other not in stopped and not str(other.message).startswith(_MANY_CLASSES):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return SearchResult(
        estimator,
        {**head.fixed, **chosen},
        score,
        converged=not stopped,
        inner_scores=inner_scores,
    )


def score_classes(head: Head, estimator: Pipeline, X: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the scores of samples for every class.

    Parameters
    ----------
    head : Head
        The head that built the estimator.
    estimator : Pipeline
        The fitted estimator.
    X : ndarray of float, shape (n_samples, n_features)
        Features.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_classes)
        One column per class, in the order of the sorted labels. With two classes, the
        second column is the decision function and the first its negative.
    """
    return _score(head, estimator, np.asarray(X, dtype=np.float64))


def _score(head: Head, classifier: Any, X: NDArray[np.floating]) -> NDArray[np.float64]:
    if head.kind == "probability":
        return classifier.predict_proba(X)
    scores = classifier.decision_function(X)
    return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores


def check_finite(X: NDArray[np.floating]) -> None:
    """Raise ``FeatureFileError`` if a feature is NaN or infinite."""
    # In blocks, since a mask of all features can be large.
    rows = sum(
        int((~np.isfinite(X[start : start + _BLOCK])).any(axis=1).sum())
        for start in range(0, len(X), _BLOCK)
    )
    if rows:
        raise FeatureFileError(
            f"the features of {rows} of {len(X)} samples are not finite (NaN or infinity): "
            f"extract them again, in float32 if they were extracted in half precision"
        )


def _search_grid(
    head: Head,
    X: NDArray[np.floating],
    y: NDArray[np.str_],
    rows: Rows,
    folds: Sequence[tuple[Rows, Rows]],
    *,
    seed: int,
    n_jobs: int | None,
) -> tuple[Mapping[str, Any], float, NDArray[np.float64]]:
    """Return the best candidate, its mean AUROC and its out-of-fold scores."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import ParameterGrid
    from sklearn.svm import SVC
    from sklearn.utils.parallel import Parallel, delayed

    candidates = [
        {name.removeprefix(f"{head.name}__"): value for name, value in candidate.items()}
        for candidate in ParameterGrid([dict(part) for part in head.grid])
    ]
    # These solvers release the GIL, so that threads can share the samples. liblinear cannot use
    # threads, which would draw from one random generator.
    threads = isinstance(head.build(seed)[-1], SVC | LogisticRegression)
    how = {"prefer": "threads"} if threads else joblib_options(n_jobs)
    with warnings.catch_warnings(), joblib_workers():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", _MANY_CLASSES)
        results = Parallel(n_jobs=n_jobs, **how)(
            delayed(_score_candidates)(head, candidates, X, y, rows, train, test, seed)
            for train, test in folds
        )
    means = np.mean([aurocs for aurocs, _ in results], axis=0)
    best = int(means.argmax())
    out_of_fold = np.empty((len(y), results[0][1].shape[2]))
    for (_, test), (_, scores) in zip(folds, results, strict=True):
        out_of_fold[test] = scores[best]
    return candidates[best], float(means[best]), out_of_fold


def _score_candidates(
    head: Head,
    candidates: Sequence[Mapping[str, Any]],
    X: NDArray[np.floating],
    y: NDArray[np.str_],
    rows: Rows,
    train: Rows,
    test: Rows,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the AUROC and the scores of every candidate in one fold."""
    from sklearn.metrics import get_scorer
    from threadpoolctl import threadpool_limits

    from bottleneck.heads.shared_fits import fit_candidates, fit_transform

    classes = np.unique(y)
    two = len(classes) == 2
    auroc: Callable[..., float] = get_scorer("roc_auc") if two else partial(_mean_auroc, head)
    pipeline = head.build(seed)
    transform, classifier = pipeline[:-1], pipeline[-1]
    aurocs = np.empty(len(candidates))
    scores = np.empty((len(candidates), len(test), len(classes)))
    with threadpool_limits(1):  # a worker process does not inherit the limit
        X_train = fit_transform(pipeline, X, rows[train])
        X_test = transform.transform(X[rows[test]])
        for fitted in fit_candidates(classifier, candidates, X_train, y[train], X_test):
            aurocs[fitted.number] = auroc(fitted.classifier, fitted.inputs, y[test])
            scores[fitted.number] = _score(head, fitted.classifier, fitted.inputs)
    return aurocs, scores


def _mean_auroc(head: Head, classifier: Any, X: NDArray, y: NDArray[np.str_]) -> float:
    """Return the macro-averaged one-vs-rest AUROC."""
    from sklearn.metrics import roc_auc_score

    truth = y[:, np.newaxis] == classifier.classes_
    return roc_auc_score(truth, _score(head, classifier, X), average="macro")
