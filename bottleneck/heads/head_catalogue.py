"""The heads by name, and the one function that every entry gets its heads from."""

from __future__ import annotations

import copy
import functools
import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bottleneck.errors import UsageError, unknown_name
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    from bottleneck.heads.head import Grid, Head

__all__ = ["CHOICES", "HEADS", "get_head", "get_heads"]

#: Descriptions of the heads for a methods section, by name.
HEADS: Mapping[str, str] = MappingProxyType(
    {
        "svm": "support vector machine, linear or RBF kernel (linear above 20,000 samples)",
        "logistic": "logistic regression with an L2 penalty",
        "mlp": "multilayer perceptron with one hidden layer of 64 units",
        "lda": "linear discriminant analysis with Ledoit-Wolf shrinkage, without class weights",
        "knn": "nearest neighbours weighted by distance, without class weights",
        "ridge": "ridge classifier",
        "random_forest": "random forest of 100 trees on unscaled features",
        "gradient_boosting": "histogram-based gradient boosting on unscaled features",
        # The "default parameters" of work published in 2018.
        "svm_2018": "support vector machine at scikit-learn's defaults of 2018 (RBF kernel, C 1, "
        "gamma 1 / features), on unscaled features and without class weights",
        "linear_svc_2018": "linear support vector machine at scikit-learn's defaults of 2018 "
        "(squared hinge loss, C 1), on unscaled features and without class weights",
        "prior": "class frequencies of the training set; the features are ignored",
    }
)

#: The names in one line, for the help of commands.
CHOICES = ", ".join(name for name in HEADS if name != "prior")

# Names of arms without images and of imported predictions.
_RESERVED = ("metadata", "predictions", "ensemble", "reader", *HEADS)


def get_head(head: str | Head | Any) -> Head:
    """Return a head by name or by import path, or made from an estimator.

    Parameters
    ----------
    head : str, estimator or Head
        A name in ``HEADS``; ``package.module:Class``, which is imported; a scikit-learn
        classifier or pipeline; or a ``Head``.

    Raises
    ------
    UsageError
        If there is no such name or class, or the estimator cannot be a head; see ``Head``.

    Examples
    --------
    >>> get_head("logistic").description
    'logistic regression with an L2 penalty'
    >>> get_head("sklearn.naive_bayes:GaussianNB").name
    'GaussianNB'
    """
    from bottleneck.heads.estimators.import_path import import_estimator, suggest_path
    from bottleneck.heads.head import Head

    if isinstance(head, str):
        if head in HEADS:
            return _make(str(head))
        if ":" not in head:
            if (path := suggest_path(head)) is not None:
                raise UsageError(f"unknown head '{head}'; a class is named by '{path}'")
            error = unknown_name("head", head, HEADS)
            raise UsageError(f"{error} A class of another package: package.module:Class")
        imported = import_estimator(head)
        if isinstance(imported, str) or callable(imported):
            raise UsageError(
                f"'{head}' names no class and no estimator: name a class, or an object of one"
            )
        made = get_head(imported)
        if made.name in HEADS:
            return made
        made = copy.copy(made)
        made.import_path = str(head)
        return made
    if isinstance(head, Iterable) and not hasattr(head, "fit") and not inspect.isclass(head):
        raise UsageError(
            f"one head is needed here, not {shorten(head)}: labels are passed as y=, and patients "
            "as groups="
        )
    if not isinstance(head, Head):
        head = Head(head)
    if head.name in _RESERVED and head is not (_make(head.name) if head.name in HEADS else None):
        raise UsageError(
            f"the name '{head.name}' is that of a head of bottleneck: give yours another one with "
            "Head(estimator, grid, name=...)"
        )
    return head


def get_heads(heads: Any) -> list[Head]:
    """Return heads with distinct names.

    Parameters
    ----------
    heads : str, estimator, Head, iterable of these, or mapping of names to these
        As for ``get_head``. Two classes of one name are told apart by the parameters that are
        not their defaults.

    Raises
    ------
    UsageError
        As ``get_head``, and if there is none, or one is listed twice.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> [head.name for head in get_heads(["svm", SVC(), SVC(C=2)])]
    ['svm', 'SVC()', 'SVC(C=2)']
    """
    from bottleneck.heads.head import Head

    if isinstance(heads, Mapping):
        made = [get_head(get_head(one).named(name)) for name, one in heads.items()]
    elif (
        isinstance(heads, str | Head)
        or hasattr(heads, "fit")
        or inspect.isclass(heads)
        or not isinstance(heads, Iterable)
    ):
        made = [get_head(heads)]
    else:
        made = [get_head(one) for one in heads]
    if not made:
        raise UsageError("there is no head to compare: name at least one")
    return _distinguish(made)


def _distinguish(heads: list[Head]) -> list[Head]:
    from bottleneck.heads.estimators.description import name_steps, safe_name, write_estimator
    from bottleneck.heads.estimators.import_path import public_path
    from bottleneck.heads.estimators.suitability import last_step

    longer = (
        lambda head: write_estimator(last_step(head.estimator)),
        lambda head: name_steps(head.estimator),
        lambda head: f"{public_path(type(last_step(head.estimator)))} {head.name}",
    )
    for lengthen in longer:
        # Some file systems do not distinguish a from A.
        count = Counter(head.name.casefold() for head in heads)
        heads = [
            head
            if head.is_named or count[head.name.casefold()] == 1
            else head.named(safe_name(lengthen(head)), by_user=False)
            for head in heads
        ]
    count = Counter(head.name.casefold() for head in heads)
    for head in heads:
        if count[head.name.casefold()] > 1:
            advice = "" if head.name in HEADS else ", or name each with Head(..., name=...)"
            name = head.name if head.is_named else write_estimator(last_step(head.estimator))
            raise UsageError(f"the head '{name}' is listed twice: list it once{advice}")
    return heads


