"""Preprocessing: resize, crop, and the mean and std that normalise the pixels of a network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.preparation import Preparation
from bottleneck.errors import DecodeError, UsageError, unknown_name
from bottleneck.settings.schema import schema

__all__ = ["Preprocessing"]

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Resizer = Literal["pillow", "torchvision", "opencv"]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# The filters of each library's resize that are reproduced here exactly.
_RESIZERS: dict[str, tuple[str, ...]] = {
    "pillow": tuple(_FILTERS),
    "torchvision": ("bilinear", "bicubic"),
    "opencv": ("bilinear",),
}
# ``bottleneck.data`` does not import torch; ``backbones.inputs.resizing`` adds torchvision's.
TENSOR_RESIZERS: dict[str, Callable[[NDArray[Any], int, int, str], NDArray[Any]]] = {}
# Limits on the aspect ratio and on ``resize``. Without them, a resize could take gigabytes: of an
# image a thousand times longer than wide, or to a size far beyond the input of any network.
_MAX_RATIO = 50
_MAX_SIDE = 2048
# On a scale of 0 to 1; Keras's "caffe" mode has a std of 1/255 and means of half.
_Mean = Annotated[float, Ge(-1_000), Le(1_000)]
_Positive = Annotated[float, Ge(1e-6), Le(1_000)]


@schema(kw_only=False)
class Preprocessing:
    """The preprocessing that a set of weights expects.

    The shorter side is resized to ``resize`` (with ``squash``, both sides), a square of side
    ``crop`` is cut out of the centre, and each channel becomes ``(value / 255 − mean) / std``.
    Mean and std of 0.5 give the range [−1, 1]. Keras's "caffe" mode corresponds to the order BGR,
    the means of these channels, and a std of 1/255.

    Attributes
    ----------
    resize : int
        Length of the shorter side after resizing, in pixels, at most 2048.
    crop : int
        Side of the network's square input in pixels.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos"}
        Filter of the resize.
    mean, std : tuple of float, of length 3
        Mean and standard deviation of each channel on the scale of 0 to 1, in the order of
        ``channels``.
    channels : {"RGB", "BGR", "L"}
        Order of the channels in the network's input; "L" for a network of one channel, which gets
        the grey value (ITU-R 601-2). Mean and std are then three times the same number.
    squash : bool
        Whether both sides are resized to ``resize``, which changes the aspect ratio.
    resizer : {"pillow", "torchvision", "opencv"}
        The library that is followed, as their results differ: Pillow's resize of 8-bit images,
        antialiased except for "nearest" (timm, torchvision on images, Keras); torchvision's
        resize of 8-bit tensors, antialiased (transformers); or OpenCV's resize of floating-point
        images, not antialiased.
    preparation : Preparation
        What is done to an image before the resize; by default nothing.

    Raises
    ------
    UsageError
        If a field has the wrong type or is out of range.

    Examples
    --------
    >>> from PIL import Image
    >>> unit = (0.5, 0.5, 0.5)
    >>> preprocessing = Preprocessing(256, 224, "bilinear", mean=unit, std=unit)
    >>> preprocessing.pixels(Image.new("RGB", (640, 480))).shape
    (224, 224, 3)
    """

    resize: Annotated[int, Ge(1), Le(_MAX_SIDE)]
    crop: Annotated[int, Ge(1)]
    interpolation: Interpolation
    mean: tuple[_Mean, _Mean, _Mean]
    std: tuple[_Positive, _Positive, _Positive]
    channels: Literal["RGB", "BGR", "L"] = "RGB"
    squash: bool = False
    resizer: Resizer = "pillow"
    preparation: Preparation = Preparation()

    def __post_init__(self) -> None:
        if self.interpolation not in _RESIZERS[self.resizer]:
            known = _RESIZERS[self.resizer]
            raise unknown_name(f"interpolation of {self.resizer}", self.interpolation, known)
        if self.crop > self.resize:
            raise UsageError(f"crop must be at most resize ({self.resize}), not {self.crop}")
        if self.channels == "L" and len({*self.mean}) + len({*self.std}) > 2:
            raise UsageError(
                "with channels='L', mean and std must each be three times the same number, not "
                f"{self.mean} and {self.std}"
            )

    @property
    def n_channels(self) -> int:
        """Number of channels of the network's input."""
        return 1 if self.channels == "L" else 3

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that can be written as JSON.

        Examples
        --------
        >>> unit = (0.5, 0.5, 0.5)
        >>> preprocessing = Preprocessing(256, 224, "bilinear", mean=unit, std=unit)
        >>> preprocessing.to_dict()["crop"]
        224
        """
        return dataclasses.asdict(self)

    def with_options(self, preparation: Preparation) -> Preprocessing:
        """Return this preprocessing with the steps that a preparation states in addition.

        Raises
        ------
        UsageError, MissingExtraError
            What ``Preparation.with_options`` raises.

        Examples
        --------
        >>> unit = (0.5, 0.5, 0.5)
        >>> preprocessing = Preprocessing(256, 224, "bilinear", mean=unit, std=unit)
        >>> preprocessing.with_options(Preparation(denoise="median")).preparation.words
        'median'
        """
        merged = self.preparation.with_options(preparation)
        return dataclasses.replace(self, preparation=merged)

    def fast(self) -> Preprocessing:
        """Return the same preprocessing with torchvision's resize instead of Pillow's.

        Both are antialiased and round to 8 bits. torchvision's takes a fifth to a third of the
        time; about one pixel in a few hundred differs, by one level. A preprocessing with another
        resizer, or with a filter that torchvision lacks, is returned unchanged.

        Examples
        --------
        >>> unit = (0.5, 0.5, 0.5)
        >>> preprocessing = Preprocessing(256, 224, "bilinear", mean=unit, std=unit)
        >>> preprocessing.fast().resizer
        'torchvision'
        """
        if self.resizer != "pillow" or self.interpolation not in _RESIZERS["torchvision"]:
            return self
        return dataclasses.replace(self, resizer="torchvision")

    def pixels(
        self, image: Image.Image, rgb: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8 | np.float32]:
        """Return the pixels of an image after its preparation, resizing and cropping.

        They are normalised later, on the network's device: 8-bit pixels are a quarter of the
        bytes to transfer.

        Parameters
        ----------
        image : PIL.Image.Image
            An image in mode RGB, as ``decode`` returns it for the display of the preparation.
        rgb : ndarray of uint8, shape (height, width, 3), optional
            The pixels of ``image``, if they were converted to an array before.

        Returns
        -------
        ndarray of uint8, shape (crop, crop, n_channels)
            Values from 0 to 255, in the order of ``channels``; float32 with the resizer "opencv",
            which does not round.

        Raises
        ------
        DecodeError
            If one side is more than 50 times as long as the other, or the preparation does not
            fit the image.

        Examples
        --------
        >>> unit = (0.5, 0.5, 0.5)
        >>> preprocessing = Preprocessing(256, 224, "bilinear", mean=unit, std=unit)
        >>> preprocessing.pixels(Image.new("RGB", (640, 480))).dtype
        dtype('uint8')
        """
        prepared = self.preparation.prepared(image)
        return self.framed(prepared, rgb if prepared is image else None)

    def framed(
        self, image: Image.Image, rgb: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8 | np.float32]:
        """Return the pixels of a prepared image after resizing and cropping.

        Parameters and the result are those of ``pixels``.

        Examples
        --------
        >>> unit = (0.5, 0.5, 0.5)
        >>> preprocessing = Preprocessing(256, 224, "bilinear", mean=unit, std=unit)
        >>> preprocessing.framed(Image.new("RGB", (640, 480))).shape
        (224, 224, 3)
        """
        width, height = self._resized_size(image.size)
        # torchvision rounds the position of a centre crop in this way.
        left, top = round((width - self.crop) / 2.0), round((height - self.crop) / 2.0)
        if self.channels == "L":
            image, rgb = image.convert("L"), None
        resized = self._resize(image, rgb, width, height)
        array = resized[top : top + self.crop, left : left + self.crop]
        return np.ascontiguousarray(array[:, :, ::-1] if self.channels == "BGR" else array)

    def _resize(
        self, image: Image.Image, rgb: NDArray[np.uint8] | None, width: int, height: int
    ) -> NDArray[np.uint8 | np.float32]:
        if self.resizer == "pillow":
            array = np.asarray(image.resize((width, height), _FILTERS[self.interpolation]))
            return array.reshape(height, width, self.n_channels)
        array = np.asarray(image).reshape(image.height, image.width, -1) if rgb is None else rgb
        if self.resizer == "opencv":
            return _linear(_linear(array, width, axis=1), height, axis=0).astype(np.float32)
        if self.resizer not in TENSOR_RESIZERS:
            raise UsageError(
                f"the resizer '{self.resizer}' needs torch: "
                "import bottleneck.backbones.inputs.resizing"
            )
        return TENSOR_RESIZERS[self.resizer](array, height, width, self.interpolation)

    def _resized_size(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        if max(size) > _MAX_RATIO * min(size):
            raise DecodeError(f"{width}×{height} pixels: too long and narrow for an image")
        if self.squash:
            return self.resize, self.resize
        # The longer side is truncated as in torchvision's Resize, with which weights are evaluated.
        short, long = min(size), max(size)
        longer = math.trunc(self.resize * long / short)
        return (self.resize, longer) if width <= height else (longer, self.resize)


def _linear(array: NDArray[Any], length: int, *, axis: int) -> NDArray[np.float64]:
    # OpenCV's INTER_LINEAR: interpolate between the two nearest pixels, without antialiasing.
    n = array.shape[axis]
    position = (np.arange(length) + 0.5) * (n / length) - 0.5
    first = np.floor(position).astype(int)
    weight = np.expand_dims(position - first, tuple(a for a in range(array.ndim) if a != axis))
    before = np.take(array, first.clip(0, n - 1), axis)
    after = np.take(array, (first + 1).clip(0, n - 1), axis)
    return before * (1 - weight) + after * weight
