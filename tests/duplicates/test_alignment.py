"""Agreement of thumbnails that Pillow moved, and of different images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from bottleneck.data.images.decode import decode, make_thumbnail
from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.duplicates.alignment import agree, align_pairs


@pytest.fixture(scope="module")
def phantoms() -> list[Image.Image]:
    dataset = phantom_dataset(n_patients=12)
    first = {s.group: s for s in reversed(dataset.samples)}
    return [decode(dataset.read(s), s.region) for s in reversed(first.values())]


def moved(image: Image.Image, scale: float, degrees: float, x: float, y: float) -> Image.Image:
    side = Image.Resampling.BICUBIC
    turned = image.rotate(degrees, side, translate=(x * image.width, y * image.height))
    width, height = image.width * (1 - 1 / scale) / 2, image.height * (1 - 1 / scale) / 2
    box = (width, height, image.width - width, image.height - height)
    return turned.transform(image.size, Image.Transform.EXTENT, box, side)


def test_agreement_is_one_with_itself_and_with_its_negative_is_not(
    phantoms: list[Image.Image],
) -> None:
    thumbnail = make_thumbnail(phantoms[0])
    same = agree(thumbnail, 1.25, np.stack([thumbnail, 255 - thumbnail]))
    assert same[0] == pytest.approx(1, abs=1e-5)
    assert same[1] < 0.5


@pytest.mark.parametrize(
    ("scale", "degrees", "x", "y"),
    [(1.07, 0, 0, 0), (1.13, 0, 0.06, -0.04), (1.1, 7, 0, 0), (1, 0, 0.1, 0.07), (0.9, 0, 0, 0)],
)
def test_moved_copies_agree_and_other_images_do_not(
    scale: float, degrees: float, x: float, y: float, phantoms: list[Image.Image]
) -> None:
    images = [moved(phantoms[0], scale, degrees, x, y), *phantoms]
    thumbnails = np.stack([make_thumbnail(image) for image in images])
    pairs = np.array([(0, row) for row in range(1, len(images))])
    first, *others = align_pairs(pairs, thumbnails, np.full(len(images), 1.25))
    assert first > 0.7
    assert max(others) < 0.5


def test_a_margin_does_not_change_the_agreement(phantoms: list[Image.Image]) -> None:
    framed = ImageOps.mirror(ImageOps.expand(phantoms[0], (50, 0, 20, 60), (64, 64, 64)))
    thumbnails = np.stack([make_thumbnail(image) for image in (phantoms[0], framed, *phantoms[1:])])
    pairs = np.array([(0, row) for row in range(1, len(thumbnails))])
    first, *others = align_pairs(pairs, thumbnails, np.full(len(thumbnails), 1.25))
    assert first > 0.85
    assert max(others) < 0.5


def test_no_pairs_have_no_agreement() -> None:
    none = np.empty((0, 2), np.intp)
    assert align_pairs(none, np.zeros((1, 32, 32), np.uint8), np.ones(1)).shape == (0,)
