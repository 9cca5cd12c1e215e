"""Pictures made in processes are those made in threads, and a dead process loses none."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from made import dataset_of
from PIL import Image

from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import DecodeError, UsageError
from bottleneck.features.compute import worker
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.features.images import decoder_pool
from bottleneck.features.images.decoder_pool import Decoders
from bottleneck.features.timing import Clock
from bottleneck.testing import tiny_backbone

FRAMING = Preprocessing(20, 16, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SHA256 = "0" * 64  # It only names what a pixel cache keeps.


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def apart() -> Iterator[Decoders]:
    made = Decoders(Clock(1), processes=True)
    yield made
    made.close()


def test_the_same_as_in_threads(apart: Decoders) -> None:
    here = Decoders(Clock(1))
    for region in (None, (3, 4, 33, 28)):
        for framings in ([FRAMING], [FRAMING, FRAMING.fast()]):
            a, b = (each.picture(picture(), SHA256, region, framings) for each in (apart, here))
            assert a.facts == b.facts
            assert list(a.pixels) == framings
            for framing in framings:
                np.testing.assert_array_equal(a.pixels[framing], b.pixels[framing])


def test_time_in_a_process_is_counted(apart: Decoders) -> None:
    apart.picture(picture(), SHA256, None, [FRAMING])
    busy = {stage.name for stage in apart._clock.stages() if stage.busy}
    assert busy == {"decode", "describe", "preprocess"}


def test_what_cannot_be_used_fails_as_in_threads(apart: Decoders) -> None:
    for data in (b"", b"no image", picture()[:-40]):
        with pytest.raises(DecodeError) as there:
            apart.picture(data, SHA256, None, [FRAMING])
        with pytest.raises(DecodeError) as here:
            Decoders(Clock(1)).picture(data, SHA256, None, [FRAMING])
        assert str(there.value) == str(here.value)
    assert len(apart._idle) == 1


def test_a_process_that_was_killed_is_replaced(apart: Decoders) -> None:
    first = apart.picture(picture(), SHA256, None, [FRAMING])
    os.kill(apart._idle[0]._process.pid, signal.SIGKILL)
    again = apart.picture(picture(), SHA256, None, [FRAMING])
    np.testing.assert_array_equal(first.pixels[FRAMING], again.pixels[FRAMING])


def test_an_image_that_kills_its_decoder_twice_fails(
    apart: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = "import os; decoder_pool.decode = lambda *_: os.kill(os.getpid(), 9)"
    code = decoder_pool._CHILD.replace("decoder_pool.serve()", f"{dies}; decoder_pool.serve()")
    monkeypatch.setattr(decoder_pool, "_CHILD", code)
    with pytest.raises(DecodeError, match="was killed, twice"):
        apart.picture(picture(), SHA256, None, [FRAMING])


def test_images_are_not_blamed_for_processes_that_died_before(apart: Decoders) -> None:
    children = [decoder_pool._Child(None) for _ in range(3)]
    for child in children:
        os.kill(child._process.pid, signal.SIGKILL)
    apart._idle += children
    assert apart.picture(picture(), SHA256, None, [FRAMING]).facts.size == (40, 30)
    assert all(child._process.returncode == -9 for child in children)


def test_a_process_that_ends_as_it_begins(apart: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "_CHILD", "raise SystemExit(3)")
    with pytest.raises(UsageError, match=r"ended as it began \(exit code 3\).*--workers 1"):
        apart.picture(picture(), SHA256, None, [FRAMING])


def test_a_pixel_cache_that_cannot_be_used_is_no_fault_of_the_image(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("in the way")
    apart = Decoders(Clock(1), cache, processes=True)
    with pytest.raises(UsageError, match="name another --pixel-cache"):
        apart.picture(picture(), SHA256, None, [FRAMING])


def test_no_process_can_be_started(apart: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")
    with pytest.raises(UsageError, match=r"cannot be started.*--workers 1"):
        apart.picture(picture(), SHA256, None, [FRAMING])


def test_what_a_library_prints_is_no_answer(
    apart: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    chatty = "original = decoder_pool.decode\n"
    chatty += "decoder_pool.decode = lambda *a: (print('so', flush=True), original(*a))[1]\n"
    code = decoder_pool._CHILD.replace("decoder_pool.serve()", f"\n{chatty}decoder_pool.serve()")
    monkeypatch.setattr(decoder_pool, "_CHILD", code)
    assert apart.picture(picture(), SHA256, None, [FRAMING]).facts.size == (40, 30)


def test_a_pixel_cache_is_shared(tmp_path: Path) -> None:
    cache = PixelCache(tmp_path)
    apart = Decoders(Clock(1), cache, processes=True)
    made = apart.picture(picture(), SHA256, None, [FRAMING])
    apart.close()
    found = cache.find(SHA256, None)
    assert found is not None
    assert found[1] == made.facts


def test_processes_end_with_the_one_that_began_them() -> None:
    code = "import sys, time; sys.path[:] = sys.argv[1:]; "
    code += "from bottleneck.features.images import decoder_pool"
    code += (
        "; child = decoder_pool._Child(None); print(child._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *sys.path], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
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
    (folder / "broken.png").write_bytes(picture()[:-40])
    options = {"batch_size": 4, "workers": 2, "precision": "fp32"}
    here = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "here", **options)
    monkeypatch.setattr(worker, "_LONG", 1)
    monkeypatch.setattr(worker, "_CPU_THREADS", 1)
    # Nothing is decoded here.
    monkeypatch.setattr(decoder_pool, "decode", None)
    there = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "there", **options)
    assert there.failures == here.failures
    assert len(there.failures) == 1
    assert load_features(there.path).X.tobytes() == load_features(here.path).X.tobytes()
