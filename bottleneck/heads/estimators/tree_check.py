"""Trees of a loaded model, whose predictions do not check their own indices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bottleneck.errors import ModelError

__all__ = ["refuse_broken_trees"]


def refuse_broken_trees(estimator: Any) -> None:
    """Raise ``ModelError`` if a tree points outside of its nodes or features.

    scikit-learn's compiled code follows the indices of a tree without checking them, so a
    damaged or hostile file could make it read any memory.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.
    """
    for one in _objects(estimator):
        sound = True
        if type(one).__name__ == "Tree":
            sides = (one.children_left, one.children_right)
            sound = _is_sound(*sides, one.feature, one.children_left == -1, one.n_features)
        elif (rounds := getattr(one, "__dict__", {}).get("_predictors")) is not None:
            for tree in (tree for trees in rounds for tree in trees):
                nodes = tree.nodes
                of_category = nodes["bitset_idx"][nodes["is_categorical"].astype(bool)]
                sound &= bool((of_category < len(tree.raw_left_cat_bitsets)).all())
                sides = (nodes["left"], nodes["right"])
                is_leaf = nodes["is_leaf"].astype(bool)
                sound &= _is_sound(*sides, nodes["feature_idx"], is_leaf, one.n_features_in_)
        if not sound:
            raise ModelError("it holds a tree with broken nodes: train the head again with fit")


def _is_sound(left: Any, right: Any, feature: Any, is_leaf: Any, n_features: int) -> bool:
    """Return whether every inner node has children after it, so that each path ends."""
    if not (n_nodes := len(left)):
        return False
    inner = np.flatnonzero(~is_leaf)
    features = feature[inner].astype(np.int64)
    children = (side[inner].astype(np.int64) for side in (left, right))
    return bool(
        all(((side > inner) & (side < n_nodes)).all() for side in children)
        and ((features >= 0) & (features < n_features)).all()
    )


def _objects(root: Any) -> Iterator[Any]:
    """Yield an object and all that its attributes, lists and mappings hold."""
    waiting, known = [root], set()
    while waiting:
        one = waiting.pop()
        if id(one) in known or isinstance(one, str | bytes | int | float | type(None)):
            continue
        known.add(id(one))
        yield one
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
        elif isinstance(one, np.ndarray):
            waiting += one.ravel().tolist() if one.dtype == object else []
        else:
            waiting += getattr(one, "__dict__", {}).values()
