"""Decision functions of fitted scikit-learn estimators, as modules that torch differentiates."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import Normalizer
from sklearn.svm import SVC, NuSVC
from torch import Tensor, nn

from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.linear_decision import (
    Scaling,
    affine_classifier,
    affine_step,
    fitted_steps,
    scaling_step,
)
from bottleneck.explain.maps.gradients.support_vectors import SupportVectors
from bottleneck.heads.estimators.scores import order_classes
from bottleneck.heads.estimators.suitability import has_method

__all__ = ["ClassColumns", "differentiable_decision", "transformer_module"]


def differentiable_decision(estimator: Any, classes: Sequence[str]) -> nn.Module:
    """Return the decision function of a fitted estimator as a module.

    It has the values of scikit-learn's ``decision_function``, with -d and d where this has one
    value d for two classes. A perceptron has no decision function in scikit-learn: its values are
    the log-odds of each class.

    Parameters
    ----------
    estimator : estimator
        A support vector machine with a linear, polynomial, RBF or sigmoid kernel; a perceptron;
        a linear classifier that ``LinearDecision.of`` knows; or a pipeline or search that ends
        with one of these, of steps that scale, project or select features.
    classes : sequence of str
        All labels, sorted.

    Returns
    -------
    nn.Module
        Takes a tensor of float64, shape (n, n_features), and returns one of float64, shape
        (n, n_classes). What was fitted are buffers.

    Raises
    ------
    UsageError
        If a step of the estimator has no such function here.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> fitted = LogisticRegression().fit([[0.0], [1.0], [2.0]], ["benign", "benign", "malignant"])
    >>> decide = differentiable_decision(fitted, ["benign", "malignant"])
    >>> values = decide(torch.tensor([[2.0]]).double())
    >>> np.testing.assert_allclose(values[0, 1], fitted.decision_function([[2.0]])[0])
    """
    steps = fitted_steps(estimator)
    before = [transformer_module(step, after) for step, after in itertools.pairwise(steps)]
    columns = order_classes(estimator, classes)
    return nn.Sequential(*before, _classifier(steps[-1]), ClassColumns(columns))


class ClassColumns(nn.Module):
    """The columns of an estimator's scores in the order of the labels.

    Parameters
    ----------
    columns : sequence of int
        The column of every class. One score d of two classes becomes -d and d first.
    """

    columns: Tensor

    def __init__(self, columns: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("columns", torch.tensor(columns))

    def forward(self, values: Tensor) -> Tensor:
        """Return one column per class."""
        if values.shape[1] == 1:
            values = torch.cat([-values, values], 1)
        return values[:, self.columns]


def _classifier(classifier: Any) -> nn.Module:
    if isinstance(classifier, SVC | NuSVC):
        return SupportVectors(classifier)
    if isinstance(classifier, MLPClassifier):
        return _perceptron(classifier)
    try:
        return _Affine(*affine_classifier(classifier))
    except UsageError:
        raise _no_gradient(type(classifier).__name__) from None


def transformer_module(step: Any, after: Any) -> nn.Module:
    """Return a step of a pipeline as a module.

    Parameters
    ----------
    step, after : estimator
        The fitted step, and the next one, which takes what the module returns.

    Raises
    ------
    UsageError
        If the step is not known to scale, project or select features.
    """
    if isinstance(step, Normalizer):
        return _Normalised(step.norm)
    limits: list[nn.Module] = []
    if getattr(step, "clip", False):
        limits.append(_Limited(*getattr(step, "feature_range", (-1.0, 1.0))))
        step = copy.copy(step)
        step.clip = False
    if (scaling := scaling_step(step)) is not None:
        return nn.Sequential(_Scaled(scaling), *limits)
    if has_method(step, "get_support"):
        return _Selected(step.get_support(indices=True))
    try:
        return nn.Sequential(_Affine(*affine_step(step, after.n_features_in_)), *limits)
    except UsageError:
        raise _no_gradient(f"the step {type(step).__name__}") from None


def _no_gradient(what: str) -> UsageError:
    return UsageError(f"no gradient of {what} is known")


class _Affine(nn.Module):
    """A weighted sum of features for each output."""

    matrix: Tensor
    shift: Tensor

    def __init__(self, matrix: Any, shift: Any) -> None:
        super().__init__()
        for name, values in (("matrix", matrix), ("shift", np.ravel(shift))):
            self.register_buffer(
                name, torch.from_numpy(np.array(values, dtype=np.float64, order="C"))
            )

    def forward(self, X: Tensor) -> Tensor:
        return X @ self.matrix + self.shift


class _Scaled(nn.Module):
    """Features scaled one by one: a matrix of them would have the square of their number."""

    centre: Tensor | None
    scale: Tensor | None
    shift: Tensor | None

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        for name in ("centre", "scale", "shift"):
            values = getattr(scaling, name)
            tensor = None if values is None else torch.tensor(values, dtype=torch.float64)
            self.register_buffer(name, tensor)

    def forward(self, X: Tensor) -> Tensor:
        if self.centre is not None:
            X = X - self.centre
        if self.scale is not None:
            X = X / self.scale
        return X if self.shift is None else X + self.shift


class _Selected(nn.Module):
    """Some of the features."""

    columns: Tensor

    def __init__(self, columns: Any) -> None:
        super().__init__()
        self.register_buffer("columns", torch.from_numpy(np.array(columns, dtype=np.int64)))

    def forward(self, X: Tensor) -> Tensor:
        return X.index_select(1, self.columns)


class _Limited(nn.Module):
    """Features limited to a range."""

    limits: Tensor

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.register_buffer("limits", torch.tensor([low, high], dtype=torch.float64))

    def forward(self, X: Tensor) -> Tensor:
        return X.clamp(*self.limits)


class _Normalised(nn.Module):
    """The features of each image divided by their own length."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        self.order = {"l1": 1.0, "l2": 2.0, "max": torch.inf}[norm]

    def forward(self, X: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(X, self.order, dim=1, keepdim=True)
        return X / length.where(length > 0, 1.0)


class _LogOdds(nn.Module):
    """The log-odds of each class; the logit of two classes is that of the second."""

    def forward(self, logits: Tensor) -> Tensor:
        n = logits.shape[1]
        if n == 1:
            return logits
        others = [[other for other in range(n) if other != one] for one in range(n)]
        return torch.stack(
            [logits[:, one] - logits[:, others[one]].logsumexp(1) for one in range(n)], 1
        )


def _perceptron(network: MLPClassifier) -> nn.Module:
    activations: dict[str, Callable[[], nn.Module]] = {
        "identity": nn.Identity,
        "logistic": nn.Sigmoid,
        "tanh": nn.Tanh,
        "relu": nn.ReLU,
    }
    layers = [_Affine(*pair) for pair in zip(network.coefs_, network.intercepts_, strict=True)]
    active = activations[network.activation]
    hidden = itertools.chain(*((layer, active()) for layer in layers[:-1]))
    return nn.Sequential(*hidden, layers[-1], _LogOdds())
