"""What a run of a study changes of it, and how that is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bottleneck.errors import UsageError, unknown_name
from bottleneck.plurals import counted
from bottleneck.studies.study import Study, StudyArm, StudyProtocol

__all__ = ["Cuts", "apply"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cuts:
    """What is changed of a study, so that it fits a machine or what is at hand.

    Attributes
    ----------
    weights : mapping of str to str
        Weights by those that the study names ("imagenet"), or by "" for all: "random", or a
        file. Networks that the study trains from nothing stay so.
    backbones : mapping of str to str
        Networks by those that the study names. A layer that an arm names is then the last
        stage.
    limit : int or None
        Patients, in proportion to the classes.
    folds, epochs, seeds : int or None
        Of every cross-validation; of every training; networks a fold.
    arms : tuple of str
        Only these; a frozen one is among them or is kept.
    protocols : tuple of str
        Only these, and those that they are drawn within; by default those that run by default.
    also : mapping of str to str
        Frozen networks beside those of the study, backbone to weights, with its heads.
    training : mapping of str to value
        Options of every training that change how fast it is: device, workers.
    """

    weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    backbones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    limit: int | None = None
    folds: int | None = None
    epochs: int | None = None
    seeds: int | None = None
    arms: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    also: Mapping[str, str] = dataclasses.field(default_factory=dict)
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("limit", 1), ("folds", 2), ("epochs", 1), ("seeds", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} must be at least {least}, not {value}")


def apply(study: Study, cuts: Cuts) -> tuple[Study, tuple[str, ...]]:
    """Change a study.

    Parameters
    ----------
    study : Study
    cuts : Cuts

    Returns
    -------
    Study
    tuple of str
        What was changed, for the first line of every table; but for ``limit``, which is of the
        data.

    Raises
    ------
    UsageError
        If something is named that the study does not have.
    """
    arms, said = _choose_arms(study, cuts.arms)
    arms, changed = _change_arms(arms, cuts)
    said += changed
    protocols, changed = _change_protocols(study, cuts)
    said += changed
    if cuts.epochs is not None and any(arm.kind != "frozen" for arm in arms):
        before = sorted({arm.config(study.training).epochs for arm in arms if _is_trained(arm)})
        if before != [cuts.epochs]:
            ends = f"{before[0]}" if len(before) == 1 else f"{before[0]} to {before[-1]}"
            said.append(f"{counted(cuts.epochs, 'epoch')} in place of {ends}")
        arms = [
            dataclasses.replace(arm, training={**arm.training, "epochs": cuts.epochs})
            if _is_trained(arm)
            else arm
            for arm in arms
        ]
    heads = list(dict.fromkeys(arm.head for arm in arms if not _is_trained(arm)))
    for backbone, weights in cuts.also.items():
        for head in heads:
            arms.append(
                StudyArm(name=f"{backbone} + {head}", backbone=backbone, weights=weights, head=head)
            )
        said.append(f"{backbone} ({_short(weights)}) added")
    training = {**study.training, **cuts.training}
    changed_study = dataclasses.replace(
        study, arms=tuple(arms), protocols=tuple(protocols), training=training
    )
    return changed_study, tuple(said)


def _is_trained(arm: StudyArm) -> bool:
    return arm.kind != "frozen"


def _choose_arms(study: Study, names: tuple[str, ...]) -> tuple[list[StudyArm], list[str]]:
    known = [arm.name for arm in study.arms]
    for name in names:
        if name not in known:
            raise unknown_name(f"arm of {study.name}", name, known)
    if not names:
        return list(study.arms), []
    chosen = [arm for arm in study.arms if arm.name in names]
    if all(map(_is_trained, chosen)):
        chosen.append(next(arm for arm in study.arms if not _is_trained(arm)))
    return chosen, [f"{len(chosen)} of {len(known)} arms"] if len(chosen) < len(known) else []


def _change_arms(arms: list[StudyArm], cuts: Cuts) -> tuple[list[StudyArm], list[str]]:
    from bottleneck.finetune.architectures import ARCHITECTURES

    known = {arm.backbone for arm in arms}
    if strange := [name for name in cuts.backbones if name not in known]:
        raise unknown_name("backbone of the arms", strange[0], known)
    said = [f"{new} in place of {old}" for old, new in cuts.backbones.items()]
    replaced: dict[str, set[str]] = {}
    changed = []
    for arm in arms:
        new = cuts.backbones.get(arm.backbone, arm.backbone)
        if new != arm.backbone:
            layer = arm.training.get("unfreeze", "all")
            own = {} if layer in ("all", "head", "last") else {"unfreeze": "last"}
            if new in ARCHITECTURES and layer != "all":
                own = {"unfreeze": "all"}
            training = {**arm.training, **own}
            arm = dataclasses.replace(arm, backbone=new, preprocessing=None, training=training)
        if new in ARCHITECTURES:
            changed.append(dataclasses.replace(arm, weights=None))
            continue
        usual = arm.weights or "imagenet"
        weights = cuts.weights.get(usual, cuts.weights.get(""))
        if weights is not None and usual != "random" and weights != usual:
            replaced.setdefault(_short(weights), set()).add(usual)
            arm = dataclasses.replace(arm, weights=weights)
        changed.append(arm)
    said += [f"{new} weights in place of {', '.join(sorted(old))}" for new, old in replaced.items()]
    names = {"", "imagenet", *(arm.weights for arm in arms if arm.weights)}
    if strange := [name for name in cuts.weights if name not in names]:
        raise unknown_name("weights of the arms", strange[0], names - {""})
    return changed, said


def _change_protocols(study: Study, cuts: Cuts) -> tuple[list[StudyProtocol], list[str]]:
    named = {protocol.name: protocol for protocol in study.protocols}
    for name in cuts.protocols:
        if name not in named:
            raise unknown_name(f"protocol of {study.name}", name, named)
    chosen = [
        protocol
        for protocol in study.protocols
        if (protocol.name in cuts.protocols if cuts.protocols else protocol.default)
    ]
    said: list[str] = []
    made = []
    if lacking := [p.name for p in study.protocols if p.default and p not in chosen]:
        said.append(f"without the protocol {', '.join(map(repr, lacking))}")
    for protocol in study.protocols:
        if protocol not in chosen:
            made.append(dataclasses.replace(protocol, default=False))
            continue
        if cuts.folds is not None and protocol.kind == "cv" and protocol.folds != cuts.folds:
            said.append(f"{cuts.folds} folds in place of {protocol.folds}")
            protocol = dataclasses.replace(protocol, folds=cuts.folds)
        if cuts.seeds is not None and protocol.seeds != cuts.seeds:
            said.append(f"{counted(cuts.seeds, 'seed')} in place of {protocol.seeds}")
            protocol = dataclasses.replace(protocol, seeds=cuts.seeds)
        made.append(dataclasses.replace(protocol, default=True))
    return made, list(dict.fromkeys(said))


def _short(weights: str) -> str:
    """Leave the folder of a file away."""
    return weights.replace("\\", "/").rpartition("/")[2]
