"""How a protocol of a study splits the samples, and how that is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.splits.folds import Folds, Protocol
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.studies.study import Study, StudyProtocol
from bottleneck.studies.subset import draw_parts, say_known

__all__ = ["Split", "say_split", "split_samples"]


@dataclasses.dataclass(frozen=True)
class Split:
    """The samples of a protocol.

    Attributes
    ----------
    images : ImageDataset
        What is extracted; copies too.
    samples : mapping of str to Sample
        Those that take part, with patient and split as the protocol states them.
    plan : Protocol
        What ``compare`` is told.
    """

    images: ImageDataset
    samples: Mapping[str, Sample]
    plan: Protocol

    def dataset(self) -> ImageDataset:
        """Return what networks are trained on."""
        ordered = (self.samples.get(sample.id) for sample in self.images.samples)
        return dataclasses.replace(self.images, samples=tuple(s for s in ordered if s is not None))


def split_samples(
    protocol: StudyProtocol, images: ImageDataset, features: FeatureSet, study: Study
) -> Split:
    """Say which samples a protocol works with, and how they are split.

    Parameters
    ----------
    protocol : StudyProtocol
    images : ImageDataset
        All of the data set, altered copies too.
    features : FeatureSet
        Of these images, in which the audit looks for pictures that come twice.
    study : Study
        Knows the protocol that this one is drawn within.

    Raises
    ------
    ProtocolError
        If the samples cannot be drawn so.
    """
    samples = {sample.id: sample for sample in images.samples}
    joined = None if protocol.leaks else _joined(features)
    if protocol.within is not None:
        outer = next(p for p in study.protocols if p.name == protocol.within)
        parts = draw_parts(images, outer, joined)
        samples = {name: samples[name] for name, part in parts.items() if part != "test"}
    if protocol.kind == "draw":
        parts = draw_parts(images, protocol, joined)
        samples = {
            name: dataclasses.replace(samples[name], split=part, fold=None)
            for name, part in parts.items()
        }
    if protocol.leaks:
        samples = {
            name: dataclasses.replace(sample, group=None) for name, sample in samples.items()
        }
    is_cv = protocol.kind == "cv"
    plan = Protocol(
        kind="cv" if is_cv else "split",
        n_splits=protocol.folds,
        repeats=protocol.repeats if is_cv else 1,
        seed=protocol.seed,
        # What a data set itself parts is reported, and not mended.
        allow_leakage=protocol.leaks or protocol.kind == "split",
    )
    return Split(images, samples, plan)


def _joined(features: FeatureSet) -> Mapping[str, str] | None:
    """Return the leak-safe group of each sample by its id."""
    groups = features.leak_safe_groups.names
    return (
        None if groups is None else dict(zip(features.ids.tolist(), groups.tolist(), strict=True))
    )


def say_split(
    protocol: StudyProtocol, folds: Folds, features: FeatureSet, images: ImageDataset
) -> str:
    """Say how the samples were split, for a methods section."""
    words = folds.words
    if protocol.augment is not None:
        words = f"All images were augmented first ({protocol.augment.words}). {words}"
    if protocol.kind == "draw":
        fold = next(iter(folds))
        n_val = 0 if features.splits is None else int((features.splits == "val").sum())
        unit = "Images" if protocol.leaks or images.n_groups is None else "Patients"
        drawn = (
            f"{unit} were divided at random, stratified by class: {len(fold.train)} images to train"
            f"{f' (with {n_val} to choose on)' if n_val else ''}, {len(fold.test)} to test."
        )
        words = words.replace(folds.words, drawn)
    if protocol.leaks:
        words += f" {say_known(folds, features.ids, images.samples)}"
    return words
