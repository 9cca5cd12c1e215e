"""A study: data, protocols, arms, and the figures that it is held against."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from bottleneck.config import read_toml
from bottleneck.data.augmented_copies import Augmentation
from bottleneck.errors import UsageError, unknown_name
from bottleneck.finetune.settings import Config
from bottleneck.heads.registry import get_head
from bottleneck.schema import from_table
from bottleneck.studies.published_figures import METRICS, Part, PublishedTest, tables, take

__all__ = ["PUBLISHED", "Study", "StudyArm", "StudyProtocol", "load_study", "read_study"]

_FOLDER = Path(__file__).parent / "published"

#: Names of the studies that come with the package.
PUBLISHED = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))

ArmKind = Literal["frozen", "new_fc", "trained"]
ProtocolKind = Literal["cv", "draw", "split"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyArm:
    """One arm.

    Attributes
    ----------
    name : str
        Unique in the study.
    backbone : str
        As ``load_backbone`` takes it; for a trained arm also an architecture from scratch.
    kind : {"frozen", "new_fc", "trained"}
        A head on frozen features; the small network's classifier trained on them; or a network
        that is trained itself.
    weights, preprocessing : str or None
        As ``load_backbone`` takes them; None for what is usual.
    pooling : {"avg", "max", "gem", "flatten"}
        How the last feature map becomes a vector.
    head : str
        Of a frozen arm.
    training : mapping of str to value
        Of the others: options of ``finetune.Config`` that differ from the study's.
    model : str or None
        The published model that it is held against.
    """

    name: str
    backbone: str
    kind: ArmKind = "frozen"
    weights: str | None = None
    preprocessing: str | None = None
    pooling: str = "avg"
    head: str = "svm"
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    model: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(ArmKind):
            raise unknown_name(f"kind of the arm '{self.name}'", self.kind, get_args(ArmKind))
        if "=" in self.name or not self.name.strip():
            raise UsageError(f"an arm needs a name without '=', not '{self.name}'")
        if self.kind == "frozen":
            get_head(self.head)
            if self.training:
                raise UsageError(f"the arm '{self.name}' is frozen, so there is no training")

    def config(self, training: Mapping[str, Any]) -> Config:
        """Return the options of its training, given those of the study.

        Raises
        ------
        UsageError
            If an option is unknown or cannot be.
        """
        own: dict[str, Any] = {}
        if self.kind == "new_fc":
            own = {"backbone": "new_fc"}
        else:
            own = {"backbone": self.backbone, "weights": self.weights, "pooling": self.pooling}
            own["preprocessing"] = self.preprocessing
        where = f"the training of '{self.name}'"
        return from_table(Config, {**training, **self.training, **own}, where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyProtocol:
    """How the samples are split.

    Attributes
    ----------
    name : str
        Unique in the study; names a folder too.
    kind : {"cv", "draw", "split"}
        Folds of a cross-validation; parts drawn once, of stated sizes; or the data set's own
        parts.
    folds, repeats : int
        Of "cv".
    seeds : int
        Networks that each trained arm trains a fold, to tell how much depends on the seed.
    seed : int
        Of what is drawn, and of what a head draws.
    train, validation, test : int
        Sizes of the parts of "draw": as stated where the data set is large enough, else in the
        same ratio.
    together : {"patient", "image"}
        What is never parted. "image" lets patients stand on both sides, as published work
        often does; the result says so.
    augment : Augmentation or None
        Altered copies that are made of all images **before** they are split.
    within : str or None
        Name of another protocol, of kind "draw"; this one uses only what that one trains on.
    part : str or None
        The published part that its figures are held against.
    external : str or None
        The published part for another data set that all arms are tested on.
    default : bool
        Whether it runs without being asked for.
    """

    name: str
    kind: ProtocolKind = "cv"
    folds: int = 5
    repeats: int = 1
    seeds: int = 1
    seed: int = 0
    train: int = 0
    validation: int = 0
    test: int = 0
    together: Literal["patient", "image"] = "patient"
    augment: Augmentation | None = None
    within: str | None = None
    part: str | None = None
    external: str | None = None
    default: bool = True

    def __post_init__(self) -> None:
        for field, choices in (("kind", get_args(ProtocolKind)), ("together", _TOGETHER)):
            if getattr(self, field) not in choices:
                what = f"{field} of the protocol '{self.name}'"
                raise unknown_name(what, getattr(self, field), choices)
        least = {"folds": 2, "repeats": 1, "seeds": 1, "seed": 0}
        for name, low in (*least.items(), ("train", 0), ("validation", 0), ("test", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise UsageError(
                    f"{name} of the protocol '{self.name}' must be a whole number from {low} on, "
                    f"not {value!r}"
                )
        if self.kind == "draw" and not (self.train and self.test):
            raise UsageError(
                f"the protocol '{self.name}' draws parts, so it needs sizes: train and test"
            )

    @property
    def leaks(self) -> bool:
        """Whether patients may stand on both sides."""
        return self.together == "image"


_TOGETHER = ("patient", "image")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A flow from data to figures, and those that were published of it.

    Attributes
    ----------
    name, title, reference : str
        What it is asked for by, what it is about, and where it was published.
    needs : str
        What the data must be.
    positive, negative : str
        The two classes.
    notes : tuple of str
        How the publication was read, and what it leaves open.
    training : mapping of str to value
        Options of ``finetune.Config`` for all arms that are trained.
    protocols : tuple of StudyProtocol
    arms : tuple of StudyArm
    parts : tuple of Part
        The published figures.
    tests : tuple of PublishedTest
        The published tests.
    data, external : str or None
        Paths of data sets, for a study of one's own.
    """

    name: str
    title: str
    protocols: tuple[StudyProtocol, ...]
    arms: tuple[StudyArm, ...]
    reference: str = ""
    needs: str = ""
    positive: str = "malignant"
    negative: str = "benign"
    notes: tuple[str, ...] = ()
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    tests: tuple[PublishedTest, ...] = ()
    data: str | None = None
    external: str | None = None

    def __post_init__(self) -> None:
        for what, named in (
            ("arm", self.arms),
            ("protocol", self.protocols),
            ("published part", self.parts),
        ):
            names = [one.name for one in named]
            if what != "published part" and not names:
                raise UsageError(f"the study '{self.name}' needs at least one {what}")
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise UsageError(f"the study '{self.name}' has two {what}s named '{twice[0]}'")
        if not any(arm.kind == "frozen" for arm in self.arms):
            raise UsageError(
                f"the study '{self.name}' needs a frozen arm, which the others are held against"
            )
        models = {row.model for part in self.parts for row in part.rows}
        drawing = {protocol.name for protocol in self.protocols if protocol.kind == "draw"}
        for protocol in self.protocols:
            for part in (protocol.part, protocol.external):
                _refuse_unknown("published part", part, [one.name for one in self.parts])
            _refuse_unknown("protocol that draws parts", protocol.within, drawing)
        for arm in self.arms:
            _refuse_unknown("published model", arm.model, models)
            if arm.kind != "frozen":
                arm.config(self.training)
        for test in self.tests:
            for model in (test.a, test.b):
                _refuse_unknown("published model", model, models)
            _refuse_unknown("metric", test.metric, METRICS)

    def find_part(self, name: str | None) -> Part | None:
        """Return a published part; None for no name."""
        return next((part for part in self.parts if part.name == name), None)


