"""Architectures of two papers that are trained from scratch.

**The small CNN and the new FC** (Sai Sundar & Siva Sankara Sai, Exploring Transfer Learning,
Fine-tuning of Thyroid Ultrasound Images). Stated: three 3 × 3 convolutions of 32, 32 and 64
kernels and an FC layer followed by a sigmoid; and the same network on bottleneck features. Not
stated, and taken from the Keras example of that time (Chollet 2016, "Building powerful image
classification models using very little data"): 150 × 150 pixels divided by 255, no padding, ReLU
and 2 × 2 max pooling after each convolution, an FC layer of 64, dropout of 0.5. A softmax over two
classes replaces the equivalent sigmoid. Three unpadded convolutions with pooling leave no pixel of
7 × 7 bottleneck features, so only the classifier of the network is trained on these: FC of 64,
dropout, output.

**ThyroNet-X4** (Wang et al. 2025, Scientific Reports). Stated: ResNet-34 as the baseline; "Block"
strengthens local features; "Bottleneck" adds bottleneck layers; the complete network has 3 × 3 and
5 × 5 kernels, the latter in the second convolution, grouped convolutions, an expansion of 4 in
place of 1, and residual and dense connections. The only diagram of the architecture (Fig. 7) has no
numbers in the text. Not stated, and chosen here:

- every variant keeps ResNet-34's stem (7 × 7, stride 2) and its 3, 4, 6 and 3 blocks of 64 to 512;
- the "second convolution" is that of each block, and it is the grouped one, in 32 groups;
- Block is the basic block with that 5 × 5 convolution, at an expansion of 1;
- Bottleneck is ResNet's bottleneck with an expansion of 4 and 3 × 3 kernels, in place of the basic
  block, which makes the network ResNet-50;
- ThyroNet-X4 is the bottleneck with the 5 × 5 convolution, with groups four wide as in ResNeXt-50
  (Xie et al. 2017); its dense connections concatenate the outputs of all blocks of a stage, and a
  1 × 1 convolution reduces them to the width of the stage, as in DenseNet (Huang et al. 2017);
- input of 224 × 224, both sides resized, scaled to [−1, 1].

**AlexNet, VGG, GoogLeNet, MobileNet** are torchvision's, GoogLeNet without its auxiliary outputs;
VGG is taken to be VGG-16, and MobileNet version 2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import unknown_name
from bottleneck.finetune.networks.classifier import make_head

__all__ = [
    "ARCHITECTURES",
    "NEW_FC",
    "Architecture",
    "find_architecture",
    "new_fc",
    "small_cnn",
    "thyronet",
]

NEW_FC = "new_fc"

_BLOCKS = [3, 4, 6, 3]
_GROUPS, _GROUP_WIDTH = 32, 4
_FC_WIDTH, _FC_DROPOUT = 64, 0.5

_KERAS_INPUT = Preprocessing(150, 150, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), squash=True)
_UNIT_INPUT = Preprocessing(224, 224, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), squash=True)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """An architecture without published weights.

    Attributes
    ----------
    name : str
        Name for ``--backbone``.
    description : str
        Description of one line, for a list.
    build : callable
        Function from the number of classes to a network, from normalised images to logits.
    preprocessing : Preprocessing
        Preprocessing of the images.
    """

    name: str
    description: str
    build: Callable[[int], nn.Module]
    preprocessing: Preprocessing = _UNIT_INPUT


def small_cnn(n_classes: int) -> nn.Module:
    """Return the small CNN of Sai Sundar & Siva Sankara Sai, for 150 × 150 pixels."""
    layers: list[nn.Module] = []
    side, channels = _KERAS_INPUT.crop, 3
    for width in (32, 32, 64):
        layers += [nn.Conv2d(channels, width, 3), nn.ReLU(), nn.MaxPool2d(2)]
        side, channels = (side - 2) // 2, width
    return nn.Sequential(*layers, *_classifier(channels * side**2, n_classes))


def new_fc(
    width: int, n_classes: int, hidden: Sequence[int] | None = None, dropout: float = 0.0
) -> nn.Module:
    """Return a classifier for features of a frozen network.

    Parameters
    ----------
    width : int
        Length of a feature vector.
    n_classes : int
        Number of classes.
    hidden, dropout
        As for ``make_head``; without hidden layers, the classifier is that of the small CNN.
    """
    if hidden is not None:
        return make_head(width, n_classes, hidden=hidden, dropout=dropout)
    return nn.Sequential(*_classifier(width, n_classes))


def _classifier(width: int, n_classes: int) -> list[nn.Module]:
    return [
        nn.Flatten(),
        nn.Linear(width, _FC_WIDTH),
        nn.ReLU(),
        nn.Dropout(_FC_DROPOUT),
        nn.Linear(_FC_WIDTH, n_classes),
    ]


class _WideBasicBlock(BasicBlock):
    """ResNet's basic block with a grouped 5 × 5 second convolution."""

    def __init__(self, inplanes: int, planes: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(inplanes, planes, *args, **kwargs)
        self.conv2 = nn.Conv2d(planes, planes, 5, padding=2, groups=_GROUPS, bias=False)


class _WideBottleneck(Bottleneck):
    """ResNet's bottleneck with a 5 × 5 second convolution."""

    conv2: nn.Conv2d

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        narrow: Any = self.conv2
        sizes = narrow.in_channels, narrow.out_channels, 5, narrow.stride
        self.conv2 = nn.Conv2d(*sizes, padding=2, groups=narrow.groups, bias=False)


class _DenseStage(nn.Module):
    """The blocks of a stage, with their outputs concatenated and reduced to the width of one."""

    def __init__(self, blocks: nn.Sequential, width: int) -> None:
        super().__init__()
        self.blocks = blocks
        join = nn.Conv2d(len(blocks) * width, width, 1, bias=False)
        nn.init.kaiming_normal_(join.weight, mode="fan_out", nonlinearity="relu")
        self.transition = nn.Sequential(join, nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return self.transition(torch.cat(outputs, 1))


def thyronet(variant: str, n_classes: int) -> nn.Module:
    """Return ThyroNet-X4 or one of its ablations.

    Parameters
    ----------
    variant : {"baseline", "block", "bottleneck", "x4"}
        The ablation; "x4" for the complete network.
    n_classes : int
        Number of classes.
    """
    if variant == "baseline":
        return ResNet(BasicBlock, _BLOCKS, num_classes=n_classes)
    if variant == "block":
        return ResNet(_WideBasicBlock, _BLOCKS, num_classes=n_classes)
    if variant == "bottleneck":
        return ResNet(Bottleneck, _BLOCKS, num_classes=n_classes)
    network = ResNet(
        _WideBottleneck,
        _BLOCKS,
        num_classes=n_classes,
        groups=_GROUPS,
        width_per_group=_GROUP_WIDTH,
    )
    for number in range(1, 5):
        blocks = getattr(network, f"layer{number}")
        setattr(network, f"layer{number}", _DenseStage(blocks, blocks[-1].conv3.out_channels))
    return network


def _torchvision(name: str, n_classes: int) -> nn.Module:
    # Without init_weights, GoogLeNet warns that its initialisation is slow.
    extra = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    return models.get_model(name, weights=None, num_classes=n_classes, **extra)


_ALL = (
    Architecture(
        "small_cnn", "3 × 3 convolutions of 32, 32, 64 (Sai Sundar)", small_cnn, _KERAS_INPUT
    ),
    *(
        Architecture(f"thyronet_{variant}", text, partial(thyronet, variant))
        for variant, text in (
            ("baseline", "ResNet-34, the baseline of ThyroNet-X4"),
            ("block", "the baseline with grouped 5 × 5 convolutions"),
            ("bottleneck", "the baseline with bottlenecks of expansion 4"),
            ("x4", "ThyroNet-X4: both, with dense connections"),
        )
    ),
    *(
        Architecture(f"torchvision/{name}", f"torchvision's {name}", partial(_torchvision, name))
        for name in ("alexnet", "vgg16", "googlenet", "mobilenet_v2")
    ),
)
ARCHITECTURES = {architecture.name: architecture for architecture in _ALL}

_TORCHVISION = "torchvision/"


def find_architecture(name: str) -> Architecture | None:
    """Return an architecture; None for a name that is not one and may be a backbone's.

    Raises
    ------
    UsageError
        If the name begins with "torchvision/" and is unknown.
    """
    if name.startswith(_TORCHVISION) and name not in ARCHITECTURES:
        raise unknown_name("architecture", name, ARCHITECTURES)
    return ARCHITECTURES.get(name)
