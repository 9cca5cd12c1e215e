"""Fits that the candidates of a grid share, and the fit of the one that is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from bottleneck.heads import shared_gram_svm

__all__ = ["Fitted", "fit_candidates", "fit_pipeline"]


class Fitted(NamedTuple):
    """A candidate that was fitted on one part, and can be scored on another until the next."""

    number: int
    """Which candidate it is."""
    classifier: Any
    """The fitted classifier."""
    inputs: NDArray[np.floating]
    """What it takes in place of the samples to score on."""


def fit_candidates(
    classifier: Any,
    candidates: Sequence[Mapping[str, Any]],
    X: NDArray[np.floating],
    y: NDArray,
    X_test: NDArray[np.floating],
) -> Iterator[Fitted]:
    """Fit every candidate on one part, ready to be scored on another.

    Parameters
    ----------
    classifier : estimator
        What the candidates have in common.
    candidates : sequence of mapping
        Their hyperparameters.
    X : ndarray of float, shape (n_train, n_features)
        Samples to fit on, standardised.
    y : ndarray, shape (n_train,)
        Their labels.
    X_test : ndarray of float, shape (n_test, n_features)
        Samples to score on, standardised by the means and scales of ``X``.

    Yields
    ------
    Fitted
        Each candidate once, in an order that suits the solver.
    """
    if shared_gram_svm.shares_kernels(classifier, candidates):
        for number, svc, K_test in shared_gram_svm.fit_all(classifier, candidates, X, y, X_test):
            yield Fitted(number, svc, K_test)
    elif isinstance(classifier, LogisticRegression):
        # Each starts where the one before it, with a stronger penalty, arrived.
        path = clone(classifier).set_params(warm_start=True)
        for number, candidate in enumerate(candidates):
            yield Fitted(number, path.set_params(**candidate).fit(X, y), X_test)
    else:
        for number, candidate in enumerate(candidates):
            yield Fitted(number, clone(classifier).set_params(**candidate).fit(X, y), X_test)


def fit_pipeline(
    pipeline: Pipeline, chosen: Mapping[str, Any], X: NDArray[np.floating], y: NDArray
) -> Pipeline:
    """Fit a pipeline whose last step takes the hyperparameters chosen.

    Parameters
    ----------
    pipeline : Pipeline
        Steps that transform, and a classifier; it is changed.
    chosen : mapping
        Hyperparameters of the classifier.
    X : ndarray of float, shape (n_samples, n_features)
        Samples.
    y : ndarray, shape (n_samples,)
        Their labels.

    Returns
    -------
    Pipeline
        In the state in which ``pipeline.fit(X, y)`` would be.
    """
    name, classifier = pipeline.steps[-1]
    classifier.set_params(**chosen)
    if not shared_gram_svm.shares_kernels(classifier, [chosen]):
        return pipeline.fit(X, y)
    standardised = pipeline[:-1].fit_transform(X)
    pipeline.steps[-1] = (name, shared_gram_svm.fit_one(classifier, standardised, y))
    return pipeline
