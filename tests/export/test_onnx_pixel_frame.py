"""The resize in an ONNX file: bit by bit the pixels of the preprocessing, for any size."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from torch import Tensor, nn

import bottleneck.backbones.inputs.resizing  # noqa: F401  # It adds torchvision's resize.
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.export.classifier.pixel_frame import PixelFrame
from bottleneck.export.onnx_graph.graph_writing import write_graph

UNIT = (0.5, 0.5, 0.5)
FILTERS = [
    *itertools.product(["pillow"], ["nearest", "bilinear", "bicubic", "lanczos"]),
    *itertools.product(["torchvision"], ["bilinear", "bicubic"]),
    ("opencv", "bilinear"),
]
WHOLE = [("RGB", False), ("BGR", True), ("L", False)]


class _Frame(nn.Module):
    """The frame, with the outputs of a classifier."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.frame = PixelFrame(preprocessing)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        framed = self.frame(pixels)
        return framed, framed.mean((1, 2, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "channels", "squash"),
    [
        *((how, *whole) for how, whole in zip(FILTERS, itertools.cycle(WHOLE), strict=False)),
        (("pillow", "bicubic"), "RGB", True),
        (("torchvision", "bilinear"), "RGB", True),
    ],
    ids=str,
)
def test_pixels_are_those_of_the_preprocessing(
    how: tuple[str, str], channels: str, squash: bool, tmp_path: Path
) -> None:
    preprocessing = Preprocessing(
        62, 55, how[1], UNIT, UNIT, channels=channels, squash=squash, resizer=how[0]
    )
    write_graph(_Frame(preprocessing).eval(), tmp_path / "model.onnx", {})
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    rng = np.random.default_rng(0)
    sizes = [
        *rng.integers(2, 200, (60, 2)).tolist(),
        (55, 55),
        (62, 62),
        (1, 30),
        (40, 1),
        (8, 400),
    ]
    for height, width in sizes:
        shape = (min(height, 50 * width), min(width, 50 * height), 3)
        # Noise of few levels has the largest overshoot.
        levels = [0, 255, *rng.integers(0, 256, int(rng.integers(9)))]
        image = rng.choice(levels, shape).astype(np.uint8)
        (framed,) = session.run(["probabilities"], {"pixels": image[np.newaxis]})
        wanted = preprocessing.pixels(Image.fromarray(image))
        np.testing.assert_array_equal(framed[0].transpose(1, 2, 0), wanted)
