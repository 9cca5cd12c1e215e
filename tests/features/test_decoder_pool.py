"""Decoder processes give what threads give, and one that dies loses no image."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import dataset_of
from PIL import Image

from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.samples.sample_table import Box, Sample
from bottleneck.errors import DecodeError, UsageError
from bottleneck.features.compute import worker
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.features.images import decoder_pool
from bottleneck.features.images.decoder_pool import DecoderPool
from bottleneck.features.rows import ImageRow
from bottleneck.features.timing import Clock
from bottleneck.testing import tiny_backbone

SQUARE = Preprocessing(20, 16, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SHA256 = "0" * 64  # The name of the image in a pixel cache.
SET_UP, DECODE = decoder_pool._set_up_process, decoder_pool.decode_with_notes


def encoded(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def decoded(
    pool: DecoderPool,
    data: bytes | None = None,
    region: Box | None = None,
    preprocessings: Sequence[Preprocessing] = (SQUARE,),
) -> ImageRow:
    row = ImageRow(0, Sample("a", "a.png", "x", region=region), SHA256)
    pool.decode(row, encoded() if data is None else data, preprocessings)
    return row


def pids(pool: DecoderPool) -> list[int]:
    return [pid for process in pool._idle for pid in process._processes]


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    made = DecoderPool(Clock(1), processes=True)
    yield made
    made.close()


def test_processes_decode_as_threads_do(pool: DecoderPool) -> None:
    here = DecoderPool(Clock(1))
    for region in (None, (3, 4, 33, 28)):
        for preprocessings in ([SQUARE], [SQUARE, SQUARE.fast()]):
            a, b = (decoded(each, None, region, preprocessings) for each in (pool, here))
            assert a.facts == b.facts
            assert list(a.pixels) == preprocessings
            for each in preprocessings:
                np.testing.assert_array_equal(a.pixels[each], b.pixels[each])


def test_time_in_a_process_is_counted(pool: DecoderPool) -> None:
    decoded(pool)
    busy = {stage.name for stage in pool._clock.stages() if stage.busy}
    assert busy == {"decode", "describe", "preprocess"}


def test_unusable_images_fail_as_in_threads(pool: DecoderPool) -> None:
    for data in (b"", b"no image", encoded()[:-40]):
        with pytest.raises(DecodeError) as there:
            decoded(pool, data)
        with pytest.raises(DecodeError) as here:
            decoded(DecoderPool(Clock(1)), data)
        assert str(there.value) == str(here.value)
    assert len(pool._idle) == 1


def test_a_process_that_was_killed_is_replaced(pool: DecoderPool) -> None:
    first = decoded(pool)
    os.kill(pids(pool)[0], signal.SIGKILL)
    again = decoded(pool)
    np.testing.assert_array_equal(first.pixels[SQUARE], again.pixels[SQUARE])


def set_up_to_crash(*how: Any) -> None:
    SET_UP(*how)

    def crash(data: bytes, *how: Any) -> tuple[Image.Image, tuple[str, ...]]:
        if data == encoded(99):
            os.kill(os.getpid(), signal.SIGKILL)
        return DECODE(data, *how)

    decoder_pool.decode_with_notes = crash


@pytest.mark.slow
def test_an_image_that_crashes_two_decoders_fails_and_no_other(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "_set_up_process", set_up_to_crash)
    with pytest.raises(DecodeError, match="two decoder processes ended"):
        decoded(pool, encoded(99))
    assert decoded(pool, encoded(1)).facts


def test_images_are_not_blamed_for_processes_that_died_before(pool: DecoderPool) -> None:
    pool._idle += [decoder_pool._start_process([SQUARE]) for _ in range(3)]
    before = pids(pool)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert decoded(pool).facts
    assert not set(before) & set(pids(pool))


def test_signals_are_for_the_parent(pool: DecoderPool) -> None:
    decoded(pool)
    before = pids(pool)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(before[0], number)
    decoded(pool)
    assert pids(pool) == before


@pytest.mark.slow
def test_signals_do_not_reach_a_process_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    # Blocked before its first instruction, not when its set-up comes to it.
    monkeypatch.setattr(decoder_pool, "_set_up_process", set_up_nothing)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    process = decoder_pool._start_process([SQUARE])
    try:
        blocked = process.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    finally:
        process.shutdown()
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= set(blocked)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, set()) == before


def set_up_nothing(*how: Any) -> None:
    pass


def set_up_to_end(*how: Any) -> None:
    raise SystemExit(3)


def test_a_process_that_ends_as_it_starts(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "_set_up_process", set_up_to_end)
    with pytest.raises(UsageError, match=r"cannot be started.*--workers 1"):
        decoded(pool)


def test_no_process_can_be_started(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")
    with pytest.raises(UsageError, match=r"cannot be started.*--workers 1"):
        decoded(pool)


def test_the_executor_itself_cannot_be_made(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("loky.ProcessPoolExecutor", fail)
    with pytest.raises(UsageError, match=r"cannot be started.*Too many open files.*--workers 1"):
        decoded(pool)


def test_a_pixel_cache_that_cannot_be_used_is_no_fault_of_the_image(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("in the way")
    pool = DecoderPool(Clock(1), cache, processes=True)
    with pytest.raises(UsageError, match="choose another --pixel-cache"):
        decoded(pool)
    pool.close()


def set_up_to_print(*how: Any) -> None:
    SET_UP(*how)

    def chatty(*task: Any) -> tuple[Image.Image, tuple[str, ...]]:
        print("printed by a library", flush=True)
        return DECODE(*task)

    decoder_pool.decode_with_notes = chatty


def test_what_a_library_prints_is_no_answer_and_no_output(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(decoder_pool, "_set_up_process", set_up_to_print)
    assert decoded(pool).facts
    shown = capfd.readouterr()
    assert "printed" not in shown.out
    assert "printed" in shown.err


def test_a_pixel_cache_is_shared(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path)
    pool = DecoderPool(Clock(1), cache, processes=True)
    row = decoded(pool)
    pool.close()
    found = cache.find(SHA256, None)
    assert found is not None
    assert found[1] == row.facts


def test_processes_end_with_the_pool() -> None:
    pool = DecoderPool(Clock(1), processes=True)
    decoded(pool)
    before = pids(pool)
    pool.close()
    assert not any(map(is_running, before))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(how: signal.Signals) -> None:
    code = (
        "import sys, time; sys.path[:] = sys.argv[1:]; "
        "from bottleneck.features.images import decoder_pool; "
        "process = decoder_pool._start_process([]); "
        "print(*process._processes, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *sys.path], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.send_signal(how)
    for _ in range(600):
        if not is_running(pid):
            return
        time.sleep(0.1)
    pytest.fail("the process outlived its parent by a minute")


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended: one may wait for its parent to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_extraction(
    image_folder: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(13)
    (folder / "broken.png").write_bytes(encoded()[:-40])
    options = {"batch_size": 4, "workers": 2, "precision": "fp32"}
    here = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "here", **options)
    monkeypatch.setattr(worker, "_MANY_IMAGES", 1)
    monkeypatch.setattr(worker, "_CPU_THREADS", 1)
    # Nothing is decoded in this process.
    monkeypatch.setattr(decoder_pool, "decode_with_notes", None)
    there = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "there", **options)
    assert there.failures == here.failures
    assert len(there.failures) == 1
    assert load_features(there.path).X.tobytes() == load_features(here.path).X.tobytes()
