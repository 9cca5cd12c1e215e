"""Runs commands in processes of their own, and kills them or fills their disk at a chosen event.

An event is a change of the file system in the output folder or the folder of temporary files: a
file that is created or written, flushed, renamed, truncated or removed, and a folder.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import errno
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np

# Values that differ between two runs that nobody disturbed.
_VOLATILE = {
    *("bottleneck", "created", "files", "images_per_second", "path", "peak_memory_bytes"),
    *("seconds", "sha256", "size", "stages"),
}
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LOADED = (
    "bottleneck.cli.app",
    "bottleneck.features.extraction",
    "bottleneck.testing",
    "bottleneck.finetune.trainer",
    "bottleneck.finetune.image_data",
    "bottleneck.finetune.training_folder.training_checkpoint",
    "bottleneck.evaluation.compare",
    "bottleneck.evaluation.leak_experiment.experiment",
    "bottleneck.report.page",
    "bottleneck.studies.runner",
    "bottleneck.deploy.models.model_file",
    "bottleneck.deploy.prediction.head_prediction",
    "bottleneck.backbones.weights.index",
    "skops.io",
    "sklearn.svm",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "statsmodels.stats.meta_analysis",
    "torchvision.transforms.v2",
)


@dataclasses.dataclass(frozen=True)
class Job:
    """A command; ``result`` is the file that a later run replaces only with --overwrite."""

    name: str
    arguments: tuple[str, ...]
    result: str | None = None


@dataclasses.dataclass(frozen=True)
class Blow:
    """What happens at which event: a signal, after a delay in seconds, or an error of the disk."""

    number: int
    signal: int = 0
    delay: float = 0.0
    error: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    code: int
    said: str
    events: list[str]
    struck: bool
    left: list[str]


class _Watch:
    """Counts the events, and strikes at one."""

    def __init__(self, place: Path, blow: Blow | None) -> None:
        self.roots = tuple(str(place / name) for name in ("out", "tmp"))
        self.blow = blow
        self.process = os.getpid()
        self.events: list[str] = []
        self.mark = place / "struck"

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        if os.getpid() != self.process:
            return
        if event == "open" and isinstance(args[2], int) and args[2] & _WRITES:
            self.count("open", args[0])
        elif event in _CHANGES:
            self.count(event, args[0])

    def count(self, kind: str, path: Any) -> None:
        if isinstance(path, int):
            with contextlib.suppress(OSError):
                path = Path(f"/proc/self/fd/{path}").readlink()
        path = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not path.startswith(self.roots):
            return
        self.events.append(f"{kind} {path}")
        blow, number = self.blow, len(self.events)
        if blow is None or number < blow.number or (blow.signal and number > blow.number):
            return
        if number == blow.number:
            os.close(os.open(self.mark, os.O_CREAT | os.O_WRONLY))
        if blow.error:  # A disk that is full stays full.
            if kind in ("open", "write", "fsync", "os.mkdir", "os.rename"):
                raise OSError(blow.error, os.strerror(blow.error))
        elif blow.delay:
            threading.Timer(blow.delay, os.kill, (self.process, blow.signal)).start()
        else:
            os.kill(self.process, blow.signal)


def _install(watch: _Watch) -> None:
    from bottleneck.files import writing

    class Watched(io.FileIO):
        def write(self, data: Any, /) -> int:
            watch.count("write", self.fileno())
            return super().write(data)

    def wrapped(create: Callable[..., Any]) -> Callable[..., Any]:
        def created(*args: Any, **named: Any) -> Any:
            file = create(*args, **named)
            descriptor = os.dup(file.fileno())
            file.close()
            return io.BufferedRandom(Watched(descriptor, "r+"))

        return created

    for name in ("create_file", "continue_file"):
        before = getattr(writing, name)
        for module in list(sys.modules.values()):
            if module.__name__.startswith("bottleneck") and getattr(module, name, None) is before:
                setattr(module, name, wrapped(before))
    if (writer := sys.modules.get("bottleneck.features.file.writer")) is not None:
        writer._Sink.__bases__ = (Watched,)
    fsync = os.fsync

    def flush(descriptor: int) -> None:
        watch.count("fsync", descriptor)
        fsync(descriptor)

    os.fsync = flush
    sys.addaudithook(watch.audit)


def _child(job: Job, place: Path, blow: Blow | None, overwrite: bool) -> None:
    """Run a command as a program would, with tiny networks."""
    os.setsid()
    with (place / "said").open("wb") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, closefd=False)
    os.chdir(place)
    os.environ.update(
        TMPDIR=str(place / "tmp"), BOTTLENECK_WEIGHTS=str(place / "out"), HF_HUB_OFFLINE="1"
    )
    tempfile.tempdir = None
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "bottleneck.features.extraction" in sys.modules:
        import torch

        from bottleneck.features import extraction
        from bottleneck.testing import tiny_backbone

        torch.set_num_threads(1)
        extraction.load_backbone = lambda *_, **__: tiny_backbone()
    watch = _Watch(place, blow)
    _install(watch)
    from bottleneck.cli import app

    sys.argv = ["bottleneck", *job.arguments, *(["--overwrite"] if overwrite else [])]
    code = 0
    try:
        app.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - what Python itself would print.
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()  # The children of a fork server skip them.
    (place / "events").write_text(json.dumps(watch.events))
    sys.exit(code)


def make_context() -> Any:
    """Return a context of processes that have what commands need loaded, and no threads."""
    forkserver._forkserver._stop()  # That of another module has other modules loaded.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kill_campaign", *_LOADED])
    return context


def run(
    context: Any, job: Job, place: Path, blow: Blow | None = None, *, overwrite: bool = False
) -> Outcome:
    """Run a command in a folder with the inputs ``in``; what it writes goes to ``out``."""
    for name in ("struck", "events"):
        (place / name).unlink(missing_ok=True)
    for name in ("out", "tmp"):
        (place / name).mkdir(exist_ok=True)
    child = context.Process(target=_child, args=(job, place, blow, overwrite))
    child.start()
    child.join(120)
    hung = child.is_alive()
    left = [] if hung else _wait_for_others(child.pid)
    if hung:
        child.kill()
        child.join()
    said = (place / "said").read_text(errors="replace") + ("\nIT HANGS" if hung else "")
    events = json.loads(path.read_text()) if (path := place / "events").exists() else []
    return Outcome(child.exitcode, said, events, (place / "struck").exists(), left)


def _wait_for_others(session: int, seconds: float = 5.0) -> list[str]:
    """Return the processes that a run left, after some time in which they may end."""
    end = time.monotonic() + seconds
    while (left := _processes_of(session)) and time.monotonic() < end:
        time.sleep(0.02)
    for line in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(line.split()[0]), signal.SIGKILL)
    shared = Path("/dev/shm")
    own = re.compile(rf"(?<![0-9a-z]){session}(?![0-9a-z])")  # As in torch_4711_…
    memory = [p.name for p in shared.iterdir() if own.search(p.name)] if shared.is_dir() else []
    return [*left, *memory]


def _processes_of(session: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, fields = path.read_text().rsplit(") ", 1)
            if int(fields.split()[3]) == session and fields[0] != "Z":
                found.append(name)
    return found


def contents(place: Path) -> dict[str, Any]:
    """Return what a finished run wrote, without what differs between any two runs."""
    found = {}
    for path in sorted((place / "out").rglob("*")):
        # Feature files of new images are named after the path of these.
        name = re.sub(r"-[0-9a-f]{8}(?=--)", "", str(path.relative_to(place / "out")))
        if path.is_file() and not name.endswith(".lock"):
            found[name] = _content(path)
    return found


def _content(path: Path) -> Any:
    if path.suffix == ".h5":
        import h5py

        with h5py.File(path, "r") as file:
            return (file["embeddings"][:].tobytes(), file["ids"].asstr()[:].tolist())
    if path.suffix == ".json":
        return _stable(json.loads(path.read_text()))
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: values.tobytes() for name, values in file.items()}
    if path.suffix == ".skops":
        from bottleneck.deploy.models.model_fields import write_fields
        from bottleneck.deploy.models.model_file import read_model

        model = read_model(path)
        estimator = model.estimator
        scores = getattr(estimator, "predict_proba", None) or estimator.decision_function
        return (scores(np.eye(8)).tobytes(), repr(write_fields(model)))
    if path.suffix == ".html":
        text = path.read_text()
        assert text.rstrip().endswith("</html>"), path
        return None
    data = path.read_bytes()
    if path.suffix == ".md":
        return re.sub(rb"\d+(\.\d+)? (s|ms|min|[MG]iB)\b", b"TIME", data)
    return data


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _stable(v) for k, v in value.items() if k not in _VOLATILE}
    if isinstance(value, list):
        return [_stable(one) for one in value]
    return value


def remains(place: Path) -> list[str]:
    """Return unfinished and temporary files that a finished run must not leave."""
    out = [str(p) for p in (place / "out").rglob("*") if p.suffix in (".writing", ".unfinished")]
    return [*out, *_temporary(place)]


def _temporary(place: Path) -> list[str]:
    # Python itself writes a word of four letters to find out whether a folder can be written.
    found = (place / "tmp").rglob("*")
    return [str(p) for p in found if not (len(p.name) == 8 and p.read_bytes() in (b"", b"blat"))]


@dataclasses.dataclass
class Campaign:
    """Disturbs the runs of one command, each time in a new folder, and repeats the command."""

    context: Any
    job: Job
    inputs: Path
    folder: Path
    seed: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.number = 0
        place = self.place()
        whole = run(self.context, self.job, place)
        assert whole.code == 0, whole.said
        assert [*whole.left, *remains(place)] == []
        self.events = whole.events
        self.whole = contents(place)
        again = self.place()
        assert run(self.context, self.job, again).code == 0
        assert self.differing(again) == []

    def place(self) -> Path:
        self.number += 1
        place = self.folder / f"{self.job.name}-{self.number}"
        place.mkdir(parents=True)
        (place / "in").symlink_to(self.inputs)
        return place

    def differing(self, place: Path) -> list[str]:
        """Return the files that are not as an undisturbed run left them."""
        now = contents(place)
        names = sorted({*now, *self.whole})
        return [name for name in names if now.get(name, 0) != self.whole.get(name, 0)]

    def strike(self, blow: Blow) -> tuple[str, list[str]]:
        """Disturb a run and repeat it; return what it left, and all that is wrong.

        It left "no result", or its "result", or "ended" undisturbed, perhaps before the event.
        """
        place = self.place()
        first = run(self.context, self.job, place, blow)
        wrong = [f"left {one}" for one in first.left]
        if not first.struck:
            shutil.rmtree(place)
            return "ended", wrong
        if "Traceback" in first.said or "HANGS" in first.said:
            wrong.append(first.said)
        if blow.signal == signal.SIGKILL:
            if first.code not in (0, -signal.SIGKILL):
                wrong.append(f"exit code {first.code}")
        elif blow.signal:
            if first.code not in (0, 128 + blow.signal):
                wrong.append(f"exit code {first.code}")
            # A signal at the very end leaves the folder of temporary files to the next run.
            wrong += [f"left {one}" for one in _temporary(place) if "bottleneck-tmp-" not in one]
        elif first.code not in (0, 2):
            wrong.append(f"exit code {first.code}: {first.said}")
        # What has its name already is whole.
        for name in list(self.whole):
            path = place / "out" / name
            if path.exists():
                try:
                    _content(path)
                except Exception as error:  # noqa: BLE001 - each format has its own.
                    wrong.append(f"{name} is half: {error}")
        done = self.job.result is not None and (place / "out" / self.job.result).exists()
        again = run(self.context, self.job, place, overwrite=done)
        if again.code != 0 or "Traceback" in again.said:
            wrong.append(f"again: {again.code}: {again.said}")
        else:
            wrong += [f"differs: {name}" for name in self.differing(place)]
            wrong += [f"left by the next run: {one}" for one in (*again.left, *remains(place))]
        state = "ended" if first.code == 0 else "result" if done else "no result"
        if not wrong:
            shutil.rmtree(place)
        return state, [f"{self.job.name}, {self._where(blow)}: {one}" for one in wrong]

    def _where(self, blow: Blow) -> str:
        event = self.events[blow.number - 1] if blow.number <= len(self.events) else "?"
        return f"{blow} at {event}"


def kill_blow(campaign: Campaign, number: int) -> Blow:
    """Return a random moment: every second one of SIGKILL, the others of SIGTERM and SIGHUP."""
    signals = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP)
    rng = campaign.rng
    return Blow(
        1 + rng.randrange(len(campaign.events)),
        signals[number % len(signals)],
        rng.choice((0.0, 0.0, rng.uniform(0, 0.05))),
    )


def full_disk_blows(campaign: Campaign, at_most: int) -> list[Blow]:
    """Return moments, evenly over all events, from which the disk is full."""
    n = len(campaign.events)
    step = max(1, n // at_most)
    return [Blow(number, error=errno.ENOSPC) for number in range(1, n + 1, step)]
