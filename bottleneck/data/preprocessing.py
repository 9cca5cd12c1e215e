"""How pixels reach a network: resize, crop, and the statistics to normalise by."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.errors import DecodeError, UsageError, unknown_name

__all__ = ["Preprocessing"]

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# A strip a thousand times longer than wide would be resized into gigabytes.
_MAX_RATIO = 50


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The input that a set of weights was trained for.

    The shorter side is resized to ``resize`` (or both sides, with ``squash``), the centre
    of ``crop`` is cut out, and each channel becomes ``(value / 255 − mean) / std``. The
    resize is Pillow's, which is antialiased, as both torchvision and timm do it.

    Attributes
    ----------
    resize : int
        Length of the shorter side after the resize.
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

    def __post_init__(self) -> None:
        if self.interpolation not in _FILTERS:
            raise unknown_name("interpolation", self.interpolation, _FILTERS)
        if self.channels not in ("RGB", "BGR"):
            raise unknown_name("channel order", self.channels, ("RGB", "BGR"))
        if not 1 <= self.crop <= self.resize:
            raise UsageError(f"crop {self.crop} must lie between 1 and resize {self.resize}")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(s > 0 for s in self.std):
            raise UsageError("mean and std need three numbers each, std above 0")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop.

        Normalising is left to the network's side, where it costs less: what travels is
        a quarter of the bytes.

        Parameters
        ----------
        image : PIL.Image.Image
            Mode RGB.

        Returns
        -------
        ndarray of uint8, shape (crop, crop, 3)
            In the order of ``channels``.

        Raises
        ------
        DecodeError
            If the image is too long and narrow to be resized.
        """
        resized = image.resize(self._resized(image.size), _FILTERS[self.interpolation])
        left = round((resized.width - self.crop) / 2.0)
        top = round((resized.height - self.crop) / 2.0)
        array = np.asarray(resized.crop((left, top, left + self.crop, top + self.crop)))
        return np.ascontiguousarray(array[:, :, ::-1]) if self.channels == "BGR" else array

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
