"""Training of a head on a whole data set, for use on new images."""

from __future__ import annotations

import os
import platform
import warnings
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Lt
from numpy.typing import NDArray

from bottleneck import __version__
from bottleneck.backbones.licences import LicencePolicy, require_licence, weights_record
from bottleneck.data.labels.positive_class import choose_positive, spell_label
from bottleneck.data.labels.selection import Selection
from bottleneck.data.splits.folds import fixed_split, has_fixed_split, refuse_single
from bottleneck.data.splits.patients import count_by_class
from bottleneck.data.splits.protocol import Aggregate, Conflicts, Protocol, Unit
from bottleneck.deploy.models.conformal import ConformalSets
from bottleneck.deploy.models.distance import TrainingReference
from bottleneck.deploy.models.evaluated_arm import EvaluatedArm
from bottleneck.deploy.models.evaluated_results import find_evaluation
from bottleneck.deploy.models.model import Model
from bottleneck.duplicates.label_conflicts import resolve_conflicts
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.metrics.operating_points import Held, fit_threshold
from bottleneck.evaluation.metrics.patient_aggregation import unit_aggregation
from bottleneck.evaluation.metrics.probabilities.sigmoids import add_probabilities, fit_sigmoids
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.features.arrays.feature_inputs import (
    Column,
    FeatureInput,
    SampleFields,
    read_features,
)
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.features.sets.sample_extents import count_regions
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.search import search
from bottleneck.predictions import Kind, Predictions, join_scores
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.settings.ranges import Jobs
from bottleneck.settings.schema import validate

__all__ = ["check_fit", "fit", "read_target"]


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
    unit: Unit = "image",
    aggregate: Aggregate = "mean",
    conflicts: Conflicts = "drop",
    at_sensitivity: float | None = None,
    at_specificity: float | None = None,
    comparison: Comparison | str | os.PathLike[str] | None = None,
    licence_policy: LicencePolicy = "any",
    n_jobs: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
) -> Model:
    """Train a head on a data set, for use on new samples.

    All samples are used for training. If the data set has a test set of its own, that set is
    left out, so that the model can be tested on it. The model is trained and calibrated as
    ``compare`` trains and calibrates an arm in a fold: with the training set and the seed of a
    fold (``Folds.seeds``), its probabilities are those of that fold.

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
    unit, aggregate : {"image", "patient"}, {"mean", "max"}
        What the model predicts, and how the score of a patient follows from those of the images,
        as in ``Protocol``. The head is trained on images; calibration and threshold are those of
        the unit.
    conflicts : {"drop", "keep", "majority", "stop"}
        What is done with copies of one image that have different labels, as in ``Protocol``.
    at_sensitivity, at_specificity : float or None
        Keep the threshold that reaches this sensitivity, or this specificity, on the out-of-fold
        scores of the inner folds; at most one of the two.
    comparison : Comparison or path, or None
        The comparison that evaluated this head on these features: what ``compare`` returned, or
        the folder of its report. The model keeps the figures.
    licence_policy : {"any", "commercial"}
        "commercial" refuses features of weights whose licence does not allow commercial use, or is
        not stated.
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
        If there is no head or label of that name, the estimator cannot be a head, or a threshold
        is asked for twice, without a positive class, or of a head without inner folds; or if the
        comparison evaluated other samples, features, heads or settings.
    ProtocolError
        If there is only one class, too few samples for two inner folds, or patients are the unit
        and unknown, or have images of several classes.
    FeatureFileError
        If a feature is not finite, or the file cannot be read.
    LicenceError
        If the policy refuses the licence of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> model = fit(X, "logistic", y=y, at_sensitivity=0.9)
    >>> model.classes, model.n_samples, model.operating_point.sensitivity
    (('benign', 'malignant'), 40, 0.9)
    """
    made = get_head(head)
    validate(Jobs, n_jobs, "the number of processes")
    protocol = Protocol(
        inner_splits=inner_splits, seed=seed, unit=unit, aggregate=aggregate, conflicts=conflicts
    )
    stated = None if positive is None else spell_label(positive)
    features = read_features(features, SampleFields(y, groups, ids))
    weights = weights_record(features.provenance)
    require_licence(weights, licence_policy)
    if selection is not None:
        features = features.choose(selection, positive=stated)
        stated = features.positive
    target = read_target(at_sensitivity, at_specificity)
    chosen, evaluated = check_fit(
        features, made, protocol, positive=stated, target=target, comparison=comparison
    )
    refuse_single(features.y, features.patients)
    # As in a comparison, copies of one image are not in different inner folds.
    copies = features.join_duplicates(progress)
    settled = resolve_conflicts(copies, features.y, features.ids, conflicts)
    rows, trained_on = settled.kept, "all samples"
    if has_fixed_split(features.splits):
        rows, _ = fixed_split(features.splits, features.patients)
        rows, trained_on = np.intersect1d(rows, settled.kept), "training and validation parts"
    patients = None if features.patients is None else features.patients[rows]
    samples = LabelledSamples(
        features.ids[rows], settled.y[rows], None if copies.names is None else copies.names[rows]
    )
    refuse_single(samples.y, patients)
    if set(samples.y) != set(features.classes):
        raise ProtocolError(
            f"a head needs training samples of every class, but the {len(samples)} training "
            f"samples are of {', '.join(sorted(set(samples.y)))} only: move samples of the other "
            f"classes out of the test set"
        )
    count = unit_aggregation(protocol, chosen, features)
    # A unit that does not fit the samples is refused before the search.
    count(_out_of_fold(samples, np.zeros((len(samples), len(features.classes))), made.kind))
    if progress is not None:
        progress(0, 1, f"fitting {made.name}")
    result = search(
        made,
        features.X[rows],
        samples.y,
        samples.groups,
        inner_splits=inner_splits,
        seed=seed,
        n_jobs=n_jobs,
    )
    if progress is not None:
        progress(1, 1, f"fitting {made.name}")
    for text in result.notes:
        warnings.warn(f"the classifier of {made.name} warned: {text}", stacklevel=3)
    if settled.sets:
        warnings.warn(settled.words, stacklevel=3)
    sigmoids = operating_point = conformal = None
    if result.inner_scores is not None:
        inner = count(_out_of_fold(samples, result.inner_scores, made.kind))
        sigmoids = fit_sigmoids(inner)
        calibrated = add_probabilities(inner, sigmoids)
        if calibrated.probabilities is not None:
            conformal = ConformalSets.fit(calibrated, has_patients=patients is not None)
        if target is not None and chosen is not None:
            operating_point = fit_threshold(inner, chosen, *target)
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
        n_patients=None if patients is None else len(np.unique(patients)),
        inner_score=result.score,
        chosen=dict(result.chosen),
        converged=result.converged,
        versions={
            "bottleneck": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("scikit-learn", "numpy", "scipy", "skops")},
        },
        unit=unit,
        aggregate=aggregate,
        sigmoids=sigmoids,
        operating_point=operating_point,
        conformal=conformal,
        reference=TrainingReference.fit(
            features.X[rows],
            samples.groups,
            # Columns of a table have units of their own.
            one_unit="preprocessing" in features.provenance["recipe"],
            has_patients=patients is not None,
        ),
        training={
            "images": count_by_class(samples.y),
            "patients": None if patients is None else count_by_class(samples.y, patients),
            "centres": None if features.centres is None else count_by_class(features.centres[rows]),
            "seed": seed,
            "inner_splits": inner_splits,
            "conflicts": conflicts,
            "regions": count_regions(features, rows),
        },
        weights=weights,
        comparison=evaluated,
        recalibrations=(),
    )


