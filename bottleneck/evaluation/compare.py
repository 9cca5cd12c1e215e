"""Comparison of features and heads on the same samples in the same folds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from bottleneck.backbones.licences import LicencePolicy, require_licence, weights_record
from bottleneck.checks.ignored_checks import Ignore, read_codes
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.selection import Selection
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.analyses.margin_tests import choose_reference
from bottleneck.evaluation.comparison import run_comparison
from bottleneck.evaluation.cross_validation.nested_cv import Progress
from bottleneck.evaluation.human_readers.reader_tables import ReaderInput
from bottleneck.evaluation.inputs.comparison_inputs import read_inputs
from bottleneck.evaluation.inputs.prediction_inputs import NamedPredictions
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.own.own_metrics import MetricFunction
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.features.arrays.feature_inputs import (
    Column,
    FeatureInput,
    NamedFeatures,
    refuse_several,
)
from bottleneck.heads.head import Head
from bottleneck.predictions import Predictions
from bottleneck.processes.work_steps import shows_progress
from bottleneck.text.short_repr import shorten

__all__ = ["compare", "evaluate"]


@shows_progress()
def evaluate(
    features: FeatureInput | Predictions,
    head: str | Head | Any = "svm",
    *,
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    protocol: Protocol = Protocol(),
    positive: str | int | None = None,
    selection: Selection | None = None,
    measures: Measures = Measures(),
    metrics: Mapping[str, MetricFunction] | None = None,
    licence_policy: LicencePolicy = "any",
    n_jobs: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    note: Callable[[str], None] | None = None,
) -> Evaluation:
    """Evaluate one head on features by nested cross-validation.

    Parameters
    ----------
    features : FeatureSet, path, array, data frame or Predictions
        Features, or a feature file. An array or a data frame needs ``y``. Or Predictions, which
        are evaluated as they are.
    head : str, estimator or Head
        The head, as for ``compare``.
    y, groups, ids, protocol, positive, selection, measures, metrics, licence_policy, n_jobs, \
    progress, quiet, note
        As for ``compare``, which also returns warnings.

    Returns
    -------
    Evaluation
        The only arm.

    Raises
    ------
    BottleneckError
        As ``compare`` does.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import evaluate
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> svm = evaluate(X, "svm", y=y)
    >>> svm.metrics["auroc"].value > 0.7
    True
    >>> svm.metrics["auroc"].method
    'LeDell with a jackknife of the training sets, logit scale, 95%'
    """
    run = functools.partial(
        compare,
        y=y,
        groups=groups,
        ids=ids,
        protocol=protocol,
        positive=positive,
        selection=selection,
        measures=measures,
        metrics=metrics,
        licence_policy=licence_policy,
        n_jobs=n_jobs,
        progress=progress,
        note=note,
    )
    if isinstance(features, Predictions):
        return run(predictions=[features]).evaluations[0]
    refuse_several(features)
    arms = run(features, (head,)).evaluations
    name = head if isinstance(head, str) else getattr(head, "name", None)
    return arms[-1] if name == "prior" else arms[0]


@shows_progress()
def compare(
    features: NamedFeatures | None = None,
    heads: str | Head | Any | Sequence[Any] = ("svm", "logistic", "mlp"),
    *,
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    predictions: NamedPredictions = (),
    readers: ReaderInput = (),
    external: NamedFeatures = (),
    protocol: Protocol = Protocol(),
    positive: str | int | None = None,
    selection: Selection | None = None,
    ensemble: Literal["mean"] | None = None,
    names: Mapping[str, str] | None = None,
    measures: Measures = Measures(),
    metrics: Mapping[str, MetricFunction] | None = None,
    dataset: ImageDataset | None = None,
    ignore: Ignore = (),
    licence_policy: LicencePolicy = "any",
    n_jobs: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    note: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare features and heads on the same samples in the same folds.

    A leak audit comes first: patients that share identical or near-duplicate images are kept on
    one side of every split, and copies with different labels are left out. Hyperparameters, the
    scaler, thresholds and the calibration are chosen within each training set.

    Parameters
    ----------
    features : FeatureSet, path, array or data frame, or a sequence or mapping of these
        Features of the same samples by different recipes. The names of a mapping name the
        features of arrays, as in ``{"resnet": X1, "radiomics": X2}``.
    heads : str, estimator or Head, a sequence of these, or a mapping of names to these
        Heads to train on each feature set: names such as "svm", import paths
        ``package.module:Class``, or scikit-learn classifiers and pipelines, by themselves or in a
        ``Head`` with their search space. An arm that knows the class frequencies only is
        always added, and one that knows the metadata only where there are any.
    y, groups, ids : array-like of shape (n_samples,) or None
        Labels, patients and ids of the samples in arrays, as for ``FeatureSet.from_arrays``.
    predictions : path, Predictions or pair, or a sequence or mapping of these
        Tables of imported predictions, folders of trained networks, or predictions in memory; a
        pair has those of the test and the validation sets, as ``read_predictions`` returns. With
        them the protocol "auto" takes their folds. Without features only they are compared.
    readers : path or data frame, or a sequence of these
        Tables of human readers' scores: the columns id, reader and score, or id and one column
        per reader. Every reader is an arm called "reader 1" and so on; see
        ``docs/guide/compare.md``.
    external : FeatureSet or path, or a sequence or mapping of these
        Features of external data sets by the same recipes. Every arm is trained once more on
        all samples of the first data set, and tested on these.
    protocol : Protocol
        How samples are split, and whether metrics are computed over images or patients.
    positive : str, int or None
        The positive class; by default the one stated at extraction, or a label such as
        "malignant". 1 is the label "1".
    selection : Selection or None
        Samples to leave out, classes to merge, and classes to keep, before anything else is done.
        External cohorts and imported predictions take part: see ``docs/guide/compare.md``.
    ensemble : {"mean"} or None
        Add an arm that averages the calibrated probabilities of all arms with images. Nothing
        about it is chosen on test samples.
    names : mapping of str to str, or None
        New names of arms, such as ``{"resnet18 (imagenet) + svm": "Baseline"}``.
    measures : Measures
        Operating points, prevalence, margin of non-inferiority, subgroups, learning curves, and
        the readers' threshold.
    metrics : mapping of str to function, or None
        Metrics of your own by name: functions of true and predicted classes, such as
        ``{"kappa": cohen_kappa_score}``, or what ``on_scores`` and ``on_probabilities`` return.
        Their intervals, and those of their differences, are from a bootstrap of patients.
    dataset : ImageDataset or None
        Images of the features; the audit then searches them for burned-in text.
    ignore : str or sequence of str
        Codes of checks whose findings and warnings are not shown, such as "BF201". They are
        counted in ``ignored``, and the checks protect the split as before.
    licence_policy : {"any", "commercial"}
        "commercial" refuses features and trained networks of weights whose licence does not allow
        commercial use, or is not stated.
    n_jobs : int or None
        Number of processes, as in joblib: None for one, -1 for all cores.
    progress : callable or None
        Called with the number of folds done, their total over all arms, and the arm's name.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
    note : callable or None
        Called with sentences on what was chosen, and on leaks and copies, before any training.

    Returns
    -------
    Comparison
        Arms in the order of features and then heads, then imported predictions, the ensemble and
        the readers, then the arms without images.

    Raises
    ------
    UsageError
        If a head or label is unknown, a positive class is needed and not given, or a metric of
        your own fails on a trial, or there is no such check.
    ProtocolError
        If the features have different samples, or these cannot be split as asked, or the data
        set's own split has the same images on both sides.
    FeatureFileError
        If a file cannot be read, or a feature is not finite.
    LicenceError
        If the policy refuses the licence of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import Protocol, compare
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> quick = Protocol(n_splits=3, inner_splits=2)
    >>> comparison = compare(X, heads=("svm", "logistic"), y=y, protocol=quick)
    >>> [arm.head for arm in comparison.evaluations]
    ['svm', 'logistic', 'prior']
    >>> len(comparison.differences_frame())
    6
    """
    codes = read_codes(ignore)
    kinds = (("protocol", protocol, Protocol), ("measures", measures, Measures))
    for name, value, kind in kinds:
        if not isinstance(value, kind):
            raise UsageError(
                f"{name} must be an object such as bottleneck.{kind.__name__}(), not "
                f"{shorten(value)}"
            )
    inputs = read_inputs(
        features,
        heads,
        y=y,
        groups=groups,
        ids=ids,
        predictions=predictions,
        readers=readers,
        external=external,
        unit=protocol.unit,
        measures=measures,
        positive=positive,
        selection=selection,
        ensemble=ensemble,
        names=names,
        note=note,
    )
    measures = choose_reference(measures, inputs)
    for record in [
        *(weights_record(one.provenance) for one in inputs.sets),
        *(arm.weights for arm in inputs.imported),
    ]:
        require_licence(record, licence_policy)
    return run_comparison(
        inputs,
        protocol=protocol,
        measures=measures,
        metrics=metrics,
        dataset=dataset,
        n_jobs=n_jobs,
        progress=progress,
        note=note,
        ignore=codes,
    )
