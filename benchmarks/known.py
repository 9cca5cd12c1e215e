"""What a second run costs when every image is known, and how memory grows with the rows.

Images are hard links to a few small ones with a number of their own in the name, so that
100,000 of them take no room; ``--distinct`` stamps every picture with its number instead. Each
run is a process of its own, which reports its time in ``extract`` and its peak memory, the
latter less what a run of 100 images takes.

    python benchmarks/known.py --images 10000 --images 100000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.features.extraction import extract
from bottleneck.testing import tiny_backbone

KINDS = 50
SIDE = 32


def make_images(folder: Path, n: int, *, distinct: bool) -> None:
    """Write n small PNGs, an hour old: all different, or links to few."""
    folder.mkdir()
    then = time.time() - 3600
    rng = np.random.default_rng(0)
    for number in range(n):
        path = folder / f"{number:07d}.png"
        if distinct or number < KINDS:
            pixels = rng.integers(0, 256, (SIDE, SIDE), np.uint8)
            pixels[0, :4] = [number >> shift & 255 for shift in (24, 16, 8, 0)]
            Image.fromarray(pixels).save(path, compress_level=1)
            os.utime(path, (then, then))
        else:
            os.link(folder / f"{number % KINDS:07d}.png", path)


def run(folder: Path, n: int, output: Path) -> None:
    """Extract, and print what it took."""
    names = (f"{number:07d}.png" for number in range(n))
    samples = tuple(Sample(name, name, "ab"[i % 2]) for i, name in enumerate(names))
    dataset = ImageDataset("known", samples, FileSource(folder))
    started = time.perf_counter()
    options = {"batch_size": 64, "precision": "fp32", "output": output}
    extraction = extract(dataset, tiny_backbone(), **options)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "mib": peak, "extracted": extraction.n_extracted}))


def measured(folder: Path, n: int, output: Path) -> dict[str, float]:
    """Run in a process of its own."""
    words = [sys.executable, __file__, "--run", str(n), str(folder), str(output)]
    return json.loads(subprocess.run(words, check=True, capture_output=True).stdout)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, action="append")
    parser.add_argument("--distinct", action="store_true")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        n, folder, output = options.run
        run(Path(folder), int(n), Path(output))
        return
    print("| images | first run | second run | first / second | peak MiB first | second |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    base = None
    for n in [100, *(options.images or [10_000, 100_000])]:
        with tempfile.TemporaryDirectory() as scratch:
            folder, output = Path(scratch) / "images", Path(scratch) / "features"
            make_images(folder, n, distinct=options.distinct)
            first, second = measured(folder, n, output), measured(folder, n, output)
        base = base or first["mib"]
        print(
            f"| {n:,} | {first['seconds']:.1f} s | {second['seconds']:.2f} s "
            f"| {first['seconds'] / second['seconds']:.0f}× "
            f"| {first['mib'] - base:+.0f} | {second['mib'] - base:+.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
