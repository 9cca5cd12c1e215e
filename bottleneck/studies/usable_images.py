"""The images or volumes of a study that all of its arms can use."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.selection import restrict_candidates
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.studies.study import Study, StudyArm

__all__ = ["take_usable"]


def take_usable(images: ImageDataset, study: Study, features: Iterable[FeatureSet]) -> ImageDataset:
    """Return the samples that all arms can use, so that all are tested on the same ones.

    A region of a volume may be usable in one preprocessing and not in another.

    Parameters
    ----------
    images : ImageDataset
        The data set.
    study : Study
        The study.
    features : iterable of FeatureSet
        The features of its arms that have any.

    Raises
    ------
    DataError
        If an arm that is trained on volumes can use none of them.
    """
    usable = set.intersection(*(set(one.ids.tolist()) for one in features))
    if images.holds_volumes:
        extracted = {_inputs(arm) for arm in study.arms if arm.kind != "trained"}
        others = {_inputs(arm): arm for arm in study.arms if _inputs(arm) not in extracted}
        for arm in others.values():
            usable &= _readable(images, arm, study.training)
    kept = tuple(sample for sample in images.samples if sample.id in usable)
    if len(kept) == len(images):
        return images
    return dataclasses.replace(images, samples=kept, candidates=restrict_candidates(images, kept))


def _inputs(arm: StudyArm) -> tuple[Any, ...]:
    """Return what decides the patches of an arm."""
    return (
        arm.backbone,
        arm.weights,
        arm.preprocessing,
        arm.preparation,
        tuple(arm.volumes.items()),
    )


def _readable(images: ImageDataset, arm: StudyArm, training: Mapping[str, Any]) -> set[str]:
    from bottleneck.finetune.inputs.usable_samples import scan_samples
    from bottleneck.finetune.networks.starting_network import StartingNetwork

    preprocessing = StartingNetwork(arm.config(training)).preprocessing
    return {sample.id for sample in scan_samples(images, preprocessing, None).samples}
