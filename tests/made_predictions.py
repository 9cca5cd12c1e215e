"""Predictions with a known skill."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import softmax

from bottleneck.predictions import Predictions


def predict(
    n: int = 80,
    *,
    seed: int = 0,
    skill: float = 1.0,
    groups: bool = False,
    folds: int = 1,
    repeats: int = 1,
    classes: tuple[str, ...] = ("benign", "malignant"),
) -> Predictions:
    """Binormal scores; the same samples whatever the seed of the scores."""
    codes = np.arange(n) % len(classes)
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n * repeats, len(classes)))
    codes = np.tile(codes, repeats)
    scores[np.arange(len(codes)), codes] += skill
    names = np.array(classes)
    return Predictions(
        ids=np.tile(np.arange(n).astype(str), repeats),
        groups=np.tile((np.arange(n) // (2 * len(classes))).astype(str), repeats)
        if groups
        else None,
        repeats=np.repeat(np.arange(repeats), n),
        folds=np.tile(np.arange(n) // len(classes) % folds, repeats),
        labels=names[codes],
        predicted=names[scores.argmax(axis=1)],
        scores=scores,
        classes=classes,
        kind="decision",
    )


def with_probabilities(arm: Predictions) -> Predictions:
    return dataclasses.replace(arm, probabilities=softmax(arm.scores, axis=1))
