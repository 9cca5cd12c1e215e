"""Probabilities by nearest neighbours, as a torch module."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bottleneck.errors import UsageError

__all__ = ["NearestNeighbours"]

# Neighbours that are compared exactly, beyond those that are wanted.
_MORE = 8


class NearestNeighbours(nn.Module):
    """The share of each class among the nearest training samples, weighted by their distance.

    Parameters
    ----------
    classifier : KNeighborsClassifier
        Fitted, with the Euclidean distance.

    Raises
    ------
    UsageError
        If it has another distance, or weights by a function.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> X = np.arange(20.0).reshape(10, 2)
    >>> fitted = KNeighborsClassifier(3, weights="distance").fit(X, [0] * 5 + [1] * 5)
    >>> made = NearestNeighbours(fitted)(torch.from_numpy(X + 0.4))
    >>> bool(np.allclose(made, fitted.predict_proba(X + 0.4)))
    True
    """

    samples: Tensor
    squares: Tensor
    labels: Tensor

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        metric, weights = classifier.effective_metric_, classifier.weights
        if metric != "euclidean" or weights not in ("uniform", "distance"):
            raise UsageError(
                "nearest neighbours can be exported with the Euclidean distance and with weights "
                "'uniform' or 'distance'"
            )
        self.is_weighted = weights == "distance"
        samples = np.array(classifier._fit_X, dtype=np.float64, order="C")
        self.n_neighbours = min(classifier.n_neighbors, len(samples))
        self.n_compared = min(self.n_neighbours + _MORE, len(samples))
        tensors = {
            "samples": samples,
            "squares": np.square(samples).sum(axis=1),
            "labels": np.eye(len(classifier.classes_))[classifier._y],
        }
        for name, values in tensors.items():
            self.register_buffer(name, torch.from_numpy(values))

    def forward(self, X: Tensor) -> Tensor:
        """Return probabilities in float64, of shape (n, n_classes).

        Parameters
        ----------
        X : Tensor of float64, shape (n, n_features)
            The samples.
        """
        # Without the square of X, which is the same for all neighbours.
        coarse = self.squares - 2.0 * X @ self.samples.T
        near = coarse.topk(self.n_compared, dim=1, largest=False).indices
        differences = X.unsqueeze(1) - self.samples[near]
        distances = differences.square().sum(2).sqrt()
        weights = self._weights(distances) * self._is_nearest(distances, near)
        shares = (weights.unsqueeze(2) * self.labels[near]).sum(1)
        return shares / shares.sum(1, keepdim=True)

    def _weights(self, distances: Tensor) -> Tensor:
        if not self.is_weighted:
            return torch.ones_like(distances)
        is_copy = distances == 0.0
        inverse = 1.0 / torch.where(is_copy, 1.0, distances)
        # The copies of a sample outweigh all other neighbours.
        return torch.where(is_copy.any(1, keepdim=True), is_copy.double(), inverse)

    def _is_nearest(self, distances: Tensor, near: Tensor) -> Tensor:
        """Return 1 for the wanted neighbours; of equal distances, the first sample is nearer."""
        one, other = distances.unsqueeze(2), distances.unsqueeze(1)
        is_first = near.unsqueeze(1) < near.unsqueeze(2)
        is_before = (other < one) | ((other == one) & is_first)
        return (is_before.sum(2) < self.n_neighbours).double()
