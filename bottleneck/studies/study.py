"""A study: data, protocols, arms, and the published figures that its own are compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator

from bottleneck.backbones.licences import LicencePolicy
from bottleneck.backbones.recipe import slug
from bottleneck.data.augmented_copies import Augmentation
from bottleneck.data.images.display import AS_STORED
from bottleneck.data.images.preparation import Preparation, locate_mask
from bottleneck.data.splits.protocol import Conflicts
from bottleneck.data.volumes.patches.volume_options import VolumeOptions
from bottleneck.errors import UsageError, unknown_name
from bottleneck.finetune.training_options import TrainingOptions, underscore_keys
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.settings.config import read_toml
from bottleneck.settings.ranges import Count, FoldCount, Repeats, Seed
from bottleneck.settings.schema import Field, from_table, schema
from bottleneck.studies.published_figures import PublishedSet, PublishedTest
from bottleneck.studies.published_training import PublishedTraining

__all__ = [
    "PUBLISHED",
    "MapMethod",
    "Study",
    "StudyArm",
    "StudyProtocol",
    "load_study",
    "read_study",
]

_FOLDER = Path(__file__).parent / "published"

#: Names of the studies that come with the package.
PUBLISHED = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))

#: How heat maps are made, or that there are none.
MapMethod: TypeAlias = Literal["auto", "exact", "grad-cam", "occlusion", "none"]

_Training = Annotated[Mapping[str, Any], AfterValidator(underscore_keys)]


@schema
class StudyArm(VolumeOptions, Preparation):
    """An arm of a study.

    The fields of ``Preparation`` and ``VolumeOptions`` say what is done to the images or volumes of
    this arm, so that an arm with prepared images can stand next to one with the images as they are.

    Attributes
    ----------
    name : str
        Unique in the study.
    backbone : str
        A name that ``load_backbone`` takes; for a trained arm also an architecture that is
        trained from scratch.
    kind : {"frozen", "new_fc", "trained"}
        A head on frozen features; the classifier of the small CNN, trained on frozen features; or
        a network that is trained itself.
    weights, preprocessing : str or None
        As ``load_backbone`` takes them; None for the defaults.
    pooling : {"avg", "max", "gem", "flatten"}
        Pooling of the last feature map.
    head : str
        Head of a frozen arm.
    training : mapping of str to value
        For the other arms, options of ``TrainingOptions`` that differ from the study's, with
        ``-`` or ``_`` in their names.
    model : str or None
        The published model that the arm corresponds to.
    """

    name: str
    backbone: str
    kind: Literal["frozen", "new_fc", "trained"] = "frozen"
    weights: str | None = None
    preprocessing: str | None = None
    pooling: str = "avg"
    head: str = "svm"
    training: _Training = Field(default_factory=dict)
    model: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if "=" in self.name or not self.name.strip():
            raise UsageError(f"an arm needs a name without '=', not '{self.name}'")
        if not self.is_trained:
            # A study file names no code.
            if self.head not in HEADS:
                raise unknown_name("head", self.head, HEADS)
            if self.training:
                raise UsageError(f"the arm '{self.name}' is frozen, so it cannot have a training")

    @property
    def is_trained(self) -> bool:
        """Whether a network is trained, and not only a head."""
        return self.kind != "frozen"

    def require_licence(self, training: Mapping[str, Any], policy: LicencePolicy) -> None:
        """Raise ``LicenceError`` if a policy refuses the weights that the arm begins with."""
        from bottleneck.backbones.weights.stated_licences import require_named_licence

        if self.kind == "trained":
            self.config(training).require_licence(policy)
        else:
            require_named_licence(self.backbone, self.weights or "imagenet", policy)

    def config(self, training: Mapping[str, Any]) -> TrainingOptions:
        """Return the options of the arm's training, given those of the study.

        Raises
        ------
        UsageError
            If an option is unknown or has a value that does not fit.
        """
        own: dict[str, Any] = {"backbone": "new_fc"}
        if self.kind == "trained":
            names = ("backbone", "weights", "pooling", "preprocessing")
            own = {name: getattr(self, name) for name in names}
            stated = {**dataclasses.asdict(self.preparation), **self.volumes}
            own |= {step: to for step, to in stated.items() if to}
        where = f"the training of '{self.name}'"
        return from_table(TrainingOptions, {**training, **self.training, **own}, where)


@schema
class StudyProtocol:
    """How the samples of a study are split.

    Attributes
    ----------
    name : str
        Unique in the study; also the name of a folder.
    kind : {"cv", "draw", "split", "folds"}
        Folds of a cross-validation; training, validation and test sets of stated sizes, drawn
        once; the data set's own split; or its published folds, with each patient in one of them.
    folds, repeats : int
        For "cv".
    seeds : int
        Number of networks that each trained arm trains per fold, to show how much depends on the
        seed.
    seed : int
        Seed of the split and of the heads.
    train, validation, test : int
        Sizes of the sets for "draw". They are kept where the data set is large enough; otherwise
        their ratio is.
    together : {"patient", "image"}
        What stays on one side of a split. With "image", a patient's images may be on both sides,
        as in much published work; the result says so.
    augment : Augmentation or None
        Altered copies that are made of all images **before** they are split.
    within : str or None
        Name of another protocol, of kind "draw"; only its training and validation sets are used.
    published : str or None
        Name of the published set that the figures are compared with.
    external : str or None
        Name of the published set for another data set that all arms are tested on.
    default : bool
        Whether the protocol runs unless others are asked for.
    conflicts : {"drop", "keep", "majority", "stop"}
        What is done with copies of one image that have different labels, as in ``Protocol``.
    """

    name: str
    kind: Literal["cv", "draw", "split", "folds"] = "cv"
    folds: FoldCount = 5
    repeats: Repeats = 1
    seeds: Repeats = 1
    seed: Seed = 0
    train: Count = 0
    validation: Count = 0
    test: Count = 0
    together: Literal["patient", "image"] = "patient"
    augment: Augmentation | None = None
    within: str | None = None
    published: str | None = None
    external: str | None = None
    default: bool = True
    conflicts: Conflicts = "drop"

    def __post_init__(self) -> None:
        if self.kind == "draw" and not (self.train and self.test):
            raise UsageError(
                f"the protocol '{self.name}' draws sets, so it needs their sizes: train and test"
            )

    @property
    def leaks(self) -> bool:
        """Whether the images of a patient may be on both sides of a split."""
        return self.together == "image"


@schema
class Study:
    """A study, with the published figures that its own are compared with.

    Attributes
    ----------
    name, title, reference : str
        The name it is called by, its subject, and where it was published.
    needs : str
        A description of the data it needs.
    positive, negative : str
        The two classes.
    notes : tuple of str
        How the publication was interpreted, and what it does not state.
    training : mapping of str to value
        Options of ``TrainingOptions`` for all trained arms, with ``-`` or ``_`` in their names.
    protocols : tuple of StudyProtocol
        At least one.
    arms : tuple of StudyArm
        At least one frozen arm, which the others are compared with.
    published : tuple of PublishedSet
        The published figures.
    tests : tuple of PublishedTest
        The published tests.
    trainings : tuple of PublishedTraining
        The published losses and metrics of epochs.
    maps : {"auto", "exact", "grad-cam", "occlusion"} or None
        How heat maps of the trained networks are made, as the last step; None for no maps.
    data, external : str or None
        Paths of data sets, for a study of your own.

    Raises
    ------
    UsageError
        If names are missing, unknown or used twice, or a training cannot be run as stated.
    """

    name: str
    title: str
    protocols: tuple[StudyProtocol, ...] = ()
    arms: tuple[StudyArm, ...] = ()
    reference: str = ""
    needs: str = ""
    positive: str = "malignant"
    negative: str = "benign"
    notes: tuple[str, ...] = ()
    training: _Training = Field(default_factory=dict)
    published: tuple[PublishedSet, ...] = ()
    tests: tuple[PublishedTest, ...] = ()
    trainings: tuple[PublishedTraining, ...] = ()
    maps: Literal["auto", "exact", "grad-cam", "occlusion"] | None = None
    data: str | None = None
    external: str | None = None

    def __post_init__(self) -> None:
        for what, entries in (
            ("arm", self.arms),
            ("protocol", self.protocols),
            ("published set", self.published),
            ("published training", self.trainings),
        ):
            is_published = what.startswith("published")
            names = [one.name for one in entries]
            if not is_published and not names:
                raise UsageError(f"the study '{self.name}' needs at least one {what}")
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise UsageError(f"the study '{self.name}' has two {what}s named '{twice[0]}'")
            folders: dict[str, str] = {}
            for one in () if is_published else names:
                if (other := folders.setdefault(slug(one).casefold(), one)) != one:
                    raise UsageError(
                        f"the {what}s '{other}' and '{one}' of the study '{self.name}' would have "
                        f"the same folder, '{slug(one)}': rename one of them"
                    )
        if all(arm.is_trained for arm in self.arms):
            raise UsageError(
                f"the study '{self.name}' needs a frozen arm, which the others are compared with"
            )
        models = {row.model for one in self.published for row in one.rows}
        drawn = {protocol.name for protocol in self.protocols if protocol.kind == "draw"}
        for protocol in self.protocols:
            for name in (protocol.published, protocol.external):
                _refuse_unknown("published set", name, [one.name for one in self.published])
            _refuse_unknown("protocol that draws sets", protocol.within, drawn)
        for arm in self.arms:
            _refuse_unknown("published model", arm.model, models)
            if arm.is_trained:
                arm.config(self.training)
        copied = next((protocol.name for protocol in self.protocols if protocol.augment), None)
        for arm in self.arms:
            prepared = arm.config(self.training) if arm.kind == "trained" else arm
            if copied is not None and prepared.display != AS_STORED:
                raise UsageError(
                    f"the arm '{arm.name}' has a window or rescaling, which has no effect on the "
                    f"altered copies of the protocol '{copied}', since they have 8 bits: leave one "
                    "of both out"
                )
        for test in self.tests:
            for model in (test.a, test.b):
                _refuse_unknown("published model", model, models)
        for training in self.trainings:
            _refuse_unknown("published model", training.model, models)
            _refuse_unknown("published set", training.validation, [p.name for p in self.published])

    def find_training(self, model: str | None) -> PublishedTraining | None:
        """Return the published training of a model; None where nothing was published of it."""
        return next((one for one in self.trainings if one.model == model), None)

    def find_published(self, name: str | None) -> PublishedSet | None:
        """Return a published set; None for no name."""
        return next((one for one in self.published if one.name == name), None)


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
    """Read a study from a TOML file.

    Parameters
    ----------
    path : str or Path
        A file with the fields of ``Study``: ``[[protocols]]``, ``[[arms]]``, and for published
        figures ``[[published]]`` with ``[[published.rows]]``. Paths in it are relative to its
        folder. The name is by default that of the file.

    Raises
    ------
    UsageError
        If the file cannot be read, a key is unknown, or a value does not fit.
    """
    path = Path(path)
    table = {"name": path.stem, "title": path.stem, **read_toml(path, "study")}
    stated = table.get("arms")
    if isinstance(stated, list):
        located = [locate_mask(a, path.parent) if isinstance(a, dict) else a for a in stated]
        table = {**table, "arms": located}
    study = from_table(Study, table, path.name)
    arms = tuple(
        dataclasses.replace(arm, preprocessing=str(path.parent / arm.preprocessing))
        if arm.preprocessing and arm.preprocessing.endswith(".toml")
        else arm
        for arm in study.arms
    )
    data, external = (
        str(path.parent / name) if name and name != "phantom" else name
        for name in (study.data, study.external)
    )
    return dataclasses.replace(study, arms=arms, data=data, external=external)


def _refuse_unknown(what: str, name: str | None, known: Any) -> None:
    if name is not None and name not in known:
        raise unknown_name(what, name, known)
