"""Altered copies and frames of a real ultrasound sequence are told apart, by their thumbnails."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from bottleneck.data.images.decode import make_thumbnail
from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair
from bottleneck.duplicates.kinds.pair_alignment import align_pair
from bottleneck.duplicates.kinds.pair_kinds import MOST_ALIGNED, name_kinds

Alter = Callable[[Image.Image], Image.Image]


@pytest.fixture(scope="module")
def frames() -> list[Image.Image]:
    """30 frames of an echocardiogram, 33 ms apart, which pydicom is installed with."""
    pydicom = pytest.importorskip("pydicom", reason="the frames are a DICOM file")
    from pydicom.data import get_testdata_file

    path = get_testdata_file("examples_ybr_color.dcm", download=False)
    values = pydicom.dcmread(path).pixel_array
    return [Image.fromarray(np.ascontiguousarray(frame[..., 0])).convert("RGB") for frame in values]


def named(one: Image.Image, other: Image.Image, *, related: bool = False) -> DuplicatePair:
    thumbnails = np.stack([make_thumbnail(one), make_thumbnail(other)])
    sizes = np.array([one.size, other.size], np.int32)
    pair = DuplicatePair(0, 1, False, 0.9, None)
    return name_kinds([pair], thumbnails, sizes, np.array([related]))[0]


def encoded(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("RGB")


def captioned(image: Image.Image) -> Image.Image:
    drawn = image.copy()
    ImageDraw.Draw(drawn).rectangle((20, 30, 90, 60), fill=(255, 255, 255))
    return drawn


ALTERED: dict[str, tuple[Alter, str]] = {
    "JPEG": (encoded, "encoded again"),
    "mirrored": (lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "mirrored"),
    "upside down": (lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "flipped top to"),
    "turned": (lambda i: i.rotate(-20, Image.Resampling.BILINEAR), "rotated by (19|20|21)°"),
    "cropped": (lambda i: i.crop((16, 12, 304, 228)).resize(i.size), "zoomed"),
    "shifted": (
        lambda i: i.transform(i.size, Image.Transform.AFFINE, (1, 0, 24, 0, 1, 0)),
        "shifted by [678]%",
    ),
    "smaller": (lambda i: i.resize((160, 120)), "other number of pixels"),
    "brighter": (lambda i: i.point([min(v * 2, 255) for v in range(256)] * 3), "brightness"),
    "caption": (captioned, "caption"),
    "margin": (lambda i: ImageOps.expand(i, (60, 10, 20, 30), 40), "with a margin"),
    "any angle": (lambda i: i.rotate(140, Image.Resampling.BILINEAR), "rotated by (139|140|141)°"),
}


@pytest.mark.parametrize("is_first", [False, True], ids=["second", "first"])
@pytest.mark.parametrize("name", ALTERED)
def test_an_alteration_of_a_copy_is_named_wherever_the_copy_is(
    name: str, is_first: bool, frames: list[Image.Image]
) -> None:
    alter, words = ALTERED[name]
    one, other = frames[3], alter(frames[3])
    pair = named(other, one) if is_first else named(one, other)
    assert pair.kind == "altered copy"
    assert re.search(words, "; ".join(pair.alterations))


@pytest.mark.parametrize("related", [False, True])
def test_frames_of_a_sequence_are_no_altered_copies(
    related: bool, frames: list[Image.Image]
) -> None:
    kinds = [
        named(frames[at], frames[at + lag], related=related).kind
        for lag in (1, 2, 4)
        for at in range(3, 26, 4)
        if not np.array_equal(frames[at], frames[at + lag])
    ]
    assert set(kinds) == {"neighbouring frame"}


def test_identical_images_are_called_that() -> None:
    pair = DuplicatePair(0, 1, True, 1.0, 1.0)
    thumbnails = np.zeros((2, 32, 32), np.uint8)
    assert name_kinds([pair], thumbnails, None, np.array([False]))[0].kind == "identical"


def smooth(seed: int) -> NDArray[np.uint8]:
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(96, 96))
    blurred = ndimage.gaussian_filter(noise, 4)
    return ((blurred - blurred.min()) / np.ptp(blurred) * 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_an_affine_map_is_recovered(seed: int) -> None:
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    scale, shift = rng.uniform(0.88, 1.14), rng.uniform(-0.08, 0.08, 2)
    image = smooth(seed)
    centre = np.array([47.5, 47.5])
    matrix = np.eye(2) / scale
    offset = centre - matrix @ (centre + 96 * shift[::-1])
    moved = ndimage.affine_transform(image.astype(float), matrix, offset, order=1, mode="reflect")
    one, other = (
        make_thumbnail(Image.fromarray(a.astype(np.uint8)).convert("RGB")) for a in (image, moved)
    )
    found = align_pair(one, other, moved=True)
    assert not found.mirrored
    assert found.scale == pytest.approx((scale, scale), abs=0.02)
    assert abs(found.degrees) < 1.5


def test_only_so_many_pairs_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    from bottleneck.duplicates.kinds import pair_kinds

    assert MOST_ALIGNED >= 100
    monkeypatch.setattr(pair_kinds, "MOST_ALIGNED", 1)
    image = smooth(0)[:32, :32]
    thumbnails = np.stack([image, image[::-1], image[:, ::-1]])
    pairs = [DuplicatePair(0, 1, False, 0.9, None), DuplicatePair(0, 2, False, 0.9, None)]
    made = name_kinds(pairs, thumbnails, None, np.array([False, False]))
    assert [pair.kind for pair in made] == ["altered copy", "unclear"]
