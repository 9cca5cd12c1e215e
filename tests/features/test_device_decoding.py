"""What a device decodes: a CPU stands in for it, which makes the very pixels of the host."""

from __future__ import annotations

import functools
import io
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import dataset_of, make_images
from PIL import Image

from bottleneck.data.decode import read_plain_jpeg
from bottleneck.data.preprocessing import Preprocessing
from bottleneck.errors import DecodeError, DeviceError, MissingExtraError, UsageError
from bottleneck.features import device_decoding
from bottleneck.features.decoders import Decoders, Picture
from bottleneck.features.device_decoding import DeviceDecoders
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.stages import Clock
from bottleneck.features.store import load_features
from bottleneck.testing import tiny_backbone

pytest.importorskip("torchcodec", reason="torchcodec, which decodes on a device, is not installed")

CPU = torch.device("cpu")
FRAMING = Preprocessing(20, 16, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).on_device()
ROTATED = Image.Exif()
ROTATED[0x0112] = 6
# Red by five levels.
DOT = Image.new("RGB", (40, 30), (100, 100, 100))
DOT.paste((140, 100, 100), (20, 12, 22, 14))


def noise(seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


JPEG = encoded(noise(mode="L"))


class Device:
    """Decodes as torchcodec does on a CPU, and counts; what is set to fail fails."""

    def __init__(self, decode: Callable[..., list[torch.Tensor]]) -> None:
        self._decode = decode
        self.batches: list[int] = []
        self.fails: Callable[[list[bytes]], object] = lambda files: None
        self.spoils: Callable[[torch.Tensor], object] = lambda pixels: None
        self.stands_in: Callable[[], torch.Tensor] | None = None

    def __call__(self, files: list[bytes], **options: Any) -> list[torch.Tensor]:
        self.fails(files)
        self.batches.append(len(files))
        if self.stands_in is not None:
            return [self.stands_in() for _ in files]
        decoded = self._decode(files, **{**options, "device": CPU})
        for each in decoded:
            self.spoils(each)
        return decoded


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device(device_decoding._load_decoder())
    monkeypatch.setattr(device_decoding, "_load_decoder", lambda: made)
    return made


@pytest.fixture
def decoders(device: Device) -> Iterator[DeviceDecoders]:
    made = DeviceDecoders(CPU, Clock(2), Decoders(Clock(1)))
    device.batches.clear()  # The one that tries whether there is a decoder.
    yield made
    made.close()


def on_host(data: bytes, region: Any = None) -> Picture:
    return Decoders(Clock(1)).picture(data, "", region, [FRAMING])


def same(a: Picture, b: Picture) -> bool:
    return a.facts == b.facts and np.array_equal(a.pixels[FRAMING], b.pixels[FRAMING])


@pytest.mark.parametrize(
    "image",
    [
        noise(mode="L"),
        noise(mode="L", size=(63, 33)),
        noise(),
        noise(size=(8, 8)),
        noise(size=(45, 31)),
        Image.linear_gradient("L").resize((50, 40)).convert("RGB"),
    ],
)
@pytest.mark.parametrize("progressive", [False, True])
def test_plain_files_are_decoded_there(
    decoders: DeviceDecoders, device: Device, image: Image.Image, progressive: bool
) -> None:
    data = encoded(image, subsampling=0, progressive=progressive)
    made = decoders.picture(data, "", None, [FRAMING])
    assert isinstance(made.pixels[FRAMING], torch.Tensor)
    assert same(made, on_host(data))
    assert device.batches == [1]


def test_grey_that_is_stored_as_colours_of_a_lower_resolution_is_decoded_there(
    decoders: DeviceDecoders, device: Device
) -> None:
    data = encoded(noise(mode="L").convert("RGB"), subsampling=2)
    assert same(decoders.picture(data, "", None, [FRAMING]), on_host(data))
    assert isinstance(decoders.picture(data, "", None, [FRAMING]).pixels[FRAMING], torch.Tensor)
    assert device.batches == [1, 1]


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (encoded(noise(), "PNG"), False),
        (encoded(noise(), subsampling=2), False),
        (encoded(DOT, subsampling=2, quality=100), True),  # No mean of a block tells.
        (encoded(noise(mode="CMYK")), False),
        (encoded(noise(mode="L"), exif=ROTATED), False),
        (encoded(noise(mode="L"), xmp=b'<x:xmpmeta tiff:Orientation="6">'), False),
    ],
    ids=["png", "subsampled", "a dot of colour", "cmyk", "exif", "xmp"],
)
def test_other_files_are_decoded_by_the_host(
    decoders: DeviceDecoders, device: Device, data: bytes, asked: bool
) -> None:
    made = decoders.picture(data, "", None, [FRAMING])
    assert isinstance(made.pixels[FRAMING], np.ndarray)
    assert same(made, on_host(data))
    assert len(device.batches) == asked


