"""Samples drawn from a data set, and how test images resemble training images."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.augmented_copies import original_ids
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.labels.selection import restrict_candidates
from bottleneck.data.splits.protocol import Folds
from bottleneck.data.volumes.candidates import Candidates
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.studies.study import StudyProtocol

__all__ = ["describe_overlap", "draw_sets", "select_samples", "take_patients"]

_SETS = ("train", "val", "test")


def take_patients(dataset: ImageDataset, n: int) -> ImageDataset:
    """Return a data set of fewer patients, with the same shares of classes and splits.

    Parameters
    ----------
    dataset : ImageDataset
        The whole data set.
    n : int
        Number of patients to keep; a sample without a patient counts as one. Within a class and
        split, the first ones are kept. A patient with samples of several classes counts for the
        rarest.

    Returns
    -------
    ImageDataset
        The smaller data set; its name states both numbers.

    Raises
    ------
    UsageError
        If ``n`` is too small for one patient of each class and split.
    """
    units = _units(dataset.samples, by_patient=True)
    if n >= len(units):
        return dataset
    strata: dict[tuple[str, str], list[list[Sample]]] = defaultdict(list)
    for label, unit in _classified(units):
        strata[label, unit[0].split or ""].append(unit)
    if n < len(strata):
        raise UsageError(
            f"the limit must be at least {len(strata)} patients, one of each class (and split), "
            f"not {n}"
        )
    # One each, so that no class is lost; the rest by the largest remainder.
    quotas = _apportion(n - len(strata), [len(stratum) - 1 for stratum in strata.values()])
    ids = {
        sample.id
        for stratum, quota in zip(strata.values(), quotas, strict=True)
        for unit in stratum[: quota + 1]
        for sample in unit
    }
    kept = tuple(sample for sample in dataset.samples if sample.id in ids)
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}-{n}of{len(units)}",
        samples=kept,
        candidates=restrict_candidates(dataset, kept),
    )


def draw_sets(
    dataset: ImageDataset, protocol: StudyProtocol, joined: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Draw training, validation and test sets, stratified by class.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    protocol : StudyProtocol
        Sizes of the sets, what stays together, and the seed. Sizes are kept where the data set is
        large enough, and further samples are left out; otherwise the ratio of the sizes is kept.
    joined : mapping of str to str, or None
        Groups that must stay on one side, by sample id, where they are larger than patients.

    Returns
    -------
    dict of str to str
        "train", "val" or "test", by sample id. Where patients are kept together, sizes are
        met as nearly as whole patients allow.

    Raises
    ------
    ProtocolError
        If a set would lack a class.
    """
    sizes = (protocol.train, protocol.validation, protocol.test)
    rng = np.random.default_rng(protocol.seed)
    by_class: dict[str, list[list[Sample]]] = defaultdict(list)
    units = _units(dataset.samples, by_patient=not protocol.leaks, joined=joined)
    for label, unit in _classified(units):
        by_class[label].append(unit)
    labels = sorted(by_class)
    counts = [sum(len(unit) for unit in by_class[label]) for label in labels]
    # Cumulative sums over the classes are divided, so that rounding loses no sample.
    totals = [0, *itertools.accumulate(_apportion(min(len(dataset), sum(sizes)), counts))]
    sums = [_apportion(total, sizes) for total in totals]
    wanted = [
        [after - before for before, after in zip(*pair, strict=True)]
        for pair in itertools.pairwise(sums)
    ]
    drawn: dict[str, str] = {}
    for number, label in enumerate(labels):
        units = by_class[label]
        left = [units[i] for i in rng.permutation(len(units))]
        # The test set first: its size decides how precise the results are.
        for side, quota in sorted(zip(_SETS, wanted[number], strict=True)):
            held = 0
            while held < quota and left:
                unit = left.pop()
                held += len(unit)
                drawn.update({sample.id: side for sample in unit})
    _refuse_lacking(dataset, protocol, drawn)
    return drawn


