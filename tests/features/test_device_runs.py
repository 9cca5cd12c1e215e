"""Runs that have a device decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import dataset_of, make_images
from made_device import Device, make_folder

from bottleneck.errors import UsageError
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone


def test_a_run_makes_the_rows_of_the_fast_decoding_under_a_name_of_its_own(
    tmp_path: Path, device: Device
) -> None:
    folder = make_folder(tmp_path / "images")
    results = [
        extract(
            dataset_of(folder),
            tiny_backbone(),
            precision="bf16",
            decoding=how,
            batch_size=4,
            output=tmp_path / "f",
        )
        for how in ("fast", "device")
    ]
    fast, there = (load_features(result.path) for result in results)
    assert results[0].path != results[1].path
    assert results[1].provenance["recipe"]["decoding"] == "1-device"
    assert results[0].failures == results[1].failures != ()
    notes = [note for note in results[1].notes if note not in results[0].notes]
    assert notes[0].startswith("10 images of 24 decoded by the processor: no JPEG")
    assert notes[1].startswith("there is no GPU")
    assert results[1].provenance["drift"] == results[0].provenance["drift"]
    np.testing.assert_array_equal(fast.X, there.X)
    np.testing.assert_array_equal(fast.pixels, there.pixels)
    np.testing.assert_array_equal(fast.thumbnails, there.thumbnails)
    assert sum(device.batches) == 1 + 14  # The trial, and what is JPEG and grey.
    # What is left open continues what is there, where one file alone is.
    results[0].path.unlink()
    again = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "f")
    assert (again.path, again.n_extracted) == (results[1].path, 0)


def test_several_networks_share_what_the_device_decoded(tmp_path: Path, device: Device) -> None:
    folder = make_folder(tmp_path / "images")
    options: dict[str, Any] = {"precision": "bf16", "decoding": "device", "layers": ()}
    backbones = [tiny_backbone(), tiny_backbone(width=4)]
    extract_all(dataset_of(folder), backbones, output=tmp_path / "f", **options)
    assert sum(device.batches) == 1 + 14


def test_a_device_that_makes_nothing_right_ends_the_run_with_what_to_do(
    tmp_path: Path, device: Device
) -> None:
    device.spoils = lambda pixels: pixels.copy_(255 - pixels)
    with pytest.raises(UsageError, match=r"cpu makes other pictures .* Say --decode fast"):
        extract(
            dataset_of(make_folder(tmp_path / "images", 60)),
            tiny_backbone(),
            precision="bf16",
            decoding="device",
            output=tmp_path / "f",
        )


def test_in_full_precision_there_is_the_reference_alone(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 2)
    data = dataset_of(tmp_path / "images")
    with pytest.raises(UsageError, match="fp32 takes the reference decoding"):
        extract(data, tiny_backbone(), precision="fp32", decoding="device", output=tmp_path)


@pytest.mark.gpu
def test_a_run_on_a_gpu_decodes_there(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    data = dataset_of(make_folder(tmp_path / "images"))
    options: dict[str, Any] = {"precision": "bf16", "device": "cuda", "output": tmp_path / "f"}
    fast = extract(data, tiny_backbone(), decoding="fast", **options)
    there = extract(data, tiny_backbone(), decoding="device", **options)
    a, b = load_features(fast.path), load_features(there.path)
    assert a.ids.tolist() == b.ids.tolist()
    np.testing.assert_allclose(b.X, a.X, rtol=0.05, atol=0.05 * np.abs(a.X).max())
    assert there.failures == fast.failures
