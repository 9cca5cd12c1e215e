"""Which files a device decodes, and that it makes the pictures of the host."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from made_device import CPU, FRAMING, Device, encoded, noise, on_host, same
from PIL import Image

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import DecodeError, MissingExtraError, UsageError
from bottleneck.features.images import gpu_decoder
from bottleneck.features.images.decoder_pool import Decoders
from bottleneck.features.images.gpu_decoder import DeviceDecoders
from bottleneck.features.timing import Clock

ROTATED = Image.Exif()
ROTATED[0x0112] = 6
# Red by five levels.
DOT = Image.new("RGB", (40, 30), (100, 100, 100))
DOT.paste((140, 100, 100), (20, 12, 22, 14))


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
    standing = gpu_decoder._load_decoder()([whole], mode="RGB", device=CPU)[0]
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
            assert np.abs(off).mean() <= gpu_decoder.MEAN_LEVELS + 1
    assert refused


def test_a_region_is_cut_out(decoders: DeviceDecoders) -> None:
    data = encoded(noise(mode="L"))
    for region in ((3, 4, 33, 28), (-5, 0, 20, 90)):
        assert same(decoders.picture(data, "", region, [FRAMING]), on_host(data, region))


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


def test_a_device_without_a_decoder(device: Device) -> None:
    def fail(files: list[bytes]) -> None:
        raise RuntimeError("torchcodec was not compiled with nvJPEG\nC++ stack")

    device.fails = fail
    with pytest.raises(UsageError, match=r"cpu cannot decode JPEG: .* nvJPEG\. Say --decode fast"):
        DeviceDecoders(CPU, Clock(1), Decoders(Clock(1)))


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
