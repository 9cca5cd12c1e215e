"""torchvision's resize, entered among those that a preprocessing may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from bottleneck.data.images.preprocessing import TENSOR_RESIZERS, Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["frame"]


def frame(pictures: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Resize and crop pictures where they are, as ``Preprocessing.pixels`` does one of them.

    Parameters
    ----------
    pictures : Tensor of uint8, shape (n, 3, height, width)
        RGB, on any device.
    preprocessing : Preprocessing
        Of the resizers "torchvision" or "device".

    Returns
    -------
    Tensor of uint8, shape (n, crop, crop, 3)
        On a CPU the same values; on a GPU, which resizes floating-point numbers and rounds, other
        ones by a level here and there.
    """
    height, width = pictures.shape[-2:]
    width, height, left, top = preprocessing.place((width, height))
    resized = _resize(pictures, height, width, preprocessing.interpolation)
    side = preprocessing.crop
    crops = resized[:, :, top : top + side, left : left + side].permute(0, 2, 3, 1)
    return (crops.flip(-1) if preprocessing.channels == "BGR" else crops).contiguous()


def _resize_array(image: NDArray[Any], height: int, width: int, filter_: str) -> NDArray[Any]:
    import torch  # Takes seconds to load, and not every process resizes so.

    # Channels last, as pictures are: the values are the same in either order, and this one has
    # a kernel of its own.
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
    return _resize(tensor, height, width, filter_).permute(1, 2, 0).numpy()


def _resize(pictures: Tensor, height: int, width: int, filter_: str) -> Tensor:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    mode = InterpolationMode(filter_)
    return functional.resize(pictures, [height, width], mode, antialias=True)


TENSOR_RESIZERS |= dict.fromkeys(("torchvision", "device"), _resize_array)