@pytest.mark.parametrize(
    ("data", "region"),
    [
        (b"", None),
        (encoded(noise(mode="L"))[:-40], None),
        (encoded(noise(mode="L"), "MPO", save_all=True, append_images=[noise(1)]), None),
        (encoded(noise(size=(7, 30))), None),
        (encoded(noise(size=(8, 801)), subsampling=0), None),
        (encoded(noise(mode="L")), (50, 0, 60, 10)),
        (encoded(noise(mode="L")), (0, 0, 5, 10)),
    ],
    ids=["empty", "cut off", "frames", "small", "long", "outside", "small region"],
)
def test_what_cannot_be_used_is_refused_in_the_words_of_the_host(
    decoders: DeviceDecoders, data: bytes, region: Any
) -> None:
    with pytest.raises(DecodeError) as there:
        decoders.picture(data, "", region, [FRAMING])
    with pytest.raises(DecodeError) as here:
        on_host(data, region)
    assert str(there.value) == str(here.value)


@pytest.mark.parametrize("fill", [0, 255])
def test_what_a_device_fills_up_never_reaches_a_row(
    decoders: DeviceDecoders, device: Device, fill: int
) -> None:
    """A file that ends early, with the mark of its end: a device may leave what was in memory."""
    data = encoded(noise(mode="L", size=(200, 150)))
    data = data[: len(data) // 2] + b"\xff\xd9"
    device.spoils = lambda pixels: pixels[:, 70:].fill_(fill)
    assert same(decoders.picture(data, "", None, [FRAMING]), on_host(data))


def test_damage_is_judged_by_libjpeg_wherever_it_is(
    decoders: DeviceDecoders, device: Device
) -> None:
    """A device that takes all files decides nothing."""
    rng, whole = np.random.default_rng(0), encoded(noise(mode="L", size=(80, 60)))
    standing = device_decoding._load_decoder()([whole], mode="RGB", device=CPU)[0]
    device.stands_in = lambda: standing
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole) // 3, len(whole), 3):
            damaged[place] = rng.integers(256)
        data = bytes(damaged)
        try:
            expected = on_host(data)
        except DecodeError:
            refused += 1
            with pytest.raises(DecodeError):
                decoders.picture(data, "", None, [FRAMING])
        else:
            found = decoders.picture(data, "", None, [FRAMING])
            off = np.asarray(found.pixels[FRAMING], int) - np.asarray(expected.pixels[FRAMING], int)
            assert np.abs(off).mean() <= device_decoding.MEAN_LEVELS + 1
    assert refused


def test_a_region_is_cut_out(decoders: DeviceDecoders) -> None:
    data = encoded(noise(mode="L"))
    for region in ((3, 4, 33, 28), (-5, 0, 20, 90)):
        assert same(decoders.picture(data, "", region, [FRAMING]), on_host(data, region))


