"""Options of a training, under the same names in Python, in TOML and on the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import BeforeValidator

from bottleneck.backbones.licences import LicencePolicy
from bottleneck.backbones.recipe import Precision
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.volumes.patches.volume_options import VolumeOptions
from bottleneck.errors import UsageError
from bottleneck.settings.config import read_toml
from bottleneck.settings.ranges import BatchSize, Epochs, Expected, Positive, Processes, Seed
from bottleneck.settings.schema import from_table, option, schema

__all__ = [
    "TrainingAugmentation",
    "TrainingOptions",
    "parse_class_weights",
    "read_training_options",
    "underscore_keys",
]

_NETWORK, _TRAINING, _FOLDS, _MACHINE = "Network", "Training", "Folds", "Machine"
_AUGMENTATION = "Augmentation of training images"
# These decide how long a training takes, not what it results in.
_WITHOUT_EFFECT = ("device", "workers")


def _parse_widths(value: object) -> object:
    """Return widths as a tuple: the command line has them as text, and JSON as a list."""
    if isinstance(value, str):
        try:
            return tuple(map(int, value.split(",")))
        except ValueError:
            raise UsageError(
                f"the widths of hidden layers must be N,N,…, such as 512,256, not '{value}'"
            ) from None
    return tuple(value) if isinstance(value, list) else value


_Widths = Annotated[
    Annotated[tuple[Annotated[int, Ge(1), Le(65_536)], ...], MinLen(1)] | None,
    BeforeValidator(_parse_widths),
    Expected("widths of 1 to 65,536, such as 512,256"),
]
_Weights = Annotated[
    Literal["none", "balanced"] | Mapping[str, Positive],
    Expected("none, balanced, or LABEL=NUMBER for each label"),
]


@schema
class NetworkOptions:
    """The network, and the part of it that is trained."""

    backbone: str = option(
        "resnet18",
        "As for `bottleneck extract`. From scratch: small_cnn, thyronet_x4 (also _baseline, "
        "_block, _bottleneck), torchvision/alexnet, vgg16, googlenet, mobilenet_v2. On a feature "
        "file: new_fc.",
        panel=_NETWORK,
    )
    weights: str | None = option(
        None,
        "As for `bottleneck extract`; random or none for random weights.",
        panel=_NETWORK,
        shown="imagenet",
    )
    unfreeze: str = option(
        "all",
        "Layers to train: all; head (the new classifier); last (also the last stage); or the name "
        "of a layer, which is trained with all layers after it.",
        panel=_NETWORK,
    )
    preprocessing: str | None = option(
        None,
        "As for `bottleneck extract`.",
        panel=_NETWORK,
        shown="as the weights' publisher states",
    )
    pooling: str = option(
        "avg", "How the last feature map is pooled: avg, max, gem or flatten.", panel=_NETWORK
    )
    freeze_norm: bool = option(
        False, "Keep batch normalisation at its stored statistics.", panel=_NETWORK
    )
    hidden: _Widths = option(
        None,
        "Widths of hidden layers (ReLU) of the new classifier, such as 512,256.",
        panel=_NETWORK,
        shown="none; new_fc: 64",
    )
    dropout: float = option(
        0.0,
        "Dropout before the new classifier; with --hidden, after each hidden layer.",
        panel=_NETWORK,
        ge=0,
        le=1,
    )


@schema
class OptimisationOptions:
    """How the network is trained. Optimisers keep torch's defaults for all that is not here."""

    epochs: Epochs = option(30, "Maximum number of epochs.", panel=_TRAINING)
    patience: int = option(
        5,
        "Stop after this number of epochs without a better validation AUROC; 0: never.",
        panel=_TRAINING,
        ge=0,
        le=1_000_000,
    )
    batch_size: BatchSize = option(16, "Images per batch, on each device.", panel=_TRAINING)
    accumulate: BatchSize = option(1, "Batches per step of the optimiser.", panel=_TRAINING)
    optimizer: Literal["adamw", "adam", "sgd"] = option("adamw", "Optimiser.", panel=_TRAINING)
    learning_rate: Positive = option(1e-4, "Highest learning rate.", panel=_TRAINING)
    weight_decay: float = option(0.01, "Weight decay.", panel=_TRAINING, ge=0, le=1e9)
    momentum: float = option(0.9, "Momentum, for sgd only.", panel=_TRAINING, ge=0, le=1)
    schedule: Literal["constant", "linear", "cosine", "step"] = option(
        "cosine", "Learning rate after the warm-up.", panel=_TRAINING
    )
    warmup: float = option(
        0.1,
        "Share of all steps in which the learning rate rises linearly from 0.",
        panel=_TRAINING,
        ge=0,
        le=1,
    )
    step_epochs: Epochs = option(10, "Epochs between drops, for --schedule step.", panel=_TRAINING)
    step_factor: float = option(
        0.1, "Factor of each drop, for --schedule step.", panel=_TRAINING, gt=0, le=1
    )
    loss: Literal["cross_entropy", "focal"] = option("cross_entropy", "Loss.", panel=_TRAINING)
    gamma: float = option(2.0, "Gamma of the focal loss.", panel=_TRAINING, ge=0, le=1_000)
    class_weights: _Weights = option(
        "none",
        "Weights of the classes: none, balanced, or LABEL=NUMBER,LABEL=NUMBER.",
        panel=_TRAINING,
    )