@functools.cache
def _make(name: str) -> Head:
    """Return a head of the catalogue."""
    head = _MAKERS[name](name)
    head.name, head.is_named, head.description = name, True, HEADS[name]
    return head


def _svm(name: str) -> Head:
    from sklearn.svm import SVC, LinearSVC

    # On n standardised features, gamma="scale" is 1 / n. At the usual 512 to 2048 features, the
    # other two values give a wider and a narrower kernel.
    head = _standardised(
        name,
        SVC(class_weight="balanced"),
        [
            {"kernel": ("linear",), "C": (1e-4, 1e-3, 1e-2, 1e-1)},
            {"kernel": ("rbf",), "C": (0.1, 1.0, 10.0), "gamma": (1e-4, "scale", 2e-3)},
        ],
    )
    # The hinge loss is that of SVC; liblinear needs no kernel matrix. The loss is a sum over
    # samples, so more samples need a smaller C for the same regularisation.
    large = _standardised(
        name,
        LinearSVC(loss="hinge", dual=True, class_weight="balanced", tol=1e-2),
        [{"C": (1e-6, 1e-5, 1e-4, 1e-3)}],
    )
    large.name, large.is_named = name, True
    large.description = "support vector machine, linear kernel"
    large.fixed = {"kernel": "linear", "solver": "liblinear"}
    head.large = large
    return head


def _logistic(name: str) -> Head:
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(class_weight="balanced", max_iter=2000)
    head = _standardised(name, classifier, [{"C": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)}])
    head.warm_start = True
    return head


def _mlp(name: str) -> Head:
    from bottleneck.heads.estimators.classifiers import BalancedMLPClassifier

    # No early stopping: its validation set is drawn by image, so patients would leak into it.
    # This learning rate reaches the loss of the default 0.001 in fewer epochs.
    classifier = BalancedMLPClassifier(
        hidden_layer_sizes=(64,), learning_rate_init=0.003, max_iter=1000
    )
    return _standardised(name, classifier, [{"alpha": (100.0, 10.0, 1.0)}])


def _lda(name: str) -> Head:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    return _standardised(name, classifier, None)


def _knn(name: str) -> Head:
    from bottleneck.heads.estimators.classifiers import FewNeighborsClassifier

    # Trees do not help in hundreds of dimensions.
    classifier = FewNeighborsClassifier(weights="distance", algorithm="brute")
    return _standardised(name, classifier, [{"n_neighbors": (31, 15, 7, 3)}])


def _ridge(name: str) -> Head:
    from sklearn.linear_model import RidgeClassifier

    classifier = RidgeClassifier(class_weight="balanced")
    return _standardised(name, classifier, [{"alpha": (1e5, 1e4, 1e3, 1e2, 1e1)}])


def _random_forest(name: str) -> Head:
    from sklearn.ensemble import RandomForestClassifier

    return _unscaled(
        name,
        RandomForestClassifier(class_weight="balanced"),
        [{"min_samples_leaf": (10, 3, 1)}],
    )


def _gradient_boosting(name: str) -> Head:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Above 10,000 samples, early stopping would draw a validation set by image. In small data
    # sets the default of 20 samples a leaf would allow no split.
    classifier = HistGradientBoostingClassifier(
        early_stopping=False, min_samples_leaf=5, class_weight="balanced"
    )
    return _unscaled(name, classifier, [{"max_leaf_nodes": (4, 16)}])


def _svm_2018(name: str) -> Head:
    from sklearn.svm import SVC

    return _unscaled(name, SVC(C=1.0, kernel="rbf", gamma="auto"), None)


def _linear_svc_2018(name: str) -> Head:
    from sklearn.svm import LinearSVC

    return _unscaled(name, LinearSVC(C=1.0, dual=True), None)


def _prior(name: str) -> Head:
    from sklearn.dummy import DummyClassifier

    return _unscaled(name, DummyClassifier(strategy="prior"), [])


_MAKERS = {name: globals()[f"_{name}"] for name in HEADS}


def _standardised(name: str, classifier: Any, grid: Grid | None) -> Head:
    from sklearn.preprocessing import StandardScaler

    return _pipeline([("standardise", StandardScaler()), (name, classifier)], grid)


def _unscaled(name: str, classifier: Any, grid: Grid | None) -> Head:
    return _pipeline([(name, classifier)], grid)


def _pipeline(steps: list[tuple[str, Any]], grid: Grid | None) -> Head:
    """Return a head with a grid for the last step, with its parameters without their prefix."""
    from sklearn.pipeline import Pipeline

    from bottleneck.heads.head import Head

    parts = [grid] if isinstance(grid, Mapping) else grid
    name = steps[-1][0]
    return Head(
        Pipeline(steps),
        parts and [{f"{name}__{key}": values for key, values in part.items()} for part in parts],
    )
