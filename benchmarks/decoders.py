"""Processor time of the main process with decoder processes and with threads.

Images are read, hashed, decoded, described, resized and cropped as extraction does it, with no
network behind: once in the threads of this process, once in decoder processes. Both run in turn,
several times over; the medians of the ratios are printed.

    python benchmarks/decoders.py --images 4000 --workers 16
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from extraction import make_images
from pixels import FRAMING

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.features.images.decoder_pool import DecoderPool
from bottleneck.features.images.loader import load_images
from bottleneck.features.timing import Clock


def measure(dataset: ImageDataset, decoders: DecoderPool, clock: Clock) -> tuple[float, float]:
    """Return the processor seconds of this process and the elapsed seconds, per image."""
    before, started = time.process_time(), time.perf_counter()
    for item in load_images(
        dataset, range(len(dataset)), lambda _: [FRAMING], clock, ahead=64, decoders=decoders
    ):
        assert item.pixels
    n = len(dataset)
    return (time.process_time() - before) / n, (time.perf_counter() - started) / n


def main() -> None:
    """Measure and print a table in Markdown."""
    import bottleneck.backbones.inputs.resizing  # noqa: F401  # Adds torchvision's resize.

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    clock = Clock(options.workers)
    print("| images | processor time, processes / threads | elapsed time, processes / threads |")
    print("| --- | ---: | ---: |")
    for kind in ("jpeg", "png"):
        with tempfile.TemporaryDirectory() as name:
            names = [path.name for path in make_images(Path(name), options.images, kind)]
            samples = [Sample(n, n, "ab"[i % 2]) for i, n in enumerate(names)]
            dataset = ImageDataset("bench", samples, FileSource(Path(name)))
            ways = [DecoderPool(clock, processes=each) for each in (False, True)]
            rounds = []
            for number in range(options.rounds + 1):
                row = [measure(dataset, way, clock) for way in ways]
                rounds += [row] if number else []  # The first one starts the processes.
            for way in ways:
                way.close()
        ratios = [
            statistics.median(there[column] / here[column] for here, there in rounds)
            for column in (0, 1)
        ]
        print(f"| {kind.upper()} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")


if __name__ == "__main__":
    main()
