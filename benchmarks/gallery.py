"""Time and memory of the errors of a comparison with their nearest training images.

    python benchmarks/gallery.py images/ > benchmarks/gallery.md

20,000 images of 5,000 patients, with features of 2,048 numbers, and three arms that are wrong
for a quarter of the images, in five folds. ``images/`` is made if it does not exist: 20,000 JPEG
files of 560 × 360 pixels. Each row is a part of ``compare`` or ``write_report``, in a process of
its own, on one thread: the median time of three runs, and the most that the peak of the resident
memory grew during one. The features, 164 MB, are in memory before.
Thumbnails and the page come after the search in one process, so that 0 means no more than it took.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N, WIDTH, PATIENTS, FOLDS, ARMS = 20_000, 2048, 5000, 5, 3
PARTS = {
    "errors and nearest training images": "cases",
    "the same in 5 repeats": "repeats",
    "thumbnails of the feature file": "small",
    "thumbnails of 128 pixels from image files": "large",
    "the section of the page with images": "page",
}


def make_images(folder: Path) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(360), np.arange(560)) / 4
    for number in range(N):
        grey = np.clip(ramp + rng.normal(0, 25, (360, 560)), 0, 255).astype(np.uint8)
        Image.fromarray(grey).convert("RGB").save(folder / f"{number:05d}.jpg", quality=85)


def measure(part: str, folder: Path) -> tuple[float, float]:
    from bottleneck.evaluation.cases.case_search import CaseArm, CaseSamples, find_all_cases
    from bottleneck.evaluation.cases.shown_images import make_thumbnails, rows_of_cases
    from bottleneck.features.sets.feature_set import FeatureSet
    from bottleneck.predictions import Predictions

    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, WIDTH), dtype=np.float32)
    np.abs(X, out=X)
    patient = np.arange(N) % PATIENTS
    y = np.array(["benign", "malignant"])[patient % 2]
    ids = np.array([f"{n:05d}.jpg" for n in range(N)])
    recipe = {"backbone": "resnet50", "preprocessing": {}}
    features = FeatureSet(
        X=X,
        y=y,
        ids=ids,
        provenance={"recipe": recipe, "dataset": {"name": "images"}},
        thumbnails=rng.integers(0, 256, (N, 32, 32), np.uint8),
    )
    repeats = 5 if part == "repeats" else 1
    folds = [rng.permutation(PATIENTS)[patient] % FOLDS for _ in range(repeats)]
    samples = CaseSamples(
        features,
        y,
        patient,
        {(r, f): np.flatnonzero(fold != f) for r, fold in enumerate(folds) for f in range(FOLDS)},
    )

    def predict() -> Predictions:
        wrong = rng.random(N * repeats) < 0.25
        sure = rng.uniform(0.5, 1, N * repeats)
        ill = np.tile(y == "malignant", repeats) ^ wrong
        p = np.where(ill, sure, 1 - sure)
        both = np.stack([1 - p, p], axis=1)
        return Predictions(
            ids=np.tile(ids, repeats),
            groups=None,
            repeats=np.repeat(np.arange(repeats), N),
            folds=np.concatenate(folds),
            labels=np.tile(y, repeats),
            predicted=np.where(ill, "malignant", "benign"),
            scores=both,
            classes=("benign", "malignant"),
            kind="probability",
            probabilities=both,
        )

    arms = [CaseArm(f"arm {n}", predict(), None, X) for n in range(ARMS)]
    dataset: Any = None
    if part in ("large", "page"):
        from bottleneck.data.dataset import ImageDataset

        rows = [{"path": i, "label": label} for i, label in zip(ids, y, strict=True)]
        dataset = ImageDataset.from_samples(rows, name="images", images=folder)
    if part in ("cases", "repeats"):
        return _timed(lambda: find_all_cases(arms, samples))
    cases = find_all_cases(arms, samples)
    shown = list(rows_of_cases(cases))
    if part in ("small", "large"):
        return _timed(lambda: make_thumbnails(features, shown, dataset))
    from bottleneck.report.gallery.embedded_images import data_url

    thumbnails = make_thumbnails(features, shown, dataset)
    result = _timed(lambda: [data_url(thumbnails[row]) for row in shown])
    sizes = [len(data_url(thumbnails[row])) for row in shown]
    print(f"{len(shown)} images, {sum(sizes) / 1e6:.1f} MB of the page", file=sys.stderr)
    return result


def _timed(run: Callable[[], Any]) -> tuple[float, float]:
    before = _peak()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start, _peak() - before


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main(folder: Path) -> None:
    if not folder.exists():
        make_images(folder)
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    print("# Errors with their nearest training images\n")
    print("Made by `python benchmarks/gallery.py images/`; its docstring describes the rows.\n")
    print("| part | seconds | more memory (MB) |\n| --- | ---: | ---: |")
    for words, part in PARTS.items():
        runs = []
        for _ in range(3):
            command = [sys.executable, __file__, str(folder), part]
            out = subprocess.run(
                command, env={**os.environ, **one_thread}, stdout=subprocess.PIPE, check=True
            )
            runs.append([float(number) for number in out.stdout.split()])
        seconds, memory = zip(*runs, strict=True)
        print(f"| {words} | {np.median(seconds):.2f} | {max(memory):.0f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(*measure(sys.argv[2], Path(sys.argv[1])))
    else:
        main(Path(sys.argv[1]))
