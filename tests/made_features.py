"""Feature sets with a known signal, for every room right of the features."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from bottleneck.data.splits.patients import shared_inner_folds
from bottleneck.features.sets.feature_set import FeatureSet

VGG = {"backbone": "vgg16", "network": "vgg16"}


def make_features(
    *,
    n_patients: int = 40,
    images: int = 2,
    width: int = 8,
    signal: float = 1.5,
    classes: tuple[str, ...] = ("benign", "malignant"),
    seed: int = 0,
    recipe: dict[str, Any] | None = None,
    dataset: dict[str, Any] | None = None,
    **fields: Any,
) -> FeatureSet:
    """Patient i is of class i modulo the number of classes, whatever the seed and recipe."""
    patients = np.repeat(np.arange(n_patients), images)
    n = len(patients)
    codes = patients % len(classes)
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(len(classes), width))
    means *= signal / np.linalg.norm(means, axis=1, keepdims=True)
    X = means[codes] + rng.normal(size=(n, width))
    made = {
        "backbone": "resnet18",
        "weights": "imagenet",
        "network": "resnet18",
        "weights_digest": "0" * 64,
        "layer": "",
        "pooling": "avg",
        "preprocessing": {"height": 224, "width": 224},
        "precision": "fp32",
    } | (recipe or {})
    numbers = {k: v for k, v in made.items() if k not in ("backbone", "weights")}
    provenance = {
        "dataset": {
            "name": "phantom",
            "fingerprint": "f" * 64,
            "positive": None,
            "n_samples": n,
            "excluded": {},
        }
        | (dataset or {}),
        "recipe": made,
        "recipe_hash": hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest(),
    }
    columns = {
        "X": X.astype(np.float32),
        "y": np.array(classes)[codes],
        "ids": np.array([f"image-{i:03d}" for i in range(n)]),
        "stated_patients": np.array([f"patient-{p:02d}" for p in patients]),
    } | fields
    return FeatureSet(provenance=provenance, **columns)


def changed(values: np.ndarray, rows: Any, value: Any) -> np.ndarray:
    """Return values, some of them replaced."""
    values = values.copy()
    values[rows] = value
    return values


def divide_alike(y, groups, parts, n_splits, seed):
    """Return the inner folds of every training set of cross-validation, as ``compare`` has them."""
    tested = np.empty(len(y), int)
    for number, (_, test) in enumerate(parts):
        tested[test] = number
    return shared_inner_folds(y, groups, [train for train, _ in parts], tested, n_splits, seed)
