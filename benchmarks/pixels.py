"""The gain of a pixel cache, in processor time per image.

Images of 560×360 are read, decoded, described, resized and cropped as in an extraction, but
without a network: without a cache, with an empty one, and with a full one. All three run in turn,
several times over, and the medians are compared. The images are grey, for which the cache keeps
one byte per pixel; for colour images it keeps three.

    python benchmarks/pixels.py --images 400
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from extraction import make_images

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.features.images.decoder_pool import DecoderPool
from bottleneck.features.images.loader import load_images
from bottleneck.features.timing import Clock

FRAMING = Preprocessing(256, 224, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).fast()


def seconds(dataset: ImageDataset, cache: PixelCache | None) -> float:
    """Return processor seconds per image."""
    clock = Clock(2)
    decoders = DecoderPool(clock, cache)
    before = time.process_time()
    for item in load_images(
        dataset, range(len(dataset)), lambda _: [FRAMING], clock, ahead=32, decoders=decoders
    ):
        assert item.pixels
    return (time.process_time() - before) / len(dataset)


def mean_size(folder: Path) -> float:
    """Return the mean size of the files below a folder, in bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(sizes) / len(sizes)


def main() -> None:
    """Measure and print a table in Markdown."""
    import bottleneck.backbones.inputs.resizing  # noqa: F401  # Adds torchvision's resize.

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| images | no cache | empty cache | full cache | bytes on the disk |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind in ("jpeg", "png"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "images").mkdir()
            names = [path.name for path in make_images(folder / "images", options.images, kind)]
            samples = [Sample(n, n, "ab"[i % 2]) for i, n in enumerate(names)]
            dataset = ImageDataset("bench", samples, FileSource(folder / "images"))
            rounds = []
            for number in range(options.rounds):
                cache = PixelCache(folder / f"cache{number}")
                rounds.append([seconds(dataset, each) for each in (None, cache, cache)])
            plain, empty, full = (statistics.median(column) for column in zip(*rounds, strict=True))
            grown = mean_size(folder / "cache0") / mean_size(folder / "images")
            print(
                f"| {kind.upper()} | 1 | {empty / plain:.2f} | {full / plain:.2f} | {grown:.1f}× |"
            )


if __name__ == "__main__":
    main()
