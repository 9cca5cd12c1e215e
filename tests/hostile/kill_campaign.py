"""Disturbs many runs of a command, repeats them, and compares what they leave with a whole run."""

from __future__ import annotations

import dataclasses
import errno
import json
import random
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
from watched_runs import Blow, Job, run

# Values that differ between two runs that nobody disturbed.
_VOLATILE = {
    *("bottleneck", "created", "files", "images_per_second", "path", "peak_memory_bytes"),
    *("seconds", "sha256", "size", "stages"),
}


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
