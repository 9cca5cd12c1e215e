"""torchvision's resize of 8-bit tensors, added to the resizers of ``Preprocessing``."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from bottleneck.data.images.preprocessing import TENSOR_RESIZERS


def _resize(image: NDArray[Any], height: int, width: int, interpolation: str) -> NDArray[Any]:
    # Imported here because torch takes seconds to load, and not every process needs this resizer.
    import torch
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    # Channels last in memory: torch has a faster kernel for this order, with the same values.
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
    mode = InterpolationMode(interpolation)
    resized = functional.resize(tensor, [height, width], mode, antialias=True)
    return resized.permute(1, 2, 0).numpy()


TENSOR_RESIZERS["torchvision"] = _resize
