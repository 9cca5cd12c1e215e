"""Time and peak memory of the long parts, at sizes that are doubled.

Each line is a process of its own, and each size is made before its clock starts. "Processor" is
the time of all its threads, user and system: on a machine that others use, it says more than the
seconds of the clock.

    python benchmarks/growth.py audit 7500 15000 30000
    python benchmarks/growth.py compare 50000 100000 200000
    python benchmarks/growth.py arms 12 25 50
    python benchmarks/growth.py classes 125 250 500
    python benchmarks/growth.py known 25000 50000 100000
    python benchmarks/growth.py folder 25000 50000 100000
    python benchmarks/growth.py help 1
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy import ndimage

CHECKOUT = Path(__file__).resolve().parents[1]
WIDTH = 2048


def textures(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return random grey textures of 32×32 pixels, 1 in 100 an altered copy of another."""
    out = np.empty((n, 32, 32), np.uint8)
    for start in range(0, n, 2000):
        noise = rng.standard_normal((min(2000, n - start), 32, 32), np.float32)
        smooth = ndimage.gaussian_filter(noise, (0, 1.2, 1.2))
        smooth -= smooth.min((1, 2), keepdims=True)
        smooth *= 255 / smooth.max((1, 2), keepdims=True)
        out[start : start + 2000] = smooth
    copies = n // 100
    out[:copies] = out[copies : 2 * copies, :, ::-1]
    out[:copies] = np.clip(out[:copies] + rng.integers(-6, 7, out[:copies].shape), 0, 255)
    return out


class NoImages:
    """Stands for images that nobody reads."""

    def read(self, source: str) -> bytes:
        raise FileNotFoundError(source)