def load_study(name: str) -> Study:
    """Load one of the studies that come with the package.

    Parameters
    ----------
    name : str
        One of ``PUBLISHED``.

    Raises
    ------
    UsageError
        If there is no such study.
    """
    if name not in PUBLISHED:
        raise unknown_name("study", name, PUBLISHED)
    return read_study(_FOLDER / f"{name}.toml")


def read_study(path: str | Path) -> Study:
    """Read a study of one's own.

    Parameters
    ----------
    path : str or Path
        A TOML file with the fields of ``Study``: ``[[protocols]]``, ``[[arms]]``, and
        ``[[parts]]`` with ``[[parts.rows]]`` where there are published figures. Paths in it
        are relative to its folder. The name is by default the file's.

    Raises
    ------
    UsageError
        If the file cannot be read, a key is unknown, or a value cannot be.
    """
    path = Path(path)
    table = read_toml(path, "study")
    where = path.name
    made: dict[str, Any] = {"name": path.stem, "title": path.stem, **table}
    if isinstance(made.get("notes"), list):
        made["notes"] = tuple(made["notes"])
    for key, cls in (
        ("protocols", StudyProtocol),
        ("arms", StudyArm),
        ("tests", PublishedTest),
    ):
        what = f"{where}, [[{key}]]"
        made[key] = tuple(take(cls, _nested(one, path), what) for one in tables(made, key, where))
    what = f"{where}, [[parts]]"
    made["parts"] = tuple(Part.from_dict(one, what) for one in tables(made, "parts", where))
    for key in ("data", "external"):
        if isinstance(made.get(key), str):
            made[key] = str(path.parent / made[key]) if made[key] != "phantom" else made[key]
    study: Study = take(Study, made, where)
    return study


def _nested(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Make what a table holds of its tables, and find the files that it names."""
    made = dict(table)
    if "augment" in made:
        made["augment"] = take(Augmentation, made["augment"], f"{path.name}, augment")
    stated = made.get("preprocessing")
    if isinstance(stated, str) and stated.endswith(".toml"):
        made["preprocessing"] = str(path.parent / stated)
    return made


def _refuse_unknown(what: str, name: str | None, known: Any) -> None:
    if name is not None and name not in known:
        raise unknown_name(what, name, known)
