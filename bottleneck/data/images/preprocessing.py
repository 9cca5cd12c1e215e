"""How pixels reach a network: resize, crop, and the statistics to normalise by."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.errors import DecodeError, UsageError, unknown_name

__all__ = ["Preprocessing"]

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Resizer = Literal["pillow", "torchvision", "opencv"]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# What each library's resize can do; the others' rules for these filters differ from Pillow's.
_RESIZERS: dict[str, tuple[str, ...]] = {
    "pillow": tuple(_FILTERS),
    "torchvision": ("bilinear", "bicubic"),
    "opencv": ("bilinear",),
}
# This room does without torch; bottleneck.backbones, which has it, enters torchvision's here.
TENSOR_RESIZERS: dict[str, Callable[[NDArray[Any], int, int, str], NDArray[Any]]] = {}
# A strip a thousand times longer than wide would be resized into gigabytes.
_MAX_RATIO = 50
# And so would any picture by a resize far beyond what networks see.
_MAX_SIDE = 2048


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The input that a set of weights was trained for.

    The shorter side is resized to ``resize`` (or both sides, with ``squash``), the centre
    of ``crop`` is cut out, and each channel becomes ``(value / 255 − mean) / std``.
    [−1, 1] is mean and std 0.5; Keras's "caffe" mode is the means of BGR and std 1/255.

    Attributes
    ----------
    resize : int
        Length of the shorter side after the resize, at most 2048.
    crop : int
        Side of the square that reaches the network.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos"}
        Filter of the resize.
    mean, std : tuple of float
        Per channel, in the order in which the channels reach the network.
    channels : {"RGB", "BGR"}
        That order.
    squash : bool
        Resize both sides to ``resize``, giving up the aspect ratio.
    resizer : {"pillow", "torchvision", "opencv"}
        Whose resize, for their numbers differ: Pillow's of 8-bit images, antialiased but for
        "nearest" (timm, torchvision on images, Keras); torchvision's of 8-bit tensors,
        antialiased (transformers); or OpenCV's of floating-point images, not antialiased.

    Raises
    ------
    UsageError
        If a field is out of range.
    """

    resize: int
    crop: int
    interpolation: Interpolation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: Literal["RGB", "BGR"] = "RGB"
    squash: bool = False
    resizer: Resizer = "pillow"

    def __post_init__(self) -> None:
        if self.interpolation not in _FILTERS:
            raise unknown_name("interpolation", self.interpolation, _FILTERS)
        if self.channels not in ("RGB", "BGR"):
            raise unknown_name("channel order", self.channels, ("RGB", "BGR"))
        if self.resizer not in _RESIZERS:
            raise unknown_name("resizer", self.resizer, _RESIZERS)
        if self.interpolation not in _RESIZERS[self.resizer]:
            known = _RESIZERS[self.resizer]
            raise unknown_name(f"interpolation of {self.resizer}", self.interpolation, known)
        if not 1 <= self.crop <= self.resize:
            raise UsageError(f"crop {self.crop} must lie between 1 and resize {self.resize}")
        if self.resize > _MAX_SIDE:
            raise UsageError(f"resize {self.resize} is above {_MAX_SIDE}, the most that is done")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise UsageError("mean and std need three numbers each")
        if not all(math.isfinite(v) for v in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise UsageError("mean and std must be finite, and std above 0")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], source: str) -> Preprocessing:
        """Check and take the fields as JSON or TOML hold them.

        Parameters
        ----------
        fields : mapping
            As ``to_dict`` returns them; lists stand for tuples.
        source : str
            Where they were read, for the message.

        Raises
        ------
        UsageError
            If a field is unknown, missing, of the wrong type or out of range.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in fields.items():
            if name not in known:
                raise unknown_name(f"field of the preprocessing in {source}", name, known)
            if not _is_valid(name, value):
                raise UsageError(f"{source}: preprocessing field {name} cannot be {value!r}")
        missing = [
            name
            for name, field in known.items()
            if field.default is dataclasses.MISSING and name not in fields
        ]
        if missing:
            raise UsageError(f"{source}: the preprocessing lacks {', '.join(missing)}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)

    def fast(self) -> Preprocessing:
        """Return the same with torchvision's resize in place of Pillow's, where that can be.

        Both are antialiased and round to 8 bits; torchvision's takes a fifth to a third of the
        time, and a pixel in a few hundred differs by one level.
        """
        if self.resizer != "pillow" or self.interpolation not in _RESIZERS["torchvision"]:
            return self
        return dataclasses.replace(self, resizer="torchvision")

    def pixels(
        self, image: Image.Image, rgb: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8 | np.float32]:
        """Resize and crop.

        Normalising is left to the network's side, where it costs less: what travels is
        a quarter of the bytes.

        Parameters
        ----------
        image : PIL.Image.Image
            Mode RGB.
        rgb : ndarray of uint8, shape (height, width, 3), optional
            Its pixels, where they are at hand.

        Returns
        -------
        ndarray of uint8, shape (crop, crop, 3)
            0 to 255, in the order of ``channels``; float32 where the resizer is OpenCV's,
            which does not round.

        Raises
        ------
        DecodeError
            If the image is too long and narrow to be resized.
        """
        width, height, left, top = self.place(image.size)
        resized = self._resize(image, rgb, width, height)
        array = resized[top : top + self.crop, left : left + self.crop]
        return np.ascontiguousarray(array[:, :, ::-1] if self.channels == "BGR" else array)

    def place(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return what becomes of an image's size, and where the crop is in that.

        Parameters
        ----------
        size : tuple of int
            Width and height of an image.

        Returns
        -------
        width, height, left, top : int
            After the resize.

        Raises
        ------
        DecodeError
            If the image is too long and narrow to be resized.
        """
        width, height = self._resized(size)
        return width, height, round((width - self.crop) / 2.0), round((height - self.crop) / 2.0)

    def _resize(
        self, image: Image.Image, rgb: NDArray[np.uint8] | None, width: int, height: int
    ) -> NDArray[np.uint8 | np.float32]:
        if self.resizer == "pillow":
            return np.asarray(image.resize((width, height), _FILTERS[self.interpolation]))
        array = np.asarray(image) if rgb is None else rgb
        if self.resizer == "opencv":
            return _linear(_linear(array, width, axis=1), height, axis=0).astype(np.float32)
        if self.resizer not in TENSOR_RESIZERS:
            raise UsageError(
                f"the resizer '{self.resizer}' needs torch: import bottleneck.backbones.resizing"
            )
        return TENSOR_RESIZERS[self.resizer](array, height, width, self.interpolation)

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        if max(size) > _MAX_RATIO * min(size):
            raise DecodeError(f"{width}×{height} pixels: too long and narrow to be a picture")
        if self.squash:
            return self.resize, self.resize
        # torchvision truncates the longer side; its Resize is what the weights were tested with.
        short, long = min(size), max(size)
        longer = math.trunc(self.resize * long / short)
        return (self.resize, longer) if width <= height else (longer, self.resize)


def _linear(array: NDArray[Any], length: int, *, axis: int) -> NDArray[np.float64]:
    # OpenCV's INTER_LINEAR: between the two nearest pixels, however many are left out.
    n = array.shape[axis]
    place = (np.arange(length) + 0.5) * (n / length) - 0.5
    first = np.floor(place).astype(int)
    share = np.expand_dims(place - first, tuple(a for a in range(array.ndim) if a != axis))
    before = np.take(array, first.clip(0, n - 1), axis)
    after = np.take(array, (first + 1).clip(0, n - 1), axis)
    return before * (1 - share) + after * share


def _is_valid(name: str, value: object) -> bool:
    if name in ("mean", "std"):
        return isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)
    if name == "squash":
        return isinstance(value, bool)
    if name in ("resize", "crop"):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str)
