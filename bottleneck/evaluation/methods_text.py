"""What a comparison was made on and how, and what a reader must know of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.folds import Folds, Protocol
from bottleneck.data.splits.patients import count_by_class, name_patients
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.cross_validation.nested_cv import ArmResult
from bottleneck.evaluation.cross_validation.split_plan import Plan
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.heads.registry import Head
from bottleneck.statistics.intervals import holds_level

# Of the samples tested, those of one patient. With two of 20 in 80, and 40 patients of one, 95 %
# intervals of the AUROC hold it 89 times of 100, and with one of 60 in 90, 80 times.
_LARGE_SHARE = 0.2
_AGGREGATES = {"mean": "mean score", "max": "highest score"}

__all__ = ["describe_dataset", "describe_protocol", "find_warnings", "warn_of_large_patient"]


def describe_dataset(
    features: FeatureSet, groups: NDArray[np.str_] | None, positive: str | None
) -> dict[str, Any]:
    """Return ``Comparison.dataset``; a patient with several classes counts in each."""
    recorded, named = features.provenance["dataset"], features.groups
    return {
        "name": features.dataset,
        "fingerprint": recorded["fingerprint"],
        "n_samples": len(features),
        "n_patients": None if groups is None else len(np.unique(groups)),
        "n_unnamed": len(features) - (0 if named is None else int((named != "").sum())),
        "classes": count_by_class(features.y),
        "patients": None if groups is None else count_by_class(features.y, groups),
        "positive": positive,
        "failures": len(features.failures),
        "excluded": dict(recorded.get("excluded", {})),
    }


def describe_protocol(
    protocol: Protocol,
    folds: Folds,
    inner: tuple[int, int],
    measures: Measures,
    heads: Iterable[Head],
    differences: Sequence[Difference],
) -> dict[str, Any]:
    """Return ``Comparison.protocol``; ``inner`` is the least and largest number of inner folds."""
    repeats = len(folds.seeds)
    few, many = inner
    words = (
        f"{folds.words} Within each training part, hyperparameters were chosen by the AUROC of a "
        f"{many if few == many else f'{few}- to {many}'}-fold cross-validation"
        f"{', grouped by patient' if folds.grouped else ''}. Features were standardised with the "
        f"mean and standard deviation of the training part, and classes were weighted equally, "
        f"unless a classifier named below says otherwise."
        f" Thresholds and the calibration of probabilities (without class weights) were set on "
        f"what the inner folds made of the samples they left out. {_describe_heads(heads)}"
    )
    if protocol.unit == "patient":
        score = _AGGREGATES[protocol.aggregate]
        words += (
            f" Heads were trained on images; a patient's score is the {score} of its images, and "
            f"patients were counted."
        )
    return {
        "kind": folds.kind,
        "folds": len(folds) // repeats,
        "repeats": repeats,
        "inner_folds": many,
        "seed": protocol.seed,
        "seeds": folds.seeds,
        "grouped": folds.grouped,
        "unit": protocol.unit,
        "aggregate": protocol.aggregate if protocol.unit == "patient" else None,
        "allow_leakage": protocol.allow_leakage,
        "prevalence": measures.prevalence,
        "primary": _describe_primary(differences),
        "words": words,
    }


def _describe_heads(heads: Iterable[Head]) -> str:
    said = []
    for head in {head.name: head for head in heads}.values():
        names = dict.fromkeys(name.rpartition("__")[2] for part in head.grid for name in part)
        candidates = sum(math.prod(map(len, part.values())) for part in head.grid)
        among = f" ({', '.join(names)}: {candidates} candidates)" if candidates else ""
        said.append(f"{head.description}{among}")
    return f"Classifiers: {'; '.join(said)} (scikit-learn {version('scikit-learn')})."


def _describe_primary(differences: Sequence[Difference]) -> str:
    family = [d for d in differences if d.role == "primary"]
    if not family:
        return "none: there is one arm that sees images"
    pairs = "pair" if len(family) == 1 else "pairs"
    adjusted = f", p adjusted by Holm's method over {len(family)} {pairs}"
    return f"difference of the AUROC between arms that see images ({family[0].method}){adjusted}"


def warn_of_large_patient(patients: NDArray[Any] | None) -> list[str]:
    """Say if one patient, of those that are named for each sample, has much of what is tested."""
    if patients is None:
        return []
    most = int(np.unique(patients, return_counts=True)[1].max())
    if most <= _LARGE_SHARE * len(patients):
        return []
    return [
        f"one patient has {most} of the {len(patients)} samples that were tested: figures are "
        "largely that patient's, and intervals of AUROCs too narrow; --unit patient counts each "
        "patient once"
    ]


def find_warnings(
    sets: Sequence[FeatureSet],
    plan: Plan,
    protocol: Protocol,
    arms: Sequence[Arm],
    results: Sequence[ArmResult],
) -> tuple[str, ...]:
    """Return what a reader must know before the figures, the gravest first."""
    said = []
    folds, found = plan.folds, plan.audit
    if protocol.allow_leakage:
        leaks = " ".join(f.text for f in found.leaks) or "The audit found none."
        said.append(
            f"leakage was allowed (--allow-leakage), and figures can be far too good: {leaks}"
        )
    if any(s.weights == "random" for s in sets):
        said.append("random weights: the figures mean nothing")
    said += folds.warnings
    lost = {i for s in sets for i, _ in s.failures}
    if lost:
        said.append(f"{len(lost)} samples have no features and are missing from every figure")
    said += [f.text for f in found.findings if f.severity == "warning"]
    first, groups = sets[0], plan.samples.groups
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    counts = count_by_class(first.y[tested], None if groups is None else groups[tested])
    if protocol.unit != "patient":
        patients = name_patients(first.groups, first.ids)
        said += warn_of_large_patient(None if patients is None else patients[tested])
    few = min(counts.values())
    if not holds_level(few, max(counts.values())):
        unit = "samples" if groups is None else "patients"
        said.append(f"estimate only: {few} {unit} in the smallest class that was tested")
    for arm, result in zip(arms, results, strict=True):
        if result.unconverged:
            n = f"{result.unconverged} of {len(folds)} folds"
            said.append(f"{arm.name} did not converge in {n}")
    return tuple(said)
