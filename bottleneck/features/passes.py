"""One pass over the images of a data set, for all runs that want them."""

from __future__ import annotations

import collections
import contextlib
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.preprocessing import Preprocessing
from bottleneck.data.samples import blocks_of
from bottleneck.features import engine
from bottleneck.features.journal import Journal
from bottleneck.features.pictures import Picture, framing, prepare, read_stamps
from bottleneck.features.rows import row_key
from bottleneck.features.run import Found, Run, log_path
from bottleneck.features.stages import Clock, Stage

__all__ = ["Progress", "execute"]

Progress = Callable[[int, int, str], None]


def execute(
    runs: Sequence[Run],
    batch_size: int | Literal["auto"],
    clock: Clock,
    progress: Progress,
    *,
    verify: bool,
) -> tuple[Stage, ...]:
    """Execute runs over one data set in one pass over its images.

    Runs that tap one network at different layers share its forward pass, unless they were begun
    with different batch sizes, which they keep. Returns where the time of the pass went.
    """
    dataset = runs[0].dataset
    with contextlib.ExitStack() as stack:
        streams: dict[tuple[int, str, int], _Stream] = {}
        journals = []
        for run in runs:
            run.refuse_foreign()
            journal = stack.enter_context(Journal(log_path(run.path), run.header(batch_size)))
            journals.append(journal)
            recorded = journal.header["batch_size"]
            if batch_size not in ("auto", recorded):
                run.notes.append(
                    f"batch size {recorded}, not {batch_size}: a file keeps the one that it was "
                    "begun with"
                )
            key = (id(run.backbone.network), run.recipe.precision, recorded)
            streams.setdefault(key, _Stream(recorded)).members.append((run, journal))
        found = Found(dataset)
        rest = range(len(dataset)) if verify else _recall(runs, journals, found, clock.workers)
        with contextlib.closing(_Writer(clock)) as writer:
            for stream in streams.values():
                stream.open(clock, writer)
            _extract(list(streams.values()), found, rest, clock, progress)
            writer.finish()
        stages = clock.stages()
        for run, journal in zip(runs, journals, strict=True):
            run.write(found, journal, stages)
    for run in runs:
        # Missing where somebody removed the folder, and the lock with it, during the run.
        log_path(run.path).unlink(missing_ok=True)
    return stages


def _recall(
    runs: Sequence[Run], journals: Sequence[Journal], found: Found, workers: int
) -> Sequence[int]:
    """Find the images that no run must look at: path, size and time are those recorded.

    Returns the numbers of the others.
    """
    dataset = found.dataset
    if not any(len(run.stored) for run in runs) and not any(len(each) for each in journals):
        return range(len(dataset))
    rest = array("q")
    for start, samples in blocks_of(dataset.samples):
        stored = [run.recorded(start, samples) for run in runs]
        said = list(zip(*stored, *(each.recorded(samples) for each in journals), strict=True))
        places = [place for place, each in enumerate(said) if any(each)]
        now = read_stamps(dataset, [start + place for place in places], workers).tolist()
        stamps = dict(zip(places, now, strict=True))
        for place, each in enumerate(said):
            keys = (one[0] for one in each if one and list(one[1]) == stamps[place])
            key = next(keys, None)
            if key is not None and all(
                (of_run and of_run[0] == key) or run.has(journal, key)
                for of_run, run, journal in zip(each, runs, journals, strict=False)
            ):
                found.add(start + place, key[:64], tuple(stamps[place]))
            else:
                rest.append(start + place)
    return rest


def _extract(
    streams: Sequence[_Stream],
    found: Found,
    numbers: Sequence[int],
    clock: Clock,
    progress: Progress,
) -> None:
    dataset = found.dataset
    names = ", ".join(dict.fromkeys(s.members[0][0].backbone.name for s in streams))

    def wanted(key: str) -> list[Preprocessing]:
        return list(dict.fromkeys(s.framing for s in streams if not s.has(key)))

    total, known = len(dataset), len(dataset) - len(numbers)
    if known:
        progress(known, total, names)
    ahead = 4 * max(stream.batch_size for stream in streams) + clock.workers
    prepared = prepare(dataset, numbers, wanted, clock, ahead=ahead)
    for done, item in enumerate(prepared, start=known + 1):
        sample = dataset.samples[item.number]
        if item.failure is not None:
            found.failures.append((sample.id, item.failure))
        else:
            found.add(item.number, item.sha256, item.stamp)
            if item.picture is not None:
                key = row_key(item.sha256, sample)
                for stream in streams:
                    stream.take(key, sample.id, item.picture)
        progress(done, total, names)
    for stream in streams:
        stream.flush()


