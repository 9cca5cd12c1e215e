"""The preprocessing that each publisher of weights states, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import bottleneck.backbones.inputs.resizing  # noqa: F401  # Registers torchvision's resize.
from bottleneck.backbones.encoder import Encoder
from bottleneck.backbones.networks import config_of
from bottleneck.backbones.recipe import AnyPreprocessing, is_of_volumes
from bottleneck.backbones.volumetric.volume_encoders import VolumeEncoder
from bottleneck.backbones.volumetric.volume_presets import VOLUME_PRESETS
from bottleneck.data.images.preparation import locate_mask
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError, unknown_name
from bottleneck.settings.config import read_toml
from bottleneck.settings.schema import from_table
from bottleneck.text.short_repr import shorten

__all__ = [
    "default_preprocessing",
    "find_preprocessing",
    "keras_preprocessing",
    "own_preprocessing",
    "torchvision_preprocessing",
    "transformers_preprocessing",
]

_Triple = tuple[float, float, float]
_IN_WORDS = {1: "one channel", 3: "three channels", 4: "four channels"}
_IMAGENET: tuple[_Triple, _Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_UNIT: tuple[_Triple, _Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Means of ImageNet's channels in the order BGR, as used by Caffe's models.
_CAFFE_MEAN: _Triple = (103.939 / 255, 116.779 / 255, 123.68 / 255)
_CAFFE_STD: _Triple = (1 / 255, 1 / 255, 1 / 255)

# These contradict each other, and all are in use (BMEII-AI/RadImageNet, issue 18).
_RADIMAGENET = {
    # pytorch_example.ipynb: cv2.imread, (x − 127.5)·2/255, then cv2.resize.
    "radimagenet": Preprocessing(
        224, 224, "bilinear", *_UNIT, channels="BGR", squash=True, resizer="opencv"
    ),
    # The Keras scripts: resize by flow_from_dataframe, "caffe" mode, then division by 255.
    "radimagenet-keras": Preprocessing(
        256, 256, "nearest", _CAFFE_MEAN, (1.0, 1.0, 1.0), channels="BGR", squash=True
    ),
    # The example in the hub repository Lab-Rasool/RadImageNet.
    "radimagenet-imagenet": Preprocessing(256, 224, "bilinear", *_IMAGENET),
    # MONAI's perceptual loss: ImageNet's means in the order BGR, without division by a std.
    "radimagenet-monai": Preprocessing(
        224,
        224,
        "bilinear",
        (0.406, 0.456, 0.485),
        (1.0, 1.0, 1.0),
        channels="BGR",
        squash=True,
    ),
}


def find_preprocessing(name: str, encoder: Encoder, sha256: str | None = None) -> AnyPreprocessing:
    """Return the preprocessing with a name.

    Parameters
    ----------
    name : str
        "timm", "torchvision", "keras" or "transformers" for what that library states for
        the encoder; "radimagenet" or one of its variants, which contradict each other; for
        volumes, "ssl", "btcv", "brats", "medicalnet" or "ct_fm", for what these publishers state;
        or the path of a TOML file with the fields of ``Preprocessing``, and those of
        ``Preparation`` in a table [preparation]; the path of a mask is relative to the folder of
        the file. For volumes, it has the fields of ``VolumePreprocessing``.
    encoder : Encoder
        The encoder whose weights are used.
    sha256 : str, optional
        sha256 of the weight file; it distinguishes torchvision's first weights from its second.

    Raises
    ------
    UsageError
        If there is no such preprocessing, or the file cannot be read.
    """
    if name in _STATED and name in encoder.layouts:
        return _STATED[name](encoder, sha256)
    presets: Mapping[str, AnyPreprocessing] = _RADIMAGENET
    if isinstance(encoder, VolumeEncoder):
        presets = {k: v for k, v in VOLUME_PRESETS.items() if v.n_channels == encoder.n_channels}
    stated = presets.get(name) or _read_file(name)
    if stated is not None:
        _refuse_channels(stated, encoder, name)
        return stated
    known = [*(n for n in _STATED if n in encoder.layouts), *presets, "FILE.toml"]
    raise unknown_name(f"preprocessing of {encoder.name}", name, known)


def _refuse_channels(stated: AnyPreprocessing, encoder: Encoder, name: str) -> None:
    wanted = encoder.n_channels
    if stated.n_channels == wanted:
        return
    if isinstance(stated, VolumePreprocessing):
        is_stated, advice = f"n_channels = {stated.n_channels}", f"n_channels = {wanted}"
    else:
        is_stated, advice = f"channels = '{stated.channels}'", "RGB or BGR"
        if wanted != 3:
            advice = f"the preprocessing of volumes, with n_channels = {wanted}"
    raise UsageError(
        f"{encoder.name} takes {_IN_WORDS.get(wanted, wanted)}, but {name} states {is_stated}: "
        f"state {advice}"
    )


def _read_file(name: str) -> AnyPreprocessing | None:
    """Return the preprocessing in a TOML file; None for other names."""
    path = Path(name)
    if path.suffix != ".toml":
        return None
    table = read_toml(path, "preprocessing")
    if is_of_volumes(table):
        return from_table(VolumePreprocessing, table, str(path))
    if isinstance(stated := table.get("preparation"), Mapping):
        table = {**table, "preparation": locate_mask(stated, path.parent)}
    return from_table(Preprocessing, table, str(path))


def own_preprocessing(stated: object, module: object) -> AnyPreprocessing:
    """Return the preprocessing of a network of one's own.

    Parameters
    ----------
    stated : Preprocessing, str, Path or mapping
        As ``Backbone.from_module`` takes it.
    module : nn.Module
        The network; "timm" reads what it states.

    Raises
    ------
    UsageError
        If it is none of these, or states what ``Preprocessing`` cannot express.
    """
    if isinstance(stated, Preprocessing | VolumePreprocessing):
        return stated
    if isinstance(stated, str | Path):
        stated = str(stated)
        if stated == "timm":
            config = getattr(module, "pretrained_cfg", None) or {}
            return _from_data_config(config, f"the {type(module).__name__} (its pretrained_cfg)")
        if (found := _RADIMAGENET.get(stated) or _read_file(stated)) is not None:
            return found
        raise unknown_name(
            "preprocessing of a network of your own", stated, ["timm", *_RADIMAGENET, "FILE.toml"]
        )
    if isinstance(stated, Mapping):
        return _from_data_config(stated, "the data configuration")
    raise UsageError(
        "the preprocessing must be a Preprocessing, a VolumePreprocessing, a data configuration of "
        f"timm (a dict), or a name, not {shorten(stated)}: only the publisher of the weights knows "
        "the size, the mean and the std that they expect"
    )


def _from_data_config(config: Mapping[str, Any], what: str) -> Preprocessing:
    needed = ("input_size", "interpolation", "mean", "std", "crop_pct")
    if lacking := [field for field in needed if config.get(field) is None]:
        raise UsageError(
            f"{what} does not state {', '.join(lacking)}; give a Preprocessing, or what "
            "timm.data.resolve_model_data_config(model) returns"
        )
    mode = config.get("crop_mode") or "center"
    size, mean, std = (_numbers(config, field, what) for field in ("input_size", "mean", "std"))
    if len(size) != 3 or size[1] != size[2] or mode not in ("center", "squash"):
        raise UsageError(
            f"{what} states an input of {'×'.join(f'{side:g}' for side in size)} with the crop "
            f"mode '{mode}', which is not supported; a square and a centre crop are"
        )
    channels = int(size[0])
    if channels not in (1, 3) or not len(mean) == len(std) == channels:
        raise UsageError(
            f"{what} states {channels} channels, {len(mean)} means and {len(std)} deviations; one "
            "or three of each are needed"
        )
    if config.get("crop_border_pixels"):
        raise UsageError(f"{what} states crop_border_pixels, which is not supported")
    side, share = int(size[1]), config["crop_pct"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0.1 <= share <= 1:
        raise UsageError(f"{what} states crop_pct = {share!r}; it must be from 0.1 to 1")
    return Preprocessing(
        # Truncated as in timm.data.transforms_factory.
        resize=int(side / share),
        crop=side,
        interpolation=config["interpolation"],
        mean=cast(_Triple, tuple(mean) * (3 // channels)),
        std=cast(_Triple, tuple(std) * (3 // channels)),
        channels="RGB" if channels == 3 else "L",
        squash=mode == "squash",
    )


def _numbers(config: Mapping[str, Any], field: str, what: str) -> list[float]:
    try:
        return [float(number) for number in config[field]]
    except (TypeError, ValueError):
        raise UsageError(f"{what} states {field} = {config[field]!r}, not numbers") from None


def default_preprocessing(encoder: Encoder) -> AnyPreprocessing:
    """Return the preprocessing that timm, or the first publisher, states for an encoder's weights.

    Raises
    ------
    UsageError
        If timm states none, or one that ``Preprocessing`` cannot express.
    """
    if isinstance(encoder, VolumeEncoder):
        return VOLUME_PRESETS[encoder.layouts[0]]
    return _from_data_config(config_of(encoder).to_dict(), f"timm's {encoder.timm}")


def torchvision_preprocessing(name: str, sha256: str | None = None) -> Preprocessing:
    """Return the preprocessing that torchvision states for one of its weight files.

    Parameters
    ----------
    name : str
        Name of the model in torchvision.
    sha256 : str, optional
        sha256 of the file. torchvision's file names contain its first eight digits, which
        distinguish the first weights of a network from the second. Without a match, the first
        weights are assumed.
    """
    from torchvision.models import get_model_weights

    published = list(get_model_weights(name))
    digits = (sha256 or "")[:8]
    entry = next((w for w in published if digits and f"-{digits}." in w.url), published[0])
    stated = entry.transforms()
    mean, std = tuple(stated.mean), tuple(stated.std)
    if name == "inception_v3":
        # torchvision normalises twice here: with ImageNet's statistics and then, inside the
        # network, from these to [-1, 1]. The combined result is [-1, 1].
        mean, std = _UNIT
    return Preprocessing(
        resize=stated.resize_size[0],
        crop=stated.crop_size[0],
        interpolation=stated.interpolation.value,
        mean=mean,
        std=std,
    )


def keras_preprocessing(name: str) -> Preprocessing:
    """Return the preprocessing that ``keras.applications`` states for one of its networks.

    The resize is that of ``keras.utils.load_img(path, target_size=...)``, as in Keras's own
    examples: both sides, nearest pixel.

    Parameters
    ----------
    name : str
        Name of the network in ``keras.applications``.
    """
    side = 299 if name in ("InceptionV3", "InceptionResNetV2") else 224
    if name in ("VGG16", "ResNet50"):
        mean, std = _CAFFE_MEAN, _CAFFE_STD
        return Preprocessing(side, side, "nearest", mean, std, channels="BGR", squash=True)
    mean, std = _UNIT if side == 299 else _IMAGENET
    return Preprocessing(side, side, "nearest", mean, std, squash=True)


def transformers_preprocessing(encoder: Encoder) -> Preprocessing:
    """Return the preprocessing of transformers' image processor for an encoder.

    The default processor resizes both sides of 8-bit tensors to the input size, with torchvision.
    """
    side = config_of(encoder).input_size[-1]
    return Preprocessing(side, side, "bicubic", *_IMAGENET, squash=True, resizer="torchvision")


_STATED: dict[str, Callable[[Encoder, str | None], AnyPreprocessing]] = {
    "timm": lambda encoder, _: default_preprocessing(encoder),
    "torchvision": lambda encoder, sha256: torchvision_preprocessing(
        str(encoder.torchvision), sha256
    ),
    "keras": lambda encoder, _: keras_preprocessing(str(encoder.keras)),
    "transformers": lambda encoder, _: transformers_preprocessing(encoder),
    # The package states none for its lite networks; timm states that of their first publisher.
    "efficientnet_pytorch": lambda encoder, _: default_preprocessing(encoder),
}
