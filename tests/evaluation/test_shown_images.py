"""Thumbnails and names of images: against Pillow, for regions, masks, changed and missing files."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import numpy as np
import pytest
from made_features import make_features
from PIL import Image

from bottleneck import FeatureSet, ImageDataset
from bottleneck.data.images.decode import decode, pixel_facts
from bottleneck.evaluation.cases.shown_images import make_thumbnails, name_images

REGION = (10, 20, 210, 120)


@pytest.fixture(scope="module")
def encoded() -> dict[str, bytes]:
    """Smooth colour images of several shapes, and one that is small."""
    made = {}
    for n, size in enumerate([(300, 200), (240, 400), (256, 256), (40, 30)]):
        rows = np.linspace(0, 200, size[1])[:, np.newaxis, np.newaxis]
        columns = np.linspace(0, 50, size[0])[np.newaxis, :, np.newaxis]
        pixels = np.broadcast_to(rows + columns, (size[1], size[0], 3)) - np.array([0, 40, 80])
        out = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(out, "PNG")
        made[f"{n}.png"] = out.getvalue()
    return made


def read(encoded: dict[str, bytes]) -> tuple[FeatureSet, ImageDataset]:
    """Features and data set of these images; the first is a region."""
    rows: list[dict[str, object]] = [
        {"path": path, "id": f"image-{n:03d}", "label": "ab"[n % 2]}
        for n, path in enumerate(encoded)
    ]
    rows[0]["region"] = REGION
    dataset = ImageDataset.from_samples(rows, name="made", images=encoded)
    facts = [
        pixel_facts(decode(data, REGION if n == 0 else None))
        for n, data in enumerate(encoded.values())
    ]
    features = make_features(
        n_patients=4,
        images=1,
        sources=np.array(list(encoded)),
        pixels=np.array([fact.pixels for fact in facts]),
        sha256=np.array([hashlib.sha256(data).hexdigest() for data in encoded.values()]),
        thumbnails=np.stack([np.frombuffer(f.thumbnail, np.uint8).reshape(32, 32) for f in facts]),
    )
    return features, dataset


def test_thumbnails_are_those_of_pillow_in_colour_and_in_their_aspect(
    encoded: dict[str, bytes],
) -> None:
    features, dataset = read(encoded)
    made = make_thumbnails(features, range(4), dataset)
    assert [made[row].shape for row in range(4)] == [
        (64, 128, 3),
        (128, 77, 3),
        (128, 128, 3),
        (30, 40, 3),
    ]
    for row, data in enumerate(encoded.values()):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        image = image.crop(REGION) if row == 0 else image
        size = made[row].shape[1::-1]
        expected = np.asarray(image.resize(size, Image.Resampling.LANCZOS)).astype(int)
        assert np.abs(made[row] - expected).max() <= 3


def test_an_image_that_is_missing_or_changed_is_not_shown(encoded: dict[str, bytes]) -> None:
    features, _ = read(encoded)
    others = {**encoded, "1.png": encoded["2.png"], "2.png": b"no image"}
    _, dataset = read(encoded)
    rows = [sample for sample in dataset.samples if sample.source != "3.png"]
    changed = ImageDataset.from_samples(rows, name="made", images=others)
    made = make_thumbnails(features, [0, 1, 2, 3, 1], changed)
    assert made[0].shape == (64, 128, 3)
    for row in (1, 2, 3):
        np.testing.assert_array_equal(made[row], features.thumbnails[row])
    bare = dataclasses.replace(features, thumbnails=None)
    assert set(make_thumbnails(bare, range(4), changed)) == {0}
    assert make_thumbnails(bare, range(4)) == {}


def test_names_are_those_of_the_features(encoded: dict[str, bytes]) -> None:
    features, _ = read(encoded)
    (name,) = name_images(features, [2, 2]).values()
    assert (name.id, name.patient, name.source) == ("image-002", "patient-02", "2.png")
    assert "image" not in repr(name)
    unnamed = dataclasses.replace(features, stated_patients=None, sources=None)
    assert [(n.patient, n.source) for n in name_images(unnamed, [0]).values()] == [("", "")]