def test_threads_share_a_batch(decoders: DeviceDecoders, device: Device) -> None:
    files = [encoded(noise(n, "L", (40 + n % 2, 30))) for n in range(12)]
    first, rest = threading.Event(), threading.Event()

    def wait(files: list[bytes]) -> None:
        first.set()
        assert rest.wait(timeout=60)

    device.fails = wait
    with ThreadPoolExecutor(12) as pool:
        ask = functools.partial(decoders.picture, sha256="", region=None, framings=[FRAMING])
        futures = [pool.submit(ask, files[0])]
        assert first.wait(timeout=60)
        futures += [pool.submit(ask, data) for data in files[1:]]
        while len(decoders._tasks) < 11:
            time.sleep(0.001)
        rest.set()
        made = [future.result() for future in futures]
    assert device.batches == [1, 11]
    assert all(same(each, on_host(data)) for each, data in zip(made, files, strict=True))


def test_who_asks_what_was_closed_does_not_wait(device: Device) -> None:
    decoders = DeviceDecoders(CPU, Clock(2), Decoders(Clock(1)))
    first, rest = threading.Event(), threading.Event()

    def wait(files: list[bytes]) -> None:
        first.set()
        assert rest.wait(timeout=60)

    device.fails = wait
    with ThreadPoolExecutor(3) as pool:
        ask = functools.partial(decoders.picture, encoded(noise(mode="L")), "", None, [FRAMING])
        begun = pool.submit(ask)
        assert first.wait(timeout=60)
        queued = pool.submit(ask)
        while not decoders._tasks:
            time.sleep(0.001)
        closing = pool.submit(decoders.close)
        rest.set()
        closing.result(timeout=60)
        assert same(begun.result(timeout=60), on_host(encoded(noise(mode="L"))))
        queued.exception(timeout=60)  # Whether it was still done or not, nobody waits.
        with pytest.raises(RuntimeError, match="shutdown"):
            pool.submit(ask).result(timeout=60)


def test_one_file_that_it_refuses_spoils_no_batch(decoders: DeviceDecoders, device: Device) -> None:
    bad = encoded(noise(0, "L"))

    def refuse(files: list[bytes]) -> None:
        if bad in files:
            raise RuntimeError("decode_jpegs_cuda, a.cpp:1, nvjpegDecode failed: 3")

    device.fails = refuse
    tasks = [task(data) for data in (bad, *(encoded(noise(n, "L")) for n in range(1, 4)))]
    decoders._device = torch.device("cuda")  # What is said of a file counts there alone.
    decoders._answer(tasks)
    assert [each.future.result() is None for each in tasks] == [True, False, False, False]


def task(data: bytes) -> device_decoding._Task:
    jpeg = read_plain_jpeg(data)
    assert jpeg is not None
    return device_decoding._Task(data, jpeg, (0, 0, *jpeg.size), (FRAMING,), Future())


@pytest.mark.parametrize(
    ("said", "error", "match"),
    [
        ("CUDA error: an illegal memory access", DeviceError, "failed: CUDA error"),
        (
            "decode_jpegs_cuda, a.cpp:1, nvjpegDecode failed: 6",
            DeviceError,
            "failed to decode a JPEG file: .*: 6",
        ),
        ("Failed to synchronize CUDA stream: 700", DeviceError, "CUDA stream: 700"),
        ("CUDA out of memory", UsageError, "too small to decode an image of 40×30 pixels"),
        ("Failed to decode batch: 5", UsageError, "too small to decode an image of 40×30 pixels"),
        ("Failed to get image info: 4", type(None), ""),
        ("Unknown chroma subsampling", type(None), ""),
    ],
)
def test_a_device_that_fails_is_no_file_that_it_refuses(
    decoders: DeviceDecoders, said: str, error: type[Exception], match: str
) -> None:
    decoders._device = torch.device("cuda")
    judged = decoders._judge(RuntimeError(said), task(JPEG))
    assert isinstance(judged, error)
    assert re.search(match, str(judged))


def test_too_little_memory_for_a_batch_is_not_too_little_for_each(
    decoders: DeviceDecoders, device: Device
) -> None:
    def fail(files: list[bytes]) -> None:
        if len(files) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    device.fails = fail
    tasks = [task(encoded(noise(n, "L"))) for n in range(3)]
    decoders._answer(tasks)
    assert all(each.future.result() is not None for each in tasks)


