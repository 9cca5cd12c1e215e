"""The scores of a fitted head, as a torch module."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn

from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.linear_decision import fitted_steps
from bottleneck.explain.maps.gradients.differentiable import (
    ClassColumns,
    differentiable_decision,
    transformer_module,
)
from bottleneck.export.classifier.neighbour_votes import NearestNeighbours
from bottleneck.export.classifier.tree_ensemble import TreeEnsemble
from bottleneck.heads.estimators.scores import order_classes
from bottleneck.predictions import Kind

__all__ = ["score_module"]


def score_module(estimator: Any, kind: Kind, classes: Sequence[str]) -> nn.Module:
    """Return the scores of a fitted estimator as a module.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator that ``differentiable_decision`` knows; a random forest, gradient
        boosting, nearest neighbours or class frequencies, alone or in such a pipeline.
    kind : {"decision", "probability"}
        Whether the scores are values of the decision function or probabilities.
    classes : sequence of str
        All labels, sorted.

    Returns
    -------
    nn.Module
        Takes features of float64, shape (n, n_features), and returns scores of float64, shape
        (n, n_classes), as ``read_scores`` does.

    Raises
    ------
    UsageError
        If a step of the estimator is not known as a module.

    Examples
    --------
    >>> forest = RandomForestClassifier(5).fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> score = score_module(forest, "probability", ["a", "b"])
    >>> bool(np.allclose(score(torch.tensor([[4.0]]).double()), forest.predict_proba([[4.0]])))
    True
    """
    steps = fitted_steps(estimator)
    name = type(steps[-1]).__name__
    try:
        made = _without_gradient(steps[-1], kind)
        if made is None:
            decide = differentiable_decision(estimator, classes)
        else:
            before = [transformer_module(step, after) for step, after in itertools.pairwise(steps)]
            decide = nn.Sequential(*before, made, ClassColumns(order_classes(estimator, classes)))
    except UsageError as error:
        raise UsageError(
            f"the head {name} cannot be exported: {error}. Only heads with a torch module can be "
            "exported, such as the built-in heads"
        ) from None
    if kind == "decision" or isinstance(steps[-1], _PROBABILISTIC):
        return decide
    if not isinstance(steps[-1], _WITH_SOFTMAX | MLPClassifier):
        raise UsageError(
            f"the head {name} cannot be exported: there is no torch module for how it computes "
            "its probabilities"
        )
    # The values of a perceptron, and of two classes, are the log-odds of each class.
    is_of_log_odds = isinstance(steps[-1], MLPClassifier) or len(classes) == 2
    return nn.Sequential(decide, nn.Sigmoid() if is_of_log_odds else nn.Softmax(1))


# Of these, the module gives probabilities; of those, values whose softmax they are.
_PROBABILISTIC = (
    RandomForestClassifier | ExtraTreesClassifier | KNeighborsClassifier | DummyClassifier
)
_WITH_SOFTMAX = LogisticRegression | LinearDiscriminantAnalysis | HistGradientBoostingClassifier


def _without_gradient(classifier: Any, kind: Kind) -> nn.Module | None:
    """Return the scores of a classifier that has no gradient; None for all others."""
    if isinstance(classifier, HistGradientBoostingClassifier):
        return TreeEnsemble.of_boosting(classifier)
    if not isinstance(classifier, _PROBABILISTIC) or kind == "decision":
        return None
    if isinstance(classifier, KNeighborsClassifier):
        return NearestNeighbours(classifier)
    if isinstance(classifier, DummyClassifier):
        return _Frequencies(classifier)
    return TreeEnsemble.of_forest(classifier)


class _Frequencies(nn.Module):
    """The class frequencies of the training set, whatever the features."""

    frequencies: Tensor

    def __init__(self, classifier: DummyClassifier) -> None:
        super().__init__()
        if classifier.strategy != "prior":
            raise UsageError(f"its strategy is '{classifier.strategy}', and 'prior' is known")
        frequencies = np.array(classifier.class_prior_, dtype=np.float64)
        self.register_buffer("frequencies", torch.from_numpy(frequencies))

    def forward(self, X: Tensor) -> Tensor:
        return self.frequencies.expand(X.shape[0], -1)
