"""The same features and the same classifier under protocols that leak, and under honest ones.

What it shows is the protocol's share in a published figure. Nothing is tuned and nothing else
differs between the rows: the classifier has fixed hyperparameters, so that no row can be
said to have searched better than another.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.augmented_copies import original_ids
from bottleneck.data.dataset import choose_positive
from bottleneck.data.splits.folds import Folds, Protocol
from bottleneck.data.splits.patients import counted, name_patients
from bottleneck.errors import UsageError
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.cross_validation.nested_cv import Progress, Work, run_arms
from bottleneck.evaluation.leak_experiment.leak_results import (
    FIGURES,
    LeakExperiment,
    ProtocolResult,
)
from bottleneck.evaluation.leak_experiment.protocols import LeakPlan, plan_protocols
from bottleneck.evaluation.metrics.metrics import compute_metrics, fold_aurocs
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.heads.registry import LARGE, Head, get_head
from bottleneck.heads.search import check_finite
from bottleneck.predictions import Predictions

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["FIXED", "refuse_large", "run_leak_experiment"]

Strings = NDArray[np.str_]


def _build_fixed(seed: int) -> Pipeline:
    return get_head("svm").build(seed).set_params(svm__kernel="rbf", svm__C=10.0)


FIXED = Head(
    "fixed-svm",
    "support vector machine with RBF kernel, C 10 and gamma 'scale', on features standardised by "
    "the training part, classes weighted equally, nothing searched",
    _build_fixed,
    (),
    "decision",
)


def run_leak_experiment(
    features: FeatureSet,
    *,
    head: Head = FIXED,
    protocol: Protocol = Protocol(kind="cv", repeats=3),
    positive: str | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> LeakExperiment:
    """Test one classifier under four protocols, two of which leak.

    Parameters
    ----------
    features : FeatureSet
        Of a data set that :func:`bottleneck.data.augmented_copies.augment` made.
    head : Head
        The classifier; one with hyperparameters to choose does so within each training part,
        keeping together what the protocol keeps together.
    protocol : Protocol
        Number of folds, how often they are drawn anew, and the seed of the first draw; of
        kind "cv".
    positive : str or None
        The positive class; by default the one that extraction was told, or a label that is
        recognised.
    n_jobs : int or None
        Processes, as joblib counts them.
    progress : callable or None
        Called with the number of folds done, their number over all protocols, and the
        protocol.

    Returns
    -------
    LeakExperiment

    Raises
    ------
    UsageError
        If a label or number cannot be, or there are too many images for the classifier.
    ProtocolError
        If no patient is known, there are no copies, or the samples cannot be split so.
    FeatureFileError
        If a feature is not finite.
    """
    work = Work(protocol.inner_splits, n_jobs)
    refuse_large(len(features), head)
    check_finite(features.X)
    stated = features.positive if positive is None else positive
    positive = choose_positive(features.classes, stated)
    originals = original_ids(features.ids)
    plans = plan_protocols(features, originals, protocol)
    # A copy without a patient has that of its original.
    patients = name_patients(features.groups, originals)
    assert patients is not None  # or there would be no plan
    total, done = sum(len(plan.folds) for plan in plans), 0
    results = []
    for plan in plans:
        samples = FeatureSet(
            X=features.X[plan.rows],
            y=features.y[plan.rows],
            ids=features.ids[plan.rows],
            provenance=features.provenance,
            groups=patients[plan.rows] if plan.honest else None,
        )
        (result,) = run_arms(
            [Arm(plan.name, None, samples.X, head)],
            plan.folds,
            samples,
            dataclasses.replace(work, progress=_from(done, total, progress)),
        )
        done += len(plan.folds)
        results.append(
            ProtocolResult(
                name=plan.name,
                honest=plan.honest,
                why=plan.why,
                n_tested=len(result.predictions) // protocol.repeats,
                n_trained=float(np.mean([len(fold.train) for fold in plan.folds])),
                picture_known=_share_known(originals[plan.rows], plan.folds),
                patient_known=_share_known(patients[plan.rows], plan.folds),
                repeats=_measure(result.predictions, positive),
            )
        )
    n_images = len(np.unique(originals))
    return LeakExperiment(
        dataset=features.dataset,
        features=features.provenance,
        head=head.description,
        n_images=n_images,
        n_patients=len(np.unique(patients)),
        copies=len(features) // n_images - 1,
        positive=positive,
        n_splits=protocol.n_splits,
        seed=protocol.seed,
        rows=tuple(results),
        warnings=_find_warnings(features, plans),
    )


def refuse_large(n_images: int, head: Head) -> None:
    """Refuse more images, copies counted, than the fixed classifier can take.

    Raises
    ------
    UsageError
        If there are.
    """
    if head is FIXED and n_images > LARGE:
        raise UsageError(
            f"{n_images} images, copies counted, are too many for a support vector machine with "
            f"RBF kernel, which takes up to {LARGE}: take the first patients only (--limit), "
            "fewer copies, or another head"
        )


def _measure(predictions: Predictions, positive: str | None) -> dict[str, tuple[float, ...]]:
    """Return every figure of ``FIGURES``, one value a repeat."""
    each = []
    for repeat in np.unique(predictions.repeats):
        one = predictions.take(predictions.repeats == repeat)
        pooled = dataclasses.replace(one, folds=np.zeros_like(one.folds))
        (auroc_pooled,) = fold_aurocs(pooled, positive=positive)
        each.append(compute_metrics(one, positive=positive) | {"auroc_pooled": float(auroc_pooled)})
    return {figure: tuple(figures[figure] for figures in each) for figure in FIGURES}


def _share_known(units: Strings, folds: Folds) -> float:
    """Return the share of tested rows of whose unit another row was trained on."""
    known = [np.isin(units[fold.test], units[fold.train]) for fold in folds]
    return float(np.concatenate(known).mean())


def _from(done: int, total: int, progress: Progress | None) -> Progress | None:
    """Let the folds of one protocol be counted among those of all."""
    if progress is None:
        return None
    return lambda step, _, name: progress(done + step, total, name)


def _find_warnings(features: FeatureSet, plans: tuple[LeakPlan, ...]) -> tuple[str, ...]:
    said = []
    if features.weights == "random":
        said.append("random weights: the figures mean nothing")
    lost = np.unique(original_ids([identity for identity, _ in features.failures]))
    if len(lost):
        said.append(f"{counted(len(lost), None)} without features, missing from every figure")
    honest = next(plan for plan in plans if plan.honest)
    return (*said, *honest.folds.warnings)
