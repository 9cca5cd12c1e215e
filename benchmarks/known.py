"""Time of a first and a second run per image, and how the memory grows with the number of images.

The images are PGM files of 8×8 pixels, all different, a thousand to a folder, named by a CSV
file. The network is the tiny one of the tests. Each run is a process of its own and reports its
processor time (of all threads, user and system) and its peak memory. The memory of a run of 100
images is subtracted.

    python benchmarks/known.py --images 10000 --images 1000000
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bottleneck.data.readers import load_dataset
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

SIDE = 8
FOLDER = 1000


def make_images(folder: Path, n: int) -> Path:
    """Write n small images, each with its number in its pixels, and a table of them."""
    pixels = np.random.default_rng(0).integers(0, 256, SIDE * SIDE, np.uint8)
    folder.mkdir()
    table = folder / "many.csv"
    with table.open("w") as rows:
        rows.write("path,label,patient\n")
        for number in range(n):
            source = f"{number // FOLDER:04d}/{number:07d}.pgm"
            path = folder / source
            if number % FOLDER == 0:
                path.parent.mkdir()
            pixels[:4] = [number >> shift & 255 for shift in (24, 16, 8, 0)]
            path.write_bytes(f"P5\n{SIDE} {SIDE}\n255\n".encode() + pixels.tobytes())
            rows.write(f"{source},{'ab'[number % 2]},P{number // 3}\n")
    # Modification times younger than two seconds are not recorded.
    time.sleep(3)
    return table


def used() -> tuple[float, float]:
    """Return processor seconds and peak memory in MiB of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def run(table: Path, output: Path) -> None:
    """Extract, and print time and memory."""
    backbone = tiny_backbone()
    begun, started = used()[0], time.perf_counter()
    dataset = load_dataset(table)
    read = used()[0]
    # Compiling, which long runs do, takes memory of its own.
    options = {"batch_size": 64, "precision": "fp32", "compile": "never"}
    extraction = extract(dataset, backbone, output=output, **options)
    done, peak = used()
    report = {
        "read": read - begun,
        "extract": done - read,
        "seconds": time.perf_counter() - started,
        "mib": peak,
        "extracted": extraction.n_extracted,
        "rows": len(dataset) - len(extraction.failures),
    }
    print(json.dumps(report))


def load(output: Path) -> None:
    """Read the features, and print the memory that it took."""
    (path,) = output.glob("*.h5")
    before = used()[1]
    features = load_features(path, memory_map=True)
    print(json.dumps({"rows": len(features), "mib": used()[1] - before}))


def measured(*words: object) -> dict[str, float]:
    """Run this script in a process of its own, and return what it printed."""
    command = [sys.executable, __file__, *map(str, words)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, action="append")
    parser.add_argument("--run", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(*options.run)
        return
    if options.load:
        load(options.load)
        return
    print("| images | run | s | processor, µs an image: manifest | extract | peak, MiB |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    base = 0.0
    for n in [100, *(options.images or [10_000, 100_000])]:
        with tempfile.TemporaryDirectory() as scratch:
            output = Path(scratch) / "features"
            table = make_images(Path(scratch) / "images", n)
            for name in ("first", "second"):
                one = measured("--run", table, output)
                assert one["rows"] == n
                assert one["extracted"] == (n if name == "first" else 0)
                base = base or one["mib"]
                read, extracted = (one[part] / n * 1e6 for part in ("read", "extract"))
                print(
                    f"| {n:,} | {name} | {one['seconds']:.1f} | {read:.1f} | {extracted:.1f} "
                    f"| {one['mib'] - base:+.0f} |",
                    flush=True,
                )
            print(f"| {n:,} | load_features | | | | {measured('--load', output)['mib']:+.0f} |")


if __name__ == "__main__":
    main()
