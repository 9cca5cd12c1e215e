"""The decision function of a fitted support vector machine, as a module."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.svm import SVC, NuSVC
from torch import Tensor, nn

from bottleneck.errors import UsageError

__all__ = ["SupportVectors"]

_KERNELS = ("linear", "poly", "rbf", "sigmoid")


class SupportVectors(nn.Module):
    """The decision function of a support vector machine.

    Parameters
    ----------
    svm : SVC or NuSVC
        A fitted machine with a linear, polynomial, RBF or sigmoid kernel.

    Raises
    ------
    UsageError
        If its kernel is another one, or it has one value per pair of classes.

    Examples
    --------
    >>> svm = SVC().fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> values = SupportVectors(svm)(torch.tensor([[4.0]]).double())
    >>> np.testing.assert_allclose(values[:, 0], svm.decision_function([[4.0]]))
    """

    vectors: Tensor
    squares: Tensor
    weights: Tensor
    shift: Tensor
    gamma: Tensor
    offset: Tensor
    sides: Tensor
    others: Tensor

    def __init__(self, svm: SVC | NuSVC) -> None:
        super().__init__()
        n_classes = len(svm.classes_)
        if not isinstance(svm.kernel, str) or svm.kernel not in _KERNELS:
            raise UsageError("no gradient of a kernel that is precomputed or a function is known")
        if n_classes > 2 and svm.decision_function_shape != "ovr":
            raise UsageError(
                "a support vector machine with one value per pair of classes has none per class: "
                "set decision_function_shape='ovr'"
            )
        self.kernel, self.has_pairs = svm.kernel, n_classes > 2
        self.degree = int(svm.degree)
        pairs = list(itertools.combinations(range(n_classes), 2))
        vectors = np.array(svm.support_vectors_, dtype=np.float64)
        each = np.eye(n_classes)
        tensors = {
            "vectors": vectors,
            "squares": np.square(vectors).sum(axis=1),
            "weights": _pair_weights(svm, pairs) if self.has_pairs else svm.dual_coef_.T,
            "shift": svm.intercept_,
            # Buffers too: numbers of Python become float32 in ONNX.
            "gamma": svm._gamma,
            "offset": svm.coef0,
            "sides": each[[one for one, _ in pairs]],
            "others": each[[other for _, other in pairs]],
        }
        for name, values in tensors.items():
            self.register_buffer(
                name, torch.from_numpy(np.array(values, dtype=np.float64, order="C"))
            )

    def forward(self, X: Tensor) -> Tensor:
        """Return the values of samples.

        Parameters
        ----------
        X : Tensor of float64, shape (n_samples, n_features)
            The samples.

        Returns
        -------
        Tensor of float64, shape (n_samples, 1) or (n_samples, n_classes)
            One value for two classes, and one per class otherwise.
        """
        values = self._products(X) @ self.weights + self.shift
        if not self.has_pairs:
            return values
        # A class has the votes of its pairs, and the sum of their values, which is scaled to
        # between -1/3 and 1/3 and so never outweighs a vote. Votes have no gradient.
        first = (values >= 0).double()
        votes = first @ self.sides + (1 - first) @ self.others
        sums = values @ (self.sides - self.others)
        return votes + sums / (3 * (sums.abs() + 1))

    def _products(self, X: Tensor) -> Tensor:
        """Return the kernel of samples and support vectors, of shape (n_samples, n_vectors)."""
        products = X @ self.vectors.T
        if self.kernel == "linear":
            return products
        if self.kernel == "poly":
            return (self.gamma * products + self.offset) ** self.degree
        if self.kernel == "sigmoid":
            return torch.tanh(self.gamma * products + self.offset)
        distances = X.square().sum(1, keepdim=True) - 2 * products + self.squares
        return torch.exp(-self.gamma * distances)


def _pair_weights(svm: SVC | NuSVC, pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Return the weight of each support vector in each pair, of shape (n_vectors, n_pairs).

    Row k of ``dual_coef_`` holds, for the vectors of a class, the weights against the k-th of the
    other classes.
    """
    ends = np.cumsum(svm.n_support_)
    vectors = [slice(end - n, end) for n, end in zip(svm.n_support_, ends, strict=True)]
    weights = np.zeros((ends[-1], len(pairs)))
    for pair, (one, other) in enumerate(pairs):
        weights[vectors[one], pair] = svm.dual_coef_[other - 1, vectors[one]]
        weights[vectors[other], pair] = svm.dual_coef_[one, vectors[other]]
    return weights
