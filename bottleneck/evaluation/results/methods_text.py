"""Data set, protocol and warnings of a comparison, in words for a methods section."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.pretraining_data import describe_pretraining
from bottleneck.checks.check_warnings import RANDOM_WEIGHTS, CheckWarning, warn
from bottleneck.data.sources.source_names import prefixed
from bottleneck.data.splits.patients import count_by_class
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.data.splits.shortage import ESTIMATE_ONLY, shortage
from bottleneck.duplicates.label_conflicts import LabelConflicts
from bottleneck.evaluation.analyses.non_diagnoses import count_classes, warn_of_failed
from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.cross_validation.split_plan import SplitPlan
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.evaluation.results.arm_results import Evaluation
from bottleneck.evaluation.results.result_parts import ArmChoice, ConflictSummary
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import HEADS

# Share of one patient in the test samples. 95 % intervals of the AUROC cover it in 89 of 100
# simulations where two patients have 20 of 80 samples each and 40 patients have one, and in 80
# of 100 where one patient has 60 of 90.
_LARGE_SHARE = 0.2
_AGGREGATES = {"mean": "mean score", "max": "highest score"}

__all__ = [
    "describe_conflicts",
    "describe_dataset",
    "describe_protocol",
    "describe_target",
    "find_warnings",
    "warn_of_few_patients",
    "warn_of_large_patient",
]


def describe_dataset(
    features: FeatureSet, positive: str | None, conflicts: LabelConflicts
) -> dict[str, Any]:
    """Return ``Comparison.dataset``; a patient with several classes counts in each.

    Parameters
    ----------
    features : FeatureSet
        Features of the samples that are used.
    positive : str or None
        The positive class.
    conflicts : LabelConflicts
        Copies with different labels; those that are left out are among the excluded samples.
    """
    recorded, patients = features.provenance["dataset"], features.patients
    excluded = dict(recorded.get("excluded", {}))
    if len(conflicts.dropped):
        excluded["copies with different labels"] = len(conflicts.dropped)
    return {
        "name": features.dataset,
        "fingerprint": recorded["fingerprint"],
        "n_samples": len(features),
        "n_patients": None if patients is None else len(np.unique(patients)),
        "n_unnamed": features.n_unnamed,
        "classes": count_by_class(features.y),
        "patients": None if patients is None else count_by_class(features.y, patients),
        "positive": positive,
        "failures": len(features.failures),
        "failures_by_class": count_classes(features.failed_samples, features.classes),
        "excluded": excluded,
        "selection": dict(features.selection),
        "sources": {
            one["name"]: int(np.char.startswith(features.ids, prefixed(one["name"], "")).sum())
            for one in recorded.get("sources", ())
        },
    }


def describe_protocol(
    protocol: Protocol,
    folds: Folds,
    inner: tuple[int, int],
    measures: Measures,
    heads: Iterable[Head],
    differences: Sequence[Difference],
    choice: ArmChoice | None = None,
    *,
    uses: str = "images",
    has_models: bool = True,
    common: Folds | None = None,
) -> dict[str, Any]:
    """Return ``Comparison.protocol``.

    Parameters
    ----------
    protocol, folds
        Protocol, and the folds that it resulted in.
    inner : tuple of int
        Smallest and largest number of inner folds.
    measures, heads, differences
        Settings of the metrics, heads of the arms, and differences between arms.
    choice : ArmChoice or None
        AUROCs with intervals that allow for the choice of an arm.
    uses : {"images", "features", ""}
        What the arms use, unlike the prior and the metadata baseline; "" without these two.
    has_models : bool
        Whether any arm is a model, and not a human reader.
    common : Folds or None
        The folds that all arms have; by default all.
    """
    repeats = len(folds.seeds)
    few, many = inner
    heads = list(heads)
    words = (
        f"{folds.words} The models were trained outside this comparison. Thresholds and the "
        "calibration of probabilities were set on their validation sets, where these were given."
    )
    if heads:
        words = _describe_training(folds, few, many, heads)
    if not has_models:
        words = "All samples were tested."
    if repeats > 1:
        words += " Every metric of an arm is the mean over its repeats."
    if folds.kind == "centres":
        words += f" {describe_target(len(folds))}"
    if protocol.unit == "patient":
        score = _AGGREGATES[protocol.aggregate]
        words += (
            f" Heads were trained on images; a patient's score is the {score} of its images, and "
            f"metrics were computed over patients."
        )
    if measures.act_at is not None:
        words += (
            f" Net benefit was compared with acting on everyone and on nobody at the stated "
            f"threshold probability of {measures.act_at:.4g}."
        )
    if choice is not None:
        words += f" {describe_choice(choice)}"
    return {
        "kind": folds.kind,
        "folds": len(folds) // repeats,
        "repeats": repeats,
        "common_repeats": repeats if common is None else len(common.seeds),
        "inner_folds": many,
        "inner_splits": protocol.inner_splits,
        "seed": protocol.seed,
        "seeds": folds.seeds,
        "grouped": folds.grouped,
        "unit": protocol.unit,
        "aggregate": protocol.aggregate if protocol.unit == "patient" else None,
        "allow_leakage": protocol.allow_leakage,
        "conflicts": protocol.conflicts,
        "prevalence": measures.prevalence,
        "act_at": measures.act_at,
        "primary": _describe_primary(differences, uses),
        "words": words,
    }


def _describe_training(folds: Folds, few: int, many: int, heads: Sequence[Head]) -> str:
    return (
        f"{folds.words} Within each training set, hyperparameters were chosen by the AUROC of a "
        f"{many if few == many else f'{few}- to {many}'}-fold cross-validation"
        f"{', grouped by patient' if folds.grouped else ''}. Features were standardised with the "
        f"mean and standard deviation of the training set, and classes were weighted equally, "
        f"unless stated otherwise for a classifier below."
        f" Thresholds and the calibration of probabilities (without class weights) were set on "
        f"the out-of-fold scores of the inner folds. {_describe_heads(heads)}"
    )


def describe_choice(choice: ArmChoice) -> str:
    """Return how the interval of the best arm allows for the choice, for a methods section."""
    return (
        f"The arm with the highest AUROC was chosen among {choice.n_arms} on the samples that it "
        "was tested on. The lower bound of its interval is simultaneous over these arms (max-t "
        "over "
        "the correlation of the patients' influences), and holds whichever arm is chosen."
    )


def describe_target(n_centres: int) -> str:
    """Return whom the intervals of a comparison that leaves out centres are for, in words."""
    return (
        f"Confidence intervals are for patients of these {n_centres} centres, not of other centres."
    )


def _describe_heads(heads: Iterable[Head]) -> str:
    descriptions = []
    for head in {head.name: head for head in heads}.values():
        names = dict.fromkeys(head.shorten(name) for part in head.grid for name in part)
        among = f" ({', '.join(names)}: {head.n_candidates} candidates)" if names else ""
        name = "" if head.name in HEADS else f"{head.name}: "
        descriptions.append(f"{name}{head.description}{among}")
    return f"Classifiers: {'; '.join(descriptions)} (scikit-learn {version('scikit-learn')})."


def _describe_primary(differences: Sequence[Difference], uses: str) -> str:
    family = [d for d in differences if d.role == "primary"]
    if not family:
        return f"none: only one arm uses {uses}" if uses else "none: there is only one arm"
    pairs = "pair" if len(family) == 1 else "pairs"
    adjusted = f", p adjusted by Holm's method over {len(family)} {pairs}"
    arms = f"arms with {uses}" if uses else "arms"
    methods = "; ".join(dict.fromkeys(d.method for d in family if d.method))
    return f"difference of the AUROC between {arms} ({methods}){adjusted}"


def warn_of_large_patient(patients: NDArray[Any] | None) -> tuple[CheckWarning, ...]:
    """Return a warning if one patient has more than a fifth of the test samples.

    Parameters
    ----------
    patients : ndarray of str, shape (n_tested,), or None
        Patient of every test sample.
    """
    if patients is None:
        return ()
    most = int(np.unique(patients, return_counts=True)[1].max())
    if most <= _LARGE_SHARE * len(patients):
        return ()
    text = (
        f"one patient has {most} of the {len(patients)} test samples: results depend largely on "
        "that patient, and intervals of AUROCs are too narrow; --unit patient counts each patient "
        "once"
    )
    return warn("BF302", [text])


def warn_of_few_patients(
    labels: NDArray[np.str_],
    groups: NDArray[np.str_] | None,
    counted: NDArray[np.str_] | None = None,
    where: str = "",
) -> tuple[CheckWarning, ...]:
    """Return a warning if intervals of AUROCs do not hold their level.

    Parameters
    ----------
    labels : ndarray of str, shape (n_tested,)
        Classes of the test samples.
    groups : ndarray of str, shape (n_tested,), or None
        Independent units, such as patients.
    counted : ndarray of str, shape (n_tested,), or None
        Patients, if each is counted once rather than each of their images.
    where : str
        Words after "in the smallest class".
    """
    if counted is not None:
        rows = np.unique(counted, return_index=True)[1]
        labels, groups = labels[rows], None if groups is None else groups[rows]
    lacking = shortage(labels, groups)
    texts = [f"{ESTIMATE_ONLY}: {lacking} in the smallest class{where}"] if lacking else []
    return warn("BF301", texts)


def describe_conflicts(conflicts: ConflictSummary) -> CheckWarning:
    """Describe copies with different labels, with the AUROC with and without them.

    The AUROC is that of the first arm with both; the report lists those of all arms.
    """
    for effect in conflicts.auroc:
        if effect.without is not None and effect.with_them is not None:
            return CheckWarning(
                "BF203",
                f"{conflicts.words}; AUROC of {effect.arm}: {effect.without.value:.3f} without "
                f"these copies, {effect.with_them.value:.3f} with them",
            )
    return CheckWarning("BF203", conflicts.words)


def find_warnings(
    sets: Sequence[FeatureSet],
    plan: SplitPlan,
    protocol: Protocol,
    predicted: Sequence[ArmPredictions],
    conflicts: ConflictSummary | None = None,
    evaluations: Sequence[Evaluation] = (),
) -> tuple[CheckWarning, ...]:
    """Return the warnings of a comparison, the most severe first.

    Parameters
    ----------
    sets : sequence of FeatureSet
        Features of the samples that are used.
    plan, protocol
        Split plan, and its protocol.
    predicted : sequence of ArmPredictions
        Arms that were trained here.
    conflicts : ConflictSummary or None
        Copies with different labels.
    evaluations : sequence of Evaluation
        Arms, with the decisions that unreadable samples would be.
    """
    warnings: list[CheckWarning] = []
    folds, audit = plan.folds, plan.audit
    if protocol.allow_leakage:
        leaks = " ".join(f.text for f in audit.leaks) or "The audit shows none."
        text = "leakage was allowed (--allow-leakage), and results can be far too optimistic"
        warnings.append(CheckWarning("BF107", f"{text}: {leaks}"))
    if any(s.weights == "random" for s in sets):
        warnings.append(RANDOM_WEIGHTS)
    if conflicts is not None:
        warnings.append(describe_conflicts(conflicts))
    warnings += folds.warnings
    warnings += warn_of_failed(sets, evaluations)
    # What was decided about copies with different labels is said above.
    decided = f"(--conflicts {protocol.conflicts})"
    warnings += [
        CheckWarning(f.code, f.text)
        for f in audit.findings
        if f.severity == "warning" and decided not in f.text
    ]
    # The audit is that of the first set.
    of_others = (CheckWarning(f.code, f.text) for s in sets[1:] for f in describe_pretraining(s))
    warnings += [text for text in dict.fromkeys(of_others) if text not in warnings]
    first = sets[0]
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    if protocol.unit != "patient":
        patients = first.patients
        warnings += warn_of_large_patient(None if patients is None else patients[tested])
    counted = first.patients if protocol.unit == "patient" else None
    warnings += warn_of_few_patients(
        first.y[tested],
        plan.samples.groups_of(tested),
        None if counted is None else counted[tested],
        where=" of the test sets",
    )
    for arm in predicted:
        if arm.unconverged:
            n = f"{arm.unconverged} of {len(folds)} folds"
            warnings.append(CheckWarning("BF305", f"{arm.name} did not converge in {n}"))
        warnings += warn(
            "BF305", [f"the classifier of {arm.name} warned: {text}" for text in arm.notes]
        )
    return tuple(warnings)
