"""Runs commands in processes of their own, and kills them or fills their disk at a chosen event.

An event is a change of the file system in the output folder or the folder of temporary files: a
file that is created or written, flushed, renamed, truncated or removed, and a folder.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import io
import json
import multiprocessing
import os
import re
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

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LOADED = (
    "bottleneck.cli.command_line",
    "bottleneck.features.extraction",
    "bottleneck.testing",
    "bottleneck.finetune.training.trainer",
    "bottleneck.finetune.inputs.image_data",
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

        from bottleneck.features.compute import tapped_networks
        from bottleneck.testing import tiny_backbone

        torch.set_num_threads(1)
        tapped_networks.load_backbone = lambda *_, **__: tiny_backbone()
    watch = _Watch(place, blow)
    _install(watch)
    from bottleneck.cli import command_line

    sys.argv = ["bottleneck", *job.arguments, *(["--overwrite"] if overwrite else [])]
    code = 0
    try:
        command_line.main()
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
    context.set_forkserver_preload(["watched_runs", *_LOADED])
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
