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

from bottleneck.data.images.preparation_steps.speckle_filters import FILTERS
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.finetune.training_options import TrainingAugmentation

__all__ = ["augment_pixels", "derive_seed"]

_RATIO = (3 / 4, 4 / 3)


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
    image = preprocessing.preparation.prepared(image)
    if options.random_crop < 1:
        scale = (options.random_crop, 1.0)
        top, left, height, width = v2.RandomResizedCrop.get_params(image, scale, _RATIO)
        image = image.crop((left, top, left + width, top + height))
        target = dataclasses.replace(target, resize=target.crop, squash=True)
    plain = target.framed(image)
    if options.despeckle != "none" and torch.rand(()) < 0.5:
        plain = FILTERS[options.despeckle](plain)
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
