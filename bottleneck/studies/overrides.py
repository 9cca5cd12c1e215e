"""Changes of a study for one run, and their description."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bottleneck.backbones.volumetric.volume_encoders import VOLUME_ENCODERS
from bottleneck.data.splits.protocol import Conflicts
from bottleneck.data.volumes.patches.volume_options import PatchSize
from bottleneck.errors import unknown_name
from bottleneck.settings.ranges import Epochs, FoldCount, Patients, Repeats
from bottleneck.settings.schema import Field, option, schema
from bottleneck.studies.study import Study, StudyArm, StudyProtocol
from bottleneck.text.plurals import counted

__all__ = ["CHANGES", "Overrides", "apply_overrides"]

#: Heading of these options in ``--help``.
CHANGES = "Changes of the study"


@schema
class Overrides:
    """Changes of a study, so that it fits a machine or the weights at hand.

    Attributes
    ----------
    weights : mapping of str to str
        New weights, "random" or a file, by the name of those that the study uses ("imagenet"), or
        by "" for all. Networks that the study trains from scratch stay so.
    backbones : mapping of str to str
        New networks by the names of the study's. Where an arm names a layer to train from, the
        last stage takes its place. A preprocessing that an arm states is kept only where both
        networks take volumes of as many channels.
    patch_size : int or None
        Voxels along each edge of the patches of volumes.
    limit : int or None
        Number of patients, in proportion to the classes.
    folds, epochs, seeds : int or None
        Folds of every cross-validation; epochs of every training; networks per fold.
    conflicts : {"drop", "keep", "majority", "stop"} or None
        What every protocol does with copies of one image that have different labels.
    arms : tuple of str
        The only arms to run; a frozen arm is added where none is among them.
    protocols : tuple of str
        The only protocols to run; by default those that are marked as default.
    also : mapping of str to str
        Frozen networks to add with all of the study's heads, as backbone to weights.
    training : mapping of str to value
        Options of every training that change only its speed: device, workers.

    Raises
    ------
    UsageError
        If a value has the wrong type or is out of range.
    """

    weights: Mapping[str, str] = Field(default_factory=dict)
    backbones: Mapping[str, str] = Field(default_factory=dict)
    patch_size: PatchSize | None = option(
        None, "Voxels along each edge of the patches of volumes.", panel=CHANGES
    )
    limit: Patients | None = option(
        None, "Number of patients, in proportion to the classes.", panel=CHANGES
    )
    folds: FoldCount | None = option(None, "Folds of every cross-validation.", panel=CHANGES)
    epochs: Epochs | None = option(
        None, "Maximum number of epochs of every training.", panel=CHANGES
    )
    seeds: Repeats | None = option(None, "Networks of each trained arm and fold.", panel=CHANGES)
    conflicts: Conflicts | None = option(
        None,
        "Copies of one image with different labels: drop (leave them out), keep, majority or stop.",
        panel=CHANGES,
    )
    arms: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    also: Mapping[str, str] = Field(default_factory=dict)
    training: Mapping[str, Any] = Field(default_factory=dict)


def apply_overrides(study: Study, overrides: Overrides) -> tuple[Study, tuple[str, ...]]:
    """Change a study.

    Parameters
    ----------
    study : Study
        The study as published.
    overrides : Overrides
        The changes.

    Returns
    -------
    Study
        The changed study.
    tuple of str
        A description of each change, for the first line of every table. ``limit`` is not among
        them: it changes the data.

    Raises
    ------
    UsageError
        If a name is not one of the study's.
    """
    arms, notes = _choose_arms(study, overrides.arms)
    arms, changes = _change_arms(arms, overrides)
    notes += changes
    arms, changes = _change_patches(arms, overrides.patch_size)
    notes += changes
    protocols, changes = _change_protocols(study, overrides)
    notes += changes
    epochs = overrides.epochs
    if epochs is not None and any(arm.is_trained for arm in arms):
        before = sorted({arm.config(study.training).epochs for arm in arms if arm.is_trained})
        if before != [epochs]:
            ends = f"{before[0]}" if len(before) == 1 else f"{before[0]} to {before[-1]}"
            notes.append(f"{counted(epochs, 'epoch')} in place of {ends}")
        arms = [
            dataclasses.replace(arm, training={**arm.training, "epochs": epochs})
            if arm.is_trained
            else arm
            for arm in arms
        ]
    heads = list(dict.fromkeys(arm.head for arm in arms if not arm.is_trained))
    for backbone, weights in overrides.also.items():
        for head in heads:
            name = f"{backbone} + {head}"
            arms.append(StudyArm(name=name, backbone=backbone, weights=weights, head=head))
        notes.append(f"{backbone} ({_file_name(weights)}) added")
    changed = dataclasses.replace(
        study,
        arms=tuple(arms),
        protocols=tuple(protocols),
        training={**study.training, **overrides.training},
    )
    return changed, tuple(notes)


def _choose_arms(study: Study, names: tuple[str, ...]) -> tuple[list[StudyArm], list[str]]:
    known = [arm.name for arm in study.arms]
    for name in names:
        if name not in known:
            raise unknown_name(f"arm of {study.name}", name, known)
    if not names:
        return list(study.arms), []
    chosen = [arm for arm in study.arms if arm.name in names]
    if all(arm.is_trained for arm in chosen):
        chosen.append(next(arm for arm in study.arms if not arm.is_trained))
    return chosen, [f"{len(chosen)} of {len(known)} arms"] if len(chosen) < len(known) else []


def _change_arms(arms: list[StudyArm], overrides: Overrides) -> tuple[list[StudyArm], list[str]]:
    from bottleneck.finetune.networks.architectures import ARCHITECTURES

    known = {arm.backbone for arm in arms}
    if unknown := [name for name in overrides.backbones if name not in known]:
        raise unknown_name("backbone of the arms", unknown[0], known)
    notes = [_describe_network(arms, old, new) for old, new in overrides.backbones.items()]
    replaced: dict[str, set[str]] = {}
    changed = []
    for arm in arms:
        new = overrides.backbones.get(arm.backbone, arm.backbone)
        if new != arm.backbone:
            layer = arm.training.get("unfreeze", "all")
            own = {} if layer in ("all", "head", "last") else {"unfreeze": "last"}
            if new in ARCHITECTURES and layer != "all":
                own = {"unfreeze": "all"}
            training = {**arm.training, **own}
            stated = arm.preprocessing if _takes_the_same(arm.backbone, new) else None
            arm = dataclasses.replace(arm, backbone=new, preprocessing=stated, training=training)
        if new in ARCHITECTURES:
            changed.append(dataclasses.replace(arm, weights=None))
            continue
        usual = arm.weights or "imagenet"
        weights = overrides.weights.get(usual, overrides.weights.get(""))
        if weights is not None and usual != "random" and weights != usual:
            replaced.setdefault(_file_name(weights), set()).add(usual)
            arm = dataclasses.replace(arm, weights=weights)
        changed.append(arm)
    notes += [f"{new} weights instead of {', '.join(sorted(old))}" for new, old in replaced.items()]
    names = {"", "imagenet", *(arm.weights for arm in arms if arm.weights)}
    if unknown := [name for name in overrides.weights if name not in names]:
        raise unknown_name("weights of the arms", unknown[0], names - {""})
    return changed, notes


def _describe_network(arms: Sequence[StudyArm], old: str, new: str) -> str:
    stated = any(arm.preprocessing for arm in arms if arm.backbone == old)
    own = ", with its own preprocessing" if stated and not _takes_the_same(old, new) else ""
    return f"{new} in place of {old}{own}"


def _takes_the_same(old: str, new: str) -> bool:
    """Return whether two networks take volumes of as many channels, and so the same patches."""
    a, b = VOLUME_ENCODERS.get(old), VOLUME_ENCODERS.get(new)
    return a is not None and b is not None and a.n_channels == b.n_channels


def _change_patches(arms: Sequence[StudyArm], edge: int | None) -> tuple[list[StudyArm], list[str]]:
    if edge is None:
        return list(arms), []
    words = f"patches of {edge} voxels along each edge in place of those of the study"
    return [dataclasses.replace(arm, patch_size=edge) for arm in arms], [words]


def _change_protocols(study: Study, overrides: Overrides) -> tuple[list[StudyProtocol], list[str]]:
    by_name = {protocol.name: protocol for protocol in study.protocols}
    for name in overrides.protocols:
        if name not in by_name:
            raise unknown_name(f"protocol of {study.name}", name, by_name)
    chosen = [
        protocol
        for protocol in study.protocols
        if (protocol.name in overrides.protocols if overrides.protocols else protocol.default)
    ]
    notes: list[str] = []
    changed = []
    if left_out := [p.name for p in study.protocols if p.default and p not in chosen]:
        notes.append(f"without the protocol {', '.join(map(repr, left_out))}")
    folds, seeds, conflicts = overrides.folds, overrides.seeds, overrides.conflicts
    for protocol in study.protocols:
        if protocol not in chosen:
            changed.append(dataclasses.replace(protocol, default=False))
            continue
        if folds is not None and protocol.kind == "cv" and protocol.folds != folds:
            notes.append(f"{folds} folds in place of {protocol.folds}")
            protocol = dataclasses.replace(protocol, folds=folds)
        if seeds is not None and protocol.seeds != seeds:
            notes.append(f"{counted(seeds, 'seed')} in place of {protocol.seeds}")
            protocol = dataclasses.replace(protocol, seeds=seeds)
        if conflicts is not None and protocol.conflicts != conflicts:
            notes.append(f"copies with different labels: {conflicts}")
            protocol = dataclasses.replace(protocol, conflicts=conflicts)
        changed.append(dataclasses.replace(protocol, default=True))
    return changed, list(dict.fromkeys(notes))


def _file_name(weights: str) -> str:
    """Return the name of weights, or of their file without its folder."""
    return weights.replace("\\", "/").rpartition("/")[2]
