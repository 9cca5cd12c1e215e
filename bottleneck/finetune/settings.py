"""The options of a training, by one name in Python, in TOML and on the command line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from bottleneck.backbones.recipe import PRECISIONS
from bottleneck.config import read_toml
from bottleneck.errors import UsageError, unknown_name

__all__ = ["Augmentation", "Config", "parse_class_weights", "read_config"]

_CHOICES = {
    "despeckle": ("none", "median", "lee"),
    "loss": ("cross_entropy", "focal"),
    "optimizer": ("adamw", "adam", "sgd"),
    "precision": ("auto", *PRECISIONS),
    "schedule": ("constant", "linear", "cosine", "step"),
}
# Least and largest value of an option, the least itself included or not.
_SHARE = (0.0, 1.0, True)
_RANGES: dict[str, tuple[float, float, bool]] = {
    "accumulate": (1, math.inf, True),
    "batch_size": (1, math.inf, True),
    "devices": (1, math.inf, True),
    "dropout": _SHARE,
    "epochs": (1, math.inf, True),
    "flip": _SHARE,
    "flip_vertical": _SHARE,
    "gamma": (0, math.inf, True),
    "jitter": _SHARE,
    "learning_rate": (0, math.inf, False),
    "momentum": _SHARE,
    "noise": (0, 255, True),
    "patience": (0, math.inf, True),
    "random_crop": (0, 1, False),
    "rotation": (0, 180, True),
    "seed": (0, math.inf, True),
    "step_epochs": (1, math.inf, True),
    "step_factor": (0, 1, False),
    "validation": (0, 0.5, False),
    "warmup": _SHARE,
    "weight_decay": (0, math.inf, True),
}
_TEXTS = ("backbone", "device", "pooling", "preprocessing", "unfreeze", "weights")
# These decide how fast the result is there, and not what it is.
_WITHOUT_EFFECT = ("device", "workers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How images are altered while a network is trained; those of other parts never are.

    Attributes
    ----------
    random_crop : float
        Least share of the image's area that a random resized crop keeps, in a box whose sides
        are as 3:4 to 4:3 (Szegedy et al. 2015); 1 keeps the crop of the evaluation.
    flip, flip_vertical : float
        Chance that left and right, or top and bottom, are swapped.
    rotation : float
        Largest angle of a random rotation, in degrees; corners are filled with black.
    rotate90 : bool
        Whether images are turned by a random multiple of 90° as well.
    jitter : float
        Largest relative change of brightness and of contrast.
    noise : float
        Standard deviation of Gaussian noise, in grey values of 255.
    despeckle : {"none", "median", "lee"}
        A filter of speckle that every second image goes through: a median of 3 × 3 pixels,
        or the filter of Lee (1980) over 5 × 5.
    """

    random_crop: float = 0.8
    flip: float = 0.5
    flip_vertical: float = 0.0
    rotation: float = 10.0
    rotate90: bool = False
    jitter: float = 0.0
    noise: float = 0.0
    despeckle: str = "none"

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def none(cls) -> Augmentation:
        """Return one that alters nothing."""
        return cls(random_crop=1.0, flip=0.0, rotation=0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Augmentation):
    """All options of a training.

    Those of the augmentation are inherited, so that one flat list of names serves Python, TOML
    and the command line.

    Attributes
    ----------
    backbone : str
        A name that ``load_backbone`` takes, one of ``bottleneck.finetune.architectures``, or
        "new_fc" for features.
    weights : str or None
        As ``load_backbone`` takes them; "none" is "random". By default "imagenet", and
        "random" for an architecture that comes without weights.
    preprocessing : str or None
        How pixels reach the network; by default what the weights' publisher states.
    pooling : {"avg", "max", "gem", "flatten"}
        How the last feature map becomes what the new classifier sees.
    unfreeze : str
        "all"; "head", the new classifier alone; "last", with it the last stage of the
        network; or the name of a layer, with it all that comes after.
    freeze_norm : bool
        Keep batch normalisation at its stored statistics in the trained part as well.
    dropout : float
        Chance that the new classifier loses an input while it is trained.
    epochs, patience : int
        Most epochs, and after how many without a better AUROC of the validation part training
        stops; 0 for never.
    batch_size, accumulate : int
        Images a batch (on each device), and batches a step of the optimiser.
    optimizer : {"adamw", "adam", "sgd"}
        With torch's own settings but for the following three.
    learning_rate, weight_decay, momentum : float
        The last is of "sgd" only.
    schedule : {"constant", "linear", "cosine", "step"}
        Of the learning rate after the warm-up: to 0 at the last step, or by ``step_factor``
        every ``step_epochs`` epochs.
    warmup : float
        Share of all steps in which the learning rate rises linearly from 0.
    loss : {"cross_entropy", "focal"}
        See ``bottleneck.finetune.losses``.
    gamma : float
        Of the focal loss.
    class_weights : str or mapping of str to float
        "none", "balanced" for n / (classes × n of the class), or a weight for each label.
    validation : float
        Share of each training part that is kept out of it, by patient, to choose the epoch.
    augment : bool
        False leaves all augmentation out.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Arithmetic; "auto" is bf16 where the hardware computes in it.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    devices : int
        Number of devices, or of processes on a CPU, that share each step (DDP).
    workers : int or "auto"
        Processes that read and alter images; 0 for none beside the training itself.
    seed : int
        Of the network's new weights, the order of images, augmentation and dropout.

    Raises
    ------
    UsageError
        If a value cannot be.
    """

    backbone: str = "resnet18"
    weights: str | None = None
    preprocessing: str | None = None
    pooling: str = "avg"
    unfreeze: str = "all"
    freeze_norm: bool = False
    dropout: float = 0.0
    epochs: int = 30
    patience: int = 5
    batch_size: int = 16
    accumulate: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: float = 0.1
    step_epochs: int = 10
    step_factor: float = 0.1
    loss: str = "cross_entropy"
    gamma: float = 2.0
    class_weights: str | Mapping[str, float] = "none"
    validation: float = 0.2
    augment: bool = True
    precision: str = "auto"
    device: str = "auto"
    devices: int = 1
    workers: int | str = "auto"
    seed: int = 0

    @property
    def augmentation(self) -> Augmentation:
        """The part of the options that alters images."""
        if not self.augment:
            return Augmentation.none()
        names = [field.name for field in dataclasses.fields(Augmentation)]
        return Augmentation(**{name: getattr(self, name) for name in names})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    def decisive(self) -> dict[str, Any]:
        """Return the fields that change the result."""
        return {k: v for k, v in self.to_dict().items() if k not in _WITHOUT_EFFECT}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str) -> Self:
        """Check names and take the values; ``-`` in a name stands for ``_``.

        Raises
        ------
        UsageError
            If a name is unknown, or a value cannot be.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        taken = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in known:
                raise unknown_name(f"option in {source}", key, known)
            taken[name] = value
        return cls(**taken)


def read_config(path: str | Path, **given: Any) -> Config:
    """Read options from a TOML file.

    Parameters
    ----------
    path : str or Path
        A flat table with the names of ``Config``; ``[class_weights]`` may be a table of labels.
    **given
        Options that go before those of the file.

    Raises
    ------
    UsageError
        If the file cannot be read, a name is unknown, or a value cannot be.
    """
    path = Path(path)
    values = read_toml(path, "configuration")
    plain = {key.replace("-", "_"): value for key, value in values.items()}
    return Config.from_dict({**plain, **given}, path.name)


def parse_class_weights(text: str) -> str | dict[str, float]:
    """Read "none", "balanced" or "benign=1.75,malignant=0.70".

    Raises
    ------
    UsageError
        If it is none of these.
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
                f"class weights need LABEL=NUMBER,…, not '{text}': '{number}' is no number"
            ) from None
    return weights


