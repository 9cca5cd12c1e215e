"""One pass over the images of a data set, for all runs that want them."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from array import array
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.samples import Sample, blocks_of
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.features.compute.engine import (
    BatchPlan,
    Engine,
    ExtractionJob,
    FeatureBatch,
    ForwardPass,
)
from bottleneck.features.file.journal import Journal, Seen
from bottleneck.features.file_update import Run, log_path
from bottleneck.features.images.loader import read_stamps
from bottleneck.features.rows import NO_STAMP, ImageTable
from bottleneck.features.timing import Clock, Stage

__all__ = ["Progress", "execute"]

Progress = Callable[[int, int, str], None]

# Images that are logged at once where no batch takes them along.
_MANY = 1024


def execute(
    runs: Sequence[Run],
    batch_size: int | Literal["auto"],
    engine: Engine,
    progress: Progress,
    *,
    cache: PixelCache | None,
    verify: bool,
) -> tuple[Stage, ...]:
    """Execute runs over one data set in one pass over its images.

    Runs that tap one network at different layers share its forward pass, unless they were begun
    with other plans or decodings, which they keep. Returns where the time of the pass went.
    """
    dataset, clock = runs[0].dataset, engine.clock
    clock.start()
    with contextlib.ExitStack() as stack:
        streams: dict[Hashable, _Stream] = {}
        journals = []
        for run in runs:
            run.refuse_foreign()
            journal = stack.enter_context(Journal(log_path(run.path), run.header()))
            journals.append(journal)
            recorded = journal.header["batch_size"]
            if batch_size not in ("auto", recorded):
                run.notes.append(
                    f"batch size {recorded}, not {batch_size}: a file keeps the one that it was "
                    "begun with"
                )
            # Whatever makes a forward pass another one: layers and pooling do not.
            recipe = run.recipe
            made = recipe.preprocessing, recipe.decoding, recipe.precision
            key = (id(run.backbone.network), made, _plan(journal))
            streams.setdefault(key, _Stream()).add(run, journal)
        table = ImageTable(len(dataset))
        rest = range(len(dataset)) if verify else _recall(runs, journals, table, clock.workers)
        with contextlib.closing(_Writer(clock)) as writer:
            _extract(list(streams.values()), dataset, engine, cache, table, rest, writer, progress)
            writer.finish()
        stages = clock.stages()
        for run, journal in zip(runs, journals, strict=True):
            run.write(table, journal, stages, engine.describe)
    for run in runs:
        # Missing where somebody removed the folder, and the lock with it, during the run.
        log_path(run.path).unlink(missing_ok=True)
    return stages


def _recall(
    runs: Sequence[Run], journals: Sequence[Journal], table: ImageTable, workers: int
) -> Sequence[int]:
    """Find the images that no run must look at: path, size and time are those recorded.

    Returns the numbers of the others.
    """
    dataset = runs[0].dataset
    if not any(len(run.stored) for run in runs) and not any(len(each) for each in journals):
        return range(len(dataset))
    rest = array("q")
    with ThreadPoolExecutor(workers, thread_name_prefix="stamps") as pool:
        for start, samples in blocks_of(dataset.samples):
            stored = [run.recorded(start, samples) for run in runs]
            said = list(zip(*stored, *(each.recorded(samples) for each in journals), strict=True))
            places = [place for place, each in enumerate(said) if any(each)]
            now = read_stamps(dataset, [samples[place] for place in places], pool)
            images = [("", NO_STAMP)] * len(samples)
            for place, stamp in zip(places, now, strict=True):
                if stamp == NO_STAMP:  # Not even a file that was and is without one is known.
                    continue
                keys = (one[0] for one in said[place] if one is not None and one[1] == stamp)
                key = next(keys, None)
                # The file of a run that recorded the key has its row. Files come first in ``said``;
                # the logs after them are more than there are runs.
                if key is not None and all(
                    (one is not None and one[0] == key) or run.has(journal, key)
                    for one, run, journal in zip(said[place], runs, journals, strict=False)
                ):
                    images[place] = key[:64], stamp
            table.write(start, images)
            rest.extend(start + place for place, (sha256, _) in enumerate(images) if not sha256)
    return rest


def _extract(
    streams: Sequence[_Stream],
    dataset: ImageDataset,
    engine: Engine,
    cache: PixelCache | None,
    table: ImageTable,
    numbers: Sequence[int],
    writer: _Writer,
    progress: Progress,
) -> None:
    names = ", ".join(dict.fromkeys(s.members[0][0].backbone.name for s in streams))
    total, done = len(dataset), len(dataset) - len(numbers)
    progress(done, total, names)
    if not len(numbers):
        return
    failures: dict[int, str] = {}

    def has(forward: int, key: str) -> bool:
        return streams[forward].has(key)

    def recorded(numbers: Sequence[int]) -> set[tuple[int, str]]:
        samples = [dataset.samples[number] for number in numbers]
        keys = {key for stream in streams for key in stream.recorded(numbers, samples)}
        return {(n, key) for n, s in enumerate(streams) for key in keys if s.has(key)}

    compiling = any(stream.forward().plan.compiled for stream in streams)
    job = ExtractionJob(dataset, numbers, [s.forward() for s in streams], has, recorded, cache)
    with contextlib.closing(engine.run(job)) as items:
        for item in items:
            if isinstance(item, FeatureBatch):
                if compiling:
                    compiling = False
                    progress(done, total, names)
                streams[item.forward].store(item, writer)
                continue
            if item.failure is not None:
                failures[item.number] = item.failure
            else:
                table.write(item.number, [(item.sha256, item.stamp)])
                seen = Seen(item.sample, item.key, item.stamp)
                for stream in streams:
                    stream.see(seen, writer)
            done += 1
            first = compiling and bool(item.pixels)
            progress(done, total, f"compiling {names}" if first else names)
    # A cluster hands samples back in the order in which they are finished.
    table.failures += [(dataset.samples[n].id, failures[n]) for n in sorted(failures)]


class _Stream:
    """The runs that share a forward pass: one network, one precision, one batch size."""

    def __init__(self) -> None:
        self.members: list[tuple[Run, Journal]] = []
        self._before: list[float] = []
        self._writing: set[str] = set()
        self._seen: list[Seen] = []

    def add(self, run: Run, journal: Journal) -> None:
        """Let a run take part."""
        self.members.append((run, journal))
        self._before.append(journal.seconds)

    def forward(self) -> ForwardPass:
        """Say what is to be computed."""
        run, journal = self.members[0]
        reduced = run.recipe.precision != "fp32"
        return ForwardPass(
            tuple(run.backbone for run, _ in self.members),
            run.recipe.precision,
            run.recipe.framing,
            _plan(journal),
            drift=reduced and any(journal.header["drift"] is None for _, journal in self.members),
        )

    def has(self, key: str) -> bool:
        """Whether every member has a key's row, or is about to write it."""
        return key in self._writing or all(run.has(journal, key) for run, journal in self.members)

    def recorded(self, numbers: Sequence[int], samples: Sequence[Sample]) -> Iterator[str]:
        """Return the keys that samples had when the members' files and logs were written."""
        for run, journal in self.members:
            yield from run.keys_before(numbers)
            yield from (said[0] for said in journal.recorded(samples) if said is not None)

    def see(self, seen: Seen, writer: _Writer) -> None:
        """Have it logged, with the next batch, that an image was read."""
        self._seen.append(seen)
        if len(self._seen) >= _MANY:  # No batch may come, where all rows are known.
            none = [np.empty((0, run.backbone.width), np.float32) for run, _ in self.members]
            self._submit(FeatureBatch(0, [], none, None, _plan(self.members[0][1])), writer)

    def store(self, batch: FeatureBatch, writer: _Writer) -> None:
        """Have a batch written."""
        for n, (run, journal) in enumerate(self.members):
            if batch.drift is not None:
                journal.header["drift"] = journal.header["drift"] or batch.drift[n]
            planned = _plan(journal)
            if batch.plan.batch_size < planned.batch_size:
                journal.header["batch_size"] = batch.plan.batch_size
                run.notes.append(
                    f"the memory was too small for batches of {planned.batch_size}: went on with "
                    f"{batch.plan.batch_size}"
                )
            if planned.compiled and not batch.plan.compiled:
                journal.header["compiled"] = False
                run.notes.append(
                    "the network could not be compiled here: went on without, which moves the "
                    "last bits of the rows"
                )
        self._writing.update(row.key for row in batch.rows)
        self._submit(batch, writer)

    def _submit(self, batch: FeatureBatch, writer: _Writer) -> None:
        seen, self._seen = self._seen, []
        writer.submit(lambda: self._write(batch, seen))

    def _write(self, batch: FeatureBatch, seen: list[Seen]) -> None:
        for (run, journal), features, before in zip(
            self.members, batch.features, self._before, strict=True
        ):
            # Copies of one picture may be computed by two workers; the first is kept.
            fresh = [n for n, row in enumerate(batch.rows) if not run.has(journal, row.key)]
            if fresh or seen:
                journal.append(
                    [batch.rows[n].key for n in fresh],
                    [facts for n in fresh if (facts := batch.rows[n].facts) is not None],
                    features[fresh],
                    before + run.seconds,
                    seen,
                )
                run.n_extracted += len(fresh)
        self._writing.difference_update(row.key for row in batch.rows)


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


def _plan(journal: Journal) -> BatchPlan:
    try:
        return BatchPlan(*(journal.header[field.name] for field in dataclasses.fields(BatchPlan)))
    except (LookupError, UsageError) as error:
        raise FeatureFileError(
            f"{journal.path} is no log of unfinished features ({error}); move it away and repeat"
        ) from None
