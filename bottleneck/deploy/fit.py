"""Training of a head on a whole data set, for use on new images."""

from __future__ import annotations

import platform
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np

from bottleneck import __version__
from bottleneck.data.positive_class import choose_positive, spell_label
from bottleneck.data.selection import Selection
from bottleneck.data.splits.folds import fixed_split, has_fixed_split, refuse_single
from bottleneck.deploy.models.model import Model
from bottleneck.errors import ProtocolError
from bottleneck.features.arrays.feature_inputs import (
    Column,
    FeatureInput,
    SampleFields,
    read_features,
)
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.search import search
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.settings.ranges import Jobs, Seed
from bottleneck.settings.schema import validate

__all__ = ["fit"]


@shows_progress()
def fit(
    features: FeatureInput,
    head: str | Head | Any = "svm",
    *,
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    inner_splits: int = 5,
    seed: int = 0,
    positive: str | int | None = None,
    selection: Selection | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
) -> Model:
    """Train a head on a data set, for use on new samples.

    All samples are used for training. If the data set has a test set of its own, that set is
    left out, so that the model can be tested on it.

    Parameters
    ----------
    features : FeatureSet, path, array or data frame
        Features, or their file. An array or a data frame needs ``y``.
    head : str, estimator or Head
        Name of a head, such as "svm"; ``package.module:Class``, which is imported; or a
        scikit-learn classifier, by itself or in a ``Head`` with its search space.
    y, groups, ids : array-like of shape (n_samples,) or None
        Labels, patients and ids of the samples in an array, as for ``FeatureSet.from_arrays``.
    inner_splits : int
        Number of folds of the search for hyperparameters. They keep patients, and patients that
        share copies of an image, together.
    seed : int
        Seed of these folds and of the head.
    positive : str, int or None
        The positive class. By default the one that was set at extraction, or a label with a
        known name such as "malignant".
    selection : Selection or None
        Samples to leave out, classes to merge, and classes to keep; by default all.
    n_jobs : int or None
        Number of processes, as in joblib.
    progress : callable or None
        Called with the number of steps done, their total, and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.

    Returns
    -------
    Model
        The fitted head, with the recipe of its features.

    Raises
    ------
    UsageError
        If there is no head or label of that name, or the estimator cannot be a head.
    ProtocolError
        If there is only one class, or too few samples for two inner folds.
    FeatureFileError
        If a feature is not finite, or the file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> model = fit(X, "logistic", y=y)
    >>> model.classes, model.n_samples
    (('benign', 'malignant'), 40)
    """
    made = get_head(head)
    validate(Jobs, n_jobs, "the number of processes")
    validate(Seed, seed, "the seed")
    stated = None if positive is None else spell_label(positive)
    features = read_features(features, SampleFields(y, groups, ids))
    if selection is not None:
        features = features.choose(selection, positive=stated)
        stated = features.positive
    chosen = choose_positive(features.classes, features.positive if stated is None else stated)
    patients = features.patients
    rows = np.arange(len(features))
    trained_on = "all samples"
    if has_fixed_split(features.splits):
        rows, _ = fixed_split(features.splits, patients)
        trained_on = "training and validation parts"
    labels = features.y[rows]
    refuse_single(labels, None if patients is None else patients[rows])
    # As in a comparison, copies of one image are not in different inner folds.
    names = features.join_duplicates(progress).names
    units = None if names is None else names[rows]
    if set(labels) != set(features.classes):
        raise ProtocolError(
            f"a head needs training samples of every class, but the {len(labels)} training "
            f"samples are of {', '.join(sorted(set(labels)))} only: move samples of the other "
            f"classes out of the test set"
        )
    if progress is not None:
        progress(0, 1, f"fitting {made.name}")
    result = search(
        made,
        features.X[rows],
        labels,
        units,
        inner_splits=inner_splits,
        seed=seed,
        n_jobs=n_jobs,
    )
    if progress is not None:
        progress(1, 1, f"fitting {made.name}")
    for text in result.notes:
        warnings.warn(f"the classifier of {made.name} warned: {text}", stacklevel=3)
    return Model(
        estimator=result.estimator,
        head=made.name,
        kind=made.kind,
        classifier=made.record,
        classes=features.classes,
        positive=chosen,
        recipe=dict(features.provenance["recipe"]),
        recipe_hash=features.recipe_hash,
        dataset=features.dataset,
        fingerprint=str(features.provenance["dataset"]["fingerprint"]),
        trained_on=trained_on,
        selection=dict(features.selection),
        n_samples=len(rows),
        n_patients=None if patients is None else len(np.unique(patients[rows])),
        inner_score=result.score,
        chosen=dict(result.chosen),
        converged=result.converged,
        versions={
            "bottleneck": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("scikit-learn", "numpy", "scipy", "skops")},
        },
    )
