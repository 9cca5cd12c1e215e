"""Support vector machines by their kernel matrix, which all of a fold's candidates share.

libsvm calculates the kernel anew in every fit, one inner product of two samples after
another. Here one matrix product of the standardised samples serves every C of the linear
kernel, and every C and gamma of the RBF kernel, whose squared distances follow from the
same product. libsvm is then given the matrix, takes the same steps, and finds the same
coefficients as it does from the samples. docs/decisions/0004-solvers.md has the figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.svm import SVC

__all__ = ["fit_all", "fit_one", "shares_kernels"]

Samples = NDArray[np.floating]
Matrix = NDArray[np.float64]


def shares_kernels(classifier: Any, candidates: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether ``fit_all`` and ``fit_one`` can fit these candidates.

    Parameters
    ----------
    classifier : estimator
        The classifier.
    candidates : sequence of mapping
        The hyperparameters it is to be fitted with.
    """
    return type(classifier) is SVC and all(
        c.keys() <= {"kernel", "C", "gamma"} and c.get("kernel", classifier.kernel) in _KERNELS
        for c in candidates
    )


def fit_all(
    classifier: SVC,
    candidates: Sequence[Mapping[str, Any]],
    X: Samples,
    y: NDArray,
    X_test: Samples,
) -> Iterator[tuple[int, SVC, Matrix]]:
    """Fit every candidate on one part, ready to be scored on another.

    Parameters
    ----------
    classifier : SVC
        What the candidates have in common.
    candidates : sequence of mapping
        Their hyperparameters.
    X : ndarray of float, shape (n_train, n_features)
        Samples to fit on, standardised.
    y : ndarray, shape (n_train,)
        Their labels.
    X_test : ndarray of float, shape (n_test, n_features)
        Samples to score on, standardised by the same means and scales.

    Yields
    ------
    int
        Which candidate it is; those of one kernel follow each other.
    SVC
        The candidate, fitted with ``kernel="precomputed"``.
    ndarray of float64, shape (n_test, n_train)
        What its ``decision_function`` takes in place of the samples to score on.
    """
    machines = [clone(classifier).set_params(**c) for c in candidates]
    products, products_test = X @ X.T, X_test @ X.T
    squares, squares_test = np.diagonal(products), np.einsum("ij,ij->i", X_test, X_test)

    def kernel_of(number: int) -> tuple[str, float]:
        svc = machines[number]
        return svc.kernel, 0.0 if svc.kernel == "linear" else _width(svc, products, X.shape[1])

    by_kernel = sorted(range(len(machines)), key=lambda n: (*kernel_of(n), machines[n].C))
    for (kernel, gamma), numbers in itertools.groupby(by_kernel, kernel_of):
        K = _KERNELS[kernel](products, squares, squares, gamma)
        K_test = _KERNELS[kernel](products_test, squares_test, squares, gamma)
        fitted: SVC | None = None
        for number in numbers:
            if fitted is None or not _is_free(fitted):
                fitted = machines[number].set_params(kernel="precomputed").fit(K, y)
            yield number, fitted, K_test


def fit_one(classifier: SVC, X: Samples, y: NDArray) -> SVC:
    """Fit a machine by its kernel matrix, and let it predict from samples.

    Parameters
    ----------
    classifier : SVC
        With a linear or RBF kernel.
    X : ndarray of float, shape (n_samples, n_features)
        Standardised samples.
    y : ndarray, shape (n_samples,)
        Labels.

    Returns
    -------
    SVC
        In the state in which ``classifier.fit(X, y)`` would be.
    """
    products = X @ X.T
    squares = np.diagonal(products)
    gamma = _width(classifier, products, X.shape[1])
    K = _KERNELS[classifier.kernel](products, squares, squares, gamma)
    fitted = clone(classifier).set_params(kernel="precomputed").fit(K, y)
    fitted.set_params(kernel=classifier.kernel)
    fitted.support_vectors_ = X[fitted.support_]
    fitted.shape_fit_ = X.shape
    fitted.n_features_in_ = X.shape[1]
    fitted._gamma = gamma
    return fitted


def _linear(products: Matrix, left: Matrix, right: Matrix, gamma: float) -> Matrix:
    return products


def _rbf(products: Matrix, left: Matrix, right: Matrix, gamma: float) -> Matrix:
    """Return exp(-gamma |a - b|²), from the inner products and the squares of both sides."""
    K = products * (2 * gamma)
    K -= (gamma * left)[:, np.newaxis]
    K -= gamma * right
    return np.exp(K, out=K)


_KERNELS = {"linear": _linear, "rbf": _rbf}


def _width(classifier: SVC, products: Matrix, n_features: int) -> float:
    """Return gamma; "scale" is 1 / (n_features * variance), and the mean of X is zero."""
    if classifier.gamma == "auto":
        return 1 / n_features
    if classifier.gamma != "scale":
        return float(classifier.gamma)
    total = float(np.trace(products))
    return len(products) / total if total else 1.0


def _is_free(fitted: SVC) -> bool:
    """Say whether a larger C would change nothing, because no coefficient was held by C.

    Coefficients at the end below half their bound C were never held on the way either
    (the largest one ever seen on the way was 1.05 times the largest at the end), so that
    libsvm would take the same steps with any larger C.
    """
    bounds = fitted.C * np.repeat(fitted.class_weight_, fitted.n_support_)
    return bool((np.abs(fitted.dual_coef_) < bounds / 2).all())
