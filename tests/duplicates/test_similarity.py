"""Similarity of thumbnails: flips and rotations against Pillow and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bottleneck.data.images.decode import decode, make_thumbnail
from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.duplicates.alignment import agree
from bottleneck.duplicates.similarity import flip_free_hash, turn


@pytest.fixture(scope="module")
def phantoms() -> list[Image.Image]:
    dataset = phantom_dataset(n_patients=4)
    first = {s.group: s for s in reversed(dataset.samples)}
    return [decode(dataset.read(s), s.region) for s in reversed(first.values())]


def test_the_hash_ignores_flips_and_quarter_turns(phantoms: list[Image.Image]) -> None:
    thumbnail = make_thumbnail(phantoms[0])
    expected = flip_free_hash(thumbnail)
    for quarter in range(4):
        turned = np.rot90(thumbnail, quarter)
        np.testing.assert_allclose(flip_free_hash(turned), expected, atol=1e-3)
        np.testing.assert_allclose(flip_free_hash(turned[:, ::-1]), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("angle", "expand", "number"),
    # -90 to 90 in steps of 15 within the frame, then -45 to 45 without 0 grown.
    [
        (-90, False, 0),
        (-45, False, 3),
        (0, False, 6),
        (30, False, 8),
        (-45, True, 13),
        (30, True, 17),
    ],
)
def test_turns_are_those_of_pillow(
    angle: int, expand: bool, number: int, phantoms: list[Image.Image]
) -> None:
    image = phantoms[3].resize((400, 250))
    turned = turn(make_thumbnail(image), 400 / 250, step=15)[number]
    rotated = make_thumbnail(image.rotate(angle, Image.Resampling.BILINEAR, expand=expand))
    assert np.corrcoef(turned.ravel(), rotated.ravel())[0, 1] > 0.98


def test_agreement_is_one_with_itself_and_with_its_negative_is_not(
    phantoms: list[Image.Image],
) -> None:
    thumbnail = make_thumbnail(phantoms[0])
    same = agree(thumbnail, 1.25, np.stack([thumbnail, 255 - thumbnail]))
    assert same[0] == pytest.approx(1, abs=1e-5)
    assert same[1] < 0.5
