"""What a head's estimator must be: a classifier that scores, and draws no validation rows itself.

Rows that an estimator sets aside at random divide the images of a patient. What it then chooses
or calibrates on them is chosen on images of patients that it was trained on.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bottleneck.errors import UsageError
from bottleneck.predictions import Kind
from bottleneck.text.short_repr import shorten

__all__ = [
    "find_kind",
    "has_method",
    "last_step",
    "refuse_drawing",
    "refuse_object",
    "required_arguments",
    "waits_until",
    "walk",
]

# With more training samples than this, early_stopping="auto" of scikit-learn's histogram-based
# gradient boosting draws a validation set.
_AUTO = 10_000

_EXAMPLE = "such as sklearn.ensemble.RandomForestClassifier()"
_OWN_CHOICE = "leave it out, and search its hyperparameters with Head(estimator, grid)"
_INSTEAD = {
    "CalibratedClassifierCV": "give the classifier itself, whose probabilities are calibrated here "
    "on out-of-fold scores",
    "LogisticRegressionCV": "use Head(LogisticRegression(), {'C': [...]})",
    "RidgeClassifierCV": "use Head(RidgeClassifier(), {'alpha': [...]})",
    "StackingClassifier": "use VotingClassifier(voting='soft')",
    "TunedThresholdClassifierCV": "give the classifier itself, and choose a threshold with "
    "Measures(at_sensitivity=...)",
    "RFECV": "use RFE, and search its n_features_to_select with Head(estimator, grid)",
}
_CLASSIFIERS = {
    "LinearRegression": "LogisticRegression",
    "Ridge": "RidgeClassifier",
    "Lasso": "LogisticRegression",
    "ElasticNet": "LogisticRegression",
    "SVR": "SVC",
    "NuSVR": "NuSVC",
    "LinearSVR": "LinearSVC",
}


def refuse_object(given: Any) -> None:
    """Raise ``UsageError`` if something is not an unfitted scikit-learn estimator.

    Parameters
    ----------
    given : object
        What was given as an estimator.
    """
    if inspect.isclass(given):
        raise UsageError(
            f"a head needs an estimator object, and {given.__name__} is a class: write "
            f"{given.__name__}(), with its arguments if it has any"
        )
    if hasattr(given, "estimator") and hasattr(given, "for_samples"):
        raise UsageError(
            "Head(...) needs an estimator object, and this is a Head already: pass it unchanged, "
            "or "
            "Head(head.estimator, grid) with another grid, or head.named(name)"
        )
    if isinstance(given, str):
        raise UsageError(
            f"Head(...) needs an estimator object, not the text '{given}': pass a name or an "
            "import path as the head itself, without Head(...)"
        )
    missing = [n for n in ("fit", "get_params", "set_params") if not has_method(given, n)]
    if missing:
        raise UsageError(
            f"a head needs a scikit-learn classifier {_EXAMPLE}, or a name of the catalogue, not "
            f"{shorten(given)}, which has no {missing[0]}: a class of your own inherits from "
            "sklearn.base.ClassifierMixin and BaseEstimator"
        )
    if more := required_arguments(given.fit, given=2):
        raise UsageError(
            f"the method fit of {type(given).__name__} needs {', '.join(more)}, but a head has "
            "only features and labels: give these a default, or set them in __init__"
        )


def find_kind(estimator: Any) -> Kind:
    """Return which scores of a classifier are used.

    Parameters
    ----------
    estimator : estimator
        Unfitted estimator.

    Returns
    -------
    {"probability", "decision"}
        "probability" for ``predict_proba``, "decision" for ``decision_function``. The latter is
        used where probabilities come from a cross-validation inside of the estimator, as with
        ``SVC(probability=True)``, because that divides patients.

    Raises
    ------
    UsageError
        If it is not a classifier, or has neither method.
    """
    name = type(last_step(estimator)).__name__
    whole = type(estimator).__name__
    of = f"the last step of the {whole}, {name}," if last_step(estimator) is not estimator else name
    if (kind := _estimator_type(estimator)) not in ("classifier", None):
        other = _CLASSIFIERS.get(name, name.replace("Regressor", "Classifier"))
        article = "an" if kind[0] in "aeiou" else "a"
        advice = f"use {other}" if other != name else f"use a classifier {_EXAMPLE}"
        raise UsageError(f"a head must be a classifier, but {of} is {article} {kind}: {advice}")
    divides = [
        path for path, one in walk(estimator) if _parameters(one).get("probability") in (True,)
    ]
    if has_method(estimator, "predict_proba") and not divides:
        return "probability"
    if has_method(estimator, "decision_function"):
        return "decision"
    if divides:
        raise UsageError(
            f"probability=True{_at(divides[0])} calibrates by a cross-validation that divides the "
            "images of a patient: leave it out, or use a classifier with its own probabilities"
        )
    if kind is None:
        raise UsageError(
            f"a head must be a classifier, but {of} is not: use a classifier {_EXAMPLE}"
        )
    advice = (
        "set voting='soft'"
        if "voting" in _parameters(last_step(estimator))
        else "use a classifier with one of them"
    )
    raise UsageError(
        f"{of} predicts classes only, but an AUROC needs scores: it has neither predict_proba nor "
        f"decision_function; {advice}"
    )


def has_method(estimator: Any, name: str) -> bool:
    """Return whether an estimator has a method; a subclass may set one to None."""
    return callable(getattr(estimator, name, None))


def refuse_drawing(estimator: Any) -> None:
    """Raise ``UsageError`` if an estimator, or one within it, draws validation rows at random.

    Parameters
    ----------
    estimator : estimator
        Unfitted estimator.
    """
    from sklearn.base import clone

    for path, one in walk(estimator):
        name, parameters = type(one).__name__, _parameters(one)
        where = f"{name}{_at(path)}"
        cv = parameters.get("cv")
        if (isinstance(cv, str) and cv == "prefit") or (
            hasattr(type(one), "__sklearn_clone__") and clone(one) is one
        ):
            raise UsageError(
                f"{where} was fitted before, perhaps to the samples that are tested here: give "
                "the unfitted estimator, which is trained in every fold"
            )
        if taken := [n for n, value in parameters.items() if _is_fitted_method(value)]:
            raise UsageError(
                f"{where} calls a method of an estimator that was perhaps fitted to the samples "
                f"that are tested here ({taken[0]}): put that estimator into the pipeline itself, "
                "where it is trained in every fold"
            )
        if "cv" in parameters:
            advice = _INSTEAD.get(name, _OWN_CHOICE)
            if "param_grid" in parameters or "param_distributions" in parameters:
                inner = type(parameters.get("estimator")).__name__
                advice = f"use Head({inner}(...), grid), whose folds keep patients together"
            raise UsageError(
                f"{where} has a cross-validation of its own (cv={cv!r:.60}), which "
                f"divides the images of a patient: {advice}"
            )
        if found := _draws(one, parameters):
            parameter, off = found
            raise UsageError(
                f"{where} sets rows aside at random for validation ({parameter}="
                f"{parameters[parameter]!r}), which divides the images of a patient: set "
                f"{path}{'__' if path else ''}{parameter}={off}"
            )
        if parameters.get("decision_function_shape") == "ovo":
            raise UsageError(
                f"{where} has one score per pair of classes (decision_function_shape='ovo'), but "
                "one per class is needed: set decision_function_shape='ovr'"
            )


def waits_until(estimator: Any) -> int | None:
    """Return above how many training samples an estimator would draw rows; None for never.

    Examples
    --------
    >>> from sklearn.ensemble import HistGradientBoostingClassifier
    >>> waits_until(HistGradientBoostingClassifier())
    10000
    """
    several = any(_parameters(one).get("early_stopping") == "auto" for _, one in walk(estimator))
    return _AUTO if several else None


def last_step(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    steps = getattr(estimator, "steps", None)
    if isinstance(steps, list) and steps and hasattr(steps[-1][1], "fit"):
        return last_step(steps[-1][1])
    return estimator


def walk(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Yield an estimator and all within it, each with the path of its parameters.

    Examples
    --------
    >>> from sklearn.ensemble import BaggingClassifier
    >>> from sklearn.svm import SVC
    >>> [path for path, _ in walk(BaggingClassifier(SVC()))]
    ['', 'estimator']
    """
    waiting, known = [("", estimator)], set()
    while waiting:
        path, one = waiting.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        yield path, one
        for name, value in _parameters(one).items():
            found = _estimators_in(value, name)
            waiting += [(f"{path}__{n}" if path else n, inside) for n, inside in found]


