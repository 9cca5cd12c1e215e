"""Fits of all candidates of a grid on one fold, with the computations that they share.

A computation is shared only where the result is that of a fit of its own: the transformers of a
pipeline, if the candidates differ in the last step only; the kernel matrix of standardised
features; and, for heads that ask for it, the coefficients that a solver starts from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from bottleneck.heads import shared_gram_svm
from bottleneck.heads.estimators.suitability import walk
from bottleneck.heads.head import LARGE, Head, configure

__all__ = [
    "FittedCandidate",
    "fit_candidates",
    "fit_chosen",
    "fit_pipeline",
    "fit_transform",
    "search_fold",
]

_BLOCK = 4096


class FittedCandidate(NamedTuple):
    """A fitted candidate; it is valid until the next one is fitted."""

    number: int
    """Index of the candidate."""
    classifier: Any
    """The fitted classifier."""
    inputs: NDArray[np.floating]
    """Test samples in the form that the classifier's prediction methods take."""


def search_fold(
    head: Head,
    candidates: Sequence[Mapping[str, Any]],
    X: NDArray[np.floating],
    y: NDArray[np.str_],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    seed: int,
) -> Iterator[FittedCandidate]:
    """Fit every candidate of a head to the training rows of a fold.

    Parameters
    ----------
    head : Head
        The head.
    candidates : sequence of mapping
        Hyperparameters, by the names of ``head.grid``.
    X : ndarray of float, shape (n_samples, n_features)
        Features.
    y : ndarray of str, shape (n_train,)
        Labels of the training rows.
    train, test : ndarray of int
        Rows of ``X``.
    seed : int
        Random state of estimators that have none.

    Yields
    ------
    FittedCandidate
        Each candidate once.
    """
    pipeline = head.build(seed)
    if (prefix := _shared_prefix(pipeline, candidates)) is None:
        for number, candidate in enumerate(candidates):
            estimator = head.build(seed, candidate)
            yield FittedCandidate(number, fit_estimator(estimator, X[train], y.copy()), X[test])
        return
    transform, classifier = pipeline[:-1], pipeline[-1]
    X_train = fit_transform(pipeline, X, train, y)
    X_test = transform.transform(X[test]) if len(transform) else X[test]
    yield from fit_candidates(
        classifier,
        [{n.removeprefix(prefix): v for n, v in one.items()} for one in candidates],
        X_train,
        y,
        X_test,
        seed=seed,
        standardised=_is_standardised(pipeline),
        warm_start=head.warm_start,
    )


def fit_candidates(
    classifier: Any,
    candidates: Sequence[Mapping[str, Any]],
    X: NDArray[np.floating],
    y: NDArray,
    X_test: NDArray[np.floating],
    *,
    seed: int = 0,
    standardised: bool = True,
    warm_start: bool = False,
) -> Iterator[FittedCandidate]:
    """Fit every candidate to training samples, ready to score test samples.

    Parameters
    ----------
    classifier : estimator
        Unfitted classifier.
    candidates : sequence of mapping
        Hyperparameters of each candidate.
    X : ndarray of float, shape (n_train, n_features)
        Training samples.
    y : ndarray, shape (n_train,)
        Their labels.
    X_test : ndarray of float, shape (n_test, n_features)
        Test samples, transformed as ``X``.
    seed : int
        Random state of estimators that have none.
    standardised : bool
        Whether ``X`` is standardised. A kernel matrix loses precision on other features.
    warm_start : bool
        Whether each candidate starts from the coefficients of the one before, which had a
        stronger penalty.

    Yields
    ------
    FittedCandidate
        Each candidate once, in the order that is cheapest for the solver.
    """
    if (
        standardised
        and isinstance(X, np.ndarray)
        and shared_gram_svm.shares_kernels(classifier, candidates)
    ):
        for number, svc, K_test in shared_gram_svm.fit_all(classifier, candidates, X, y, X_test):
            yield FittedCandidate(number, svc, K_test)
    elif warm_start:
        path = clone(classifier).set_params(warm_start=True)
        for number, candidate in enumerate(candidates):
            yield FittedCandidate(number, path.set_params(**candidate).fit(X, y), X_test)
    else:
        ours = _leaves_inputs(classifier)
        for number, candidate in enumerate(candidates):
            estimator = configure(clone(classifier), candidate, seed)
            # A classifier of others may change what it is given, which the next one is given too.
            inputs, labels, tested = (X, y, X_test) if ours else map(copy, (X, y, X_test))
            yield FittedCandidate(number, fit_estimator(estimator, inputs, labels), tested)


def fit_chosen(
    head: Head,
    chosen: Mapping[str, Any],
    X: NDArray[np.floating],
    y: NDArray,
    rows: NDArray[np.intp],
    seed: int,
) -> Any:
    """Return the head's estimator with the chosen hyperparameters, fitted to some rows.

    Parameters
    ----------
    head : Head
        The head.
    chosen : mapping
        Hyperparameters, by the names of ``head.grid``.
    X : ndarray of float, shape (n_samples, n_features)
        Features.
    y : ndarray of str, shape (n_rows,)
        Labels of the rows.
    rows : ndarray of int
        Rows of ``X``.
    seed : int
        Random state of estimators that have none.
    """
    pipeline = head.build(seed)
    if type(pipeline) is not Pipeline or (prefix := _shared_prefix(pipeline, [chosen])) is None:
        return fit_estimator(head.build(seed, chosen), X[rows], y)
    own = {name.removeprefix(prefix): value for name, value in chosen.items()}
    return fit_pipeline(pipeline, own, X, y, rows, seed=seed)


