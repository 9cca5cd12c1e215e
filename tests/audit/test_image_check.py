"""Check of the images of a feature set: which of them have changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from made import dataset_of, make_images
from PIL import Image

from bottleneck.audit.image_check import check_images
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone


def test_files_that_a_device_decoded_are_those_and_others_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    make_images(folder, 6)
    data = dataset_of(folder)
    result = extract(data, tiny_backbone(), precision="fp32", output=tmp_path / "f")
    features = load_features(result.path)
    assert features.pixels is not None
    assert features.thumbnails is not None
    # Another decoder's pixels; other rounding changes a thumbnail by at most this much.
    otherwise = dataclasses.replace(
        features,
        pixels=np.full_like(features.pixels, "0" * 64),
        thumbnails=np.clip(features.thumbnails.astype(int) + 3, 0, 255).astype(np.uint8),
    )
    assert check_images(otherwise, data).checked.tolist() == list(range(6))
    Image.new("L", (40, 40), 9).save(folder / "003.png")
    for each in (features, otherwise):
        assert check_images(each, dataset_of(folder)).changed.tolist() == [3]
    # Another part of the same file.
    moved = dataclasses.replace(otherwise, thumbnails=255 - features.thumbnails)
    assert check_images(moved, data).changed.tolist() == list(range(6))
