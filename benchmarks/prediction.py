"""Rate of prediction, compared with extraction of the same images.

    python benchmarks/prediction.py --backbone resnet18 --images 320 --pairs 10

Both read new images, in folders of their own, in pairs of alternating order. ``predict`` computes
the same rows and then scores, calibrated probabilities, sets, decisions and distances; the model
has the largest reference that it may have. The ratio is the rate of ``predict`` divided by that of
``extract``: its geometric mean over the pairs with a 95 % interval of the t distribution on the
logarithms. ``--cpu`` compares processor time, where other work shares the cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
from extraction import make_images
from scipy.stats import t

from bottleneck import extract, fit, load_features
from bottleneck.backbones.backbone import load_backbone
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.deploy.models.distance import TrainingReference


def dataset_of(paths: list[Path], name: str) -> ImageDataset:
    samples = tuple(
        Sample(path.name, path.name, ("benign", "malignant")[n % 2], group=f"P{n}")
        for n, path in enumerate(paths)
    )
    return ImageDataset(name, samples, FileSource(paths[0].parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--head", default="svm")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--cpu", action="store_true", help="processor time")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    backbone = load_backbone(options.backbone, weights="random")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        paths = make_images(folder / "images", options.images, "jpg")
        training = dataset_of(paths[:64], "training")
        given = {"precision": options.precision, "quiet": True}
        features = load_features(extract(training, backbone, output=folder, **given).path)
        rows = np.random.default_rng(0).normal(size=(4000, features.X.shape[1]))
        model = dataclasses.replace(
            fit(features, options.head, inner_splits=2, quiet=True),
            reference=TrainingReference.fit(rows.astype(np.float32)),
        )
        new = dataset_of(paths, "new")
        logs = []
        for number in range(-1, options.pairs):
            seconds = {}
            for which in sorted(("extract", "predict"), reverse=number % 2 == 1):
                output = folder / f"{which}{number}"
                start = clock()
                if which == "extract":
                    extract(new, backbone, output=output, compile="never", **given)
                else:
                    model.predict(new, backbone=backbone, features=output, quiet=True)
                seconds[which] = clock() - start
            if number >= 0:  # The first pair is a warm-up.
                logs.append(np.log(seconds["extract"] / seconds["predict"]))
    half = t.ppf(0.975, len(logs) - 1) * np.std(logs, ddof=1) / np.sqrt(len(logs))
    low, mean, high = np.exp(np.mean(logs) + half * np.array([-1, 0, 1]))
    unit = "processor time" if options.cpu else "time"
    print(f"| {options.backbone} | {options.head} | {unit} | {mean:.3f} ({low:.3f}–{high:.3f}) |")


if __name__ == "__main__":
    main()
