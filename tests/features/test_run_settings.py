"""Which decoding a recipe has, and what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import dataset_of, make_images
from PIL import Image

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.images.decode import POLICY
from bottleneck.errors import UsageError
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

MakeImages = Callable[..., Path]
CPU = torch.device("cpu")


def run(folder: Path, output: Path, **options: Any) -> Extraction:
    options = {"batch_size": 4, "workers": 2, "precision": "fp32", **options}
    return extract(dataset_of(folder), tiny_backbone(), output=output, **options)


def test_a_network_at_two_decodings_in_one_pass(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    make_images(folder, 12, side=50)
    backbone = tiny_backbone()
    options = {"layers": (), "precision": "bf16", "batch_size": 4}
    data = dataset_of(folder)
    begun = tmp_path / "begun"
    extract_all(data, [backbone], output=begun, decoding="reference", **options)
    Image.fromarray(np.full((50, 50), 7, np.uint8)).save(folder / "999.png")
    both = extract_all(dataset_of(folder), [backbone, backbone.at("0")], output=begun, **options)
    alone = extract_all(
        dataset_of(folder), [backbone.at("0")], output=tmp_path / "alone", **options
    )
    decodings = [result.provenance["recipe"]["decoding"] for result in both]
    assert decodings == [POLICY, f"{POLICY}-fast"]
    np.testing.assert_array_equal(load_features(both[1].path).X, load_features(alone[0].path).X)


def test_fast_decoding_is_part_of_the_recipe_and_its_drift_is_measured(tmp_path: Path) -> None:
    folder, output = tmp_path / "images", tmp_path / "f"
    make_images(folder, 8, side=50)
    slow = run(folder, output, precision="bf16", batch_size=8, decoding="reference")
    assert run(folder, output, precision="bf16").path == slow.path
    fast = run(folder, output, precision="bf16", batch_size=8, decoding="fast")
    assert slow.path != fast.path
    assert fast.provenance["recipe"]["decoding"] == f"{POLICY}-fast"
    # Now both are there.
    assert run(folder, output, precision="bf16").path == fast.path
    exactly = run(folder, output, precision="fp32")
    assert exactly.provenance["recipe"]["decoding"] == POLICY

    backbone = tiny_backbone().to(CPU)
    images = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]
    made = [[p.pixels(i) for i in images] for p in (backbone.preprocessing.fast(),
                                                    backbone.preprocessing)]  # fmt: skip
    reduced, exact = (
        backbone.embed(torch.from_numpy(np.stack(pixels)), precision).numpy()
        for pixels, precision in zip(made, ("bf16", "fp32"), strict=True)
    )
    np.testing.assert_array_equal(load_features(fast.path).X, reduced)
    relative = np.linalg.norm(reduced - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert fast.provenance["drift"]["relative"] == pytest.approx(relative.max(), rel=1e-5)


def test_fast_decoding_and_layers_share_a_pass(image_folder: MakeImages, tmp_path: Path) -> None:
    results = extract_all(
        dataset_of(image_folder(5)),
        [tiny_backbone()],
        layers=["0", "1"],
        precision="bf16",
        decoding="fast",
        batch_size=4,
        output=tmp_path,
    )
    assert all(result.provenance["drift"]["images"] == 4 for result in results)


def test_a_resize_of_one_form_says_that_it_is_the_reference(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    make_images(folder, 4, side=50)
    backbone = tiny_backbone()
    of_opencv = Backbone(
        backbone.network,
        name=backbone.name,  # What is said of the one does not hold for the other.
        architecture=backbone.architecture,
        weights=backbone.weights,
        preprocessing=dataclasses.replace(backbone.preprocessing, resizer="opencv"),
    )
    options: dict[str, Any] = {"precision": "bf16", "decoding": "fast", "layers": ()}
    backbones = [backbone, of_opencv, of_opencv.at("0")]
    plain, other, again = extract_all(
        dataset_of(folder), backbones, output=tmp_path / "f", **options
    )
    (note,) = set(other.notes) - set(plain.notes)
    assert again.notes == plain.notes
    assert note == (
        "tiny: --decode fast has no effect here: this resize (bilinear of opencv) has only the "
        "reference form"
    )
    assert other.provenance["recipe"]["decoding"] == POLICY


def test_fp32_takes_the_reference(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(2)
    with pytest.raises(UsageError, match="fp32 needs the reference decoding"):
        run(folder, tmp_path / "f", decoding="fast")
    with pytest.raises(UsageError, match="unknown decode 'quick'"):
        run(folder, tmp_path / "f", decoding="quick")
    with pytest.raises(UsageError, match="unknown compile 'often'"):
        run(folder, tmp_path / "f", compile="often")
