"""Decision functions that are weighted sums of features, with all steps folded into one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from bottleneck.errors import UsageError
from bottleneck.heads.estimators.scores import order_classes
from bottleneck.heads.estimators.suitability import has_method, last_step
from bottleneck.text.plurals import counted

__all__ = [
    "LinearDecision",
    "Scaling",
    "affine_classifier",
    "affine_step",
    "fitted_steps",
    "scaling_step",
]

Matrix = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class LinearDecision:
    """A decision function that is a weighted sum of features, for each class.

    The value of a class is ``weights @ x + intercept``.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_classes, n_features)
        Weights of features as the network gives them, with the steps before the classifier folded
        in. With two classes, the first row is the negative of the second.
    intercepts : ndarray of float64, shape (n_classes,)
        Values of the classes for features that are all 0.
    centre : ndarray of float64, shape (n_features,)
        The features that the head measures from: the mean of the training images where the head
        standardises, or 0 where it has no such step.

    Examples
    --------
    >>> from sklearn.linear_model import RidgeClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X = np.random.default_rng(0).normal(5, 2, size=(20, 3))
    >>> head = make_pipeline(StandardScaler(), RidgeClassifier()).fit(X, ["a", "b"] * 10)
    >>> linear = LinearDecision.of(head, ["a", "b"])
    >>> bool(np.allclose(X @ linear.weights[1] + linear.intercepts[1], head.decision_function(X)))
    True
    """

    weights: Matrix
    intercepts: Matrix
    centre: Matrix

    @classmethod
    def of(cls, estimator: Any, classes: Sequence[str]) -> LinearDecision:
        """Return the weights of a fitted estimator.

        Known are linear support vector machines, logistic regression, ridge, LDA and other
        classifiers with ``coef_``: in a pipeline after scalers, selections of features, PCA and
        other projections, in a search, and in ``OneVsRestClassifier``.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator.
        classes : sequence of str
            All labels, in the order of the rows of the result.

        Raises
        ------
        UsageError
            If its decision function is not known to be a weighted sum of the features.
        """
        folded = _fold_all(fitted_steps(estimator))
        weights, intercepts = folded.weights, folded.intercepts
        if len(classes) == 2 and len(weights) == 1:
            weights = np.concatenate([-weights, weights])
            intercepts = np.concatenate([-intercepts, intercepts])
        if len(weights) != len(classes):
            raise UsageError(
                f"{type(last_step(estimator)).__name__} has {counted(len(weights), 'row')} of "
                f"weights, but one for each of {len(classes)} classes is needed"
            )
        order = order_classes(estimator, classes)
        centre = np.zeros(weights.shape[1]) if folded.centre is None else folded.centre
        return cls(weights[order], intercepts[order], centre)

    def at_centre(self) -> Matrix:
        """Return the value of each class for the features of ``centre``, of shape (n_classes,)."""
        return self.intercepts + self.weights @ self.centre


@dataclasses.dataclass(frozen=True)
class _Folded:
    """Weights and intercepts on the input of a step; where it measures from, if it says so."""

    weights: Matrix
    intercepts: Matrix
    centre: Matrix | None = None

    def scaled(self, step: Scaling) -> _Folded:
        """Return the weights before a scaling."""
        scale, centre, shift = step.scale, step.centre, step.shift
        weights = self.weights if scale is None else self.weights / scale
        intercepts = self.intercepts if shift is None else self.intercepts + self.weights @ shift
        if centre is not None:
            return _Folded(weights, intercepts - weights @ centre, centre)
        if self.centre is None:
            return _Folded(weights, intercepts)
        before = self.centre if shift is None else self.centre - shift
        return _Folded(weights, intercepts, before if scale is None else before * scale)

    def projected(self, matrix: Matrix, centre: Matrix | None = None) -> _Folded:
        """Return the weights before the step (x - centre) @ matrix."""
        weights = self.weights @ matrix.T
        intercepts = self.intercepts if centre is None else self.intercepts - weights @ centre
        return _Folded(weights, intercepts, centre)

    def selected(self, chosen: NDArray[np.bool_]) -> _Folded:
        """Return the weights before the selection of some features; the others have none."""
        weights = np.zeros((len(self.weights), len(chosen)))
        weights[:, chosen] = self.weights
        if self.centre is None:
            return _Folded(weights, self.intercepts)
        centre = np.zeros(len(chosen))
        centre[chosen] = self.centre
        return _Folded(weights, self.intercepts, centre)


def fitted_steps(estimator: Any) -> list[Any]:
    """Return the fitted steps of an estimator in their order, the classifier last.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier; a pipeline, also within a pipeline or a search.
    """
    if hasattr(estimator, "best_estimator_"):  # A search.
        return fitted_steps(estimator.best_estimator_)
    if isinstance(steps := getattr(estimator, "steps", None), list):
        each = [one for _, one in steps if one is not None and one != "passthrough"]
        return [inner for one in each for inner in fitted_steps(one)]
    if type(estimator).__name__ == "FrozenEstimator":
        return fitted_steps(estimator.estimator)
    if type(estimator).__name__ in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return fitted_steps(estimator.estimator_)
    return [estimator]


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
    """A step that gives (x - centre) / scale + shift of each feature.

    Attributes
    ----------
    centre, scale, shift : ndarray of float64, shape (n_features,), or None
        None where the step does not change the features in this way.
    """

    centre: Matrix | None = None
    scale: Matrix | None = None
    shift: Matrix | None = None


def scaling_step(step: Any) -> Scaling | None:
    """Return what a step does to each feature alone; None if it is not scaling.

    Parameters
    ----------
    step : transformer
        A fitted step of a pipeline.

    Raises
    ------
    UsageError
        If it also limits features to a range.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> scaling = scaling_step(StandardScaler().fit([[1.0], [3.0]]))
    >>> scaling.centre.tolist(), scaling.scale.tolist(), scaling.shift
    ([2.0], [1.0], None)
    """
    from sklearn.preprocessing import (
        FunctionTransformer,
        MaxAbsScaler,
        MinMaxScaler,
        RobustScaler,
        StandardScaler,
    )

    if getattr(step, "clip", False):
        name = type(step).__name__
        raise UsageError(f"{name} limits features to a range (clip=True), which is not scaling")
    if isinstance(step, StandardScaler):
        return Scaling(step.mean_ if step.with_mean else None, step.scale_)
    if isinstance(step, RobustScaler):
        return Scaling(
            step.center_ if step.with_centering else None,
            step.scale_ if step.with_scaling else None,
        )
    if isinstance(step, MaxAbsScaler):
        return Scaling(scale=step.scale_)
    if isinstance(step, MinMaxScaler):
        return Scaling(scale=1 / step.scale_, shift=step.min_)
    if isinstance(step, FunctionTransformer) and step.func is None:
        return Scaling()
    return None


def affine_step(step: Any, n_outputs: int) -> tuple[Matrix, Matrix]:
    """Return the matrix and the shift of a transformer that is x @ matrix + shift.

    Parameters
    ----------
    step : transformer
        A fitted step of a pipeline.
    n_outputs : int
        Number of features that it gives.

    Raises
    ------
    UsageError
        If it is not known to be a scaling, a selection or a projection.
    """
    folded = _fold(step, _Folded(np.eye(n_outputs), np.zeros(n_outputs)))
    return folded.weights.T, folded.intercepts


def affine_classifier(classifier: Any) -> tuple[Matrix, Matrix]:
    """Return the matrix and the shift of a classifier whose scores are x @ matrix + shift.

    Parameters
    ----------
    classifier : estimator
        The last step of a fitted head.

    Raises
    ------
    UsageError
        If its scores are not known to be weighted sums.
    """
    folded = _weights_of(classifier)
    return folded.weights.T, folded.intercepts


def _fold_all(steps: list[Any]) -> _Folded:
    """Return the weights of a classifier on the input of the steps before it."""
    folded = _weights_of(steps[-1])
    for step in reversed(steps[:-1]):
        folded = _fold(step, folded)
    return folded


def _fold(step: Any, after: _Folded) -> _Folded:
    """Return weights on the input of a transformer, from those on its output."""
    from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD

    name = type(step).__name__
    if (scaling := scaling_step(step)) is not None:
        return after.scaled(scaling)
    if isinstance(step, PCA | IncrementalPCA):
        matrix = np.asarray(step.components_.T, dtype=np.float64)
        if step.whiten:
            spread = np.sqrt(step.explained_variance_)
            matrix = matrix / np.maximum(spread, np.finfo(spread.dtype).eps)
        return after.projected(matrix, np.asarray(step.mean_, dtype=np.float64))
    if isinstance(step, TruncatedSVD) or name.endswith("RandomProjection"):
        matrix = step.components_.T
        return after.projected(np.asarray(matrix.toarray() if issparse(matrix) else matrix))
    if has_method(step, "get_support"):
        return after.selected(step.get_support())
    if name == "Normalizer":
        raise UsageError("Normalizer divides each image's features by their own length")
    raise UsageError(f"{name} is not known to be a scaling, a selection or a projection")


def _weights_of(classifier: Any) -> _Folded:
    """Return the weights of a classifier on its own input, one row for each of its scores."""
    from sklearn.multiclass import OneVsRestClassifier

    name = type(classifier).__name__
    if isinstance(classifier, OneVsRestClassifier):
        each = [_fold_all(fitted_steps(one)) for one in classifier.estimators_]
        return _Folded(
            np.concatenate([one.weights for one in each]),
            np.concatenate([one.intercepts for one in each]),
        )
    if has_method(classifier, "get_support") and hasattr(classifier, "estimator_"):  # RFE.
        return _fold_all(fitted_steps(classifier.estimator_)).selected(classifier.get_support())
    kernel = getattr(classifier, "kernel", "linear")
    if kernel != "linear":
        shown = f"the kernel '{kernel}'" if isinstance(kernel, str) else "a kernel of its own"
        raise UsageError(f"{name} has {shown}, and its decision is not a weighted sum of features")
    if hasattr(classifier, "support_vectors_") and len(classifier.classes_) > 2:
        raise UsageError(
            f"{name} decides between {len(classifier.classes_)} classes by votes over pairs, which "
            "are not a weighted sum of features"
        )
    is_linear = has_method(classifier, "decision_function") and hasattr(classifier, "intercept_")
    coefficients: Any = getattr(classifier, "coef_", None) if is_linear else None
    if coefficients is None:
        raise UsageError(f"{name} is not known to decide by a weighted sum of features")
    coefficients = coefficients.toarray() if issparse(coefficients) else coefficients
    weights = np.atleast_2d(np.asarray(coefficients, dtype=np.float64))
    intercepts = np.ravel(np.asarray(classifier.intercept_, dtype=np.float64))
    return _Folded(weights, np.broadcast_to(intercepts, len(weights)))
