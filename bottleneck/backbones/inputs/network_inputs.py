"""What a network takes: images, slices of volumes, or volumes; and errors where it gets another."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bottleneck.backbones.layers.places import Places
from bottleneck.backbones.layers.pooling import LayerPooling
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone

__all__ = [
    "as_input",
    "input_zeros",
    "is_flat",
    "n_slices",
    "patch_shape",
    "pooling_of",
    "probe",
    "refuse_dataset",
    "refuse_dimensions",
    "refuse_raw_values",
    "require_image_preprocessing",
    "size_in_words",
    "spatial_size",
    "statistics_of",
]

_SLICES = (
    "state the slices that it gets, by --slices orthogonal or --slices axial (in Python, "
    "load_backbone(..., slices='orthogonal'), or slices of its VolumePreprocessing)"
)


def patch_shape(preprocessing: AnyPreprocessing) -> tuple[int, ...]:
    """Return the shape of one sample as it is loaded: the channels are last.

    Examples
    --------
    >>> patch_shape(VolumePreprocessing(size=(32, 32, 16)))
    (32, 32, 16, 1)
    """
    if isinstance(preprocessing, VolumePreprocessing):
        return preprocessing.input_shape
    return preprocessing.crop, preprocessing.crop, preprocessing.n_channels


def spatial_size(preprocessing: AnyPreprocessing) -> tuple[int, ...]:
    """Return the lengths of the axes of what the network takes at once: an image or a volume."""
    shape = patch_shape(preprocessing)[:-1]
    return shape[1:] if n_slices(preprocessing) else shape


def n_slices(preprocessing: AnyPreprocessing) -> int | None:
    """Return how many slices of a volume pass a network of images; None for all other inputs."""
    return preprocessing.n_slices if isinstance(preprocessing, VolumePreprocessing) else None


def is_flat(preprocessing: AnyPreprocessing) -> bool:
    """Return whether the network computes images or slices, not volumes."""
    return len(spatial_size(preprocessing)) == 2


def size_in_words(preprocessing: AnyPreprocessing) -> str:
    """Return the size of the input of a network for messages.

    Examples
    --------
    >>> size_in_words(VolumePreprocessing(size=(32, 32, 16)))
    'volumes of 32×32×16 voxels'
    """
    size = "×".join(map(str, spatial_size(preprocessing)))
    if not isinstance(preprocessing, VolumePreprocessing):
        return f"images of {size} pixels"
    return f"{'slices' if preprocessing.slices else 'volumes'} of {size} voxels"


def statistics_of(preprocessing: AnyPreprocessing, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the mean and the std of each channel of the input, on a device."""
    n = preprocessing.n_channels
    mean, std = (
        torch.tensor(each * n if len(each) == 1 else each[:n], device=device, dtype=torch.float32)
        for each in (preprocessing.mean, preprocessing.std)
    )
    return mean, std


def pooling_of(preprocessing: AnyPreprocessing, pooling: str, form: Places) -> LayerPooling:
    """Return how the output of a layer becomes one vector per sample."""
    if isinstance(preprocessing, VolumePreprocessing):
        return LayerPooling(pooling, form, preprocessing.n_slices, preprocessing.slice_pooling)
    return LayerPooling(pooling, form)


def input_zeros(preprocessing: AnyPreprocessing, n: int, device: torch.device) -> Tensor:
    """Return zeros as the input of a network for n samples, with the channels first."""
    n *= n_slices(preprocessing) or 1
    shape = (n, preprocessing.n_channels, *spatial_size(preprocessing))
    return torch.zeros(shape, dtype=torch.float32, device=device)


def probe(backbone: Backbone) -> tuple[nn.Module, Tensor]:
    """Return a network and the zeros of two samples, which show what its layers give.

    A pass of volumes takes seconds. The networks of the catalogue that take them compute shapes
    alone, in a copy without values.
    """
    network, preprocessing = backbone.network, backbone.preprocessing
    # Another backbone of this network may have moved it.
    device = next((one.device for one in network.parameters()), backbone.device)
    if len(spatial_size(preprocessing)) == 3 and not backbone.own:
        device = torch.device("meta")
        network = copy.deepcopy(network).to(device)
    return network, input_zeros(preprocessing, 2, device)


