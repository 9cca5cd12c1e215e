"""Pixel cache: the same pixels as decoding, in whatever state its folder is."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import PIL
import pytest
from made import dataset_of
from PIL import Image

from bottleneck.data.images import pixel_cache
from bottleneck.data.images.decode import decode, decode_with_notes, pixel_facts
from bottleneck.data.images.display import Display
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.images.preparation import Preparation
from bottleneck.errors import UsageError
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

MakeImages = Callable[[int], Path]
OPTIONS: dict[str, Any] = {"batch_size": 4, "workers": 2, "precision": "fp32"}
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (30, 40), np.uint8)
PICTURES = {
    "grey": Image.fromarray(GREY),
    "grey in three channels": Image.fromarray(np.stack([GREY] * 3, -1)),
    "colour": Image.fromarray(RNG.integers(0, 256, (30, 41, 3), np.uint8)),
    "alpha": Image.fromarray(RNG.integers(0, 256, (33, 40, 4), np.uint8)),
    "16 bit": Image.fromarray(RNG.integers(0, 65536, (30, 40), np.uint16)),
    "colour in one pixel": Image.fromarray(
        np.where(np.arange(30 * 40 * 3).reshape(30, 40, 3) == 3599, 7, 100).astype(np.uint8)
    ),
}


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def kept(cache: PixelCache, data: bytes, region: Any = None) -> tuple[str, Any]:
    """Keep an image, and return the name under which it is."""
    sha256 = hashlib.sha256(data).hexdigest()
    image = decode(data, region)
    cache.keep(sha256, region, image, pixel_facts(image))
    return sha256, region


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("region", [None, (3, 4, 29, 30)])
def test_what_is_kept_is_what_was_decoded(tmp_path: Path, name: str, region: Any) -> None:
    data = png(PICTURES[name])
    expected = decode(data, region)
    found = PixelCache(tmp_path).find(*kept(PixelCache(tmp_path), data, region))
    assert found is not None
    image, facts = found
    assert (image.mode, image.size) == ("RGB", expected.size)
    assert image.tobytes() == expected.tobytes()
    assert facts == pixel_facts(expected)
    (file,) = files(tmp_path)
    channels = 3 if name in ("colour", "alpha", "colour in one pixel") else 1
    if name == "colour in one pixel" and region:  # which the region is without
        channels = 1
    assert 0 < file.stat().st_size - channels * expected.width * expected.height < 3000


def test_regions_of_one_image_are_different_entries(tmp_path: Path) -> None:
    data, cache = png(PICTURES["colour"]), PixelCache(tmp_path)
    names = [
        kept(cache, data, region)
        for region in (None, (0, 0, 20, 20), (0, 0, 21, 20), (1, 0, 21, 20), (10, 0, 21, 20))
    ]
    assert len(files(tmp_path)) == len(names)
    for sha256, region in names:
        found = cache.find(sha256, region)
        assert found is not None
        assert found[0].tobytes() == decode(data, region).tobytes()


def test_what_is_damaged_is_not_kept(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path)
    name = kept(cache, png(PICTURES["grey"]))
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    spoilt = [whole[:n] for n in (0, 1, 31, 32, 33, 100, len(whole) - 1)] + [whole + b"\0"]
    for place in RNG.integers(0, len(whole), 200):
        changed = bytearray(whole)
        changed[place] ^= 1 << RNG.integers(8)
        spoilt.append(bytes(changed))
    for content in spoilt:
        file.write_bytes(content)
        assert cache.find(*name) is None
    file.unlink()
    assert cache.find(*name) is None


def test_files_that_changed_their_names_are_not_taken_for_each_other(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path)
    images = [png(Image.new("RGB", (9, 9), colour)) for colour in ("red", "blue")]
    names = [kept(cache, data)[0] for data in images]
    one, other = files(tmp_path)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert [cache.find(name, None) for name in names] == [None, None]


def test_unreadable_images_are_reported(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path)
    name = kept(cache, png(PICTURES["grey"]))
    (file,) = files(tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match=r"cannot be read: .* is a folder"):
        cache.find(*name)
    with pytest.raises(UsageError, match="cannot be written"):
        kept(cache, png(PICTURES["grey"]))
    file.rmdir()
    kept(cache, png(PICTURES["grey"]))
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600  # Images of patients are for their user alone.


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize(("own", "folders", "mode"), [(0o755, 0, 0), (0o775, 0o070, 0o040)])
def test_a_group_that_can_write_the_folder_shares_the_cache(
    tmp_path: Path, own: int, folders: int, mode: int
) -> None:
    tmp_path.chmod(own)
    kept(PixelCache(tmp_path), png(PICTURES["grey"]))
    for path in tmp_path.rglob("*"):
        expected = 0o700 | folders if path.is_dir() else 0o600 | mode
        assert path.stat().st_mode & 0o777 == expected


def test_another_decoder_has_entries_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PixelCache(tmp_path)
    name = kept(cache, png(PICTURES["grey"]))
    here = pickle.dumps(cache)
    assert pickle.loads(here).find(*name) is not None
    monkeypatch.setattr(PIL, "__version__", "1.2.3")
    assert pickle.loads(here).find(*name) is None
    monkeypatch.undo()
    monkeypatch.setattr(pixel_cache.features, "version_codec", lambda _: "0.1")
    assert pickle.loads(here).find(*name) is None


def test_an_image_larger_than_the_memory_is_not_kept(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: Any) -> bytes:
        raise MemoryError

    monkeypatch.setattr(pixel_cache, "_encode", too_much)
    result = extract(
        dataset_of(image_folder(3)),
        tiny_backbone(),
        pixel_cache=tmp_path / "pixels",
        output=tmp_path / "a",
        **OPTIONS,
    )
    assert (result.n_extracted, result.failures) == (3, ())
    assert not files(tmp_path / "pixels")


def test_many_threads_share_it(tmp_path: Path) -> None:
    data, cache = png(PICTURES["colour"]), PixelCache(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: kept(cache, data), range(64)))
        found = list(pool.map(lambda name: cache.find(*name), names))
    assert {image.tobytes() for image, _ in filter(None, found)} == {decode(data).tobytes()}
    assert None not in found
    assert len(files(tmp_path)) == 1


def test_another_network_decodes_nothing(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def counting(*task: Any) -> tuple[Image.Image, tuple[str, ...]]:
        decoded.append(len(task[0]))
        return decode_with_notes(*task)

    monkeypatch.setattr("bottleneck.features.images.decoder_pool.decode_with_notes", counting)
    folder = image_folder(9)
    (folder / "999.png").write_bytes(b"no image")
    dataset = dataset_of(folder)
    with_cache = OPTIONS | {"pixel_cache": tmp_path / "pixels"}
    extract(dataset, tiny_backbone(), output=tmp_path / "a", **with_cache)
    assert (len(decoded), len(files(tmp_path / "pixels"))) == (10, 9)
    other = tiny_backbone(width=5, side=12)
    second = extract(dataset, other, output=tmp_path / "a", **with_cache)
    assert len(decoded) == 11  # What is not an image is none again.
    damaged = files(tmp_path / "pixels")[4]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    third = extract(dataset, other, output=tmp_path / "c", **with_cache)
    assert len(decoded) == 13
    plain = extract(dataset, other, output=tmp_path / "b", **OPTIONS)
    assert second.failures == third.failures == plain.failures
    for result in (second, third):
        with h5py.File(result.path) as one, h5py.File(plain.path) as two:
            assert {k: v[:].tolist() for k, v in one.items()} == {
                k: v[:].tolist() for k, v in two.items()
            }
        assert result.provenance["recipe"] == plain.provenance["recipe"]


def test_a_full_disk_ends_the_run_and_loses_nothing(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_of(image_folder(40))
    with_cache = OPTIONS | {"pixel_cache": tmp_path / "pixels", "output": tmp_path / "a"}
    original, written = pixel_cache._write, []

    def full(*what: Any) -> None:
        written.append(what)
        if len(written) > 30:
            raise OSError(28, "No space left on device")
        original(*what)

    monkeypatch.setattr(pixel_cache, "_write", full)
    with pytest.raises(UsageError, match=r"No space left .* choose another --pixel-cache"):
        extract(dataset, tiny_backbone(), **with_cache)
    result = extract(dataset, tiny_backbone(), output=tmp_path / "a", **OPTIONS)
    # Batches that were being computed are not known, but nothing that was written is lost.
    assert result.n_known + result.n_extracted == result.n_samples == 40
    assert not result.failures
    plain = extract(dataset, tiny_backbone(), output=tmp_path / "b", **OPTIONS)
    assert load_features(result.path).X.tobytes() == load_features(plain.path).X.tobytes()


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    script = """
import os, pathlib, sys
from PIL import Image
from bottleneck.data.images.decode import pixel_facts
from bottleneck.data.images.display import Display
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.images.preparation import Preparation
pathlib.Path.replace = lambda *_: os._exit(9)
image = Image.new("RGB", (30, 40))
PixelCache(pathlib.Path(sys.argv[1])).keep("a" * 64, None, image, pixel_facts(image))
"""
    assert subprocess.run([sys.executable, "-c", script, tmp_path]).returncode == 9
    assert len(files(tmp_path)) == 1
    PixelCache(tmp_path)
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="/pixels cannot be written: Not a directory"):
        PixelCache(tmp_path / "file" / "pixels")


def test_each_display_of_an_image_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    PICTURES["16 bit"].save(tmp_path / "images" / "0.png")
    dataset = dataset_of(tmp_path / "images")
    displays: list[Display] = []

    # A decoder of which every display shows another image.
    def recording(
        data: bytes, region: Any, display: Display
    ) -> tuple[Image.Image, tuple[str, ...]]:
        displays.append(display)
        width = 100 if display.window is None else display.window[1]
        return Image.new("RGB", (30, 40), (int(width), 50 + 50 * display.rescale, 0)), ()

    monkeypatch.setattr("bottleneck.features.images.decoder_pool.decode_with_notes", recording)
    steps: list[dict[str, Any]] = [
        {},
        {"window": (40, 200)},
        {"window": (41, 200)},
        {"window": "40,201"},
        {"rescale": True},
        {"denoise": "median"},  # It does not change what is decoded.
    ]
    first, second = (
        [
            load_features(
                extract(
                    dataset,
                    tiny_backbone(),
                    output=tmp_path / output,
                    pixel_cache=tmp_path / "pixels",
                    **OPTIONS,
                    **step,
                ).path
            )
            for step in steps
        ]
        for output in "ab"
    )
    expected = [Preparation(**step).display for step in steps[:5]]
    assert displays == expected  # Once each, and never again.
    assert len(files(tmp_path / "pixels")) == 5
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.X, b.X)
        np.testing.assert_array_equal(a.pixels, b.pixels)
    hashes = [str(features.pixels[0]) for features in first if features.pixels is not None]
    assert len(set(hashes)) == 4  # The centre has no effect on the decoder above.
    assert hashes[0] == hashes[5]
