"""Faults in the middle of an extraction: what it says, what it leaves, what the next run makes."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made import make_images

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits and signals are those of Unix")

N_IMAGES, BATCH = 20, 4


def give_up_power() -> None:
    """Let permissions hold for root as well (capset(2), without CAP_DAC_OVERRIDE)."""
    import ctypes

    libc = ctypes.CDLL(None)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] &= ~(1 << 1)
    assert libc.capset(header, sets) == 0


def command(
    folder: Path, output: Path, said: Path, events: Connection, limit: int, as_root: bool
) -> None:
    """Run ``bottleneck extract``, with a tiny network; ask for leave after every batch."""
    import resource

    import torch

    from bottleneck.cli import command_line
    from bottleneck.features.compute import tapped_networks
    from bottleneck.features.file import journal
    from bottleneck.testing import tiny_backbone

    torch.set_num_threads(1)
    tapped_networks.load_backbone = lambda *_, **__: tiny_backbone()
    write = journal.Journal._write

    def writing(self: journal.Journal, payload: bytes) -> int:
        place = write(self, payload)
        events.send("batch")
        # A signal must find Python at work, and not in the waiting for our leave.
        while not events.poll(0.01):
            pass
        events.recv()
        return place

    journal.Journal._write = writing
    with said.open("w") as stream:
        os.dup2(stream.fileno(), 2)
        os.dup2(stream.fileno(), 1)
    sys.stderr = sys.stdout = os.fdopen(2, "w", buffering=1, closefd=False)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if not as_root:
        give_up_power()
    sys.argv = ["bottleneck", "extract", str(folder), "--output", str(output)]
    sys.argv += ["--precision", "fp32", "--batch-size", str(BATCH), "--workers", "2", "-q"]
    command_line.main()


@dataclasses.dataclass
class Child:
    process: Any
    events: Connection
    said: Path

    def batches(self, n: int) -> None:
        """Let it go on until it has written so many more batches."""
        for number in range(n):
            assert self.events.recv() == "batch"
            if number < n - 1:
                self.events.send("go")

    def end(self) -> tuple[int, str]:
        """Wait until it ends; return the exit code, and its output as one line."""
        while True:
            try:
                self.events.send("go")
                self.events.recv()
            except (EOFError, BrokenPipeError, ConnectionResetError):
                break
        self.process.join(60)
        assert self.process.exitcode is not None
        return self.process.exitcode, " ".join(self.said.read_text().split())


Start = Callable[..., Child]


@pytest.fixture(scope="module")
def processes() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["bottleneck.features.extraction", "bottleneck.testing", "bottleneck.cli.command_line"]
    )
    return context


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    for n in range(2):
        make_images(tmp_path / "images" / "ab"[n], N_IMAGES // 2, first=50 * n)
    yield tmp_path
    (tmp_path / "f").chmod(0o777)


@pytest.fixture
def start(processes: Any, place: Path) -> Iterator[Start]:
    begun = []

    def start(limit: int = 0, as_root: bool = True) -> Child:
        ours, theirs = processes.Pipe()
        said = place / f"said{len(begun)}.txt"
        arguments = (place / "images", place / "f", said, theirs, limit, as_root)
        process = processes.Process(target=command, args=arguments)
        process.start()
        theirs.close()
        begun.append(process)
        return Child(process, ours, said)

    yield start
    for process in begun:
        process.kill()
        process.join()


def rows(place: Path) -> dict[str, bytes]:
    """What another program finds in the file."""
    (path,) = (place / "f").glob("*.h5")
    with h5py.File(path) as file:
        return dict(
            zip(file["ids"].asstr()[:].tolist(), map(bytes, file["embeddings"][:]), strict=True)
        )


def whole(place: Path) -> dict[str, bytes]:
    """What a run without a fault makes."""
    from bottleneck.data.readers import load_dataset
    from bottleneck.features.extraction import extract
    from bottleneck.testing import tiny_backbone

    dataset = load_dataset(place / "images")
    options = {"precision": "fp32", "batch_size": BATCH, "workers": 1}
    extract(dataset, tiny_backbone(), output=place / "whole" / "f", **options)
    return rows(place / "whole")


def finish(start: Start, place: Path) -> None:
    """The next run ends well, with every row right, and leaves nothing else."""
    code, said = start().end()
    assert code == 0, said
    assert rows(place) == whole(place)
    assert {path.suffix for path in (place / "f").iterdir()} <= {".h5", ".lock"}


def test_the_disk_fills_up_under_the_log(start: Start, place: Path) -> None:
    code, said = start(limit=20_000).end()
    assert code == 2
    assert "error:" in said
    assert "File too large. Finished work is kept; fix the cause" in said
    assert "Traceback" not in said
    assert not list((place / "f").glob("*.h5"))
    (log,) = (place / "f").glob("*.unfinished")
    assert log.stat().st_size > 5_000
    finish(start, place)


def test_the_disk_fills_up_under_the_file(start: Start, place: Path) -> None:
    assert start().end()[0] == 0
    before = rows(place)
    make_images(place / "images" / "a", 3, first=30)
    (path,) = (place / "f").glob("*.h5")
    code, said = start(limit=path.stat().st_size).end()
    assert code == 2, said
    assert "cannot be written" in said
    assert "Traceback" not in said
    assert rows(place) == before
    assert not list((place / "f").glob("*.writing"))
    finish(start, place)


def test_an_output_that_may_not_be_written(start: Start, place: Path) -> None:
    (place / "f").mkdir()
    (place / "f").chmod(0o555)
    code, said = start(as_root=False).end()
    assert code == 2
    assert "cannot be written: Permission denied; choose another with --output" in said
    assert "Traceback" not in said
    (place / "f").chmod(0o777)
    finish(start, place)


def test_an_output_that_becomes_read_only(start: Start, place: Path) -> None:
    (place / "f").mkdir()
    child = start(as_root=False)
    child.batches(3)
    (place / "f").chmod(0o555)
    code, said = child.end()
    assert code == 2
    assert "Permission denied. Finished work is kept" in said
    assert "Traceback" not in said
    (place / "f").chmod(0o777)
    finish(start, place)


@pytest.mark.parametrize("comes_back", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_output_that_vanishes(start: Start, place: Path, comes_back: bool) -> None:
    child = start()
    child.batches(3)
    shutil.rmtree(place / "f")
    if comes_back:
        (place / "f").mkdir()
    code, said = child.end()
    assert "Traceback" not in said
    if comes_back:  # the rows were still open in a log without a name
        assert code == 0, said
        assert rows(place) == whole(place)
    else:
        assert code == 2
        assert "gone with its folder" in said
        assert "is kept" not in said
    finish(start, place)


def test_an_image_that_disappears_or_changes(start: Start, place: Path) -> None:
    child = start()
    child.batches(2)
    last = place / "images" / "b" / "059.png"
    changed = place / "images" / "b" / "058.png"
    content = last.read_bytes()
    last.unlink()
    changed.write_bytes((place / "images" / "a" / "001.png").read_bytes())
    code, said = child.end()
    assert code == 0, said
    assert set(rows(place)) >= {f"a/{n:03d}.png" for n in range(10)}
    # Whatever was read before it went or changed stands for what was read.
    found = rows(place)
    now = whole(place)
    assert all(found[i] == now[i] for i in found.keys() & now.keys() if i != "b/058.png")
    last.write_bytes(content)
    shutil.rmtree(place / "whole")
    finish(start, place)


@pytest.mark.parametrize("between", [0.0, 0.02, 0.5])
def test_ctrl_c_twice(start: Start, place: Path, between: float) -> None:
    child = start()
    child.batches(3)
    os.kill(child.process.pid, signal.SIGINT)
    time.sleep(between)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.process.pid, signal.SIGINT)
    code, said = child.end()
    assert code == 130, said
    if between > 0.1:  # else the second may have come while it was being said
        assert "Finished work is kept" in said
    assert "Traceback" not in said
    finish(start, place)


def test_two_extractions_into_one_file(start: Start, place: Path) -> None:
    first = start()
    first.batches(2)
    code, said = start().end()
    assert code == 2
    assert "is being written by another extraction; wait for it" in said
    assert first.end()[0] == 0
    finish(start, place)


def test_the_disk_has_the_file_before_it_takes_its_name_and_the_log_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from made import dataset_of

    from bottleneck.features.extraction import extract
    from bottleneck.testing import tiny_backbone

    events: list[tuple[str, str]] = []
    fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

    def flushing(descriptor: int) -> None:
        events.append(("flush", Path(f"/proc/self/fd/{descriptor}").readlink().suffix))
        fsync(descriptor)

    def renaming(self: Path, target: Path) -> Path:
        events.append(("rename", self.suffix))
        return replace(self, target)

    def removing(self: Path, missing_ok: bool = False) -> None:
        events.append(("remove", self.suffix))
        unlink(self, missing_ok)

    if not Path("/proc/self/fd").exists():
        pytest.skip("names of open files are in /proc")
    make_images(tmp_path / "images", 3)
    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(Path, "replace", renaming)
    monkeypatch.setattr(Path, "unlink", removing)
    dataset = dataset_of(tmp_path / "images")
    path = extract(dataset, tiny_backbone(), precision="fp32", output=tmp_path / "f").path
    after = events[[e for e, _ in events].index("rename") - 1 :]
    assert after[:3] == [("flush", ".writing"), ("rename", ".writing"), ("flush", "")]
    assert ("remove", ".unfinished") in after[3:]
    assert np.isfinite(h5py.File(path)["embeddings"][:]).all()


def test_a_disk_that_is_full_at_any_write_does_not_crash_hdf5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bottleneck.features.file import writer
    from bottleneck.features.file.format import TEXT
    from bottleneck.files.writing import replacing

    class Full(io.FileIO):
        """Takes some writes, wherever they go; a sparse file can lack space anywhere."""

        left = 10**6

        def write(self, data: Any, /) -> int:
            Full.left -= 1
            if Full.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    def write() -> None:
        with replacing(tmp_path / "x.h5") as target, writer._hdf5(target) as (file, _):
            for name in "abcdef":
                file.create_dataset(name, (64,), TEXT)
            for start in range(0, 64, 8):
                for name in "abcdef":
                    file[name][start : start + 8] = np.array([name * 40] * 8, TEXT)
            file.attrs["provenance"] = "{}" * 500

    monkeypatch.setattr(writer, "_Sink", type("Sink", (writer._Sink, Full), {}))
    write()
    whole, n = (tmp_path / "x.h5").read_bytes(), 10**6 - Full.left
    for Full.left in range(n):
        with pytest.raises(OSError, match="No space left"):
            write()
    assert (tmp_path / "x.h5").read_bytes() == whole
    assert len(list(tmp_path.iterdir())) == 1
