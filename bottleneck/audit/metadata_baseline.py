"""Confounder baseline: prediction of the label from metadata, without any image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.spelling.spelling_keys import loose_key
from bottleneck.data.splits.folds import refuse_single
from bottleneck.data.splits.patients import inner_folds
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head import Head
from bottleneck.statistics.inference.intervals import Interval
from bottleneck.statistics.roc.auroc import roc_auc_interval
from bottleneck.text.short_repr import show_fields

__all__ = ["MetadataScore", "describe_columns", "encode_columns", "predict_from_metadata"]

_FOLDS = 5
# A gradient-boosted tree takes at most 255 categories.
_CATEGORIES = 250
_ROUNDS, _TREES = 50, 1000


@dataclasses.dataclass(frozen=True)
class MetadataScore:
    """Performance of a classifier of metadata alone.

    Attributes
    ----------
    columns : tuple of str
        Metadata that differ between samples.
    label : str
        The class with the highest one-vs-rest AUROC.
    auroc : Interval
        AUROC of that class, averaged over folds grouped by patient.
    alone : dict of str to float
        AUROC of each column by itself.
    """

    columns: tuple[str, ...]
    label: str
    auroc: Interval
    alone: dict[str, float]

    __repr__ = show_fields


def describe_columns(features: FeatureSet) -> dict[str, NDArray]:
    """Return the metadata of each sample, without patient and label.

    Parameters
    ----------
    features : FeatureSet
        The features.

    Returns
    -------
    dict of str to ndarray, shape (n_samples,)
        Numbers ("width", "height", "brightness") and categories ("file suffix", "folder",
        "centre"); a constant column is left out. Folders named after the label, or after a class
        that was merged into it, are removed from the path, since the label was read from them.
    """
    columns: dict[str, NDArray] = {}
    if features.size is not None:
        columns["width"], columns["height"] = features.size.T.astype(float)
    if features.brightness is not None:
        columns["brightness"] = features.brightness.astype(float)
    if features.sources is not None:
        paths = [PurePosixPath(source) for source in features.sources]
        columns["file suffix"] = np.array([path.suffix.lower() for path in paths])
        names = _class_names(features)
        columns["folder"] = np.array(
            [
                "/".join(part for part in path.parent.parts if loose_key(part) not in names[label])
                for path, label in zip(paths, features.y.tolist(), strict=True)
            ]
        )
    if features.centres is not None:
        columns["centre"] = features.centres
    return {name: values for name, values in columns.items() if len(np.unique(values)) > 1}


def _class_names(features: FeatureSet) -> dict[str, set[str]]:
    """Return the keys of the names that each class has or had before it was merged."""
    former = {loose_key(new): parts for new, parts in features.selection.get("merged", {}).items()}
    return {
        label: {loose_key(name) for name in (label, *former.get(loose_key(label), ()))}
        for label in features.classes
    }


def predict_from_metadata(
    features: FeatureSet, progress: Callable[[int, int, str], None] | None = None
) -> MetadataScore | None:
    """Cross-validate a classifier of the metadata alone.

    Parameters
    ----------
    features : FeatureSet
        The features.
    progress : callable or None
        Called with the number of classifiers tested, their total and a text.

    Returns
    -------
    MetadataScore or None
        None where no column differs between samples.

    Raises
    ------
    ProtocolError
        If there is one class only, or one has too few patients for two folds.
    """
    columns = describe_columns(features)
    if not columns:
        return None
    refuse_single(features.y, features.patients)
    folds = inner_folds(features.y, features.patients, _FOLDS, seed=0)
    tried: dict[str, dict[str, NDArray]] = {name: {name: columns[name]} for name in columns}
    tried[""] = columns
    scores = {}
    for name, some in tried.items():
        scores[name] = _cross_validate(some, features.y, folds)
        if progress is not None:
            progress(len(scores), len(tried), "predicting the label from metadata")
    joint = scores.pop("")
    fold = np.empty(len(features), int)
    for number, (_, rows) in enumerate(folds):
        fold[rows] = number

    def auroc(score: NDArray[np.float64], code: int) -> Interval:
        is_class = features.y == features.classes[code]
        return roc_auc_interval(is_class, score[:, code], features.patients, fold)

    codes = range(len(features.classes))
    best = max(codes, key=lambda code: auroc(joint, code).value)
    return MetadataScore(
        columns=tuple(columns),
        label=features.classes[best],
        auroc=auroc(joint, best),
        alone={name: auroc(score, best).value for name, score in scores.items()},
    )


def encode_columns(
    columns: Mapping[str, NDArray], n_classes: int
) -> tuple[NDArray[np.float64], Head]:
    """Encode metadata as numbers, and return them with a head that suits them.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_samples,)
        From ``describe_columns``; at least one.
    n_classes : int
        Number of classes. With more than 20, the head has fewer rounds of trees.

    Returns
    -------
    X : ndarray of float64, shape (n_samples, n_columns)
        Numbers as they are; categories numbered by frequency.
    head : Head
        Gradient-boosted trees (``HistGradientBoostingClassifier``) without hyperparameters to
        choose, which handle numbers and categories alike.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    X = np.stack([_encode(values) for values in columns.values()], axis=1)
    categorical = [values.dtype.kind == "U" for values in columns.values()]
    # In small data sets the default of 20 samples a leaf would allow no split.
    leaf = min(20, max(1, len(X) // 12))
    # Every round grows a tree for each class.
    rounds = min(_ROUNDS, max(5, _TREES // n_classes))

    trees = HistGradientBoostingClassifier(
        max_iter=rounds,
        max_depth=3,
        min_samples_leaf=leaf,
        categorical_features=categorical,
        early_stopping=False,
    )
    head = Head(trees, []).named("metadata")
    head.description = f"gradient-boosted trees on {', '.join(columns)}, without any image"
    return X, head


def _cross_validate(
    columns: dict[str, NDArray], y: NDArray[np.str_], folds: list[tuple[NDArray, NDArray]]
) -> NDArray[np.float64]:
    """Return out-of-fold probabilities, shape (n_samples, n_classes)."""
    from threadpoolctl import threadpool_limits

    X, head = encode_columns(columns, len(np.unique(y)))
    scores = np.empty((len(y), len(np.unique(y))))
    # On so few columns, threads wait for each other longer than they work.
    with threadpool_limits(1):
        for train, test in folds:
            scores[test] = head.build(0).fit(X[train], y[train]).predict_proba(X[test])
    return scores


def _encode(values: NDArray) -> NDArray[np.float64]:
    """Number the categories by frequency; those beyond the limit share a number."""
    if values.dtype.kind != "U":
        return values.astype(float)
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"))
    return np.minimum(rank[codes], _CATEGORIES).astype(float)
