"""Decision trees of a fitted ensemble, as a torch module."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn

from bottleneck.errors import UsageError

__all__ = ["TreeEnsemble"]


@dataclasses.dataclass(frozen=True, eq=False)
class _Tree:
    """A tree as arrays with one entry per node, of which the first is the root.

    Attributes
    ----------
    features, lower, higher : ndarray of int, shape (n_nodes,)
        The feature that a node compares, and the nodes to go to; a leaf leads to itself.
    thresholds : ndarray of float64, shape (n_nodes,)
        Features of at most this go to ``lower``.
    values : ndarray of float64, shape (n_nodes, n_outputs)
        What a leaf adds to each output.
    """

    features: NDArray[np.integer]
    lower: NDArray[np.integer]
    higher: NDArray[np.integer]
    thresholds: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, features: Any, lower: Any, higher: Any, thresholds: Any, values: Any) -> Self:
        """Return a tree of which the leaves have a negative feature."""
        nodes = np.arange(len(features))
        is_leaf = np.asarray(features) < 0
        return cls(
            np.where(is_leaf, 0, features),
            np.where(is_leaf, nodes, lower),
            np.where(is_leaf, nodes, higher),
            np.asarray(thresholds, dtype=np.float64),
            np.asarray(values, dtype=np.float64),
        )

    @property
    def depth(self) -> int:
        """Number of comparisons from the root to the deepest leaf."""
        depth, level = 0, np.array([0])
        while True:
            level = np.unique(np.concatenate([self.lower[level], self.higher[level]]))
            if (self.lower[level] == level).all():
                return depth + 1
            level = level[self.lower[level] != level]
            depth += 1


class TreeEnsemble(nn.Module):
    """The sum of what the leaves of several trees hold, with a constant.

    ``of_forest`` and ``of_boosting`` make it of a fitted estimator.

    Parameters
    ----------
    trees : sequence of _Tree
        The trees.
    constant : array-like of float, shape (n_outputs,)
        Added to the sum.
    dtype : torch.dtype
        The type that features are rounded to before they are compared.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> X = np.arange(20.0).reshape(10, 2)
    >>> forest = RandomForestClassifier(3, random_state=0).fit(X, [0] * 5 + [1] * 5)
    >>> made = TreeEnsemble.of_forest(forest)(torch.from_numpy(X))
    >>> bool(np.allclose(made, forest.predict_proba(X)))
    True
    """

    features: Tensor
    lower: Tensor
    higher: Tensor
    thresholds: Tensor
    values: Tensor
    roots: Tensor
    constant: Tensor

    def __init__(self, trees: Sequence[_Tree], constant: Any, dtype: torch.dtype) -> None:
        super().__init__()
        sizes = [len(tree.features) for tree in trees]
        starts = np.cumsum([0, *sizes[:-1]])
        tensors = {
            "features": np.concatenate([tree.features for tree in trees]),
            "lower": np.concatenate([t.lower + s for t, s in zip(trees, starts, strict=True)]),
            "higher": np.concatenate([t.higher + s for t, s in zip(trees, starts, strict=True)]),
            "thresholds": np.concatenate([tree.thresholds for tree in trees]),
            "values": np.concatenate([tree.values for tree in trees]),
            "roots": starts,
            "constant": np.array(constant, dtype=np.float64),
        }
        for name, values in tensors.items():
            whole = values.dtype.kind in "iu"
            self.register_buffer(
                name, torch.from_numpy(values.astype(np.int64) if whole else values)
            )
        self.depth = max(tree.depth for tree in trees)
        self.dtype = dtype

    @classmethod
    def of_forest(cls, forest: Any) -> Self:
        """Return the probabilities of a fitted random forest.

        Parameters
        ----------
        forest : RandomForestClassifier or ExtraTreesClassifier
            scikit-learn rounds the features to float32 and compares these with float64.
        """
        n = len(forest.estimators_)
        trees = []
        for one in forest.estimators_:
            tree = one.tree_
            counts = tree.value[:, 0, :]
            shares = counts / counts.sum(axis=1, keepdims=True)
            trees.append(
                _Tree.of(
                    tree.feature,
                    tree.children_left,
                    tree.children_right,
                    tree.threshold,
                    shares / n,
                )
            )
        return cls(trees, np.zeros(len(forest.classes_)), torch.float32)

    @classmethod
    def of_boosting(cls, boosting: HistGradientBoostingClassifier) -> Self:
        """Return the raw values of fitted gradient boosting: one for two classes.

        Parameters
        ----------
        boosting : HistGradientBoostingClassifier
            It compares features in float64.

        Raises
        ------
        UsageError
            If it has categorical features.
        """
        n_outputs = boosting.n_trees_per_iteration_
        trees = []
        for iteration in boosting._predictors:
            for output, predictor in enumerate(iteration):
                nodes = predictor.nodes
                if nodes["is_categorical"].any():
                    raise UsageError(
                        "gradient boosting with categorical features cannot be exported"
                    )
                features = np.where(nodes["is_leaf"] == 1, -1, nodes["feature_idx"])
                values = np.zeros((len(nodes), n_outputs))
                values[:, output] = nodes["value"]
                trees.append(
                    _Tree.of(
                        features, nodes["left"], nodes["right"], nodes["num_threshold"], values
                    )
                )
        return cls(trees, np.ravel(boosting._baseline_prediction), torch.float64)

    def forward(self, X: Tensor) -> Tensor:
        """Return the sum of the leaves of each sample, of shape (n, n_outputs), in float64.

        Parameters
        ----------
        X : Tensor of float64, shape (n, n_features)
            The samples.
        """
        X = X.to(self.dtype).double()
        nodes = self.roots.expand(X.shape[0], -1)
        for _ in range(self.depth):
            is_lower = X.gather(1, self.features[nodes]) <= self.thresholds[nodes]
            nodes = torch.where(is_lower, self.lower[nodes], self.higher[nodes])
        return self.values[nodes].sum(1) + self.constant
