"""The config.json of a checkpoint has timm prepare pictures as we do; other pictures are named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from bottleneck.backbones.backbone import load_backbone
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.export.classifier.network_features import NetworkFeatures
from bottleneck.export.hub.checkpoint_config import checkpoint_config
from bottleneck.export.hub.log_odds import NoPlainCheckpointError
from bottleneck.export.hub.plain_network import PlainNetwork, plain_network
from bottleneck.export.hub.transformers_reading import find_other_reading

CLASSES = ("benign", "malignant")
UNIT = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def plain() -> PlainNetwork:
    backbone = load_backbone("timm/resnet10t", weights="random")
    return plain_network(NetworkFeatures(backbone), backbone.preprocessing)


@st.composite
def preprocessings(draw: st.DrawFn) -> Preprocessing:
    crop = draw(st.integers(8, 400))
    return Preprocessing(
        draw(st.integers(crop, 2 * crop)),
        crop,
        draw(st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"])),
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        channels=draw(st.sampled_from(["RGB", "BGR"])),
        squash=draw(st.booleans()),
    )


@settings(max_examples=40)
@given(stated=preprocessings(), width=st.integers(8, 200), height=st.integers(8, 200))
def test_timm_gives_the_network_the_same_pixels(
    plain: PlainNetwork, stated: Preprocessing, width: int, height: int
) -> None:
    rng = np.random.default_rng(width)
    picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    config = checkpoint_config(plain, stated, CLASSES, None)
    options = resolve_data_config(pretrained_cfg=config["pretrained_cfg"])
    given_pixels = create_transform(**options, is_training=False)(picture)
    step = -1 if stated.channels == "BGR" else 1
    levels = torch.from_numpy(stated.pixels(picture)[:, :, ::step].copy())
    mean, std = (torch.tensor(one[::step]) for one in (stated.mean, stated.std))
    wanted = ((levels / 255 - mean) / std).permute(2, 0, 1)
    torch.testing.assert_close(given_pixels, wanted, atol=0, rtol=0)


def test_a_resize_that_timm_lacks_is_refused(plain: PlainNetwork) -> None:
    stated = Preprocessing(64, 32, "bilinear", UNIT, UNIT, resizer="torchvision")
    with pytest.raises(NoPlainCheckpointError, match="as torchvision does"):
        checkpoint_config(plain, stated, CLASSES, None)


def pixels(*shape: int, kind: type = np.uint8, top: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(0, top, (20, 30, *shape), dtype=kind)


def rotated() -> Image.Image:
    image = Image.fromarray(pixels(3))
    image.getexif()[0x0112] = 6
    return image


@pytest.mark.parametrize(
    ("image", "form", "why"),
    [
        (Image.fromarray(pixels()), "PNG", None),
        (Image.fromarray(pixels(3)), "BMP", None),
        (Image.fromarray(pixels(3)), "JPEG", None),
        (Image.fromarray(pixels(3)).quantize(16), "PNG", None),
        (Image.fromarray(pixels(4), mode="CMYK"), "JPEG", None),
        (rotated(), "JPEG", None),
        (Image.fromarray(pixels(kind=np.uint16, top=65536)), "PNG", "more than 8 bits"),
        (Image.fromarray(pixels(4)), "PNG", "transparency"),
        (Image.fromarray(np.dstack([pixels(3), np.full((20, 30), 255, np.uint8)])), "PNG", None),
    ],
    ids=["grey", "bmp", "jpeg", "palette", "cmyk", "exif", "16 bits", "transparent", "opaque"],
)
def test_pictures_that_transformers_reads_differently_are_named(
    tmp_path: Path, image: Image.Image, form: str, why: str | None
) -> None:
    written = io.BytesIO()
    image.save(written, form, **({"exif": image.getexif()} if form == "JPEG" else {}))
    path = tmp_path / f"picture.{form.lower()}"
    path.write_bytes(written.getvalue())
    reason = find_other_reading(path)
    assert (reason is None) == (why is None)
    assert reason is None or why in reason