def _check(options: Augmentation) -> None:
    for field in dataclasses.fields(options):
        name, value = field.name, getattr(options, field.name)
        if name in _CHOICES and value not in _CHOICES[name]:
            raise unknown_name(name, str(value), _CHOICES[name])
        if name in _RANGES:
            _check_number(name, value, whole=isinstance(field.default, int))
        elif isinstance(field.default, bool) and not isinstance(value, bool):
            raise UsageError(f"{name} is true or false, not {value!r}")
        elif name in _TEXTS and not isinstance(value, str if field.default else str | None):
            raise UsageError(f"{name} is a text, not {value!r}")
        elif name == "workers" and value != "auto":
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or int(value) < 0:
                raise UsageError(f"workers is a whole number from 0 on, or auto, not {value!r}")
        elif name == "class_weights":
            _check_weights(value)


def _check_number(name: str, value: Any, *, whole: bool) -> None:
    least, most, included = _RANGES[name]
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise UsageError(f"{name} is a {'whole ' if whole else ''}number, not {value!r}")
    if not (least <= value <= most and math.isfinite(value)) or (value == least and not included):
        bound = f"from {least:g} on" if included else f"above {least:g}"
        limit = f" up to {most:g}" if math.isfinite(most) else ""
        raise UsageError(f"{name} must be {bound}{limit}, not {value:g}")


def _check_weights(value: Any) -> None:
    if isinstance(value, Mapping):
        for label, weight in value.items():
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number or not (math.isfinite(weight) and weight > 0):
                raise UsageError(f"the class weight of '{label}' must be above 0, not {weight!r}")
    elif value not in ("none", "balanced"):
        raise UsageError(
            f"class weights are none, balanced, or LABEL=NUMBER for each label, not {value!r}"
        )
