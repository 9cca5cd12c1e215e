"""The same features and the same classifier under protocols that leak, and under honest ones.

What it shows is the protocol's share in a published figure. Nothing is tuned and nothing else
differs between the rows: the classifier has fixed hyperparameters, so that no row can be
said to have searched better than another.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.augmentation import original_ids
from bottleneck.data.dataset import choose_positive
from bottleneck.data.grouping import counted, name_patients
from bottleneck.data.splits import Folds, Protocol, make_folds
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.arms import Arm
from bottleneck.evaluation.metrics import fold_aurocs, measure
from bottleneck.evaluation.nested import run_arms
from bottleneck.features.featureset import FeatureSet
from bottleneck.heads.catalogue import LARGE, Head, get_head
from bottleneck.heads.search import refuse_not_finite
from bottleneck.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

__all__ = [
    "FIGURES",
    "FIXED",
    "LeakExperiment",
    "ProtocolResult",
    "refuse_large",
    "run_leak_experiment",
    "split_by_patient",
]

FIGURES = ("auroc_pooled", "auroc", "accuracy", "sensitivity", "specificity")

Strings = NDArray[np.str_]
Progress = Callable[[int, int, str], None]


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


@dataclasses.dataclass(frozen=True)
class ProtocolResult:
    """What one protocol makes of the features.

    Attributes
    ----------
    name : str
        The protocol.
    honest : bool
        Whether its figures hold for patients who were not trained on.
    why : str
        Why it is wrong, or what makes it right.
    n_tested : int
        Images tested in each repeat.
    n_trained : float
        Images trained on, the mean over folds.
    picture_known : float
        Share of the tested images of which the model was trained on another copy, or on the
        original.
    patient_known : float
        Share of the tested images of whose patient it was trained on some picture.
    repeats : mapping of str to tuple of float
        By the names in ``FIGURES``, one value a repeat. "auroc" is the mean of the AUROC within
        each fold; "auroc_pooled" ranks the raw scores of all folds together, as published work
        often does, although they come from different models.
    """

    name: str
    honest: bool
    why: str
    n_tested: int
    n_trained: float
    picture_known: float
    patient_known: float
    repeats: Mapping[str, tuple[float, ...]]

    def mean(self, figure: str) -> float:
        """Return the mean of a figure over the repeats."""
        return statistics.fmean(self.repeats[figure])

    def spread(self, figure: str) -> float | None:
        """Return the standard deviation of a figure over the repeats; None for a single one.

        It tells how much depends on the draw of the folds. It is no standard error: every
        repeat sees the same patients.
        """
        values = self.repeats[figure]
        return statistics.stdev(values) if len(values) > 1 else None


@dataclasses.dataclass(frozen=True)
class LeakExperiment:
    """What came of the experiment.

    Attributes
    ----------
    dataset : str
        The augmented data set.
    features : mapping
        Provenance of its features.
    head : str
        The classifier, in words.
    n_images, n_patients : int
        Originals, and whom they are of.
    copies : int
        Altered copies of each original.
    positive : str or None
        The positive class; None for the mean of each class against the rest.
    n_splits, seed : int
        Number of folds, and the seed of the first repeat.
    rows : tuple of ProtocolResult
        The worst protocol first.
    warnings : tuple of str
        What a reader must know before the figures.
    """

    dataset: str
    features: Mapping[str, Any]
    head: str
    n_images: int
    n_patients: int
    copies: int
    positive: str | None
    n_splits: int
    seed: int
    rows: tuple[ProtocolResult, ...]
    warnings: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row a protocol: what was tested, then each figure and its spread."""
        import pandas as pd

        return pd.DataFrame(
            {
                "protocol": row.name,
                "honest": row.honest,
                "n_tested": row.n_tested,
                "n_trained": row.n_trained,
                "picture_known": row.picture_known,
                "patient_known": row.patient_known,
                "repeats": len(row.repeats[FIGURES[0]]),
            }
            | {
                column: value
                for figure in FIGURES
                for column, value in (
                    (figure, row.mean(figure)),
                    (f"{figure}_sd", row.spread(figure)),
                )
            }
            for row in self.rows
        )


