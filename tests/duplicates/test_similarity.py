"""Similarity of thumbnails: flips, rotations and margins against Pillow, NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy import ndimage

from bottleneck.data.images.decode import decode, make_thumbnail
from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.duplicates.similarity import (
    cut_margins,
    cut_windows,
    flip_free_hash,
    map_turns,
    map_windows,
    turn,
)


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


@pytest.mark.parametrize("fill", [0, 90, 255])
def test_margins_are_as_wide_as_those_of_pillow(fill: int, phantoms: list[Image.Image]) -> None:
    for image, border in zip(
        phantoms, [(40, 0, 15, 60), (0, 25, 0, 0), (70, 70, 70, 70)], strict=False
    ):
        framed = ImageOps.expand(image.convert("L"), border, fill)
        left, upper, right, lower = border
        expected = (left, upper, framed.width - right, framed.height - lower)
        (edges,) = cut_margins(make_thumbnail(framed.convert("RGB"))[None])
        np.testing.assert_allclose(edges, 32 * np.array(expected) / np.tile(framed.size, 2), atol=1)


def test_images_without_margins_are_whole(phantoms: list[Image.Image]) -> None:
    edges = cut_margins(np.stack([make_thumbnail(image) for image in phantoms]))
    np.testing.assert_array_equal(edges, np.tile([0, 0, 32, 32], (len(phantoms), 1)))


def test_the_content_does_not_depend_on_margins(phantoms: list[Image.Image]) -> None:
    framed = ImageOps.expand(phantoms[0], (40, 0, 15, 60))
    both = np.stack([make_thumbnail(image) for image in (phantoms[0], framed)])
    whole, content = cut_windows(both, slice(1))[:, 0]
    assert np.corrcoef(whole.ravel(), content.ravel())[0, 1] > 0.95


def test_maps_lead_to_the_pixels_of_the_views(phantoms: list[Image.Image]) -> None:
    thumbnail = make_thumbnail(phantoms[0])
    maps = np.concatenate([map_turns(1.25, 15), map_windows()])
    views = np.concatenate([turn(thumbnail, 1.25, 15), cut_windows(thumbnail[None])[0]])
    y, x = np.mgrid[:32, :32] - 15.5
    for (to_x, to_y), view in zip(maps, views, strict=True):
        at = np.array([m[0] * x + m[1] * y + m[2] + 15.5 for m in (to_y, to_x)])
        inside = ((at >= 0) & (at <= 31)).all(0)
        expected = ndimage.map_coordinates(thumbnail.astype(float), at, order=1)
        np.testing.assert_allclose(view[inside], expected[inside], atol=0.1)


def test_the_hash_hardly_changes_with_contrast(phantoms: list[Image.Image]) -> None:
    grey = np.stack([make_thumbnail(image) for image in phantoms]).astype(float)
    before, after = flip_free_hash(grey), flip_free_hash(255 * (grey / 255) ** 0.5)
    centred = before - before.mean(0), after - before.mean(0)
    before, after = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in centred)
    near = before @ after.T
    assert near.diagonal().min() > 0.8
    assert (near.argmax(1) == np.arange(len(phantoms))).all()
