"""The search for the hyperparameters of a head within a training set."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import inner_folds
from bottleneck.errors import FeatureFileError
from bottleneck.heads.estimators.running import MANY_CLASSES, add_notes, run_estimator
from bottleneck.heads.estimators.scores import (
    order_classes,
    read_scores,
    refuse_company,
    refuse_contradiction,
)
from bottleneck.heads.estimators.suitability import has_method, last_step
from bottleneck.heads.head import LARGE, Head
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.predictions import Kind
from bottleneck.processes.worker_processes import joblib_options, joblib_workers
from bottleneck.settings.ranges import FoldCount, Jobs, Seed
from bottleneck.settings.schema import validate

if TYPE_CHECKING:
    from bottleneck.heads.shared_fits import FittedCandidate

Rows = NDArray[np.intp]

_BLOCK = 4096
# Training samples on which predictions are compared with scores.
_COMPARED = 500

__all__ = ["Scoring", "SearchResult", "check_finite", "score_classes", "search"]


class Scoring(Protocol):
    """A head, or a model of one."""

    @property
    def kind(self) -> Kind:
        """Whether its scores are probabilities or values of a decision function."""


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A head fitted with the best hyperparameters of the search.

    Attributes
    ----------
    estimator : estimator
        Estimator fitted to the whole training set.
    chosen : mapping of str to value
        The hyperparameters, in plain values; empty for a head without any.
    score : float or None
        Their mean AUROC over the inner folds, which is biased upwards as the best of many.
    converged : bool
        False if the solver stopped at its limit of iterations.
    inner_scores : ndarray of float64, shape (n_samples, n_classes), or None
        Out-of-fold scores of the training samples with these hyperparameters, in the form
        of ``score_classes``; None for a head without inner folds.
    jackknife : ndarray of float64, shape (n_beside, n_folds, n_classes), or None
        Scores of the samples ``beside`` by the models of the inner folds, each of which was
        trained without one of them. Its hyperparameters are the best ones of the other folds.
    notes : tuple of str
        What the estimator warned of, each once.
    """

    estimator: Any
    chosen: Mapping[str, Any]
    score: float | None
    converged: bool
    inner_scores: NDArray[np.float64] | None = None
    jackknife: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


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
    needs_scores: bool = True,
    beside: Rows | None = None,
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
    needs_scores : bool
        Whether a head with one candidate is fitted to the inner folds, for out-of-fold scores.
    beside : ndarray of int or None
        Rows outside of the training set that the models of the inner folds score too.

    Returns
    -------
    SearchResult
        The fitted head. The criterion is the AUROC, macro-averaged one-vs-rest with three
        classes or more.

    Raises
    ------
    UsageError
        If ``n_jobs`` is 0.
    UsageError
        If the estimator cannot be fitted to these samples, or its scores are not usable.
    ProtocolError
        If there are too few samples for two inner folds.
    FeatureFileError
        If a feature is not finite.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    from bottleneck.heads.shared_fits import fit_chosen

    validate(Jobs, n_jobs, "the number of processes")
    validate(Seed, seed, "the seed")
    validate(FoldCount, inner_splits, "the number of inner folds")
    check_finite(X)
    rows = np.arange(len(X)) if rows is None else rows
    head = head.for_samples(len(rows))
    y, groups = y[rows], None if groups is None else groups[rows]
    if len(rows) <= LARGE:
        n = len(rows)
        taken = rows if beside is None else np.concatenate([rows, beside])
        beside = None if beside is None else np.arange(n, len(taken))
        X, rows = X[taken].astype(np.float64), np.arange(n)
    chosen: Mapping[str, Any] = {}
    score = inner_scores = jackknife = None
    notes: tuple[str, ...] = ()
    # One thread multiplies matrices of this size several times faster than many threads do, and
    # the results do not depend on the number of cores.
    with threadpool_limits(1), _configured(head):
        if head.grid and (needs_scores or head.n_candidates > 1):
            if folds is None:
                folds = inner_folds(y, groups, inner_splits, seed)
            chosen, score, inner_scores, jackknife, notes = _search_grid(
                head, X, y, rows, folds, beside=beside, seed=seed, n_jobs=n_jobs
            )
        elif head.grid:
            chosen = {name: values[0] for name, values in head.grid[0].items()}
        with run_estimator(head.name, "fitted", seed) as caught:
            estimator = fit_chosen(head, chosen, X, y, rows, seed)
            classes = np.unique(y).tolist()
            order_classes(estimator, classes)
            if head.name not in HEADS:
                some = rows[:: max(1, len(rows) // _COMPARED)]
                refuse_contradiction(head.kind, estimator, X[some], classes)
                refuse_company(head.kind, estimator, X[some], classes)
    stopped = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    return SearchResult(
        estimator,
        head.name_chosen(chosen),
        score,
        converged=not stopped,
        inner_scores=inner_scores,
        jackknife=jackknife,
        notes=add_notes(notes, (w for w in caught if w not in stopped)),
    )


def score_classes(
    head: Scoring,
    estimator: Any,
    X: NDArray[np.floating],
    classes: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Return the scores of samples for every class.

    Parameters
    ----------
    head : Head or Model
        Its ``kind`` says which scores.
    estimator : estimator
        The fitted estimator.
    X : ndarray of float, shape (n_samples, n_features)
        Features.
    classes : sequence of str or None
        All labels, sorted; by default those of the estimator.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_classes)
        One column per class, in the order of the sorted labels. With two classes, the
        second column is the decision function and the first its negative.

    Raises
    ------
    UsageError
        If the estimator fails, or its scores are not finite numbers, one per class.
    """
    name = type(last_step(estimator)).__name__
    with run_estimator(name, "applied"), _configured(None):
        X = np.asarray(X, dtype=np.float64)
        classes = np.sort(estimator.classes_).tolist() if classes is None else classes
        if not len(X):  # scikit-learn refuses arrays without rows.
            return np.empty((0, len(classes)))
        return read_scores(head.kind, estimator, X, classes)


@contextlib.contextmanager
def _configured(head: Head | None) -> Iterator[None]:
    """Set what scikit-learn is configured to, whatever the user's own configuration is."""
    from sklearn import config_context

    # An estimator of others may make numbers that are not finite from those that are.
    finite = head is not None and head.name in HEADS
    with config_context(assume_finite=finite, transform_output="default"):
        yield


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
    beside: Rows | None,
    seed: int,
    n_jobs: int | None,
) -> tuple[
    Mapping[str, Any], float, NDArray[np.float64], NDArray[np.float64] | None, tuple[str, ...]
]:
    """Return the best candidate, its AUROC, its out-of-fold and jackknife scores, and notes."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import ParameterGrid
    from sklearn.svm import SVC
    from sklearn.utils.parallel import Parallel, delayed

    candidates = list(ParameterGrid([dict(part) for part in head.grid]))
    # These solvers release the GIL, so that threads can share the samples. liblinear cannot use
    # threads, which would draw from one random generator. Nor can code of others.
    threads = head.name in HEADS and type(last_step(head.estimator)) in (SVC, LogisticRegression)
    how = {"prefer": "threads"} if threads else joblib_options(n_jobs)
    with warnings.catch_warnings(), joblib_workers():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", MANY_CLASSES)
        results = Parallel(n_jobs=n_jobs, **how)(
            delayed(_score_candidates)(head, candidates, X, y, rows, train, test, beside, seed)
            for train, test in folds
        )
    aurocs = np.array([one for one, *_ in results])
    means = aurocs.mean(axis=0)
    best = int(means.argmax())
    out_of_fold = np.empty((len(y), results[0][1].shape[2]))
    for (_, test), (_, scores, _) in zip(folds, results, strict=True):
        out_of_fold[test] = scores[best][: len(test)]
    jackknife = None
    if beside is not None:
        # The choice of a model takes no part of its own inner fold either.
        chosen = (aurocs.sum(axis=0) - aurocs).argmax(axis=1)
        jackknife = np.stack(
            [
                scores[at][len(test) :]
                for at, (_, test), (_, scores, _) in zip(chosen, folds, results, strict=True)
            ],
            axis=1,
        )
    notes = add_notes((note for *_, some in results for note in some), ())
    return candidates[best], float(means[best]), out_of_fold, jackknife, notes


def _score_candidates(
    head: Head,
    candidates: Sequence[Mapping[str, Any]],
    X: NDArray[np.floating],
    y: NDArray[np.str_],
    rows: Rows,
    train: Rows,
    test: Rows,
    beside: Rows | None,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """Return the AUROC and the scores of every candidate in one fold, and notes.

    The scores are those of the fold's test samples, followed by those of the rows ``beside``.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    from bottleneck.heads.shared_fits import search_fold

    classes = np.unique(y).tolist()
    n = len(test)
    scored = rows[test] if beside is None else np.concatenate([rows[test], beside])
    aurocs = np.empty(len(candidates))
    scores = np.empty((len(candidates), len(scored), len(classes)))
    # A worker process does not inherit the limit.
    own = head.name not in HEADS
    with threadpool_limits(1), run_estimator(head.name, "fitted", seed, alone=own) as caught:
        for fitted in search_fold(head, candidates, X, y[train], rows[train], scored, seed):
            made = read_scores(head.kind, fitted.classifier, fitted.inputs, classes)
            scores[fitted.number] = made
            of_fold = fitted._replace(inputs=fitted.inputs[:n])
            aurocs[fitted.number] = _auroc(of_fold, made[:n], y[test], classes)
    others = (w for w in caught if not issubclass(w.category, ConvergenceWarning))
    return aurocs, scores, add_notes((), others)


def _auroc(
    fitted: FittedCandidate,
    scores: NDArray[np.float64],
    y: NDArray[np.str_],
    classes: Sequence[str],
) -> float:
    """Return the AUROC as scikit-learn scores it, macro-averaged with three classes or more."""
    from sklearn.metrics import roc_auc_score

    if len(classes) > 2:
        truth = y[:, np.newaxis] == np.array(classes)
        return float(roc_auc_score(truth, scores, average="macro"))
    if has_method(fitted.classifier, "decision_function"):
        # Probabilities near 1 can be equal where these are not.
        scores = read_scores("decision", fitted.classifier, fitted.inputs, classes)
    return float(roc_auc_score(y == classes[1], scores[:, 1]))
