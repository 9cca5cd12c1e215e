"""scikit-learn classifiers for the heads: a perceptron with class weights, nearest neighbours."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.utils.class_weight import compute_sample_weight

from bottleneck.statistics.shift.training_distances import exact_squares

__all__ = ["BalancedMLPClassifier", "FewNeighborsClassifier"]

# Neighbours that are compared exactly, beyond those that are wanted.
_MORE = 8


class BalancedMLPClassifier(MLPClassifier):
    """A multilayer perceptron whose loss gives every class the same weight.

    It is ``MLPClassifier`` with the ``class_weight="balanced"`` of other scikit-learn
    classifiers: a sample of class c has the weight n_samples / (n_classes * n_c).
    """

    balances_classes = True  # As class_weight="balanced" says of other classifiers.

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of float, shape (n_samples, n_features)
            Features.
        y : array-like, shape (n_samples,)
            Labels.

        Returns
        -------
        self
            The fitted classifier.
        """
        # If y is None, scikit-learn raises its own error.
        weights = None if y is None else compute_sample_weight("balanced", np.asarray(y))
        super().fit(X, y, sample_weight=weights)
        return self


class FewNeighborsClassifier(KNeighborsClassifier):
    """Nearest neighbours: all samples of a training set that is smaller than their number.

    It is ``KNeighborsClassifier``, which refuses to predict from a training set of fewer than
    ``n_neighbors`` samples; here all of them are then neighbours. ``weights`` must be "distance"
    or a callable, since only these use ``kneighbors``.
    """

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Return the nearest training samples; parameters as for ``KNeighborsClassifier``.

        Their distances do not depend on how many samples are predicted together. Those of
        scikit-learn do in the last bits, and a weight of 1 / distance has no bound: the copy of a
        training sample would get other probabilities in other company.
        """
        wanted = min(self.n_neighbors if n_neighbors is None else n_neighbors, self.n_samples_fit_)
        if X is None or issparse(X) or self.effective_metric_ != "euclidean":
            return super().kneighbors(X, wanted, return_distance)
        some = min(wanted + _MORE, self.n_samples_fit_)
        candidates = np.sort(super().kneighbors(X, some, return_distance=False), axis=1)
        trained = np.asarray(self._fit_X, dtype=np.float64)
        distances = np.sqrt(exact_squares(np.asarray(X, dtype=np.float64), trained, candidates))
        # Of equal distances, the first sample is the nearer one.
        order = np.argsort(distances, axis=1, kind="stable")[:, :wanted]
        nearest = np.take_along_axis(candidates, order, axis=1)
        if not return_distance:
            return nearest
        return np.take_along_axis(distances, order, axis=1), nearest
