"""A finished training, as the commands that use its networks read it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Le, MinLen
from numpy.typing import NDArray

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.recipe import RecordedPreprocessing, name_decoding
from bottleneck.data.images.decode import POLICY
from bottleneck.data.readers.tables.csv_tables import read_table
from bottleneck.errors import DataError, ModelError, UsageError
from bottleneck.finetune.inputs.validation_split import REFIT, fold_name
from bottleneck.finetune.networks.architectures import find_architecture, new_fc
from bottleneck.finetune.networks.classifier import Classifier, attach_head, wrap
from bottleneck.finetune.training_folder.fold_record import JOINED, TRAINING_FORMAT, FileRecord
from bottleneck.finetune.training_folder.saved_files import (
    DamagedFile,
    Seal,
    is_there,
    read_object,
    read_sealed,
    read_sealed_json,
)
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.predictions import Predictions
from bottleneck.predictions.prediction_tables import read_parts
from bottleneck.settings.schema import from_table, schema
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone

__all__ = ["NetworkRecord", "TrainedFolder", "TrainingRecord"]

_WEIGHTS = "network.safetensors"
_REFERENCE = "reference.npz"
_AGAIN = "repeat the training with the same command, which repairs it"


@schema(closed=False)
class FoldFiles:
    """The number of a fold, and the seals of its files."""

    repeat: int
    fold: int
    n_train: int
    n_validation: int
    n_test: int
    files: Mapping[str, FileRecord]

    @property
    def name(self) -> str:
        """Name of the folder of the fold."""
        return fold_name(self.repeat, self.fold) if self.n_test else REFIT


@schema(closed=False)
class NetworkRecord:
    """The network of a training: its architecture, its preprocessing, and where it started."""

    backbone: str
    weights: str
    architecture: str = ""
    pooling: str = "avg"
    variant: str = ""
    own: bool = False
    weights_sha256: str | None = None
    licence: str | None = None
    preprocessing: RecordedPreprocessing | None = None


@schema(closed=False)
class FeaturesRecord:
    """The features that a classifier was trained on: their number, recipe and weights."""

    n_features: Annotated[int, Ge(1), Le(10**7)]
    recipe: Mapping[str, Any]
    recipe_hash: str
    weights: Mapping[str, Any] | None = None


@schema(closed=False)
class DatasetRecord:
    """The data set of a training."""

    name: str
    fingerprint: str | None = None
    positive: str | None = None
    n_samples: int
    selection: Mapping[str, Any]
    n_regions: int | None = None


@schema(closed=False)
class TrainingRecord:
    """The fields of a ``training.json`` that a prediction needs."""

    format: str
    name: str
    seed: Annotated[int, Ge(0), Le(2**63)]
    classes: Annotated[tuple[str, ...], MinLen(2)]
    config: TrainingOptions
    dataset: DatasetRecord
    network: NetworkRecord
    decoding: str = POLICY
    features: FeaturesRecord | None = None
    folds: Annotated[tuple[FoldFiles, ...], MinLen(1)]
    refit: FoldFiles | None
    files: Mapping[str, FileRecord]


class TrainedFolder:
    """A finished training: its record, its networks, and what they predicted.

    Every file is compared with the checksum that was recorded when it was written.

    Parameters
    ----------
    path : Path
        A folder written by ``finetune``.

    Attributes
    ----------
    record : TrainingRecord
        What was trained.

    Raises
    ------
    ModelError
        If the folder holds no finished training, or its record is damaged or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = _read_record(path)

    def predictions(self) -> tuple[Predictions, Predictions]:
        """Return the predictions of the test folds, and those of the validation sets.

        Raises
        ------
        ModelError
            If the file is missing or damaged.
        """
        rows, part = self._read_table("predictions.csv")
        return rows.take(part == "test"), rows.take(part == "validation")

    def joined_patients(self) -> Mapping[str, str]:
        """Return the group of each patient, or of each image where no patients are known.

        Patients who share copies of an image are one group, which no fold divides. Empty where
        no copies were found.
        """
        frame, _ = read_table(self.path / "predictions.csv")
        if JOINED not in frame:
            return {}
        known = frame["group"].where(frame["group"] != "", frame["id"])
        return dict(zip(known, frame[JOINED], strict=True))

    def refit_validation(self) -> Predictions:
        """Return the predictions of the validation set of the network of all samples.

        Raises
        ------
        ModelError
            If the file is missing or damaged.
        """
        return self._read_table(f"{REFIT}.csv")[0]

    def _read_table(self, name: str) -> tuple[Predictions, np.ndarray]:
        self._read(self.path / name, "table of predictions", self.record.files)
        try:
            return read_parts(self.path / name)
        except DataError as error:
            raise ModelError(f"{error}; {_AGAIN}") from None

    def network(self, fold: FoldFiles, backbone: Backbone | None = None) -> Classifier:
        """Return a trained network.

        Parameters
        ----------
        fold : FoldFiles
            Its record, of ``record.folds`` or ``record.refit``.
        backbone : Backbone, optional
            The backbone that was passed to ``finetune``, if any.

        Raises
        ------
        ModelError
            If the network is missing or damaged, or cannot be built here.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        file = self.path / fold.name / _WEIGHTS
        data = self._read(file, "network", fold.files)
        try:
            tensors = load(data)
        except SafetensorError:
            raise ModelError(f"{file} is not a safetensors file; {_AGAIN}") from None
        network = self._blank(backbone)
        try:
            network.load_state_dict(tensors)
        except RuntimeError:
            raise ModelError(
                f"the network in {file.parent} does not have the architecture that its record "
                "states, or that of the backbone given: pass the backbone of the training, with "
                "the versions of timm and torchvision that training.json names"
            ) from None
        return network.eval()

    def reference(self, fold: FoldFiles) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Return the features of a network's training set, and their patients as numbers.

        None for a network without a pooled map.

        Raises
        ------
        ModelError
            If the file is missing or damaged.
        """
        file = self.path / fold.name / _REFERENCE
        if file.name not in fold.files:
            return None
        data = self._read(file, "features of the training set", fold.files)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return arrays["X"], arrays["patients"]
        except (OSError, KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile):
            raise ModelError(f"{file} holds no features of a training set; {_AGAIN}") from None

    def _read(self, file: Path, what: str, seals: Mapping[str, FileRecord]) -> bytes:
        seal = seals.get(file.name)
        if seal is None:
            raise ModelError(f"{self.path / 'training.json'} does not name {file.name}; {_AGAIN}")
        try:
            return read_sealed(file, what, Seal(seal.size, seal.sha256))
        except DamagedFile as damaged:
            raise ModelError(f"{file} {damaged.reason}; {_AGAIN}") from None
        except UsageError as error:
            raise ModelError(*error.args) from None

    def _blank(self, backbone: Backbone | None) -> Classifier:
        """Return a network of the recorded architecture, with any weights."""
        stated, n_classes = self.record.network, len(self.record.classes)
        config = self.record.config
        if self.record.features is not None:
            width = self.record.features.n_features
            return wrap(new_fc(width, n_classes, config.hidden, config.dropout), None)
        architecture = None if stated.architecture else find_architecture(stated.backbone)
        if architecture is not None:
            return wrap(architecture.build(n_classes), stated.preprocessing)
        if backbone is not None and backbone.architecture != stated.architecture:
            raise ModelError(
                f"{self.path} was trained from the network {stated.backbone} "
                f"({stated.architecture}), but the backbone given is {backbone.name} "
                f"({backbone.architecture}): pass the one that was trained"
            )
        made = backbone or self._encoder(stated)
        return attach_head(
            made,
            n_classes,
            unfreeze="all",
            hidden=config.hidden,
            dropout=config.dropout,
            freeze_norm=False,
        )

    def _encoder(self, stated: NetworkRecord) -> Backbone:
        from bottleneck.backbones.backbone import Backbone
        from bottleneck.backbones.layouts.key_maps import layouts_of
        from bottleneck.backbones.networks import build
        from bottleneck.backbones.weights.loading import Weights

        own = (
            f"{self.path} was trained from a user's own network, '{stated.backbone}', which "
            "cannot be built by its name: in Python, pass it again (load_model(…, backbone=…))"
        )
        try:
            encoder = find_encoder(stated.backbone)
        except UsageError:
            raise ModelError(own) from None
        if stated.own or encoder.architecture != stated.architecture:
            raise ModelError(own)
        network = build(encoder)
        adapt = {layout.variant: layout.adapt for layout in layouts_of(encoder)}
        if stated.variant and (change := adapt.get(stated.variant)) is not None:
            change(network)
        elif stated.variant:
            raise ModelError(
                f"{self.path} was trained from the variant '{stated.variant}' of "
                f"{stated.backbone}, which this version of bottleneck does not have: train again"
            )
        assert stated.preprocessing is not None
        return Backbone(
            network,
            name=stated.backbone,
            architecture=stated.architecture,
            weights=Weights("trained", "", variant=stated.variant, licence=stated.licence),
            preprocessing=stated.preprocessing,
            pooling=stated.pooling,
        )


