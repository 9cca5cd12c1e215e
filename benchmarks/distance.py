"""Which distance from the training images flags strangers, and how many images of new patients.

    python benchmarks/distance.py --make strangers images/    # altered copies of images
    bottleneck extract strangers --backbone resnet18 ...
    python benchmarks/distance.py training.h5 other.h5 strangers.h5

In each split, a fifth of the patients of the first file is held out. An image is flagged beyond
the 99th percentile of the distances of the training images from other patients, each of the same
weight. "both" is what models keep: features and their directions, each divided by its total
variance (``one_unit=True``). "standardised" divides each feature by its standard deviation
(``one_unit=False``), "features" and "directions" are the two parts of "both" alone, and "own
patient" is "both" with only the image itself left out. All are distances to the 5th nearest
training image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bottleneck import load_features
from bottleneck.deploy.models.distance import UNLIKE
from bottleneck.statistics.shift.training_distances import TrainingDistances, weight_below

Array = NDArray[np.float64]
COLUMNS = ("both", "standardised", "features", "directions", "own patient")


def flags(X: Array, patients: NDArray[np.intp], new: Array, how: str) -> NDArray[np.bool_]:
    if how == "directions":
        X, new = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (X, new))
    if how in ("features", "directions"):  # The direction of one added number is constant.
        scale = np.sqrt(X.var(axis=0).sum())
        near = _plain(X / scale, patients, new / scale)
    else:
        units = np.arange(len(X)) if how == "own patient" else patients
        measured = TrainingDistances(X, units, one_unit=how != "standardised")
        near = measured.within(), measured.of(new)
    return weight_below(near[0], patients, near[1]) > UNLIKE


def _plain(X: Array, patients: NDArray[np.intp], new: Array) -> tuple[Array, Array]:
    from sklearn.metrics import euclidean_distances

    within = euclidean_distances(X)
    within[patients[:, np.newaxis] == patients] = np.inf
    return np.sort(within, axis=1)[:, 4], np.sort(euclidean_distances(new, X), axis=1)[:, 4]


def make_strangers(folder: Path, images: list[Path], n: int = 40) -> None:
    rng = np.random.default_rng(0)
    for number, path in enumerate(rng.choice(np.array(images, dtype=object), n, replace=False)):
        image = Image.open(path).convert("L")
        (width, height), pixels = image.size, np.asarray(image).astype(float)
        noise = rng.integers(0, 256, (224, 224), dtype=np.uint8)
        shuffled = rng.permutation(np.asarray(image).ravel()).reshape(height, width)
        grainy = np.clip(pixels + rng.normal(0, 25, pixels.shape), 0, 255).astype(np.uint8)
        altered = {
            "black frame": ImageOps.expand(image, border=max(width, height) // 3),
            "centre": image.crop((width // 4, height // 4, 3 * width // 4, 3 * height // 4)),
            "colours": Image.merge("RGB", [image, ImageOps.invert(image), image]),
            "constant": Image.new("L", image.size, int(rng.integers(0, 256))),
            "dark": image.point(lambda value: int(0.3 * value)),
            "grainy": Image.fromarray(grainy),
            "inverted": ImageOps.invert(image),
            "mirrored": ImageOps.mirror(image),
            "noise": Image.fromarray(noise),
            "quarter turn": image.transpose(Image.Transpose.ROTATE_90),
            "shuffled pixels": Image.fromarray(shuffled),
        }
        for kind, made in altered.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            made.save(folder / kind / f"{number:03d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", nargs="+", type=Path, help="training, then others")
    parser.add_argument("--make", type=Path, help="write altered copies of images, and end")
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    if options.make:
        found = (path for given in options.features for path in given.rglob("*.png"))
        make_strangers(options.make, sorted(found))
        return
    training, *others = map(load_features, options.features)
    X, names = training.X.astype(np.float64), np.unique(training.patients)
    shares: dict[str, list[list[float]]] = {}
    for seed in range(options.splits):
        drawn = np.random.default_rng(seed).permutation(names)[: len(names) // 5]
        out = np.isin(training.patients, drawn)
        patients = np.unique(training.patients[~out], return_inverse=True)[1]
        parts = {"patients held out": X[out]}
        for other in others:
            whole = "/" if "noise" not in other.classes else ""
            kinds = [whole] if whole else other.classes
            for kind in kinds:
                rows = other.X if whole else other.X[other.y == kind]
                parts[other.dataset if whole else kind] = rows.astype(np.float64)
        together = np.concatenate(list(parts.values()))
        ends = np.cumsum([len(rows) for rows in parts.values()])[:-1]
        by_column = [np.split(flags(X[~out], patients, together, how), ends) for how in COLUMNS]
        for number, name in enumerate(parts):
            row = [100 * each[number].mean() for each in by_column]
            shares.setdefault(name, []).append(row)
    print("| images | " + " | ".join(COLUMNS) + " |\n| --- |" + " ---: |" * len(COLUMNS))
    for name, rows in shares.items():
        cells = zip(np.mean(rows, axis=0), np.min(rows, axis=0), np.max(rows, axis=0), strict=True)
        text = " | ".join(f"{mean:.1f} ({low:.0f}–{high:.0f})" for mean, low, high in cells)
        print(f"| {name} | {text} |")


if __name__ == "__main__":
    main()