def test_a_device_without_a_decoder(device: Device) -> None:
    def fail(files: list[bytes]) -> None:
        raise RuntimeError("torchcodec was not compiled with nvJPEG\nC++ stack")

    device.fails = fail
    with pytest.raises(UsageError, match=r"cpu cannot decode JPEG: .* nvJPEG\. Say --decode fast"):
        DeviceDecoders(CPU, Clock(1), Decoders(Clock(1)))


@pytest.mark.parametrize(("off", "taken"), [(0, True), (1, True), (3, False), (60, False)])
def test_every_picture_is_held_against_libjpeg(
    decoders: DeviceDecoders, device: Device, off: int, taken: bool
) -> None:
    data = encoded(Image.linear_gradient("L").resize((80, 60)))
    device.spoils = lambda pixels: pixels.copy_((pixels.int() + off).clamp(0, 255))
    found = decoders.picture(data, "", None, [FRAMING])
    assert isinstance(found.pixels[FRAMING], torch.Tensor) == taken
    difference = np.asarray(found.pixels[FRAMING], int) - np.asarray(
        on_host(data).pixels[FRAMING], int
    )
    assert np.abs(difference).max() == (off if taken else 0)


def test_a_picture_of_another_size_is_taken_from_the_host(
    decoders: DeviceDecoders, device: Device
) -> None:
    data = encoded(noise(mode="L"))
    device.stands_in = lambda: torch.zeros(3, 40, 30, dtype=torch.uint8)
    assert same(decoders.picture(data, "", None, [FRAMING]), on_host(data))


@pytest.mark.parametrize("place", [(slice(16, 24), slice(16, 24)), (slice(56, 60), slice(None))])
def test_one_block_that_is_off_is_enough(
    decoders: DeviceDecoders, device: Device, place: tuple[slice, slice]
) -> None:
    data = encoded(Image.linear_gradient("L").resize((80, 60)))
    device.spoils = lambda pixels: pixels[(slice(None), *place)].fill_(0)
    assert same(decoders.picture(data, "", None, [FRAMING]), on_host(data))


def make_folder(folder: Path, n_images: int = 24) -> Path:
    folder.mkdir()
    for n in range(n_images):
        image = noise(n, "L" if n % 3 else "RGB", (50 + n % 2, 40))
        kind, end = ("PNG", "png") if n % 8 == 7 else ("JPEG", "jpg")
        (folder / f"{n:03d}.{end}").write_bytes(encoded(image, kind))
    (folder / "100.jpg").write_bytes(encoded(noise(99))[:300])
    return folder


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


def test_without_torchcodec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bottleneck-features\[gpu\]'"):
        DeviceDecoders(CPU, Clock(1), Decoders(Clock(1)))


def test_no_publisher_resizes_on_a_device() -> None:
    fields = {**FRAMING.to_dict(), "mean": [0.5] * 3, "std": [0.5] * 3}
    with pytest.raises(UsageError, match="resizer cannot be 'device'"):
        Preprocessing.from_dict(fields, "a file")
    lanczos = Preprocessing(20, 16, "lanczos", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert lanczos.on_device() == lanczos


@pytest.mark.gpu
@pytest.mark.parametrize("image", [noise(mode="L", size=(560, 360)), noise(size=(560, 360))])
def test_a_gpu_makes_nearly_the_pixels_of_the_host(image: Image.Image) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    data = encoded(image, subsampling=0)
    made = DeviceDecoders(torch.device("cuda"), Clock(2), Decoders(Clock(1)))
    try:
        found = made.picture(data, "", None, [FRAMING]).pixels[FRAMING]
    finally:
        made.close()
    assert isinstance(found, torch.Tensor)
    off = np.abs(found.cpu().numpy().astype(int) - np.asarray(on_host(data).pixels[FRAMING]))
    assert off.max() <= 8
    assert off.mean() <= 0.5


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