def feature_file(path: Path, n: int, width: int, classes: int = 2, seed: int = 0) -> None:
    """Write a feature file of two images a patient, with correlated features."""
    from bottleneck.data.dataset import ImageDataset
    from bottleneck.data.images.decode import PixelFacts
    from bottleneck.data.samples.sample_table import Sample
    from bottleneck.features.file.format import FORMAT
    from bottleneck.features.file.writer import write_features
    from bottleneck.features.rows import ImageRow

    rng = np.random.default_rng(0)
    labels = np.repeat(rng.permutation(np.arange((n + 1) // 2) % classes), 2)[:n]
    sizes = rng.choice(((640, 480), (800, 600), (1024, 768)), n).tolist()
    brightness = rng.uniform(40, 90, n)
    thumbnails = textures(n, rng)
    rng = np.random.default_rng(seed + 1)
    weights = rng.standard_normal((64, width), np.float32) / 8
    means = rng.standard_normal((classes, 64), np.float32) * (0.25 if classes == 2 else 1)
    samples = tuple(
        Sample(
            f"image-{i:06d}.png",
            f"{i:06d}.png",
            f"class {labels[i]:03d}",
            group=f"patient-{i // 2:06d}",
            split="test" if i % 10 > 7 else "train",
        )
        for i in range(n)
    )

    def blocks() -> Iterator[tuple[list[ImageRow], np.ndarray]]:
        for start in range(0, n, 2000):
            rows = range(start, min(start + 2000, n))
            factors = rng.standard_normal((len(rows), 64), np.float32) + means[labels[rows]]
            X = factors @ weights
            X += 0.7 * rng.standard_normal(X.shape, np.float32)
            yield (
                [
                    ImageRow(
                        i,
                        samples[i],
                        f"{i:064x}",
                        facts=PixelFacts(
                            f"{i:064x}", tuple(sizes[i]), brightness[i], thumbnails[i].tobytes()
                        ),
                    )
                    for i in rows
                ],
                np.maximum(X, 0),
            )

    recipe = {
        "backbone": f"made{seed}",
        "weights": "imagenet",
        "network": f"made{seed}",
        "weights_digest": f"{seed:064x}",
        "layer": "",
        "pooling": "avg",
        "preprocessing": {"height": 224, "width": 224},
        "precision": "fp32",
    }
    dataset = {
        "name": "made",
        "fingerprint": "f" * 64,
        "positive": "class 001" if classes == 2 else None,
        "n_samples": n,
        "excluded": {},
    }
    write_features(
        path,
        ImageDataset("made", samples, NoImages()),
        blocks(),
        shape=(n, width),
        failures=(),
        failed_samples=(),
        provenance={
            "format": FORMAT,
            "dataset": dataset,
            "recipe": recipe,
            "recipe_hash": hashlib.sha256(json.dumps(recipe).encode()).hexdigest(),
        },
    )


def make_audit(path: Path, n: int) -> None:
    feature_file(path / "made.h5", n, 512)


def audit(path: Path, n: int) -> str:
    """Search a feature file for leaks."""
    from bottleneck.audit.audit import audit_features

    found = audit_features(path / "made.h5", progress=Steps())
    return f"{len(found.groups.pairs)} pairs"


def make_compare(path: Path, n: int) -> None:
    feature_file(path / "made.h5", n, WIDTH)


def compare(path: Path, n: int) -> str:
    """Compare two heads on one training set of 80 % and one test set, and write the report.

    The near-duplicate search, which ``audit`` measures, is left out.
    """
    from bottleneck.data.splits.protocol import Protocol
    from bottleneck.evaluation.compare import compare as compare_arms
    from bottleneck.features.file.reader import load_features
    from bottleneck.report.page import write_report

    features = dataclasses.replace(load_features(path / "made.h5"), thumbnails=None)
    result = compare_arms(
        features,
        ("logistic", "svm"),
        protocol=Protocol(kind="split", inner_splits=2),
        progress=Steps(),
    )
    write_report(result, path / "report", progress=Steps())
    aurocs = [f"{e.metrics['auroc'].value:.3f}" for e in result.evaluations[:2]]
    return f"AUROC {' and '.join(aurocs)}"


def make_arms(path: Path, n: int) -> None:
    for seed in range(n):
        feature_file(path / f"made{seed}.h5", 2000, 64, seed=seed)


def arms(path: Path, n: int) -> str:
    """Compare n feature sets of 2,000 images, with the pairs of arms and the report."""
    from bottleneck.evaluation.compare import compare as compare_arms
    from bottleneck.report.page import write_report

    files = [path / f"made{seed}.h5" for seed in range(n)]
    result = compare_arms(files, ("logistic",), progress=Steps())
    page = write_report(result, path / "report", progress=Steps())
    return f"{len(result.differences)} differences, page {page.stat().st_size / 1e6:.1f} MB"


def make_classes(path: Path, n: int) -> None:
    feature_file(path / "made.h5", 10 * n, 64, n)


def classes(path: Path, n: int) -> str:
    """Compare a head with the prior on n classes of ten images each, and write the report."""
    from bottleneck.data.splits.protocol import Protocol
    from bottleneck.evaluation.compare import compare as compare_arms
    from bottleneck.features.file.reader import load_features
    from bottleneck.report.page import write_report

    # Every fold needs every class: each image is a patient of its own here.
    features = dataclasses.replace(
        load_features(path / "made.h5"), stated_patients=None, splits=None
    )
    protocol = Protocol(kind="cv", inner_splits=2)
    result = compare_arms(features, ("logistic",), protocol=protocol, progress=Steps())
    page = write_report(result, path / "report", progress=Steps())
    rows = sum(len(e.per_class) for e in result.evaluations)
    return f"{rows} classes measured, page {page.stat().st_size / 1e6:.1f} MB"


def make_images(path: Path, n: int) -> None:
    """Write n different images of 8×8 pixels, half of them to each of two folders."""
    pixels = np.random.default_rng(0).integers(0, 256, 64, np.uint8)
    for label in "ab":
        (path / "images" / label).mkdir(parents=True)
    for number in range(n):
        pixels[:4] = [number >> shift & 255 for shift in (24, 16, 8, 0)]
        name = path / "images" / "ab"[2 * number // n] / f"{number:07d}.pgm"
        name.write_bytes(b"P5\n8 8\n255\n" + pixels.tobytes())
    time.sleep(3)  # Modification times younger than two seconds are not recorded.


def folder(path: Path, n: int) -> str:
    """Read a data set of two folders of n / 2 files each, without opening the images."""
    from bottleneck.data.readers import load_dataset

    return f"{len(load_dataset(path / 'images'))} images"


def make_known(path: Path, n: int) -> None:
    make_images(path, n)
    known(path, n)


def known(path: Path, n: int) -> str:
    """Extract images again that all have a row."""
    from bottleneck.data.readers import load_dataset
    from bottleneck.features.extraction import extract
    from bottleneck.testing import tiny_backbone

    backbone = tiny_backbone()
    started = time.perf_counter()
    options = {"batch_size": 64, "precision": "fp32", "compile": "never"}
    dataset = load_dataset(path / "images")
    read = time.perf_counter() - started
    again = extract(dataset, backbone, output=path / "features", **options)
    took = time.perf_counter() - started
    return f"{again.n_extracted} extracted; {read:.1f} s to list, {took:.1f} s in all"


def show_help(path: Path, n: int) -> str:
    """Run ``bottleneck --help`` ten times."""
    times = []
    for _ in range(10):
        started = time.perf_counter()
        command = [sys.executable, CHECKOUT / "cli.py", "--help"]
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return f"fastest {min(times):.2f} s, median {np.median(times):.2f} s"


class Steps:
    """Keeps the longest time between two calls of a progress function."""

    longest = 0.0

    def __init__(self) -> None:
        self._last, self._text = time.perf_counter(), "start"

    def __call__(self, done: int, total: int, text: str) -> None:
        now = time.perf_counter()
        if now - self._last > 10:
            print(f"{now - self._last:.0f} s after '{self._text}'", file=sys.stderr)
        Steps.longest = max(Steps.longest, now - self._last)
        self._last, self._text = now, f"{text} ({done} of {total})"


PARTS: dict[str, tuple[Callable[[Path, int], None] | None, Callable[[Path, int], str]]] = {
    "audit": (make_audit, audit),
    "compare": (make_compare, compare),
    "arms": (make_arms, arms),
    "classes": (make_classes, classes),
    "known": (make_known, known),
    "folder": (make_images, folder),
    "help": (None, show_help),
}


def measure(part: str, n: int, path: Path) -> None:
    """Run a part, and print what it took."""
    started, before = time.perf_counter(), time.process_time()
    words = PARTS[part][1](path, n)
    seconds, processor = time.perf_counter() - started, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    silent = f"{Steps.longest:.0f}" if Steps.longest else "–"
    print(f"| {part} | {n:,} | {seconds:.1f} | {processor:.1f} | {peak:.2f} | {silent} | {words} |")


def main() -> None:
    """Measure and print the lines of a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--step", choices=("make", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    make = PARTS[options.part][0]
    if options.step == "make" and make is not None:
        make(options.path, options.sizes[0])
    elif options.step == "measure":
        measure(options.part, options.sizes[0], options.path)
    if options.step:
        return
    print("| part | size | s | processor, s | peak, GiB | longest silence, s | result |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |", flush=True)
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as path:
            for step in ("make", "measure"):
                words = [options.part, str(size), "--step", step, "--path", path]
                subprocess.run([sys.executable, __file__, *words], check=True)


if __name__ == "__main__":
    main()
