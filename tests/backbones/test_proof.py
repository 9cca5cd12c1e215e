"""Every encoder of the catalogue, in every layout of its weights, against its original library.

``pytest tests/backbones/test_proof.py -s -m "slow or not slow"`` prints the table. The quick run
proves every layout once. The parameters are those of the
catalogue: an entry that ``originals`` cannot make fails here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from example_images import embed_files, largest_difference, two_images
from originals import Original, make_original
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import ENCODERS
from bottleneck.backbones.encoder import Encoder

LIMIT = 1e-4
QUICK = {
    "vgg16": ("keras",),
    "inception_v3": ("radimagenet",),
    "resnet18": ("timm", "torchvision"),
    "densenet121": ("keras",),
    "efficientnet_lite0": ("efficientnet_pytorch",),
    "swin_tiny": ("transformers",),
    "swinv2_tiny": ("torchvision",),
}
PAIRS = [
    pytest.param(
        encoder,
        layout,
        id=f"{name}-{layout}",
        marks=[pytest.mark.slow] * (layout not in QUICK.get(name, ())),
    )
    for name, encoder in ENCODERS.items()
    for layout in encoder.layouts
]


@dataclasses.dataclass(frozen=True)
class Pair:
    encoder: Encoder
    layout: str
    ours: Backbone
    images: list
    features: np.ndarray
    reference: np.ndarray


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    print("\n| encoder | layout | variant | largest relative difference | bf16 | fp16 |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list:
    return two_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def pair(
    request: pytest.FixtureRequest, images: list, tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    encoder, layout = request.param
    folder = tmp_path_factory.mktemp("original")
    original: Original = make_original(layout, encoder, images, folder)
    ours = load_backbone(encoder.name, weights=str(original.file))
    reference = original.embed(images)
    original.file.unlink()
    return Pair(encoder, layout, ours, images, embed_files(ours, images), reference)


def _pairs() -> Callable:
    params = [
        pytest.param(tuple(p.values), id=p.id, marks=p.marks)  # one argument for the fixture
        for p in PAIRS
    ]
    return pytest.mark.parametrize("pair", params, indirect=True)


@_pairs()
def test_the_numbers_are_those_of_the_original_library(pair: Pair, table: list[str]) -> None:
    difference = largest_difference(pair.features, pair.reference)
    cosines = {}
    if pair.layout == "timm":
        for precision in ("bf16", "fp16"):
            # One image, for fp16 is slow on most processors.
            reduced = embed_files(pair.ours, pair.images[:1], precision)
            cosines[precision] = float(cosine(reduced, pair.features[:1]).min())
    shown = [f"{cosines[p]:.6f}" if p in cosines else "" for p in ("bf16", "fp16")]
    variant = pair.ours.weights.variant
    table.append(
        f"| {pair.encoder.name} | {pair.layout} | {variant} | {difference:.1e} | "
        f"{' | '.join(shown)} |"
    )
    assert pair.ours.weights.layout == pair.layout
    assert pair.reference.std() > 0.01, "a dead network proves nothing"
    assert difference <= LIMIT
    assert all(value >= 0.999 for value in cosines.values()), cosines
    if undo := UNDO.get((pair.encoder.name, pair.layout)):
        assert variant == pair.layout
        undo(pair.ours.network)
        assert largest_difference(embed_files(pair.ours, pair.images), pair.reference) > 10 * LIMIT


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def _strides(network: nn.Module) -> None:
    for block in (network.layer2[0], network.layer3[0], network.layer4[0]):
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def _padded_average(network: nn.Module) -> None:
    for module in network.modules():
        module._forward_pre_hooks.clear()


def _usual_eps(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5


def _last_relu(network: nn.Module) -> None:
    network.features.norm5.act = nn.ReLU()


# What the proof would miss if it could: each takes one difference of a variant back.
UNDO: dict[tuple[str, str], Callable[[nn.Module], None]] = {
    ("resnet50", "keras"): _strides,
    ("inception_v3", "keras"): _padded_average,
    ("mobilenetv3", "torchvision"): _usual_eps,
    ("densenet121", "radimagenet"): _last_relu,
}


def test_every_layout_is_proven_in_the_quick_run() -> None:
    quick = {p.values[1] for p in PAIRS if not p.marks}
    assert quick == {layout for encoder in ENCODERS.values() for layout in encoder.layouts}
