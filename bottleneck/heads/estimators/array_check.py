"""Arrays of a loaded model, of which compiled code does not check sizes and indices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bottleneck.errors import ModelError

__all__ = ["refuse_broken_arrays"]


def refuse_broken_arrays(estimator: Any) -> None:
    """Raise ``ModelError`` if trees or support vectors would lead out of their arrays.

    scikit-learn's compiled code follows them without a check, so a damaged or hostile file could
    make it read any memory.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.
    """
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting

    for one in _objects(estimator):
        attributes = getattr(one, "__dict__", {})
        sound = True
        if type(one).__name__ == "Tree":
            sides = (one.children_left, one.children_right)
            sound = _is_sound(*sides, one.feature, one.children_left == -1, one.n_features)
        if "tree_" in attributes:
            sound = one.tree_.n_features == one.n_features_in_
        elif isinstance(one, BaseForest | BaseGradientBoosting):
            # Only the first member, or the whole, checks the number of features.
            members = np.ravel(np.array(one.estimators_, dtype=object))
            sound = all(member.n_features_in_ == one.n_features_in_ for member in members)
            if isinstance(one, BaseGradientBoosting):
                n = one.estimators_.shape[1]
                n_classes = len(getattr(one, "classes_", (0, 1)))
                sound &= n == one.n_trees_per_iteration_ == (1 if n_classes == 2 else n_classes)
                sound &= one._loss.is_multiclass == (n > 1)
        elif (rounds := attributes.get("_predictors")) is not None:
            for tree in (tree for trees in rounds for tree in trees):
                nodes = tree.nodes
                of_category = nodes["bitset_idx"][nodes["is_categorical"].astype(bool)]
                sound &= bool((of_category < len(tree.raw_left_cat_bitsets)).all())
                sides = (nodes["left"], nodes["right"])
                is_leaf = nodes["is_leaf"].astype(bool)
                sound &= _is_sound(*sides, nodes["feature_idx"], is_leaf, one.n_features_in_)
        if not sound:
            raise ModelError("it holds a tree with broken nodes: train the head again with fit")
        if "_n_support" in attributes and not _is_sound_svm(one):
            raise ModelError(
                "it holds support vectors with arrays of different lengths: train the head again "
                "with "
                "fit"
            )


def _is_sound_svm(svm: Any) -> bool:
    """Return whether the arrays of a support vector machine have the sizes that libsvm takes."""
    counts = np.asarray(svm._n_support).astype(np.int64)
    if hasattr(svm, "classes_"):
        n_classes, n = len(svm.classes_), int(counts.sum())
    else:  # Of a regression or of outliers, which fill the first of two places.
        n_classes, n = 2, int(counts[0])
    pairs = n_classes * (n_classes - 1) // 2
    vectors, weights = svm.support_vectors_, svm._dual_coef_
    given = svm.kernel == "precomputed" or callable(svm.kernel)
    if svm._sparse:
        vectors.check_format(full_check=True)
    return bool(
        counts.shape == (n_classes,)
        and (counts >= 0).all()
        and svm.support_.shape == (n,)
        and ((svm.support_ >= 0) & (svm.support_ < svm.shape_fit_[0])).all()
        and (given or vectors.shape == (n, svm.n_features_in_))
        and weights.shape == (n_classes - 1, n)
        and (not svm._sparse or weights.data.size == weights.shape[0] * n)
        and svm._intercept_.shape == (pairs,)
        and all(part.size in (0, pairs) for part in (svm._probA, svm._probB))
    )


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
