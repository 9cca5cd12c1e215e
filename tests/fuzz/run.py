"""Reads damaged files of every format, many of them, guided by the code that they reach.

    python tests/fuzz/run.py                 # 10,000 inputs of every format
    python tests/fuzz/run.py --runs 100000 --targets study,feature_file

Whatever a file contains, reading it returns a value or raises an error of bottleneck, in less than
ten seconds and 512 MiB. Every other input is kept below ``--findings`` with its traceback. Half of
the inputs are made from the sound file. For the others, those that reach new lines of bottleneck
are kept and changed further, if atheris is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent), str(_HERE.parents[1])]

_SECONDS, _BYTES = 10, 2**29
_MAX_LENGTH = 65_536


class Session:
    """One format: inputs are read one after the other, and findings are kept.

    Parameters
    ----------
    name : str
        Name of the target.
    folder : Path
        A temporary folder for the file.
    findings : Path
        Where findings are kept.
    """

    def __init__(self, name: str, folder: Path, findings: Path) -> None:
        from targets import TARGETS

        self.name, self.findings = name, findings
        self.path, self._read = TARGETS[name](folder)
        self.sound = self.path.read_bytes()
        self._read()
        self.counts = {"inputs": 0, "read": 0, "refused": 0, "findings": 0}
        self._known: set[str] = set()
        self._most = _memory()
        self._started = time.monotonic()
        signal.signal(signal.SIGALRM, _stop)

    def one(self, data: bytes) -> None:
        """Read one input."""
        from bottleneck.errors import BottleneckError

        self.path.write_bytes(data)
        self.counts["inputs"] += 1
        signal.setitimer(signal.ITIMER_REAL, _SECONDS)
        try:
            self._read()
            self.counts["read"] += 1
        except BottleneckError:
            self.counts["refused"] += 1
        except BaseException as error:  # noqa: BLE001
            frames = [f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
            self._keep(data, f"{type(error).__name__} {frames[-3:]}", traceback.format_exc())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if (most := _memory()) > self._most + _BYTES:
            self._keep(data, "memory", f"{most - self._most:,} bytes more than before")
            self._most = most
        if self.counts["inputs"] % 500 == 0:
            self.report()

    def change(self, n: int, seed: int) -> None:
        """Read so many inputs that are made from the sound file."""
        from hostile.test_mutations import VALUES, mutate, replace_value

        rng = random.Random(seed)
        in_text = self.name in {make.__name__ for make in VALUES}
        for number in range(n):
            how = replace_value if in_text and number % 2 else mutate
            self.one(how(self.sound, rng))
        self.report()

    def report(self) -> None:
        """Write the counts so far."""
        seconds = round(time.monotonic() - self._started, 1)
        self.findings.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**self.counts, "seconds": seconds})
        (self.findings / f"{self.name}.json").write_text(text)

    def _keep(self, data: bytes, kind: str, text: str) -> None:
        if kind in self._known:
            return
        self._known.add(kind)
        self.counts["findings"] += 1
        folder = self.findings / self.name
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(data).hexdigest()[:16]
        (folder / f"{name}.bin").write_bytes(data)
        (folder / f"{name}.txt").write_text(text)


def _stop(_: int, __: FrameType | None) -> None:
    raise TimeoutError(f"more than {_SECONDS} seconds")


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(name: str, runs: int, seed: int, findings: Path, *, guided: bool) -> None:
    """Fuzz one format; with ``guided``, this does not return."""
    with tempfile.TemporaryDirectory() as folder:
        if guided:
            import atheris

            with atheris.instrument_imports(include=["bottleneck"]):
                session = Session(name, Path(folder), findings)
        else:
            session = Session(name, Path(folder), findings)
        session.change(runs // 2 if guided else runs, seed)
        if not guided:
            return
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        (corpus / "sound").write_bytes(session.sound)
        length = max(_MAX_LENGTH, 2 * len(session.sound))
        options = [f"-runs={runs - runs // 2}", f"-seed={seed + 1}", f"-max_len={length}"]
        quiet = ["-rss_limit_mb=0", "-timeout=120", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *options, *quiet, str(corpus)], session.one)
        atheris.Fuzz()


def main() -> int:
    """Fuzz formats one after the other, each in a process of its own; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000, help="inputs of each format")
    parser.add_argument("--targets", default="", help="formats, with commas; by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--unguided", action="store_true", help="leave atheris out")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    guided = not given.unguided and find_spec("atheris") is not None
    if given.one:
        fuzz(given.one, given.runs, given.seed, given.findings, guided=guided)
        return 0
    from targets import TARGETS

    n_findings = 0
    for name in filter(None, given.targets.split(",") if given.targets else TARGETS):
        shutil.rmtree(given.findings / name, ignore_errors=True)
        (given.findings / f"{name}.json").unlink(missing_ok=True)
        command: list[Any] = [sys.executable, __file__, "--one", name, "--runs", given.runs]
        command += ["--seed", given.seed, "--findings", given.findings]
        command += ["--unguided"] * given.unguided
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        counts = given.findings / f"{name}.json"
        shown = counts.read_text() if counts.exists() else "no input was read"
        crashed = "" if done.returncode == 0 else f"; ended with {done.returncode}"
        print(f"{name}: {shown}{crashed}", flush=True)
        n_findings += bool(crashed) or json.loads(shown)["findings"]
        if crashed:
            print(done.stderr[-2000:], flush=True)
    return 1 if n_findings else 0


if __name__ == "__main__":
    sys.exit(main())
