"""Fits of all candidates of a grid on one fold, with shared computations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from bottleneck.heads import shared_gram_svm
from bottleneck.heads.head_catalogue import LARGE

__all__ = ["FittedCandidate", "fit_candidates", "fit_pipeline", "fit_transform"]

_BLOCK = 4096


class FittedCandidate(NamedTuple):
    """A fitted candidate; it is valid until the next one is fitted."""

    number: int
    """Index of the candidate."""
    classifier: Any
    """The fitted classifier."""
    inputs: NDArray[np.floating]
    """Test samples in the form that the classifier's prediction methods take."""


def fit_candidates(
    classifier: Any,
    candidates: Sequence[Mapping[str, Any]],
    X: NDArray[np.floating],
    y: NDArray,
    X_test: NDArray[np.floating],
) -> Iterator[FittedCandidate]:
    """Fit every candidate to training samples, ready to score test samples.

    Parameters
    ----------
    classifier : estimator
        Unfitted classifier.
    candidates : sequence of mapping
        Hyperparameters of each candidate.
    X : ndarray of float, shape (n_train, n_features)
        Training samples, standardised.
    y : ndarray, shape (n_train,)
        Their labels.
    X_test : ndarray of float, shape (n_test, n_features)
        Test samples, standardised by the means and scales of ``X``.

    Yields
    ------
    FittedCandidate
        Each candidate once, in the order that is cheapest for the solver.
    """
    if shared_gram_svm.shares_kernels(classifier, candidates):
        for number, svc, K_test in shared_gram_svm.fit_all(classifier, candidates, X, y, X_test):
            yield FittedCandidate(number, svc, K_test)
    elif isinstance(classifier, LogisticRegression):
        # Each starts from the coefficients of the one before, which had a stronger penalty.
        path = clone(classifier).set_params(warm_start=True)
        for number, candidate in enumerate(candidates):
            yield FittedCandidate(number, path.set_params(**candidate).fit(X, y), X_test)
    else:
        for number, candidate in enumerate(candidates):
            yield FittedCandidate(
                number, clone(classifier).set_params(**candidate).fit(X, y), X_test
            )


def fit_transform(
    pipeline: Pipeline, X: NDArray[np.floating], rows: NDArray[np.intp]
) -> NDArray[np.floating]:
    """Fit the scaler of a pipeline to some rows, and return the rows for its classifier.

    Above ``LARGE`` rows, they are scaled in blocks. A scaler that is given all of them holds them
    four more times, in float64, and liblinear converts them once more for each candidate.

    Parameters
    ----------
    pipeline : Pipeline
        A scaler, or none, and a classifier. The scaler is fitted in place.
    X : ndarray of float, shape (n_samples, n_features)
        Samples.
    rows : ndarray of int
        Rows of ``X``.
    """
    if len(pipeline) == 1:
        return X[rows]
    transform, classifier = pipeline[:-1], pipeline[-1]
    scaler = transform[-1]
    if len(rows) <= LARGE or not isinstance(scaler, StandardScaler):
        return transform.fit_transform(X[rows])
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(rows), _BLOCK)]
    for block in blocks:
        scaler.partial_fit(X[rows[block]])
    dtype = np.float64 if isinstance(classifier, LinearSVC) else X.dtype
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

    Returns
    -------
    Pipeline
        Equal to ``pipeline.fit(X[rows], y)``, but for rounding errors of the means and scales of
        more than ``LARGE`` rows.
    """
    name, classifier = pipeline.steps[-1]
    classifier.set_params(**chosen)
    inputs = fit_transform(pipeline, X, np.arange(len(X)) if rows is None else rows)
    if shared_gram_svm.shares_kernels(classifier, [chosen]):
        pipeline.steps[-1] = (name, shared_gram_svm.fit_one(classifier, inputs, y))
    else:
        classifier.fit(inputs, y)
    return pipeline