def required_arguments(function: Callable[..., Any], given: int = 0) -> list[str]:
    """Return the arguments that a class or function needs, beyond the first ones that it is given.

    Parameters
    ----------
    function : callable
        Class, function or method; one whose signature is unknown needs none.
    given : int
        Number of arguments that it is given by position.

    Examples
    --------
    >>> required_arguments(lambda X, y, groups, sample_weight=None: None, given=2)
    ['groups']
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())[given:]
    except (TypeError, ValueError):
        return []
    return [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def _estimators_in(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the estimators in a parameter, each with the name that ``set_params`` takes."""
    if isinstance(value, tuple) and len(value) > 1 and isinstance(value[0], str):
        name = value[0]  # A step of a pipeline, or a member of a vote.
    if isinstance(value, list | tuple | set | frozenset):
        for member in value:
            yield from _estimators_in(member, name)
    elif isinstance(value, Mapping):
        yield from _estimators_in(list(value.values()), name)
    elif hasattr(value, "get_params") and not inspect.isclass(value):
        yield name, value


def _parameters(one: Any) -> Mapping[str, Any]:
    parameters: Mapping[str, Any] = one.get_params(deep=False)
    return parameters


def _draws(one: Any, parameters: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the parameter by which an estimator draws rows, and its value that does not."""
    early = parameters.get("early_stopping")
    if _is_on(early):
        from sklearn.ensemble import HistGradientBoostingClassifier as Boosting
        from sklearn.ensemble import HistGradientBoostingRegressor as Regressor

        waits = isinstance(early, str) and early == "auto"
        if not (waits and isinstance(one, Boosting | Regressor)):
            return "early_stopping", "False"
    # With early_stopping, this is the patience, and otherwise that of the training loss.
    if "early_stopping" not in parameters and parameters.get("n_iter_no_change") is not None:
        return "n_iter_no_change", "None"
    # Of XGBoost, LightGBM and CatBoost; of skorch.
    for name in ("early_stopping_rounds", "early_stopping_round", "eval_fraction", "train_split"):
        if _is_on(parameters.get(name)):
            return name, "None"
    for name in ("validation_split", "validation_size"):  # Of Keras; of InterpretML.
        if _is_on(parameters.get(name)):
            return name, "0"
    return None


def _is_fitted_method(value: Any) -> bool:
    """Whether a parameter is a method of an estimator, such as ``scaler.transform``."""
    while isinstance(value, functools.partial):
        value = value.func
    owner = getattr(value, "__self__", None)
    return callable(value) and hasattr(owner, "fit") and not inspect.isclass(owner)


def _is_on(value: Any) -> bool:
    """Whether a parameter is set, and neither False nor 0."""
    return value is not None and not (np.isscalar(value) and not value)


def _estimator_type(estimator: Any) -> str | None:
    """Return "classifier", "regressor", "clusterer" and so on; None if it does not say."""
    from sklearn.utils import get_tags

    try:
        kind = get_tags(estimator).estimator_type
    except Exception:  # noqa: BLE001 - tags are code of others
        kind = None
    kind = getattr(estimator, "_estimator_type", None) if kind is None else kind
    return None if kind is None else str(kind).replace("_", " ")


def _at(path: str) -> str:
    return f" (in {path})" if path else ""
