"""Decision functions of fitted scikit-learn estimators, as functions that torch differentiates."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import Normalizer
from sklearn.svm import SVC, NuSVC
from torch import Tensor

from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.linear_decision import (
    affine_classifier,
    affine_step,
    fitted_steps,
)
from bottleneck.heads.estimators.scores import order_classes

__all__ = ["differentiable_decision"]

#: From rows of features to rows of values, both in float64.
Function = Callable[[Tensor], Tensor]


def differentiable_decision(estimator: Any, classes: Sequence[str]) -> Function:
    """Return the decision function of a fitted estimator as a function of tensors.

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
    callable
        Takes a tensor of float64, shape (n, n_features), and returns one of float64, shape
        (n, n_classes).

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
    decide = _chained(estimator)
    columns = order_classes(estimator, classes)

    def of_classes(X: Tensor) -> Tensor:
        values = decide(X)
        if values.shape[1] == 1:
            values = torch.cat([-values, values], 1)
        return values[:, columns]

    return of_classes


def _chained(estimator: Any) -> Function:
    steps = fitted_steps(estimator)
    before = [_transformer(step, after) for step, after in itertools.pairwise(steps)]
    return _chain([*before, _classifier(steps[-1])])


def _classifier(classifier: Any) -> Function:
    if isinstance(classifier, SVC | NuSVC):
        return _support_vectors(classifier)
    if isinstance(classifier, MLPClassifier):
        return _perceptron(classifier)
    try:
        return _affine(*affine_classifier(classifier))
    except UsageError:
        raise _no_gradient(type(classifier).__name__) from None


def _transformer(step: Any, after: Any) -> Function:
    """Return a step as a function; ``after`` is the next step."""
    if isinstance(step, Normalizer):
        return _normalised(step.norm)
    functions: list[Function] = []
    if getattr(step, "clip", False):
        low, high = getattr(step, "feature_range", (-1.0, 1.0))
        functions.append(lambda X: X.clamp(low, high))
        step = copy.copy(step)
        step.clip = False
    try:
        return _chain([_affine(*affine_step(step, after.n_features_in_)), *functions])
    except UsageError:
        raise _no_gradient(f"the step {type(step).__name__}") from None


def _no_gradient(what: str) -> UsageError:
    return UsageError(f"no gradient of {what} is known")


def _chain(functions: Sequence[Function]) -> Function:
    def apply(X: Tensor) -> Tensor:
        for function in functions:
            X = function(X)
        return X

    return apply


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))


def _affine(weights: Any, intercept: Any) -> Function:
    matrix, shift = _tensor(weights), _tensor(intercept).reshape(-1)
    return lambda X: X @ matrix + shift


def _normalised(norm: str) -> Function:
    order = {"l1": 1.0, "l2": 2.0, "max": torch.inf}[norm]

    def divide(X: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(X, order, dim=1, keepdim=True)
        return X / length.where(length > 0, 1.0)

    return divide


def _perceptron(network: MLPClassifier) -> Function:
    activations: dict[str, Function] = {
        "identity": _chain([]),
        "logistic": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
    }
    layers = [_affine(*pair) for pair in zip(network.coefs_, network.intercepts_, strict=True)]
    active = activations[network.activation]
    hidden = itertools.chain(*((layer, active) for layer in layers[:-1]))
    return _chain([*hidden, layers[-1], _log_odds])


def _log_odds(logits: Tensor) -> Tensor:
    """Return the log-odds of each class; the logit of two classes is that of the second."""
    n = logits.shape[1]
    if n == 1:
        return logits
    others = [[other for other in range(n) if other != one] for one in range(n)]
    return torch.stack(
        [logits[:, one] - logits[:, others[one]].logsumexp(1) for one in range(n)], 1
    )


def _support_vectors(svm: SVC | NuSVC) -> Function:
    kernel, shift = _kernel(svm), _tensor(svm.intercept_)
    if len(svm.classes_) == 2:
        weights = _tensor(svm.dual_coef_.T)
        return lambda X: kernel(X) @ weights + shift
    if svm.decision_function_shape != "ovr":
        raise UsageError(
            "a support vector machine with one value per pair of classes has none per class: set "
            "decision_function_shape='ovr'"
        )
    pairs = list(itertools.combinations(range(len(svm.classes_)), 2))
    weights = _tensor(_pair_weights(svm, pairs))
    sides = _tensor([np.eye(len(svm.classes_))[one] for one, _ in pairs])
    others = _tensor([np.eye(len(svm.classes_))[other] for _, other in pairs])

    def of_classes(X: Tensor) -> Tensor:
        values = kernel(X) @ weights + shift
        # A class has the votes of its pairs, and the sum of their values, which is scaled to
        # between -1/3 and 1/3 and so never outweighs a vote. Votes have no gradient.
        first = (values >= 0).double()
        votes = first @ sides + (1 - first) @ others
        sums = values @ (sides - others)
        return votes + sums / (3 * (sums.abs() + 1))

    return of_classes


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


def _kernel(svm: SVC | NuSVC) -> Function:
    """Return the kernel of samples and support vectors, of shape (n_samples, n_vectors)."""
    if not isinstance(svm.kernel, str) or svm.kernel == "precomputed":
        raise _no_gradient("a kernel that is precomputed or a function")
    vectors, gamma, shift = _tensor(svm.support_vectors_), float(svm._gamma), float(svm.coef0)
    squares = vectors.square().sum(1)

    def squared_distances(X: Tensor) -> Tensor:
        return X.square().sum(1, keepdim=True) - 2 * X @ vectors.T + squares

    kernels: dict[str, Function] = {
        "linear": lambda X: X @ vectors.T,
        "poly": lambda X: (gamma * X @ vectors.T + shift) ** int(svm.degree),
        "rbf": lambda X: torch.exp(-gamma * squared_distances(X)),
        "sigmoid": lambda X: torch.tanh(gamma * X @ vectors.T + shift),
    }
    return kernels[svm.kernel]
