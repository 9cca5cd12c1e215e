"""The residual networks of MedicalNet, of three dimensions.

Chen, Ma & Zheng 2019, Med3D: Transfer learning for 3D medical image analysis. Tensors have the
publisher's names. Its last two stages keep their resolution and widen their kernels, since it was
trained to segment. MONAI's networks take the same tensors with strides in place of that, and
compute something else.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MEDICALNETS", "MedicalNet"]

_PLANES = (64, 128, 256, 512)
_STRIDES = (1, 2, 1, 1)
_DILATIONS = (1, 1, 2, 4)
_EXPANSION = 4


@dataclasses.dataclass(frozen=True)
class _Form:
    depths: tuple[int, int, int, int]
    has_bottlenecks: bool
    has_projections: bool


# The publisher's options for each of its files: "shortcut B" has projections, "A" has none.
MEDICALNETS = {
    10: _Form((1, 1, 1, 1), has_bottlenecks=False, has_projections=True),
    18: _Form((2, 2, 2, 2), has_bottlenecks=False, has_projections=False),
    34: _Form((3, 4, 6, 3), has_bottlenecks=False, has_projections=False),
    50: _Form((3, 4, 6, 3), has_bottlenecks=True, has_projections=True),
}


class MedicalNet(nn.Module):
    """A residual network of MedicalNet, without the layers that segment.

    Parameters
    ----------
    n_layers : {10, 18, 34, 50}
        Which of the networks.

    Examples
    --------
    >>> import torch
    >>> network = MedicalNet(10).eval()
    >>> with torch.inference_mode():
    ...     network(torch.zeros(1, 1, 16, 16, 16)).shape
    torch.Size([1, 512, 2, 2, 2])
    """

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        form = MEDICALNETS[n_layers]
        self.conv1 = nn.Conv3d(1, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        width, stages = 64, []
        for planes, stride, dilation, depth in zip(
            _PLANES, _STRIDES, _DILATIONS, form.depths, strict=True
        ):
            blocks = []
            for i in range(depth):
                block = _Block(width, planes, stride if i == 0 else 1, dilation, form)
                width = block.width
                blocks.append(block)
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map.

        Parameters
        ----------
        x : Tensor of float32, shape (batch, 1, z, y, x)
            Volumes of any size.

        Returns
        -------
        Tensor, shape (batch, width, z / 8, y / 8, x / 8)
            The width is 512, or 2048 with 50 layers. Sizes are rounded up.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class _Block(nn.Module):
    """Two convolutions, or three with a bottleneck, and a shortcut."""

    def __init__(self, width: int, planes: int, stride: int, dilation: int, form: _Form) -> None:
        super().__init__()
        self.width = planes * (_EXPANSION if form.has_bottlenecks else 1)
        if form.has_bottlenecks:
            self.conv1 = nn.Conv3d(width, planes, 1, bias=False)
            self.conv2 = _wide(planes, planes, stride, dilation)
            self.conv3 = nn.Conv3d(planes, self.width, 1, bias=False)
            self.bn3 = nn.BatchNorm3d(self.width)
        else:
            self.conv1 = _wide(width, planes, stride, dilation)
            self.conv2 = _wide(planes, planes, 1, dilation)
        self.bn1, self.bn2 = nn.BatchNorm3d(planes), nn.BatchNorm3d(planes)
        self.relu = nn.ReLU()
        self.has_bottleneck = form.has_bottlenecks
        self.downsample = _shortcut(width, self.width, stride, form)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.has_bottleneck:
            out = self.bn3(self.conv3(self.relu(out)))
        return self.relu(out + self.downsample(x))


def _wide(n_inputs: int, n_outputs: int, stride: int, dilation: int) -> nn.Conv3d:
    return nn.Conv3d(
        n_inputs, n_outputs, 3, stride, padding=dilation, dilation=dilation, bias=False
    )


def _shortcut(width: int, wanted: int, stride: int, form: _Form) -> nn.Module:
    if width == wanted and stride == 1:
        return nn.Identity()
    if not form.has_projections:
        return _Padding(wanted - width, stride)
    projection = nn.Conv3d(width, wanted, 1, stride=stride, bias=False)
    return nn.Sequential(projection, nn.BatchNorm3d(wanted))


class _Padding(nn.Module):
    """A shortcut without weights: every n-th voxel, and channels of zeros."""

    def __init__(self, n_added: int, stride: int) -> None:
        super().__init__()
        self.n_added, self.stride = n_added, stride

    def forward(self, x: Tensor) -> Tensor:
        step = self.stride
        return functional.pad(x[:, :, ::step, ::step, ::step], (0, 0, 0, 0, 0, 0, 0, self.n_added))