def check_fit(
    features: FeatureSet,
    head: Head,
    protocol: Protocol,
    *,
    positive: str | None,
    target: tuple[Held, float] | None,
    comparison: Comparison | str | os.PathLike[str] | None,
) -> tuple[str | None, EvaluatedArm | None]:
    """Return the positive class of a fit, and what a comparison evaluated of it.

    Parameters
    ----------
    features, head, protocol
        The features after a selection, the head, and the settings of the fit.
    positive : str or None
        The positive class, if it is stated.
    target : (str, float) or None
        Metric and target of the threshold, from ``read_target``.
    comparison : Comparison or path, or None
        As for ``fit``.

    Raises
    ------
    UsageError
        If there is no such class, the threshold needs a positive class or another head, or the
        comparison evaluated something else.
    """
    stated = features.positive if positive is None else positive
    chosen = choose_positive(features.classes, stated)
    if target is not None:
        _refuse_target(target, head, chosen, features.classes)
    if comparison is None:
        return chosen, None
    evaluated = find_evaluation(
        comparison,
        features,
        head,
        positive=chosen,
        unit=protocol.unit,
        aggregate=protocol.aggregate,
        seed=protocol.seed,
        inner_splits=protocol.inner_splits,
        conflicts=protocol.conflicts,
        target=target,
    )
    return chosen, evaluated


def read_target(
    at_sensitivity: float | None, at_specificity: float | None
) -> tuple[Held, float] | None:
    """Return the metric that the threshold is to reach, and its target; None for no threshold."""
    given: dict[Held, float | None] = {"sensitivity": at_sensitivity, "specificity": at_specificity}
    asked = [(held, value) for held, value in given.items() if value is not None]
    if len(asked) > 1:
        raise UsageError(
            "a model has one threshold, and both a sensitivity and a specificity are asked for: "
            "state one of --at-sensitivity and --at-specificity (in Python: at_sensitivity= and "
            "at_specificity=)"
        )
    for held, value in asked:
        # The range of the comparison that evaluates it.
        return held, validate(Annotated[float, Gt(0), Lt(1)], value, f"the target {held}")
    return None


def _refuse_target(
    target: tuple[Held, float], head: Head, positive: str | None, classes: tuple[str, ...]
) -> None:
    held, value = target
    asked = f"a threshold for a {held} of {value:g}"
    if positive is None:
        raise UsageError(
            f"{asked} needs a positive class, and none of {', '.join(classes)} is: name it with "
            "--positive (in Python: positive=)"
        )
    if not head.grid:
        raise UsageError(
            f"{asked} is chosen on inner folds, which {head.name} is trained without: choose "
            "another head, or leave the threshold out"
        )


def _out_of_fold(samples: LabelledSamples, scores: NDArray[np.float64], kind: Kind) -> Predictions:
    """Return the predictions of a training set by the models of its inner folds."""
    return join_scores(
        scores, samples.classes, kind, ids=samples.ids, labels=samples.y, groups=samples.groups
    )
