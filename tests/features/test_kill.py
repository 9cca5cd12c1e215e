"""kill -9 at random moments of every stage; the next run must end as if nothing had happened."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made import dataset_of, make_images

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")

N_IMAGES, N_BEFORE, BATCH = 44, 20, 8
PAUSE = 0.004
STAGES = ("start", "batch", "writing", "closing")
# Name of every feature file, and its features and ids.
Contents = dict[str, tuple[bytes, list[str]]]


@dataclasses.dataclass(frozen=True)
class Job:
    """An extraction: of which images, through how many networks, where."""

    folder: Path
    networks: int = 1
    address: str | None = None
    seen: Path | None = None
    surroundings: Mapping[str, str] = dataclasses.field(default_factory=dict)


def run(job: Job, output: Path, events: Connection | None = None) -> None:
    """Extract; with ``events``, say which stage has begun, and give the killer time in it."""
    os.environ.update(job.surroundings)
    import torch

    from bottleneck.data.dataset import FileSource
    from bottleneck.features import extraction
    from bottleneck.features.file import journal, stored_rows, writer
    from bottleneck.files import writing
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

    @dataclasses.dataclass(frozen=True)
    class Telling(FileSource):
        """Names the process that reads, which in a cluster is another one."""

        seen: Path

        def read(self, source: str) -> bytes:
            (self.seen / str(os.getpid())).touch()
            time.sleep(PAUSE)
            return super().read(source)

    torch.set_num_threads(1)
    if events is not None:
        telling(extraction, "make_folder", "start")
        telling(stored_rows.StoredRows, "_read", "start")
        telling(journal.Journal, "_replay", "start")
        telling(journal.Journal, "_write", "batch")
        telling(writer, "_write_rows", "writing")
        telling(writing, "_sync_folder", "closing")
        telling(Path, "replace", "closing")
        telling(Path, "unlink", "closing")
    dataset = dataset_of(job.folder)
    if job.seen is not None:
        dataset = dataclasses.replace(dataset, images=Telling(job.folder, job.seen))
    where: dict[str, Any] = {"workers": 2}
    if job.address is not None:
        where = {"workers": 1, "engine": "ray", "address": job.address}
    networks = [tiny_backbone(), tiny_backbone(width=5, side=12)][: job.networks]
    extraction.extract_all(dataset, networks, layers=(), batch_size=BATCH, output=output, **where)


def contents(output: Path) -> Contents:
    """Open whatever feature files there are, as another program would."""
    found = {}
    for path in output.glob("*.h5"):
        with h5py.File(path, "r") as file:
            embeddings = file["embeddings"][:]
            assert np.isfinite(embeddings).all()
            found[path.name] = (embeddings.tobytes(), file["ids"].asstr()[:].tolist())
    return found


@pytest.fixture(scope="module")
def processes() -> Any:
    # Children of this server have torch loaded already, and no threads of ours.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bottleneck.features.extraction", "bottleneck.testing", "made"])
    return context


def finish(processes: Any, job: Job, output: Path) -> None:
    child = processes.Process(target=run, args=(job, output))
    child.start()
    child.join()
    assert child.exitcode == 0


def kill_in(processes: Any, stage: str, job: Job, output: Path, rng: random.Random) -> bool:
    """Kill a run in a stage; False where it ended before."""
    ours, theirs = processes.Pipe()
    child = processes.Process(target=run, args=(job, output, theirs))
    child.start()
    theirs.close()
    skip = rng.randrange((6 if stage in ("batch", "closing") else 2) * job.networks)
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
        child.kill()
        child.join()
        ours.close()
        assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode == -signal.SIGKILL


@dataclasses.dataclass
class Campaign:
    """Kills runs from nothing and of files that grow, of one network and of two."""

    processes: Any
    place: Path
    seed: int = 0

    def __post_init__(self) -> None:
        self.few, self.all_images = self.place / "few", self.place / "all"
        make_images(self.few, N_BEFORE)
        make_images(self.all_images, N_IMAGES)
        self.rng = random.Random(self.seed)
        self.before: dict[int, Contents] = {}
        self.whole: dict[tuple[int, bool], Contents] = {}
        for networks in (1, 2):
            begun = self.place / f"begun{networks}"
            finish(self.processes, Job(self.few, networks), begun)
            self.before[networks] = contents(begun)
            for growing in (False, True):
                output = self.place / f"whole{networks}{growing}"
                if growing:
                    shutil.copytree(begun, output)
                finish(self.processes, Job(self.all_images, networks), output)
                self.whole[networks, growing] = contents(output)
                assert len(self.whole[networks, growing]) == networks

    def kill(self, stage: str, number: int, address: str | None = None) -> str | None:
        """Kill one run and have the next one end; what the first left, None where it ended."""
        networks, growing = 1 + number // 2 % 2, bool(number % 2)
        output = self.place / f"{stage}{number}"
        if growing:
            shutil.copytree(self.place / f"begun{networks}", output)
        job = Job(self.all_images, networks, address, surroundings=ray_surroundings())
        before = self.before[networks] if growing else {}
        whole = self.whole[networks, growing]
        killed = kill_in(self.processes, stage, job, output, self.rng)
        left = contents(output) if output.exists() else {}
        # Every file is the old one, or the new one.
        for name in whole:
            assert left.get(name) in (before.get(name), whole[name])
        logs = any(output.glob("*.unfinished")) if output.exists() else False
        # What a killed cluster run has begun, either engine ends.
        again = dataclasses.replace(job, address=address if number % 5 == 0 else None)
        finish(self.processes, again, output)
        assert contents(output) == whole
        assert {path.suffix for path in output.iterdir()} <= {".h5", ".lock"}
        shutil.rmtree(output)
        if not killed:
            return None
        new = sum(left.get(name) == whole[name] for name in whole)
        state = "new" if new == networks else "old" if new == 0 else "one new, one old"
        return f"{state}, {'a log' if logs else 'no log'}"

    def kills(
        self, per_stage: int, address: str | None = None
    ) -> dict[str, collections.Counter[str]]:
        """Kill so many runs in every stage; by stage, what they left."""
        table = {stage: collections.Counter[str]() for stage in STAGES}
        for stage, counts in table.items():
            attempt = 0
            while counts.total() < per_stage:
                attempt += 1
                assert attempt < 5 * per_stage, f"no run could be killed in '{stage}'"
                outcome = self.kill(stage, attempt, address)
                if outcome is not None:
                    counts[outcome] += 1
            print(f"{stage}: {dict(counts)}", file=sys.stderr)
        return table


def test_kill_at_any_moment(processes: Any, tmp_path: Path) -> None:
    table = Campaign(processes, tmp_path).kills(5)
    assert {stage: counts.total() for stage, counts in table.items()} == dict.fromkeys(STAGES, 5)


@pytest.mark.slow
def test_a_hundred_kills_of_the_local_engine(processes: Any, tmp_path: Path) -> None:
    table = Campaign(processes, tmp_path, seed=1).kills(25)
    assert sum(counts.total() for counts in table.values()) == 100


def ray_surroundings() -> dict[str, str]:
    """Variables that let a program join a cluster that was started here."""
    return {name: value for name, value in os.environ.items() if name == "RAY_AUTH_MODE"}


@contextlib.contextmanager
def ray_cluster() -> Iterator[str]:
    """A cluster of its own, which outlives the runs that are killed; yields its address."""
    ray = pytest.importorskip("ray")
    from bottleneck.processes import cluster

    with cluster.connect(cores=2):
        yield ray.get_runtime_context().gcs_address


ignoring_ray = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.slow
class TestRay:
    pytestmark = ignoring_ray

    def test_sixty_kills_of_a_run_in_a_cluster(self, processes: Any, tmp_path: Path) -> None:
        campaign = Campaign(processes, tmp_path, seed=2)
        with ray_cluster() as address:
            table = campaign.kills(15, address)
        assert sum(counts.total() for counts in table.values()) == 60

    def test_forty_kills_of_actors(self, processes: Any, tmp_path: Path) -> None:
        rng, kills = random.Random(3), 0
        make_images(tmp_path / "many", 200)
        with ray_cluster() as address:
            for number in range(10):
                networks = 1 + number % 2
                output, seen = tmp_path / f"out{number}", tmp_path / f"seen{number}"
                seen.mkdir()
                plain = Job(tmp_path / "many", networks)
                job = dataclasses.replace(
                    plain, address=address, seen=seen, surroundings=ray_surroundings()
                )
                child = processes.Process(target=run, args=(job, output))
                child.start()
                killed: set[str] = set()
                while child.is_alive() and len(killed) < 10 and kills < 40:
                    # One that has begun to read, some time later.
                    alive = sorted({path.name for path in seen.iterdir()} - killed)
                    time.sleep(rng.uniform(0, 0.3))
                    if alive and not any(output.glob("*.h5")):
                        killed.add(victim := rng.choice(alive))
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(int(victim), signal.SIGKILL)
                            kills += 1
                child.join()
                assert child.exitcode == 0
                whole = tmp_path / f"whole{number}"
                finish(processes, plain, whole)
                assert contents(output) == contents(whole)
                assert {path.suffix for path in output.iterdir()} <= {".h5", ".lock"}
                print(f"run {number}, {networks} networks: {len(killed)} killed", file=sys.stderr)
                if kills >= 40:
                    break
        assert kills == 40