class _Plan(NamedTuple):
    """A protocol, and the rows that it works with; an honest one keeps patients together."""

    name: str
    honest: bool
    why: str
    rows: NDArray[np.intp]
    folds: Folds


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
        Of a data set that :func:`bottleneck.data.augmentation.augment` made.
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
    if n_jobs == 0:
        raise UsageError("0 processes cannot work; ask for 1 or more, or -1 for one a core")
    refuse_large(len(features), head)
    refuse_not_finite(features.X)
    stated = features.positive if positive is None else positive
    positive = choose_positive(features.classes, stated)
    originals = original_ids(features.ids)
    plans = _plan(features, originals, protocol)
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
            inner_splits=protocol.inner_splits,
            n_jobs=n_jobs,
            progress=_from(done, total, progress),
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


def split_by_patient(protocol: Protocol, y: Strings, groups: Strings | None) -> Folds:
    """Draw the folds of the honest rows, or say why the experiment cannot be done.

    Parameters
    ----------
    protocol : Protocol
        Of kind "cv".
    y : ndarray of str, shape (n_samples,)
        Labels of the originals.
    groups : ndarray of str, shape (n_samples,), or None
        Their patients; an empty string where one has none.

    Returns
    -------
    Folds

    Raises
    ------
    ProtocolError
        If no patient is known, or the samples cannot be split so.
    """
    if name_patients(groups) is None:
        raise ProtocolError(
            "the data set names no patients, so there is no honest figure to hold a leak "
            "against: name them (--patient-pattern REGEX, or --patient-column of a table)"
        )
    return make_folds(protocol, y, groups)


def _plan(features: FeatureSet, originals: Strings, protocol: Protocol) -> tuple[_Plan, ...]:
    alone = features.ids == originals
    if alone.all() or set(originals[~alone]) != set(features.ids[alone]):
        raise ProtocolError(
            f"'{features.dataset}' does not hold originals with altered copies of each: extract "
            "features of an augmented data set (bottleneck.data.augmentation)"
        )
    every, rows = np.arange(len(features)), np.flatnonzero(alone)
    groups = None if features.groups is None else features.groups[alone]
    by_patient = split_by_patient(protocol, features.y[alone], groups)
    with_copies = tuple(
        dataclasses.replace(
            fold,
            train=np.flatnonzero(np.isin(originals, originals[rows[fold.train]])),
            test=rows[fold.test],
        )
        for fold in by_patient
    )
    return (
        _Plan(
            "augment, then split by image",
            False,
            "altered copies of one picture stand on both sides of the split: the model is asked "
            "about pictures that it was trained on, turned a little, and recognising them "
            "passes for skill. No new patient brings pictures that it knows.",
            every,
            make_folds(protocol, features.y),
        ),
        _Plan(
            "split by image",
            False,
            "pictures of one patient stand on both sides of the split: they share tissue, probe "
            "and settings, and recognising the patient passes for recognising the disease.",
            rows,
            make_folds(protocol, features.y[alone]),
        ),
        _Plan(
            "split by patient",
            True,
            "every patient stands, with all pictures, on one side of the split: the test is of "
            "patients that the model has never met, as new ones will be.",
            rows,
            by_patient,
        ),
        _Plan(
            "split by patient, then augment",
            True,
            "the same test; copies are made of the pictures of training patients alone. What "
            "differs from the row above is what augmentation is worth.",
            every,
            dataclasses.replace(by_patient, folds=with_copies),
        ),
    )


def _measure(predictions: Predictions, positive: str | None) -> dict[str, tuple[float, ...]]:
    """Return every figure of ``FIGURES``, one value a repeat."""
    each = []
    for repeat in np.unique(predictions.repeats):
        one = predictions.take(predictions.repeats == repeat)
        pooled = dataclasses.replace(one, folds=np.zeros_like(one.folds))
        (auroc_pooled,) = fold_aurocs(pooled, positive=positive)
        each.append(measure(one, positive=positive) | {"auroc_pooled": float(auroc_pooled)})
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


def _find_warnings(features: FeatureSet, plans: tuple[_Plan, ...]) -> tuple[str, ...]:
    said = []
    if features.weights == "random":
        said.append("random weights: the figures mean nothing")
    lost = np.unique(original_ids([identity for identity, _ in features.failures]))
    if len(lost):
        said.append(f"{counted(len(lost), None)} without features, missing from every figure")
    honest = next(plan for plan in plans if plan.honest)
    return (*said, *honest.folds.warnings)