@schema
class TrainingAugmentation:
    """Random changes to training images; validation and test images are never changed.

    Patches of volumes are flipped and rotated by 90° only.
    """

    random_crop: float = option(
        0.8,
        "Smallest share of the image's area that a random resized crop keeps; 1: no crop.",
        panel=_AUGMENTATION,
        gt=0,
        le=1,
    )
    flip: float = option(
        0.5,
        "Probability of a left–right flip; of volumes, along each axis.",
        panel=_AUGMENTATION,
        ge=0,
        le=1,
    )
    flip_vertical: float = option(
        0.0, "Probability of a top–bottom flip.", panel=_AUGMENTATION, ge=0, le=1
    )
    rotation: float = option(
        10.0, "Largest angle of rotation, in degrees.", panel=_AUGMENTATION, ge=0, le=180
    )
    rotate90: bool = option(False, "Also rotate by random multiples of 90°.", panel=_AUGMENTATION)
    jitter: float = option(
        0.0,
        "Largest relative change of brightness and contrast.",
        panel=_AUGMENTATION,
        ge=0,
        le=1,
    )
    noise: float = option(
        0.0,
        "Standard deviation of Gaussian noise, in grey values of 0 to 255.",
        panel=_AUGMENTATION,
        ge=0,
        le=255,
    )
    despeckle: Literal["none", "median", "lee"] = option(
        "none",
        "Speckle filter for every second image: none, median (of 3 × 3 pixels) or lee (Lee 1980, "
        "5 × 5).",
        panel=_AUGMENTATION,
    )

    @classmethod
    def none(cls) -> TrainingAugmentation:
        """Return an augmentation that changes nothing."""
        return cls(random_crop=1.0, flip=0.0, rotation=0.0)


@schema
class TrainingOptions(
    TrainingAugmentation, OptimisationOptions, VolumeOptions, Preparation, NetworkOptions
):
    """All options of a training.

    Each field states its default, its range and what it does; `bottleneck finetune --help` lists
    them. ``weights`` "none" means "random"; by default they are "imagenet", and "random" for an
    architecture that comes without weights. The fields of ``Preparation`` and ``VolumeOptions``
    apply to all images or volumes, and before the augmentation.

    Raises
    ------
    UsageError
        If an option is unknown, or a value has the wrong type or is out of range.
    """

    augment: bool = option(True, "Augment training images.", panel=_AUGMENTATION)
    validation: float = option(
        0.2,
        "Share of the patients of each training set that forms the validation set.",
        panel=_FOLDS,
        gt=0,
        le=0.5,
    )
    precision: Literal["auto", Precision] = option(
        "auto", "Arithmetic (auto is bf16 where the hardware supports it).", panel=_MACHINE
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N.", panel=_MACHINE)
    devices: Processes = option(1, "Devices that share each step (DDP).", panel=_MACHINE)
    workers: Annotated[int, Ge(0), Le(1_024)] | Literal["auto"] = option(
        "auto", "Processes that read and augment images, or auto.", panel=_MACHINE
    )
    seed: Seed = option(0, "Seed of folds, new weights, order, augmentation and dropout.")

    @property
    def augmentation(self) -> TrainingAugmentation:
        """The options that change images."""
        if not self.augment:
            return TrainingAugmentation.none()
        names = [field.name for field in dataclasses.fields(TrainingAugmentation)]
        return TrainingAugmentation(**{name: getattr(self, name) for name in names})

    def require_licence(self, policy: LicencePolicy) -> None:
        """Raise ``LicenceError`` if a policy refuses the weights that the training begins with."""
        from bottleneck.backbones.weights.stated_licences import require_named_licence
        from bottleneck.finetune.networks.architectures import NEW_FC, find_architecture

        if self.backbone != NEW_FC and find_architecture(self.backbone) is None:
            require_named_licence(self.backbone, self.weights or "imagenet", policy)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON can hold them."""
        return dataclasses.asdict(self)

    def decisive(self) -> dict[str, Any]:
        """Return the options that change the result."""
        return {k: v for k, v in self.to_dict().items() if k not in _WITHOUT_EFFECT}


def read_training_options(path: str | Path, **given: Any) -> TrainingOptions:
    """Read options from a TOML file.

    Parameters
    ----------
    path : str or Path
        A flat table with the names of ``TrainingOptions``, with ``-`` or ``_``; ``[class_weights]``
        may be a table of labels.
    **given
        Options that take precedence over those of the file.

    Raises
    ------
    UsageError
        If the file cannot be read, a name is unknown, or a value does not fit.
    """
    path = Path(path)
    table = read_toml(path, "configuration")
    # The options given are checked alone first, so that no message blames the file for them.
    TrainingOptions(**given)
    return from_table(TrainingOptions, {**underscore_keys(table), **given}, path.name)


def underscore_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of options with ``_`` for every ``-`` in its keys.

    Examples
    --------
    >>> underscore_keys({"learning-rate": 2e-5})
    {'learning_rate': 2e-05}
    """
    return {key.replace("-", "_"): value for key, value in table.items()}


def parse_class_weights(text: str) -> str | dict[str, float]:
    """Read "none", "balanced" or "benign=1.75,malignant=0.70".

    Raises
    ------
    UsageError
        If a weight is not a number.
    """
    if "=" not in text:
        return text
    weights = {}
    for part in text.split(","):
        label, _, number = part.rpartition("=")
        try:
            weights[label.strip()] = float(number)
        except ValueError:
            raise UsageError(
                f"class weights must be LABEL=NUMBER,…, not '{text}': '{number}' is not a number"
            ) from None
    return weights