def fit_estimator(estimator: Any, X: NDArray[np.floating], y: NDArray) -> Any:
    """Return the estimator fitted to labels, or to their codes 0, 1, … if it takes only these.

    Some classifiers, such as XGBoost's, refuse labels that are texts.
    """
    try:
        estimator.fit(X, y)
    except (TypeError, ValueError) as error:
        weights = (one.get_params(deep=False).get("class_weight") for _, one in walk(estimator))
        if any(isinstance(one, Mapping) for one in weights):
            raise  # The weights would be those of other classes.
        coded = clone(estimator)
        try:
            coded.fit(X, np.unique(y, return_inverse=True)[1])
        except Exception:  # noqa: BLE001 - the first error is the one to explain
            raise error from None
        return coded
    return estimator


def fit_transform(
    pipeline: Pipeline,
    X: NDArray[np.floating],
    rows: NDArray[np.intp],
    y: NDArray | None = None,
) -> NDArray[np.floating]:
    """Fit the transformers of a pipeline to some rows, and return the rows for its classifier.

    Above ``LARGE`` rows, they are scaled in blocks. A scaler that is given all of them holds them
    four more times, in float64, and liblinear converts them once more for each candidate.

    Parameters
    ----------
    pipeline : Pipeline
        Transformers, or none, and a classifier. The transformers are fitted in place.
    X : ndarray of float, shape (n_samples, n_features)
        Samples.
    rows : ndarray of int
        Rows of ``X``.
    y : ndarray, shape (n_rows,), or None
        Labels of the rows, for transformers that need them.
    """
    if len(pipeline) == 1:
        return X[rows]
    transform, classifier = pipeline[:-1], pipeline[-1]
    scaler = transform[-1]
    if len(rows) <= LARGE or not _is_standardised(pipeline) or len(pipeline) > 2:
        return transform.fit_transform(X[rows], y)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(rows), _BLOCK)]
    for block in blocks:
        scaler.partial_fit(X[rows[block]])
    dtype = np.float64 if type(classifier) is LinearSVC else X.dtype
    scaled = np.empty((len(rows), X.shape[1]), dtype)
    for block in blocks:
        scaled[block] = scaler.transform(X[rows[block]])
    return scaled


def fit_pipeline(
    pipeline: Pipeline,
    chosen: Mapping[str, Any],
    X: NDArray[np.floating],
    y: NDArray,
    rows: NDArray[np.intp] | None = None,
    *,
    seed: int = 0,
) -> Pipeline:
    """Fit a pipeline with the chosen hyperparameters of its classifier.

    Parameters
    ----------
    pipeline : Pipeline
        Transformers, and a classifier as the last step. It is fitted in place.
    chosen : mapping
        Hyperparameters of the classifier.
    X : ndarray of float, shape (n_samples, n_features)
        Samples.
    y : ndarray, shape (n_rows,)
        Labels of the rows to fit.
    rows : ndarray of int, shape (n_rows,), or None
        Rows of ``X`` to fit; by default all.
    seed : int
        Random state of estimators that have none.

    Returns
    -------
    Pipeline
        Equal to ``pipeline.fit(X[rows], y)``, but for rounding errors of the means and scales of
        more than ``LARGE`` rows.
    """
    name, classifier = pipeline.steps[-1]
    configure(classifier, chosen, seed)
    inputs = fit_transform(pipeline, X, np.arange(len(X)) if rows is None else rows, y)
    shared = _is_standardised(pipeline) and isinstance(inputs, np.ndarray)
    if shared and shared_gram_svm.shares_kernels(classifier, [chosen]):
        fitted = shared_gram_svm.fit_one(classifier, inputs, y)
    else:
        fitted = fit_estimator(classifier, inputs, y)
    pipeline.steps[-1] = (name, fitted)
    return pipeline


def _shared_prefix(estimator: Any, candidates: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the prefix of the last step's parameters, if candidates differ in that step only."""
    if (
        type(estimator) is not Pipeline
        or not hasattr(estimator[-1], "fit")
        or estimator.memory is not None
        or getattr(estimator, "transform_input", None) is not None
    ):
        return None
    prefix = f"{estimator.steps[-1][0]}__"
    return prefix if all(n.startswith(prefix) for one in candidates for n in one) else None


def _is_standardised(pipeline: Pipeline) -> bool:
    """Whether the classifier of a pipeline is given features of mean 0 and deviation 1."""
    scaler: Any = pipeline[-2] if len(pipeline) > 1 else None
    return type(scaler) is StandardScaler and bool(scaler.with_mean and scaler.with_std)


def _leaves_inputs(classifier: Any) -> bool:
    """Whether a classifier is known not to write to what it is fitted to."""
    return type(classifier).__module__.partition(".")[0] in ("sklearn", "bottleneck") and not any(
        value is False for name, value in classifier.get_params().items() if "copy" in name
    )
