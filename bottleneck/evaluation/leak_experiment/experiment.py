"""Leak experiment: the same features and classifier under protocols with and without leaks.

It shows how much of a published result can be due to the protocol. Nothing else differs between
the rows: the classifier has fixed hyperparameters, so that no row profits from a better search.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.checks.check_warnings import RANDOM_WEIGHTS, CheckWarning
from bottleneck.checks.ignored_checks import Ignore, leave_out, read_codes
from bottleneck.data.augmented_copies import original_ids
from bottleneck.data.labels.positive_class import choose_positive, spell_label
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.nested_cv import Progress, RunOptions, run_arms
from bottleneck.evaluation.leak_experiment.leak_results import (
    FIGURES,
    LeakExperiment,
    LeakRow,
)
from bottleneck.evaluation.leak_experiment.protocols import LeakPlan, plan_protocols
from bottleneck.evaluation.metrics.metrics import compute_metrics, fold_aurocs
from bottleneck.features.arrays.feature_inputs import (
    Column,
    FeatureInput,
    SampleFields,
    read_features,
)
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head import LARGE, Head
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.search import check_finite
from bottleneck.predictions import Predictions
from bottleneck.processes.work_steps import shows_progress
from bottleneck.text.plurals import counted

__all__ = ["refuse_large", "run_leak_experiment"]

Strings = NDArray[np.str_]

_REPEATS = 3


def _fixed() -> Head:
    """Return the classifier of the experiment, unless another is named."""
    head = Head(get_head("svm").build(0, {"svm__kernel": "rbf", "svm__C": 10.0}), [])
    head.description = (
        "support vector machine with RBF kernel, C 10 and gamma 'scale', on features standardised "
        "by the training set, classes weighted equally, without a search"
    )
    return head.named("fixed-svm")


@shows_progress()
def run_leak_experiment(
    features: FeatureInput,
    *,
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    head: str | Head | Any | None = None,
    protocol: Protocol = Protocol(kind="cv"),
    positive: str | int | None = None,
    ignore: Ignore = (),
    n_jobs: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    note: Callable[[str], None] | None = None,
) -> LeakExperiment:
    """Test one classifier under four protocols, two of them with leaks.

    Parameters
    ----------
    features : FeatureSet, path, array or data frame
        Features of a data set from :func:`bottleneck.augment`, with ids as
        they are there. An array or a data frame needs ``y``, ``groups`` and ``ids``.
    y, groups, ids : array-like of shape (n_samples,) or None
        Labels, patients and ids of the samples in an array, as for ``FeatureSet.from_arrays``.
    head : str, estimator, Head or None
        The classifier, as for ``fit``; by default a support vector machine with RBF kernel and
        C 10. Hyperparameters, if it has any, are chosen within each training set, in
        folds that keep together what the protocol keeps together.
    protocol : Protocol
        Number of folds and repeats (by default 3, as for the published figures), and the seed
        of the first repeat; of kind "cv".
    positive : str, int or None
        The positive class; by default the one stated at extraction, or a label such as
        "malignant".
    ignore : str or sequence of str
        Codes of checks whose findings and warnings are not shown, such as "BF201". They are
        counted in ``ignored``, and the checks protect the split as before.
    n_jobs : int or None
        Number of processes, as in joblib.
    progress : callable or None
        Called with the number of folds done, their total over all protocols, and the protocol.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
    note : callable or None
        Called with a sentence on copies among the originals, before any training.

    Returns
    -------
    LeakExperiment

    Raises
    ------
    UsageError
        If the label is unknown, there are too many images for the classifier, or there is no such
        check.
    ProtocolError
        If no patient is known, there are no copies, or the samples cannot be split like this.
    FeatureFileError
        If a feature is not finite.

    Examples
    --------
    Features of 30 images without any difference between the classes, each with one copy, as
    ``augment`` names them:

    >>> import numpy as np
    >>> from bottleneck import FeatureSet, Protocol, run_leak_experiment
    >>> rng = np.random.default_rng(0)
    >>> ids = [f"{n}{copy}" for n in range(30) for copy in ("", "#1")]
    >>> X = rng.normal(size=(30, 8)).repeat(2, axis=0) + rng.normal(0, 0.1, size=(60, 8))
    >>> patients = np.arange(60) // 4
    >>> features = FeatureSet.from_arrays(X, patients % 2, patients, ids)
    >>> protocol = Protocol(kind="cv", n_splits=3)
    >>> found = run_leak_experiment(features, protocol=protocol, positive="1")
    >>> len(found.rows)
    4
    """
    codes = read_codes(ignore)
    protocol = dataclasses.replace(protocol, repeats=protocol.repeats or _REPEATS)
    options = RunOptions(protocol.inner_splits, n_jobs, needs_scores=False)
    features = read_features(features, SampleFields(y, groups, ids))
    refuse_large(len(features), head)
    made = _fixed() if head is None else get_head(head)
    made.for_samples(len(features))
    check_finite(features.X)
    stated = features.positive if positive is None else spell_label(positive)
    chosen = choose_positive(features.classes, stated)
    originals = original_ids(features.ids)
    plans, honest = plan_protocols(features, originals, protocol)
    if note is not None:
        note(f"Leak audit: {honest.words}")
    patients = _patients_of(features, originals)
    alone = features.ids[features.ids == originals]
    together = _spread(alone, honest.all_groups, originals)
    features = dataclasses.replace(features, y=_spread(alone, honest.conflicts.y, originals))
    total, done = sum(len(plan.folds) for plan in plans), 0
    results = []
    for plan in plans:
        samples = LabelledSamples(
            ids=features.ids[plan.rows],
            y=features.y[plan.rows],
            groups=together[plan.rows] if plan.honest else None,
        )
        (arm,) = run_arms(
            [Arm(plan.name, None, features.X[plan.rows], made)],
            plan.folds,
            samples,
            dataclasses.replace(options, progress=_offset(done, total, progress)),
        )
        done += len(plan.folds)
        results.append(
            LeakRow(
                name=plan.name,
                honest=plan.honest,
                why=plan.why,
                n_tested=arm.test.n_samples,
                n_trained=float(np.mean([len(fold.train) for fold in plan.folds])),
                image_known=_share_known(originals[plan.rows], plan.folds),
                patient_known=_share_known(patients[plan.rows], plan.folds),
                repeats=_measure(arm.test, chosen),
            )
        )
    used = originals[plans[0].rows]
    n_images = len(np.unique(used))
    experiment = LeakExperiment(
        dataset=features.dataset,
        features=features.provenance,
        head=made.description,
        n_images=n_images,
        n_patients=len(np.unique(patients[plans[0].rows])),
        copies=len(used) // n_images - 1,
        positive=chosen,
        n_splits=protocol.n_splits,
        seed=protocol.seed,
        rows=tuple(results),
        warnings=_find_warnings(features, plans),
    )
    return leave_out(experiment, codes)


def refuse_large(n_images: int, head: object) -> None:
    """Refuse more images, including copies, than the fixed classifier can handle.

    Raises
    ------
    UsageError
        If there are more.
    """
    if head is None and n_images > LARGE:
        raise UsageError(
            f"{n_images} images, including copies, are too many for a support vector machine with "
            f"RBF kernel, which handles up to {LARGE}: use the first patients only (--limit), "
            "fewer copies, or another head"
        )


def _measure(predictions: Predictions, positive: str | None) -> dict[str, tuple[float, ...]]:
    """Return the metrics in ``FIGURES``, one value per repeat."""
    each = []
    for repeat in np.unique(predictions.repeats):
        one = predictions.take(predictions.repeats == repeat)
        pooled = dataclasses.replace(one, folds=np.zeros_like(one.folds))
        (auroc_pooled,) = fold_aurocs(pooled, positive=positive)
        each.append(compute_metrics(one, positive=positive) | {"auroc_pooled": float(auroc_pooled)})
    return {figure: tuple(figures[figure] for figures in each) for figure in FIGURES}


def _patients_of(features: FeatureSet, originals: Strings) -> Strings:
    """Return the patient of every row: that of its original."""
    return _spread(features.ids, features.patients, originals)


def _spread(ids: Strings, values: Strings | None, originals: Strings) -> Strings:
    """Return the value of every row's original."""
    assert values is not None  # Without patients ``plan_protocols`` raises.
    known = dict(zip(ids.tolist(), values.tolist(), strict=True))
    return np.array([known[original] for original in originals.tolist()])


def _share_known(units: Strings, folds: Folds) -> float:
    """Return the share of test rows with another row of their unit in the training set."""
    known = [np.isin(units[fold.test], units[fold.train]) for fold in folds]
    return float(np.concatenate(known).mean())


def _offset(done: int, total: int, progress: Progress | None) -> Progress | None:
    """Count the folds of one protocol among those of all protocols."""
    if progress is None:
        return None
    return lambda step, _, name: progress(done + step, total, name)


def _find_warnings(features: FeatureSet, plans: tuple[LeakPlan, ...]) -> tuple[CheckWarning, ...]:
    warnings = []
    if features.weights == "random":
        warnings.append(RANDOM_WEIGHTS)
    lost = np.unique(original_ids([identity for identity, _ in features.failures]))
    if len(lost):
        text = f"{counted(len(lost), 'sample')} without features, missing from every figure"
        warnings.append(CheckWarning("BF304", text))
    honest = next(plan for plan in plans if plan.honest)
    return (*warnings, *honest.folds.warnings)
