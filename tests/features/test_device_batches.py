"""What becomes of batches of files on a device: shared, refused, failed, closed."""

from __future__ import annotations

import functools
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import torch
from made_device import CPU, FRAMING, Device, Hold, encoded, noise, on_host, same

from bottleneck.data.images.decode import read_plain_jpeg
from bottleneck.errors import DeviceError, UsageError
from bottleneck.features.images import gpu_decoder
from bottleneck.features.images.decoder_pool import Decoders
from bottleneck.features.images.gpu_decoder import DeviceDecoders
from bottleneck.features.timing import Clock


def test_threads_share_a_batch(decoders: DeviceDecoders, device: Device) -> None:
    files = [encoded(noise(n, "L", (40 + n % 2, 30))) for n in range(12)]
    device.fails = hold = Hold()
    with ThreadPoolExecutor(12) as pool:
        ask = functools.partial(decoders.picture, sha256="", region=None, framings=[FRAMING])
        futures = [pool.submit(ask, files[0])]
        assert hold.begun.wait(timeout=60)
        futures += [pool.submit(ask, data) for data in files[1:]]
        while len(decoders._tasks) < 11:
            time.sleep(0.001)
        hold.go_on.set()
        made = [future.result() for future in futures]
    assert device.batches == [1, 11]
    assert all(same(each, on_host(data)) for each, data in zip(made, files, strict=True))


def test_who_asks_what_was_closed_does_not_wait(device: Device) -> None:
    decoders = DeviceDecoders(CPU, Clock(2), Decoders(Clock(1)))
    device.fails = hold = Hold()
    with ThreadPoolExecutor(3) as pool:
        ask = functools.partial(decoders.picture, encoded(noise(mode="L")), "", None, [FRAMING])
        begun = pool.submit(ask)
        assert hold.begun.wait(timeout=60)
        queued = pool.submit(ask)
        while not decoders._tasks:
            time.sleep(0.001)
        closing = pool.submit(decoders.close)
        hold.go_on.set()
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


def task(data: bytes) -> gpu_decoder._Task:
    jpeg = read_plain_jpeg(data)
    assert jpeg is not None
    return gpu_decoder._Task(data, jpeg, (0, 0, *jpeg.size), (FRAMING,), Future())


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
    judged = decoders._judge(RuntimeError(said), task(encoded(noise(mode="L"))))
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
