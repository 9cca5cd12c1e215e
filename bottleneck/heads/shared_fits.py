"""Fits of all candidates of a grid on one fold, with shared computations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from bottleneck.heads import shared_gram_svm

__all__ = ["FittedCandidate", "fit_candidates", "fit_pipeline"]


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


def fit_pipeline(
    pipeline: Pipeline, chosen: Mapping[str, Any], X: NDArray[np.floating], y: NDArray
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
    y : ndarray, shape (n_samples,)
        Their labels.

    Returns
    -------
    Pipeline
        Equal to ``pipeline.fit(X, y)``.
    """
    name, classifier = pipeline.steps[-1]
    classifier.set_params(**chosen)
    if not shared_gram_svm.shares_kernels(classifier, [chosen]):
        return pipeline.fit(X, y)
    standardised = pipeline[:-1].fit_transform(X)
    pipeline.steps[-1] = (name, shared_gram_svm.fit_one(classifier, standardised, y))
    return pipeline
