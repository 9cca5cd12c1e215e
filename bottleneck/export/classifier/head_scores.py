"""The scores of a fitted head, as a torch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn

from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.linear_decision import fitted_steps
from bottleneck.explain.maps.gradients.differentiable import differentiable_decision
from bottleneck.predictions import Kind

__all__ = ["score_module"]

# Their probabilities are the softmax of their decision function.
_WITH_SOFTMAX = LogisticRegression | LinearDiscriminantAnalysis


class _Shares(nn.Module):
    """The probability of each class from values of a decision function, by their softmax.

    Parameters
    ----------
    is_of_log_odds : bool
        Whether the values are the log-odds of each class, as those of two classes always are.
    """

    def __init__(self, is_of_log_odds: bool) -> None:
        super().__init__()
        self.is_of_log_odds = is_of_log_odds

    def forward(self, values: Tensor) -> Tensor:
        return torch.sigmoid(values) if self.is_of_log_odds else values.softmax(1)


def score_module(estimator: Any, kind: Kind, classes: Sequence[str]) -> nn.Module:
    """Return the scores of a fitted estimator as a module.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator that ``differentiable_decision`` knows.
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
    """
    decide = differentiable_decision(estimator, classes)
    if kind == "decision":
        return decide
    classifier = fitted_steps(estimator)[-1]
    if not isinstance(classifier, MLPClassifier | _WITH_SOFTMAX):
        raise UsageError(
            f"how {type(classifier).__name__} computes its probabilities is not known as a module"
        )
    is_of_log_odds = isinstance(classifier, MLPClassifier) or len(classes) == 2
    return nn.Sequential(decide, _Shares(is_of_log_odds))
