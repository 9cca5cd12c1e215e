"""Support vector machines fitted from one kernel matrix that all candidates of a fold share.

libsvm computes the kernel again in every fit, one inner product at a time. Here one matrix
product of the standardised samples serves every C of the linear kernel, and every C and gamma
of the RBF kernel, because the squared distances follow from it. With this matrix libsvm takes
the same steps and returns the same coefficients as with the samples. The measurements are in
docs/decisions/0004-solvers.md.
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
    """Return whether ``fit_all`` and ``fit_one`` can fit these candidates.

    Parameters
    ----------
    classifier : estimator
        Unfitted classifier.
    candidates : sequence of mapping
        Hyperparameters of each candidate.
    """
    # Its default is neither True nor False in scikit-learn 1.9.
    if type(classifier) is not SVC or classifier.probability in (True,):
        return False
    kernels = [c.get("kernel", classifier.kernel) for c in candidates]
    return all(isinstance(k, str) and k in _KERNELS for k in kernels) and all(
        c.keys() <= {"kernel", "C", "gamma"} for c in candidates
    )


def fit_all(
    classifier: SVC,
    candidates: Sequence[Mapping[str, Any]],
    X: Samples,
    y: NDArray,
    X_test: Samples,
) -> Iterator[tuple[int, SVC, Matrix]]:
    """Fit every candidate to training samples, ready to score test samples.

    Parameters
    ----------
    classifier : SVC
        Unfitted classifier.
    candidates : sequence of mapping
        Hyperparameters of each candidate.
    X : ndarray of float, shape (n_train, n_features)
        Training samples, standardised.
    y : ndarray, shape (n_train,)
        Their labels.
    X_test : ndarray of float, shape (n_test, n_features)
        Test samples, standardised by the same means and scales.

    Yields
    ------
    int
        Index of the candidate; candidates with the same kernel follow each other.
    SVC
        The candidate, fitted with ``kernel="precomputed"``.
    ndarray of float64, shape (n_test, n_train)
        Kernel of the test samples: the argument of its ``decision_function``.
    """
    machines = [clone(classifier).set_params(**c) for c in candidates]
    products, products_test = X @ X.T, X_test @ X.T
    squares, squares_test = np.diagonal(products), np.einsum("ij,ij->i", X_test, X_test)

    def kernel_of(number: int) -> tuple[str, float]:
        svc = machines[number]
        return svc.kernel, 0.0 if svc.kernel == "linear" else _gamma(svc, products, X.shape[1])

    by_kernel = sorted(range(len(machines)), key=lambda n: (*kernel_of(n), machines[n].C))
    for (kernel, gamma), numbers in itertools.groupby(by_kernel, kernel_of):
        K = _KERNELS[kernel](products, squares, squares, gamma)
        K_test = _KERNELS[kernel](products_test, squares_test, squares, gamma)
        fitted: SVC | None = None
        for number in numbers:
            if fitted is None or not _is_unbounded(fitted):
                fitted = machines[number].set_params(kernel="precomputed").fit(K, y)
            yield number, fitted, K_test


def fit_one(classifier: SVC, X: Samples, y: NDArray) -> SVC:
    """Fit an SVC from its kernel matrix, such that it predicts from samples.

    Parameters
    ----------
    classifier : SVC
        Unfitted classifier with a linear or RBF kernel.
    X : ndarray of float, shape (n_samples, n_features)
        Training samples, standardised.
    y : ndarray, shape (n_samples,)
        Labels.

    Returns
    -------
    SVC
        Equal to ``classifier.fit(X, y)``.
    """
    products = X @ X.T
    squares = np.diagonal(products)
    gamma = _gamma(classifier, products, X.shape[1])
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
    """Return exp(-gamma |a - b|²) from the inner products and the squared norms."""
    K = products * (2 * gamma)
    K -= (gamma * left)[:, np.newaxis]
    K -= gamma * right
    return np.exp(K, out=K)


_KERNELS = {"linear": _linear, "rbf": _rbf}


def _gamma(classifier: SVC, products: Matrix, n_features: int) -> float:
    """Return gamma; "scale" is 1 / (n_features * variance), and the mean of X is zero."""
    if classifier.gamma == "auto":
        return 1 / n_features
    if classifier.gamma != "scale":
        return float(classifier.gamma)
    total = float(np.trace(products))
    return len(products) / total if total else 1.0


def _is_unbounded(fitted: SVC) -> bool:
    """Return whether a larger C would give the same fit, because C limited no coefficient.

    If all final coefficients are below half of their bound C, none reached it during the
    fit (in tests, the largest intermediate coefficient was 1.05 times the largest final
    one), so that libsvm would take the same steps with any larger C.
    """
    bounds = fitted.C * np.repeat(fitted.class_weight_, fitted.n_support_)
    return bool((np.abs(fitted.dual_coef_) < bounds / 2).all())
