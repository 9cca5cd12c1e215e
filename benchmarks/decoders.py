"""What making pictures costs the process that drives the networks: in its threads, or beside it.

Images of 560×360 are read, hashed, decoded, described, resized and cropped, as extraction does it,
with no network behind. In threads, all of it is processor time of this process, and a third of it
under the interpreter's lock, which bounds the images a second whatever the number of cores. In
processes of their own, this one is left with reading, hashing and passing on. With ``--device`` a
GPU decodes, describes, resizes and crops them as well. All run in turn, several times over, and
medians count.

    python benchmarks/decoders.py --images 400
    python benchmarks/decoders.py --images 4000 --workers 16 --device cuda
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from extraction import make_images
from pixels import FRAMING

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.features.images.decoder_pool import Decoders
from bottleneck.features.images.gpu_decoder import DeviceDecoders
from bottleneck.features.images.loader import prepare
from bottleneck.features.timing import Clock


def measure(
    dataset: ImageDataset, decoders: Decoders | DeviceDecoders, clock: Clock
) -> tuple[float, float]:
    """Return seconds an image: of this process's processors, and by the clock on the wall."""
    framing = FRAMING.on_device() if isinstance(decoders, DeviceDecoders) else FRAMING
    before, started = time.process_time(), time.perf_counter()
    for item in prepare(
        dataset, range(len(dataset)), lambda _: [framing], clock, ahead=64, decoders=decoders
    ):
        assert item.picture is not None
    n = len(dataset)
    return (time.process_time() - before) / n, (time.perf_counter() - started) / n


def main() -> None:
    """Measure and print."""
    import bottleneck.backbones.resizing  # noqa: F401  # Enters torchvision's resize.

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", help="that decodes as well")
    told = parser.parse_args()
    clock = Clock(told.workers)
    ways = ["processes", *([told.device] if told.device else [])]
    columns = [f"{what}, {way} / threads" for way in ways for what in ("processor time", "wall")]
    print(f"| images | {' | '.join(columns)} |")
    print("| --- |" + " ---: |" * len(columns))
    for kind in ("jpeg", "png"):
        with tempfile.TemporaryDirectory() as name:
            names = [path.name for path in make_images(Path(name), told.images, kind)]
            samples = [Sample(n, n, "ab"[i % 2]) for i, n in enumerate(names)]
            dataset = ImageDataset("bench", samples, FileSource(Path(name)))
            decoders: list[Decoders | DeviceDecoders] = [
                Decoders(clock, processes=each) for each in (False, True)
            ]
            if told.device:
                decoders.append(
                    DeviceDecoders(torch.device(told.device), clock, Decoders(Clock(told.workers)))
                )
            rounds = []
            for number in range(told.rounds + 1):
                row = [measure(dataset, each, clock) for each in decoders]
                rounds += [row] if number else []  # What starts once is not measured.
            for each in decoders:
                each.close()
        ratios = [
            statistics.median(row[way][column] / row[0][column] for row in rounds)
            for way in range(1, len(decoders))
            for column in (0, 1)
        ]
        print(f"| {kind.upper()} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")


if __name__ == "__main__":
    main()
