"""A head, fitted again with the hyperparameters that a search chose."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.heads.head import Head
from bottleneck.heads.search import search
from bottleneck.text.short_repr import shorten

__all__ = ["refit"]


def refit(
    head: Head,
    chosen: Mapping[str, Any],
    X: NDArray[np.floating],
    y: NDArray[np.str_],
    rows: NDArray[np.intp],
    *,
    seed: int,
) -> Any:
    """Return the estimator that a search fitted, fitted again with what it chose.

    Parameters
    ----------
    head : Head
        The head.
    chosen : mapping of str to value
        ``SearchResult.chosen`` of the search, also as JSON keeps it.
    X : ndarray of float, shape (n_samples, n_features)
        Features.
    y : ndarray of str, shape (n_samples,)
        Labels.
    rows : ndarray of int
        Rows of the training set.
    seed : int
        Seed of the search.

    Returns
    -------
    estimator
        Its scores are those of the search's estimator.

    Raises
    ------
    UsageError
        If no candidate of the head has these hyperparameters.
    """
    from sklearn.model_selection import ParameterGrid

    used = head.for_samples(len(rows))
    kept = json.dumps(dict(chosen), sort_keys=True)
    for candidate in ParameterGrid([dict(part) for part in used.grid]) if used.grid else [{}]:
        if json.dumps(used.name_chosen(candidate), sort_keys=True) == kept:
            break
    else:
        raise UsageError(
            f"no candidate of {head.name} has the hyperparameters {shorten(dict(chosen))}: the "
            "head has changed since"
        )
    alone = copy.copy(used)
    alone.large = None
    alone.grid = ({name: (value,) for name, value in candidate.items()},)
    return search(alone, X, y, None, rows=rows, seed=seed, needs_scores=False).estimator
