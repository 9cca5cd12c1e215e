"""Random augmentation of images, determined by seed, epoch and sample."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.finetune.training_options import TrainingAugmentation

__all__ = ["augment_pixels", "derive_seed", "lee_filter", "median_filter"]

_RATIO = (3 / 4, 4 / 3)
_MEDIAN_SIDE, _LEE_SIDE = 3, 5


def derive_seed(*parts: object) -> int:
    """Return a seed of 63 bits that depends only on the arguments."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def augment_pixels(
    image: Image.Image, preprocessing: Preprocessing, options: TrainingAugmentation, seed: int
) -> NDArray[Any]:
    """Return the network's input from an image that was augmented at random.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    preprocessing : Preprocessing
        The preprocessing; its resize is applied to the random crop.
    options : TrainingAugmentation
        The augmentation.
    seed : int
        Seed of all random numbers; torch's generator is left unchanged.

    Returns
    -------
    ndarray of uint8 or float32, shape (crop, crop, 3)
        Pixels as ``Preprocessing.pixels`` returns them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _augment(image, preprocessing, options)


def _augment(
    image: Image.Image, preprocessing: Preprocessing, options: TrainingAugmentation
) -> NDArray[Any]:
    from torchvision.transforms import InterpolationMode, v2

    # Brightness and contrast are defined for RGB; the order of channels is changed last.
    target = dataclasses.replace(preprocessing, channels="RGB")
    if options.random_crop < 1:
        scale = (options.random_crop, 1.0)
        top, left, height, width = v2.RandomResizedCrop.get_params(image, scale, _RATIO)
        image = image.crop((left, top, left + width, top + height))
        target = dataclasses.replace(target, resize=target.crop, squash=True)
    plain = target.pixels(image)
    if options.despeckle != "none" and torch.rand(()) < 0.5:
        plain = _FILTERS[options.despeckle](plain)
    pixels = torch.from_numpy(plain.copy()).permute(2, 0, 1)
    steps: list[Any] = [
        v2.RandomHorizontalFlip(options.flip),
        v2.RandomVerticalFlip(options.flip_vertical),
    ]
    if options.rotation:
        steps.append(v2.RandomRotation(options.rotation, InterpolationMode.BILINEAR))
    if options.jitter and pixels.dtype == torch.uint8:
        steps.append(v2.ColorJitter(brightness=options.jitter, contrast=options.jitter))
    elif options.jitter:
        # torchvision expects floating-point colours between 0 and 1.
        jitter = v2.ColorJitter(brightness=options.jitter, contrast=options.jitter)
        steps += [lambda x: x / 255, jitter, lambda x: x * 255]
    for step in steps:
        pixels = step(pixels)
    if options.rotate90:
        pixels = pixels.rot90(int(torch.randint(4, ())), dims=(1, 2))
    if options.noise:
        pixels = _add_noise(pixels, options.noise)
    if preprocessing.channels == "BGR":
        pixels = pixels.flip(0)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def _add_noise(pixels: Tensor, deviation: float) -> Tensor:
    # One value for all channels, because the images are grey.
    noisy = pixels.float() + deviation * torch.randn(1, *pixels.shape[1:])
    noisy = noisy.clamp(0, 255)
    return noisy.round().to(pixels.dtype) if pixels.dtype == torch.uint8 else noisy


def median_filter(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the medians over windows of 3 × 3 pixels, channel by channel.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, shape (height, width, 3)
        0 to 255.
    """
    from scipy.ndimage import median_filter as filtered

    return filtered(pixels, size=(_MEDIAN_SIDE, _MEDIAN_SIDE, 1), mode="nearest")


def lee_filter(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return an image filtered against multiplicative speckle (Lee 1980), channel by channel.

    A pixel x becomes m + k (x − m) with k = (v − m²c²) / (v (1 + c²)), clipped to 0 to 1, where m
    and v are mean and variance of its 5 × 5 window. The squared coefficient of variation c² of the
    speckle is the median of v / m² over all windows, because most of them lie in homogeneous
    tissue.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, shape (height, width, 3)
        0 to 255.
    """
    from scipy.ndimage import uniform_filter

    values = pixels.astype(np.float64)
    size = (_LEE_SIDE, _LEE_SIDE, 1)
    mean = uniform_filter(values, size, mode="nearest")
    variance = np.maximum(uniform_filter(values**2, size, mode="nearest") - mean**2, 0)
    positive = mean > 0
    if not positive.any():
        return pixels
    speckle = float(np.median(variance[positive] / mean[positive] ** 2))
    # In a window without variance, the pixel equals the mean.
    excess = variance - mean**2 * speckle
    share = np.divide(excess, variance * (1 + speckle), np.zeros_like(mean), where=variance > 0)
    filtered = mean + share.clip(0, 1) * (values - mean)
    if pixels.dtype == np.uint8:
        return filtered.round().clip(0, 255).astype(np.uint8)
    return filtered.astype(pixels.dtype)


_FILTERS = {"median": median_filter, "lee": lee_filter}
