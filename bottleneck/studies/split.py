"""Samples and folds of one protocol of a study, and their description."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.labels.selection import restrict_candidates
from bottleneck.data.splits.merged_folds import merge_folds
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.studies.study import Study, StudyProtocol
from bottleneck.studies.subset import describe_overlap, draw_sets
from bottleneck.text.plurals import counted

__all__ = ["Split", "describe_split", "split_samples"]


@dataclasses.dataclass(frozen=True)
class Split:
    """The samples that a protocol uses, and how they are split.

    Attributes
    ----------
    images : ImageDataset
        All images that features are extracted from, with altered copies.
    samples : mapping of str to Sample
        The samples used, by id, with patient and split as the protocol states them.
    plan : Protocol
        The protocol for ``compare``.
    """

    images: ImageDataset
    samples: Mapping[str, Sample]
    plan: Protocol

    def dataset(self) -> ImageDataset:
        """Return the data set that networks are trained and tested on."""
        used = [sample for sample in self.images.samples if sample.id in self.samples]
        left = restrict_candidates(self.images, used)
        changed = tuple(self.samples[sample.id] for sample in used)
        return dataclasses.replace(self.images, samples=changed, candidates=left)


def split_samples(
    protocol: StudyProtocol, images: ImageDataset, features: FeatureSet, study: Study
) -> Split:
    """Return the samples that a protocol uses, with their split.

    Parameters
    ----------
    protocol : StudyProtocol
        The protocol.
    images : ImageDataset
        The whole data set, with altered copies.
    features : FeatureSet
        Features of these images, with their leak-safe groups.
    study : Study
        The study, with the protocol that ``protocol.within`` names.

    Raises
    ------
    ProtocolError
        If there are too few samples for the sizes stated.
    """
    samples = {sample.id: sample for sample in images.samples}
    joined = None if protocol.leaks else _joined(features)
    if protocol.within is not None:
        outer = next(p for p in study.protocols if p.name == protocol.within)
        sets = draw_sets(images, outer, joined)
        samples = {name: samples[name] for name, side in sets.items() if side != "test"}
    if protocol.kind == "draw":
        sets = draw_sets(images, protocol, joined)
        samples = {
            name: dataclasses.replace(samples[name], split=side, fold=None)
            for name, side in sets.items()
        }
    if protocol.kind == "folds" and joined is not None:
        grouped = (
            dataclasses.replace(s, group=joined[s.id]) for s in images.samples if s.id in joined
        )
        merged = merge_folds(dataclasses.replace(images, samples=tuple(grouped)))
        samples = {s.id: dataclasses.replace(samples[s.id], fold=s.fold) for s in merged.samples}
    if protocol.leaks:
        samples = {
            name: dataclasses.replace(sample, group=None) for name, sample in samples.items()
        }
    is_cv = protocol.kind == "cv"
    plan = Protocol(
        kind="split" if protocol.kind == "draw" else protocol.kind,
        n_splits=protocol.folds,
        repeats=protocol.repeats if is_cv else 1,
        seed=protocol.seed,
        # Leaks in the data set's own split are reported, not repaired.
        allow_leakage=protocol.leaks or protocol.kind == "split",
        conflicts=protocol.conflicts,
    )
    return Split(images, samples, plan)


def _joined(features: FeatureSet) -> Mapping[str, str] | None:
    """Return the leak-safe group of each sample, by its id."""
    groups = features.leak_safe_groups.names
    return (
        None if groups is None else dict(zip(features.ids.tolist(), groups.tolist(), strict=True))
    )


def describe_split(
    protocol: StudyProtocol, folds: Folds, features: FeatureSet, images: ImageDataset
) -> str:
    """Describe how the samples were split, for a methods section."""
    words = folds.words
    if protocol.augment is not None:
        words = f"All images were augmented first ({protocol.augment.words}). {words}"
    if protocol.kind == "draw":
        fold = next(iter(folds))
        n_val = 0 if features.splits is None else int((features.splits == "val").sum())
        noun = f"{images.noun}s"
        by_patient = not protocol.leaks and images.n_groups is not None
        unit = "Patients" if by_patient else noun.capitalize()
        drawn = (
            f"{unit} were divided at random, stratified by class: {len(fold.train)} {noun} to train"
            f"{f' (with {n_val} to choose on)' if n_val else ''}, {len(fold.test)} to test."
        )
        words = words.replace(folds.words, drawn)
    if protocol.kind == "folds" and features.folds is not None:
        published = {sample.id: sample.fold for sample in images.samples}
        pairs = zip(features.ids.tolist(), features.folds.tolist(), strict=True)
        if moved := sum(published[name] != fold for name, fold in pairs):
            words += (
                f" {counted(moved, 'sample')} of patients, or of copies of one image, that the "
                "published folds divide are in the fold of the most of them."
            )
    if protocol.leaks:
        words += f" {describe_overlap(folds, features.ids, images.samples)}"
    return words
