"""torchvision's resize, entered among those that a preprocessing may name."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from bottleneck.data.preprocessing import TENSOR_RESIZERS

__all__: list[str] = []


def _resize_tensor(image: NDArray[Any], height: int, width: int, filter_: str) -> NDArray[Any]:
    import torch  # Both take seconds to load, and not every process resizes so.
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    # Channels last, as pictures are: the values are the same in either order, and this one has
    # a kernel of its own.
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
    mode = InterpolationMode(filter_)
    resized = functional.resize(tensor, [height, width], mode, antialias=True)
    return resized.permute(1, 2, 0).numpy()


TENSOR_RESIZERS["torchvision"] = _resize_tensor