def _read_record(path: Path) -> TrainingRecord:
    file = path / "training.json"
    try:
        if not is_there(file, "training record"):
            raise ModelError(_explain_missing(path))
        version = read_object(file, "training record").get("format")
        if version != TRAINING_FORMAT:
            raise ModelError(
                f"{file} has the format {version!r}, not '{TRAINING_FORMAT}', because another "
                "version of bottleneck trained these networks: train them again, into another "
                "folder"
            )
        content = read_sealed_json(file, "training record")
        record = from_table(TrainingRecord, content, str(file))
    except DamagedFile as damaged:
        raise ModelError(f"{file} {damaged.reason}; {_AGAIN}") from None
    except (UsageError, RecursionError) as error:
        raise ModelError(f"the training in {path} is unknown: {error}") from None
    if record.features is None and record.network.preprocessing is None:
        raise ModelError(f"{file} does not record how images are preprocessed; {_AGAIN}")
    stated = record.network.preprocessing
    rules = POLICY if stated is None else name_decoding(stated, "reference")
    if record.decoding != rules:
        raise ModelError(
            f"{path} was trained on images decoded by the rules '{record.decoding}', and this "
            f"version of bottleneck decodes by '{rules}': train again, into another folder"
        )
    return record


def _explain_missing(path: Path) -> str:
    """Return why a folder holds no finished training, and what to do."""
    names = {entry.name for entry in path.iterdir()}
    if "run.json" in names:
        n = sum(name.startswith("fold-") and (path / name / "fold.json").exists() for name in names)
        return (
            f"{path} holds a training that is not finished ({counted(n, 'fold')} done): repeat "
            "the command that trains (bottleneck finetune), which continues it"
        )
    if seeds := sorted(name for name in names if name.startswith("seed-")):
        return (
            f"{path} holds the trainings of {counted(len(seeds), 'seed')}, each an arm of its own "
            f"in a comparison: name one of them, such as {path / seeds[0]}"
        )
    if "results.json" in names:
        return (
            f"{path} holds a comparison, not a model: name a model that `bottleneck fit` wrote, or "
            "a folder of `bottleneck finetune`; the report ends with the command that fits the "
            "best arm"
        )
    return (
        f"{path} is a folder without a training.json, so it holds no trained networks: name the "
        "folder that `bottleneck finetune` wrote (--output), or the file of a model"
    )