def as_input(values: Tensor, preprocessing: AnyPreprocessing) -> Tensor:
    """Return normalised samples with the channels first; slices of volumes become a batch.

    Parameters
    ----------
    values : Tensor, shape (batch, …, n_channels)
        Samples of the shape ``patch_shape``.
    preprocessing : Preprocessing or VolumePreprocessing
        Their preprocessing.
    """
    if n_slices(preprocessing):
        values = values.flatten(0, 1)
    if values.ndim == 5:
        return values.movedim(-1, 1).contiguous()
    # NHWC permuted to NCHW is already in the memory format channels_last.
    return values.movedim(-1, 1).contiguous(memory_format=torch.channels_last)


def refuse_dimensions(network: nn.Module, preprocessing: AnyPreprocessing, name: str) -> None:
    """Raise UsageError if a network of volumes gets images or slices, or one of images volumes.

    The first convolution decides; a network without any is not judged.
    """
    first = next((m for m in network.modules() if isinstance(m, nn.modules.conv._ConvNd)), None)
    of_volumes = isinstance(preprocessing, VolumePreprocessing)
    if isinstance(first, nn.Conv3d) and not (of_volumes and n_slices(preprocessing) is None):
        what = "slices" if of_volumes else "a preprocessing of images"
        advice = "leave the slices out" if of_volumes else "give it a VolumePreprocessing"
        raise UsageError(f"{name} takes volumes, not {what}: {advice}")
    if isinstance(first, nn.Conv2d) and of_volumes and n_slices(preprocessing) is None:
        raise UsageError(f"{name} takes images, not volumes: {_SLICES}")


def refuse_raw_values(preprocessing: AnyPreprocessing, name: str) -> None:
    """Raise UsageError if a network of the catalogue for images gets the values of the scanner."""
    if (
        isinstance(preprocessing, VolumePreprocessing)
        and preprocessing.slices
        and preprocessing.window is None
        and preprocessing.standardise == "no"
    ):
        raise UsageError(
            f"{name} was trained on values from 0 to 1, and a volume has others (HU in CT): state "
            "their window, by --window CENTRE,WIDTH, such as -600,1600 for lungs or 40,400 for "
            "soft tissue in CT (in Python, prepared(Preparation(window=...))), or a "
            "preprocessing file with window or standardise"
        )


def refuse_dataset(backbone: Backbone, *, holds_volumes: bool) -> None:
    """Raise UsageError if a data set holds volumes, and a backbone takes images, or the reverse.

    Parameters
    ----------
    backbone : Backbone
        The network.
    holds_volumes : bool
        As ``ImageDataset.holds_volumes``.

    Examples
    --------
    >>> from bottleneck.testing import tiny_backbone
    >>> refuse_dataset(tiny_backbone(), holds_volumes=False)
    """
    takes_volumes = isinstance(backbone.preprocessing, VolumePreprocessing)
    if holds_volumes and not takes_volumes:
        raise UsageError(
            f"{backbone.name} takes images, and the data set holds volumes: {_SLICES}, or choose "
            "a network of volumes (bottleneck backbones lists them)"
        )
    if takes_volumes and not holds_volumes:
        advice = (
            "leave --slices out, or read volumes: folders of DICOM slices by --volumes (in "
            "Python: volumes=True)"
            if n_slices(backbone.preprocessing)
            else "choose a network of images (bottleneck backbones lists them)"
        )
        raise UsageError(
            f"{backbone.name} takes {size_in_words(backbone.preprocessing)}, and the data set "
            f"holds images: {advice}"
        )


def require_image_preprocessing(preprocessing: AnyPreprocessing, what: str) -> Preprocessing:
    """Return the preprocessing of images; raise UsageError for one of volumes.

    Parameters
    ----------
    preprocessing : Preprocessing or VolumePreprocessing
        The preprocessing.
    what : str
        What works on images only, as the subject of a sentence.
    """
    if isinstance(preprocessing, VolumePreprocessing):
        raise UsageError(f"{what} works on images only, and this network takes volumes")
    return preprocessing
