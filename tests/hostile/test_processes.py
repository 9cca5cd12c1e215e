"""Commands that are ended in the middle of their work: no process and no temporary file remains."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made import make_images
from test_misleading_weights import keras_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]

PROGRAM = """
import sys, time
sys.path[:] = {path!r}
{before}
import bottleneck_features
sys.argv = ["bottleneck", *{arguments!r}]
bottleneck_features.main()
"""
# A tiny network, a process per decoder, and batches that take long to write.
SLOW = """
import torch; torch.set_num_threads(1)
from bottleneck.features.compute import tapped_networks
from bottleneck.features.compute import worker
from bottleneck.features.file import journal
from bottleneck.testing import tiny_backbone
tapped_networks.load_backbone = lambda *_, **__: tiny_backbone()
worker._MANY_IMAGES = worker._CPU_THREADS = 1
write, written = journal.Journal._write, []
def writing(self, payload):
    place = write(self, payload)
    written.append(place)
    if len(written) > 2:
        print("under way", flush=True)
        time.sleep(2)
    return place
if {slow}:
    journal.Journal._write = writing
"""
EXTRACT = ["--precision", "fp32", "--batch-size", "4", "-q"]


@dataclasses.dataclass(frozen=True)
class Command:
    """A command: what runs before it, its arguments, and how to see that it is under way."""

    arguments: list[str]
    before: str = ""
    child: str = ""  # Part of the command line of its worker processes.
    children: int = 1
    listed: bool = False  # Whether they list semaphores, when they are ready.


@dataclasses.dataclass
class Running:
    process: subprocess.Popen[str]
    mark: str
    output: Path
    temporary: Path

    def processes(self) -> dict[int, str]:
        """Ids and command lines of all that belong to it, itself included."""
        found = {}
        for place in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
                ours = int(session) == self.process.pid
                marked = self.mark.encode() in (place / "environ").read_bytes()
                if state != "Z" and (ours or marked):
                    line = (place / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(place.name)] = line.decode(errors="replace")
        return found

    def wait_for(self, command: Command) -> None:
        for _ in range(1200):
            assert self.process.poll() is None, self.output.read_text()
            if command.child:
                lines = [line for line in self.processes().values() if command.child in line]
                ready = not command.listed or any(
                    map(has_text, self.temporary.glob("*/semaphores"))
                )
                if len(lines) >= command.children and ready:
                    time.sleep(1)
                    return
            elif "under way" in self.output.read_text():
                return
            time.sleep(0.1)
        pytest.fail(f"it does not come under way: {self.output.read_text()}")

    def all_end(self, within: float) -> None:
        until = time.monotonic() + within
        while left := self.processes():
            assert time.monotonic() < until, left
            time.sleep(0.1)


def has_text(file: Path) -> bool:
    return bool(file.stat().st_size)


Start = Callable[[Command], Running]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files; its path is short, as that of most systems."""
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def start(temporary: Path, tmp_path: Path) -> Iterator[Start]:
    begun: list[Running] = []

    def start(command: Command) -> Running:
        mark, output = uuid.uuid4().hex, tmp_path / f"said{len(begun)}.txt"
        program = PROGRAM.format(path=sys.path, before=command.before, arguments=command.arguments)
        with output.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(temporary), "MARK": mark, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
                text=True,
            )
        begun.append(Running(process, mark, output, temporary))
        return begun[-1]

    yield start
    for running in begun:
        for pid in running.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        running.process.wait()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for n in range(2):
        make_images(tmp_path / "images" / "ab"[n], 20, first=50 * n)
    return tmp_path / "images"


