"""One pass over the images of a data set, for all runs that share a network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Literal

from bottleneck.features import engine
from bottleneck.features.journal import Journal
from bottleneck.features.run import Run, log_path

__all__ = ["Progress", "execute"]

Progress = Callable[[int, int, str], None]


def execute(
    runs: Sequence[Run], batch_size: int | Literal["auto"], workers: int, progress: Progress
) -> None:
    """Execute runs of one network that tap it at different layers, in one pass over the images.

    Runs that were begun with different batch sizes keep them, and take one pass each.
    """
    with contextlib.ExitStack() as stack:
        passes: dict[int, list[tuple[Run, Journal]]] = {}
        for run in runs:
            run.refuse_foreign()
            journal = stack.enter_context(Journal(log_path(run.path), run.header(batch_size)))
            recorded = journal.header["batch_size"]
            if batch_size not in ("auto", recorded):
                run.notes.append(
                    f"batch size {recorded}, not {batch_size}: a file keeps the one that it was "
                    "begun with"
                )
            passes.setdefault(recorded, []).append((run, journal))
        for size, together in passes.items():
            _extract(together, size, workers, progress)
            for run, journal in together:
                run.write(journal)
    for run in runs:
        # Missing where somebody removed the folder, and the lock with it, during the run.
        log_path(run.path).unlink(missing_ok=True)


def _extract(
    together: Sequence[tuple[Run, Journal]], batch_size: int, workers: int, progress: Progress
) -> None:
    first = together[0][0]
    backbones = [run.backbone for run, _ in together]
    runner = engine.Runner(backbones, first.device, first.recipe.precision, batch_size)
    before = [journal.seconds for _, journal in together]
    waiting: dict[str, tuple[str, engine.Picture]] = {}

    def flush() -> None:
        ids, pictures = zip(*waiting.values(), strict=True)
        images = [picture.pixels for picture in pictures]
        each = runner.run(images, ids)
        if any(journal.header["drift"] is None for _, journal in together):
            for (_, journal), drift in zip(together, runner.drift(images), strict=True):
                journal.header["drift"] = journal.header["drift"] or drift
        keys = list(waiting)
        for (run, journal), features, seconds in zip(together, each, before, strict=True):
            fresh = [n for n, key in enumerate(keys) if not _has(run, journal, key)]
            if fresh:
                journal.append(
                    [keys[n] for n in fresh],
                    [pictures[n].facts for n in fresh],
                    features[fresh],
                    seconds + run.seconds,
                )
                run.n_extracted += len(fresh)
        waiting.clear()

    def is_known(key: str) -> bool:
        return all(_has(run, journal, key) for run, journal in together)

    found = []
    prepared = engine.prepare(
        first.dataset,
        first.backbone.preprocessing,
        is_known,
        workers=workers,
        ahead=4 * batch_size + workers,
    )
    for done, item in enumerate(prepared, start=1):
        if item.failure is not None:
            for run, _ in together:
                run.failures.append((item.sample.id, item.failure))
        else:
            found.append((item.sample, item.sha256))
            # A second image of the same content finds its key known, or under way.
            if item.picture is not None and not is_known(item.key):
                waiting.setdefault(item.key, (item.sample.id, item.picture))
            if len(waiting) == batch_size:
                flush()
        progress(done, len(first.dataset), first.backbone.name)
    if waiting:
        flush()
    for run, journal in together:
        run.collect(found, journal)


def _has(run: Run, journal: Journal, key: str) -> bool:
    return key in run.stored.rows or key in journal.rows
