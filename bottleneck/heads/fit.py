"""Training of a head for use, on all that may be trained on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bottleneck import __version__
from bottleneck.data.dataset import choose_positive
from bottleneck.data.splits.folds import fixed_split, has_fixed_split, refuse_single
from bottleneck.data.splits.patients import name_patients
from bottleneck.errors import ProtocolError
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.features.file.reader import load_features
from bottleneck.heads.persistence import Model
from bottleneck.heads.registry import get_head
from bottleneck.heads.search import search

__all__ = ["fit"]


def fit(
    features: FeatureSet | str | Path,
    head: str = "svm",
    *,
    inner_splits: int = 5,
    seed: int = 0,
    positive: str | None = None,
    n_jobs: int | None = None,
) -> Model:
    """Train a head for use on new samples.

    It is trained on all samples; where the data set has a test part of its own, on the
    others only, so that the test part can still be predicted honestly.

    Parameters
    ----------
    features : FeatureSet, str or Path
        Features, or the file that holds them.
    head : {"svm", "logistic", "mlp", "prior"}
        The head.
    inner_splits : int
        Number of folds, grouped by patient, that choose its hyperparameters.
    seed : int
        Decides these folds and what the head draws at random.
    positive : str or None
        The positive class; by default the one that extraction was told, or a label that
        is recognised.
    n_jobs : int or None
        Processes, as joblib counts them.

    Returns
    -------
    Model
        The fitted head.

    Raises
    ------
    UsageError
        If there is no such head or label.
    ProtocolError
        If there is one class only, or the samples do not allow two inner folds.
    FeatureFileError
        If a feature is not finite.
    """
    if not isinstance(features, FeatureSet):
        features = load_features(features)
    positive = choose_positive(
        features.classes, features.positive if positive is None else positive
    )
    patients = name_patients(features.groups, features.ids)
    rows = np.arange(len(features))
    trained_on = "all samples"
    if has_fixed_split(features.splits):
        rows, _ = fixed_split(features.splits, patients)
        trained_on = "training and validation parts"
    groups = None if patients is None else patients[rows]
    y = features.y[rows]
    refuse_single(y, groups)
    if set(y) != set(features.classes):
        raise ProtocolError(
            f"a head needs samples of every class; to train on are {len(y)} samples of "
            f"{', '.join(sorted(set(y)))}"
        )
    found = search(
        get_head(head),
        features.X[rows],
        y,
        groups,
        inner_splits=inner_splits,
        seed=seed,
        n_jobs=n_jobs,
    )
    return Model(
        estimator=found.estimator,
        head=head,
        classes=features.classes,
        positive=positive,
        recipe=dict(features.provenance["recipe"]),
        recipe_hash=features.recipe_hash,
        dataset=features.dataset,
        fingerprint=str(features.provenance["dataset"]["fingerprint"]),
        trained_on=trained_on,
        n_samples=len(rows),
        n_patients=None if groups is None else len(np.unique(groups)),
        inner_score=found.score,
        chosen=dict(found.chosen),
        converged=found.converged,
        versions={
            "bottleneck": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("scikit-learn", "numpy", "scipy", "skops")},
        },
    )
