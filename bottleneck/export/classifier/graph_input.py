"""The input of an exported model: pixels of pictures, or patches of volumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from bottleneck.backbones.inputs.network_inputs import patch_shape
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing

__all__ = ["PIXELS", "GraphInput", "PatchFrame"]

#: Name of the input of a model of pictures.
PIXELS = "pixels"


@dataclasses.dataclass(frozen=True, eq=False)
class GraphInput:
    """The input of a graph.

    Attributes
    ----------
    name : str
        Its name: "pixels" or "patches".
    example : Tensor
        Zeros of its type, for the writer of the graph.
    axes : mapping of int to str
        The axes whose length may change from call to call, with their names.
    words : str
        Type and shape in words.
    """

    name: str = PIXELS
    # The writers of graphs take lengths of 0 and 1, and some others, for constants.
    example: Tensor = dataclasses.field(
        default_factory=lambda: torch.zeros(2, 97, 131, 3, dtype=torch.uint8)
    )
    axes: Mapping[int, str] = dataclasses.field(
        default_factory=lambda: {0: "n", 1: "height", 2: "width"}
    )
    words: str = "uint8, n × height × width × 3, RGB, upright, of any size"

    @classmethod
    def of(cls, preprocessing: AnyPreprocessing) -> Self:
        """Return the input of a model with a preprocessing: pictures of any size, or patches.

        Examples
        --------
        >>> GraphInput.of(VolumePreprocessing(size=(96, 96, 96))).words
        'float32, n × 96 × 96 × 96 × 1, patches of volumes after all steps of the preprocessing'
        """
        if not isinstance(preprocessing, VolumePreprocessing):
            return cls()
        shape = patch_shape(preprocessing)
        lengths = " × ".join(map(str, shape))
        words = f"float32, n × {lengths}, patches of volumes after all steps of the preprocessing"
        return cls("patches", torch.zeros(2, *shape), {0: "n"}, words)


class PatchFrame(nn.Module):
    """Patches of volumes in the order of axes that the network takes.

    Parameters
    ----------
    preprocessing : VolumePreprocessing
        How patches are made.

    Examples
    --------
    >>> PatchFrame(VolumePreprocessing(size=(8, 8, 8)))(torch.zeros(2, 8, 8, 8, 1)).shape
    torch.Size([2, 1, 8, 8, 8])
    """

    def __init__(self, preprocessing: VolumePreprocessing) -> None:
        super().__init__()
        self.is_sliced = preprocessing.slices is not None

    def forward(self, patches: Tensor) -> Tensor:
        """Return patches with the channels first; the slices of all volumes are one batch.

        Parameters
        ----------
        patches : Tensor of float32, shape (n, …, n_channels)
            As ``RegionVoxels.patch`` has them.
        """
        return (patches.flatten(0, 1) if self.is_sliced else patches).movedim(-1, 1)