@pytest.fixture(params=["decoders", "joblib", "loader", "keras", "ray"])
def command(request: pytest.FixtureRequest, images: Path, tmp_path: Path, start: Start) -> Command:
    """A command for each kind of worker process."""
    extract = ["extract", str(images), "--output", str(tmp_path / "f"), *EXTRACT]
    if request.param == "decoders":
        return Command([*extract, "--workers", "2"], SLOW.format(slow=True))
    if request.param == "joblib":
        made = start(Command(extract, SLOW.format(slow=False)))
        assert made.process.wait() == 0, made.output.read_text()
        (features,) = (tmp_path / "f").glob("*.h5")
        many = [
            "--head",
            "mlp",
            "--jobs",
            "2",
            "--repeats",
            "200",
            "--folds",
            "4",
            "--positive",
            "a",
        ]
        return Command(["compare", str(features), *many, "-q"], "", "popen_loky_posix", 2, True)
    if request.param == "loader":
        many = ["--epochs", "5000", "--folds", "2", "--batch-size", "4", "--workers", "2"]
        net = ["--backbone", "small_cnn", "--device", "cpu", "-q"]
        started = "from bottleneck.finetune import training_module\n" + LOADER
        return Command(["finetune", str(images), *many, *net], started)
    if request.param == "keras":
        path = keras_file(tmp_path / "x.h5")
        data = bytearray(path.read_bytes())
        heap = data.index(b"GCOL\x01")
        data[heap + 16 : heap + 32] = bytes(16)
        path.write_bytes(data)
        weights = ["--backbone", "resnet50", "--weights", str(path)]
        return Command([*extract, *weights], "", "keras_hdf5.py")
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray")
    return Command([*extract, "--engine", "ray", "--workers", "1"], SLOW.format(slow=True))


LOADER = """
enter = training_module._enter_worker
def entering(*how):
    enter(*how)
    print("under way", flush=True)
training_module._enter_worker = entering
"""


def shared_memory(pids: set[int]) -> list[str]:
    names = [path.name for path in Path("/dev/shm").iterdir()]
    return [name for name in names if pids & {int(p) for p in split_numbers(name)}]


def split_numbers(name: str) -> list[str]:
    return [part for part in name.replace("-", "_").split("_") if part.isdecimal()]


def test_workers_end_with_a_command_that_was_killed(
    start: Start, command: Command, temporary: Path
) -> None:
    running = start(command)
    running.wait_for(command)
    pids = set(running.processes())
    assert len(pids) > 1
    running.process.kill()
    running.process.wait()
    running.all_end(within=10)
    assert not shared_memory(pids)
    assert [path.stat().st_mode & 0o777 for path in temporary.iterdir()] in ([], [0o700])
    after = start(Command(["inspect", "nothing.h5"]))
    assert after.process.wait() == 2
    assert not list(temporary.iterdir())


def test_all_processes_are_killed_at_once(start: Start, command: Command, temporary: Path) -> None:
    running = start(command)
    running.wait_for(command)
    pids = set(running.processes())
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.process.wait()
    running.all_end(within=10)
    after = start(Command(["inspect", "nothing.h5"]))
    assert after.process.wait() == 2
    assert not list(temporary.iterdir())
    assert not shared_memory(pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_ends_a_command_with_its_workers(
    start: Start, command: Command, temporary: Path, number: int, whole_group: bool
) -> None:
    running = start(command)
    running.wait_for(command)
    pids = set(running.processes())
    running.process.send_signal(number)
    if whole_group:  # As timeout(1) does: to the process, and to all.
        os.killpg(running.process.pid, number)
    code = running.process.wait(30)
    said = running.output.read_text()
    assert code == 128 + number, said
    assert "Traceback" not in said
    assert ("interrupted." if number == signal.SIGINT else "ended by SIG") in said
    running.all_end(within=5)
    assert not shared_memory(pids)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("command", ["loader"], indirect=True)
def test_a_loader_of_images_is_killed(start: Start, command: Command, temporary: Path) -> None:
    running = start(command)
    running.wait_for(command)
    for _ in range(100):  # Loaders live as long as an epoch.
        for pid in set(running.processes()) - {running.process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if running.process.poll() is not None:
            break
        time.sleep(0.1)
    assert running.process.wait(30) == 2
    said = running.output.read_text()
    assert "--workers" in said
    assert "Traceback" not in said
    running.all_end(within=5)
    assert not list(temporary.iterdir())