def _refuse_lacking(
    dataset: ImageDataset, protocol: StudyProtocol, drawn: Mapping[str, str]
) -> None:
    """Raise ProtocolError if a set that was drawn lacks a class."""
    sizes = dict(zip(_SETS, (protocol.train, protocol.validation, protocol.test), strict=True))
    for side, label in itertools.product(sorted(s for s in _SETS if sizes[s]), dataset.classes):
        own = [sample for sample in dataset.samples if sample.label == label]
        if not any(drawn.get(sample.id) == side for sample in own):
            n = len({sample.group or sample.id for sample in own})
            raise ProtocolError(
                f"the protocol '{protocol.name}' leaves its {side} set without '{label}': "
                f"{len(own)} samples of {n} patients are too few; add more"
            )


def select_samples(
    features: FeatureSet, samples: Mapping[str, Sample], candidates: Candidates | None
) -> FeatureSet:
    """Return the features of some samples, with the patients and splits of these samples.

    ``candidates`` is what these samples were drawn from: features do not know which samples other
    arms cannot use.
    """
    rows = np.array([i for i, name in enumerate(features.ids.tolist()) if name in samples])
    chosen = [samples[name] for name in features.ids[rows].tolist()]
    about = features.provenance["dataset"]
    if "candidates" in about:
        about = {**about, "candidates": candidates and candidates.to_dict()}
    return features.take(
        rows,
        provenance={**features.provenance, "dataset": about},
        stated_patients=_column([sample.group for sample in chosen]),
        splits=_column([sample.split for sample in chosen]),
        folds=_column([sample.fold for sample in chosen]),
    )


def describe_overlap(folds: Folds, ids: NDArray[np.str_], samples: Sequence[Sample]) -> str:
    """Describe how many test images have a copy, or an image of the same patient, in training.

    Parameters
    ----------
    folds : Folds
        Rows of the training and test sets.
    ids : ndarray of str, shape (n_samples,)
        Sample ids of the rows.
    samples : sequence of Sample
        The samples with their patients, which the protocol itself ignores.
    """
    patients = {sample.id: sample.group for sample in samples}
    originals = original_ids(ids)
    n_tested = sum(len(fold.test) for fold in folds)
    copies = sum(int(np.isin(originals[f.test], originals[f.train]).sum()) for f in folds)
    overlaps = []
    if copies:
        overlaps.append(f"another copy of the same image for {copies / n_tested:.0%}")
    if any(patients.values()):
        units = np.array([patients[name] or name for name in ids.tolist()])
        met = sum(int(np.isin(units[f.test], units[f.train]).sum()) for f in folds)
        overlaps.append(f"images of the same patient for {met / n_tested:.0%}")
    if not overlaps:
        return "It is not known which images are of the same patient."
    return f"The training images include {' and '.join(overlaps)} of the test images."


def _units(
    samples: Sequence[Sample], *, by_patient: bool, joined: Mapping[str, str] | None = None
) -> list[list[Sample]]:
    units: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        group = (joined or {}).get(sample.id, sample.group) if by_patient else None
        units[f"sample {sample.id}" if group is None else f"group {group}"].append(sample)
    return list(units.values())


def _classified(units: Sequence[list[Sample]]) -> Iterator[tuple[str, list[Sample]]]:
    """Yield each unit with its class: of several labels, the one that fewest samples have."""
    count = Counter(sample.label for unit in units for sample in unit)
    for unit in units:
        yield min({sample.label for sample in unit}, key=lambda label: (count[label], label)), unit


def _apportion(n: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole number in the ratio of weights, by the largest remainders."""
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    exact = [n * weight / total for weight in weights]
    whole = [int(share) for share in exact]
    order = sorted(range(len(exact)), key=lambda i: (whole[i] - exact[i], i))
    for i in itertools.islice(order, n - sum(whole)):
        whole[i] += 1
    return whole


def _column(values: Sequence[str | None]) -> NDArray[np.str_] | None:
    known = any(value is not None for value in values)
    return np.array([value or "" for value in values], str) if known else None