class _Stream:
    """The runs that share a forward pass: one network, one precision, one batch size."""

    def __init__(self, batch_size: int) -> None:
        self.members: list[tuple[Run, Journal]] = []
        self.batch_size = batch_size
        self._waiting: dict[str, tuple[str, Picture]] = {}
        self._writing: set[str] = set()

    def open(self, clock: Clock, writer: _Writer) -> None:
        first = self.members[0][0]
        self.framing = framing(first.backbone.preprocessing)
        self._writer = writer
        self._before = [journal.seconds for _, journal in self.members]
        self._runner = engine.Runner(
            [run.backbone for run, _ in self.members],
            first.device,
            first.recipe.precision,
            self.batch_size,
            clock,
        )

    def has(self, key: str) -> bool:
        """Whether every member has a key's row, or is about to write it."""
        return key in self._writing or all(member[0].has(member[1], key) for member in self.members)

    def take(self, key: str, identity: str, picture: Picture) -> None:
        """Put a picture into the batch, unless its row is known, or under way by a copy of it."""
        if self.framing not in picture.pixels or key in self._waiting or self.has(key):
            return
        self._waiting[key] = (identity, picture)
        if len(self._waiting) >= self.batch_size:
            self.flush()

    def flush(self) -> None:
        """Compute the batch, full or not, and have it written."""
        if not self._waiting:
            return
        keys = list(self._waiting)
        ids = [identity for identity, _ in self._waiting.values()]
        pictures = [picture for _, picture in self._waiting.values()]
        self._waiting.clear()
        images = [picture.pixels[self.framing] for picture in pictures]
        each = self._runner.run(images, ids)
        if any(journal.header["drift"] is None for _, journal in self.members):
            for (_, journal), drift in zip(self.members, self._runner.drift(images), strict=True):
                journal.header["drift"] = journal.header["drift"] or drift
        self._shrink()
        self._writing.update(keys)
        self._writer.submit(lambda: self._write(keys, pictures, each))

    def _shrink(self) -> None:
        if self._runner.batch_size == self.batch_size:
            return
        for run, journal in self.members:
            journal.header["batch_size"] = self._runner.batch_size
            run.notes.append(
                f"the memory was too small for batches of {self.batch_size}: went on with "
                f"{self._runner.batch_size}"
            )
        self.batch_size = self._runner.batch_size

    def _write(
        self, keys: list[str], pictures: list[Picture], each: list[NDArray[np.float32]]
    ) -> None:
        for (run, journal), features, before in zip(self.members, each, self._before, strict=True):
            fresh = [n for n, key in enumerate(keys) if not run.has(journal, key)]
            if fresh:
                journal.append(
                    [keys[n] for n in fresh],
                    [pictures[n].facts for n in fresh],
                    features[fresh],
                    before + run.seconds,
                )
                run.n_extracted += len(fresh)
        self._writing.difference_update(keys)


class _Writer:
    """A thread that writes finished batches while the network computes the next ones."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._pending: collections.deque[Future[None]] = collections.deque()
        self._failed = False

    def submit(self, work: Callable[[], None]) -> None:
        """Queue a batch; waits where two are queued already, and raises what went wrong."""
        self._pending.append(self._pool.submit(self._write, work))
        while len(self._pending) > 2:
            self._pending.popleft().result()

    def _write(self, work: Callable[[], None]) -> None:
        # What follows a batch that could not be written cannot be either.
        if self._failed:
            return
        try:
            with self._clock.stage("write"):
                work()
        except BaseException:
            self._failed = True
            raise

    def finish(self) -> None:
        """Wait until all is written."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """End the thread, after what is queued."""
        self._pool.shutdown()
