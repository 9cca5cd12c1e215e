"""kill -9 at random moments of every stage; the next run must end as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made import dataset_of, make_images

N_IMAGES, N_BEFORE, BATCH = 44, 20, 8
PAUSE = 0.004
KILLS_A_STAGE = 10


def run(folder: Path, output: Path, events: Connection | None = None) -> None:
    """Extract; with ``events``, say which stage has begun, and give the killer time in it."""
    import torch

    from bottleneck.features import extraction, journal, writer
    from bottleneck.features import run as running
    from bottleneck.testing import tiny_backbone

    def tell(stage: str) -> None:
        if events is not None:
            events.send(stage)
            time.sleep(PAUSE)

    def telling(owner: Any, name: str, stage: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            tell(stage)
            result = original(*args, **kwargs)
            tell(stage)
            return result

        setattr(owner, name, wrapped)

    torch.set_num_threads(1)
    if events is not None:
        telling(extraction, "_writable", "start")
        telling(running.StoredRows, "_read", "start")
        telling(journal.Journal, "_replay", "start")
        telling(journal.Journal, "_write", "batch")
        telling(writer, "_write_columns", "writing")
        telling(writer, "sync_folder", "closing")
        telling(Path, "replace", "closing")
        telling(Path, "unlink", "closing")
    extraction.extract(
        dataset_of(folder), tiny_backbone(), batch_size=BATCH, workers=2, output=output
    )


def contents(output: Path) -> tuple[bytes, list[str]] | None:
    """Open whatever feature file there is, as another program would."""
    found = list(output.glob("*.h5"))
    if not found:
        return None
    (path,) = found
    with h5py.File(path, "r") as file:
        embeddings = file["embeddings"][:]
        assert np.isfinite(embeddings).all()
        return embeddings.tobytes(), file["ids"].asstr()[:].tolist()


@pytest.fixture(scope="module")
def processes() -> Any:
    # Children of this server have torch loaded already, and no threads of ours.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["bottleneck.features.extraction", "bottleneck.testing", "imagehash", "made"]
    )
    return context


def finish(processes: Any, folder: Path, output: Path) -> None:
    child = processes.Process(target=run, args=(folder, output))
    child.start()
    child.join()
    assert child.exitcode == 0


def kill_in(processes: Any, stage: str, folder: Path, output: Path, rng: random.Random) -> bool:
    """Kill a run in a stage; False where it ended before."""
    ours, theirs = processes.Pipe()
    child = processes.Process(target=run, args=(folder, output, theirs))
    child.start()
    theirs.close()
    skip = rng.randrange(6 if stage in ("batch", "closing") else 2)
    try:
        while True:
            if ours.recv() == stage:
                if skip == 0:
                    break
                skip -= 1
    except EOFError:
        return False
    finally:
        time.sleep(rng.uniform(0, PAUSE))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        ours.close()
    return child.exitcode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_kill_at_any_moment(processes: Any, tmp_path: Path) -> None:
    few, all_images = tmp_path / "few", tmp_path / "all"
    make_images(few, N_BEFORE)
    make_images(all_images, N_IMAGES)
    # What every run must end with: from nothing, and from a file of the first images.
    begun = tmp_path / "begun"
    finish(processes, few, begun)
    before = contents(begun)
    finish(processes, all_images, tmp_path / "whole")
    shutil.copytree(begun, tmp_path / "grown")
    finish(processes, all_images, tmp_path / "grown")
    whole = {False: contents(tmp_path / "whole"), True: contents(tmp_path / "grown")}

    rng = random.Random(0)
    killed = dict.fromkeys(("start", "batch", "writing", "closing"), 0)
    for stage in killed:
        attempt = 0
        while killed[stage] < KILLS_A_STAGE:
            attempt += 1
            assert attempt < 5 * KILLS_A_STAGE, f"no run could be killed in '{stage}'"
            output = tmp_path / f"{stage}{attempt}"
            growing = bool(attempt % 2)
            if growing:
                shutil.copytree(begun, output)
            killed[stage] += kill_in(processes, stage, all_images, output, rng)
            left = contents(output) if output.exists() else None
            assert left in (before if growing else None, whole[growing])
            finish(processes, all_images, output)
            assert contents(output) == whole[growing]
            assert {path.suffix for path in output.iterdir()} <= {".h5", ".lock"}
    assert killed == dict.fromkeys(killed, KILLS_A_STAGE)
