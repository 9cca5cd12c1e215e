"""Images loaded ahead of the networks and computed in batches: the work of one process.

A worker knows no feature file. It runs in the process that writes the files, or in an actor of a
cluster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

import torch

from bottleneck.backbones.recipe import framing
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.features.compute.batch_runner import BatchRunner, Lanes
from bottleneck.features.compute.engine import FeatureBatch, ForwardPass, HasRow
from bottleneck.features.images.decoder_pool import DecoderPool
from bottleneck.features.images.loader import load_images
from bottleneck.features.images.region_loader import load_regions
from bottleneck.features.rows import Framing, ImageRow
from bottleneck.features.timing import Clock

__all__ = ["Worker"]

# From this many loading threads and images on, each thread has a decoder process: more threads
# on a CPU, where fewer feed the network without trouble, than before a GPU.
_CPU_THREADS, _GPU_THREADS, _MANY_IMAGES = 5, 2, 4096


class Worker:
    """Loads images ahead of the networks, and computes batches of one fixed shape.

    Parameters
    ----------
    forwards : sequence of ForwardPass
        What to compute.
    device : torch.device
        Device of the networks.
    clock : Clock
        Adds up the time per stage, and has the number of loading threads.
    cache : PixelCache or None
        Cache of decoded images.
    n_images : int
        Approximate number of images to come.
    """

    def __init__(
        self,
        forwards: Sequence[ForwardPass],
        device: torch.device,
        clock: Clock,
        cache: PixelCache | None,
        n_images: int,
    ) -> None:
        self._clock = clock
        few = clock.workers < (_GPU_THREADS if device.type == "cuda" else _CPU_THREADS)
        self._decoders = DecoderPool(clock, cache, processes=n_images >= _MANY_IMAGES and not few)
        self._queues = [_Queue(*each, device, clock) for each in enumerate(forwards)]
        self._lanes = Lanes(device)
        clock.lanes = self._lanes.number

    def run(
        self, dataset: ImageDataset, numbers: Sequence[int], has: HasRow
    ) -> Generator[ImageRow | FeatureBatch]:
        """Load images and compute their features; may run in several threads at once.

        Parameters
        ----------
        dataset : ImageDataset
            The data set.
        numbers : sequence of int
            Numbers of the samples, in the order in which they are read.
        has : callable
            Tells whether a forward pass has the row of a key already; such rows are not
            computed. Called in any thread.

        Yields
        ------
        ImageRow or FeatureBatch
            Every image, in order, and batches as they are finished.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted, or got one by ``throw``: after the batches that had begun.
        """
        queues, lanes = self._queues, self._lanes
        collected: list[dict[str, ImageRow]] = [{} for _ in queues]
        computing: list[set[str]] = [set() for _ in queues]
        under_way: dict[Future[FeatureBatch], tuple[int, list[str]]] = {}

        def needed(key: str) -> list[Framing]:
            lacking = [queue for queue in queues if not has(queue.number, key)]
            return list(dict.fromkeys(each for queue in lacking for each in queue.framings()))

        def compute(queue: _Queue) -> None:
            rows, collected[queue.number] = collected[queue.number], {}
            computing[queue.number].update(rows)
            under_way[lanes.submit(queue.task(list(rows.values())))] = queue.number, list(rows)

        def finished(at_most: int) -> Generator[FeatureBatch]:
            # One batch waits for each that is being computed, so that no lane is idle. They come
            # in the order in which they are finished: a first batch, with the measurement of the
            # drift, and those of a large network take longer than later ones.
            while len(under_way) > at_most or any(future.done() for future in under_way):
                wait(under_way, return_when=FIRST_COMPLETED)
                for future in [each for each in under_way if each.done()]:
                    number, keys = under_way.pop(future)
                    yield future.result()
                    computing[number].difference_update(keys)

        largest = max(queue.batch_size for queue in queues)
        ahead = (2 + lanes.number) * largest + self._clock.workers
        framing = queues[0].framing  # One for all networks of volumes.
        if isinstance(framing, VolumePreprocessing):
            loading = load_regions(dataset, numbers, framing, needed, self._clock, ahead=ahead)
        else:
            loading = load_images(
                dataset, numbers, needed, self._clock, ahead=ahead, decoders=self._decoders
            )
        try:
            with contextlib.closing(loading):
                for row in loading:
                    yield row
                    for queue in queues:
                        # A copy may be in this batch or under way, or have a row by now.
                        rows = collected[queue.number]
                        if (
                            queue.framing in row.pixels
                            and row.key not in rows
                            and row.key not in computing[queue.number]
                            and not has(queue.number, row.key)
                        ):
                            rows[row.key] = row
                            if len(rows) >= queue.batch_size:
                                compute(queue)
                    yield from finished(2 * lanes.number)
            for queue in queues:
                if collected[queue.number]:
                    compute(queue)
            yield from finished(0)
        except KeyboardInterrupt:
            # They are waited for anyway: what they compute is kept.
            begun = [future for future in under_way if not future.cancel()]
            for future in begun:
                yield future.result()
            raise

    def close(self) -> None:
        """Finish the batches that have begun, and end the threads and processes."""
        self._lanes.close()
        for queue in self._queues:
            queue.close()
        self._decoders.close()


class _Queue:
    """The batches of one forward pass."""

    def __init__(
        self, number: int, forward: ForwardPass, device: torch.device, clock: Clock
    ) -> None:
        self.number = number
        self.framing = forward.framing
        self._reference = framing(forward.backbones[0].preprocessing)
        self._drift = forward.drift
        self._runner = BatchRunner(
            forward.backbones, device, forward.precision, forward.plan, clock
        )

    @property
    def batch_size(self) -> int:
        return self._runner.batch_size

    def close(self) -> None:
        self._runner.close()

    def framings(self) -> list[Framing]:
        """Return the preprocessings that are needed; two until the drift is measured."""
        return [self.framing, self._reference] if self._drift else [self.framing]

    def task(self, rows: Sequence[ImageRow]) -> Callable[[], FeatureBatch]:
        """Return a function that computes a batch, full or not."""
        measure, self._drift = self._drift, False
        images = [row.pixels[self.framing] for row in rows]
        exact = [row.pixels[self._reference] for row in rows if measure]
        kept = [row.without_pixels() for row in rows]

        def compute() -> FeatureBatch:
            features = self._runner.run(images, [row.sample.id for row in kept])
            drift = self._runner.drift(images, exact) if measure else None
            return FeatureBatch(self.number, kept, features, drift, self._runner.plan)

        return compute
