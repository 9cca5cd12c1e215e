"""A small network and quick options for tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.weights.loading import Weights
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.finetune.cross_validate import finetune
from bottleneck.finetune.trained_arm import Trained
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.predictions import Predictions

N_IMAGES = 48
PROTOCOL = Protocol(n_splits=3)


def small_backbone(*, norm: bool = True) -> Backbone:
    """Two convolutions, with batch normalisation by default."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2),
            nn.BatchNorm2d(6) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2),
        )
    return Backbone(
        network,
        name="small",
        architecture="small",
        weights=Weights("made", "seed 0"),
        preprocessing=Preprocessing(16, 16, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)),
    )


def quick(**options: Any) -> TrainingOptions:
    """Two epochs on the CPU with everything that draws at random."""
    usual = {
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 0.01,
        "dropout": 0.3,
        "noise": 4.0,
        "precision": "fp32",
        "device": "cpu",
        "workers": 0,
    }
    return TrainingOptions(**{**usual, **options})


def train(dataset: ImageDataset, output: Path, *, refit: bool = False, **options: Any) -> Trained:
    (trained,) = finetune(
        dataset,
        quick(**options),
        backbone=small_backbone(),
        protocol=PROTOCOL,
        refit=refit,
        output=output,
    )
    return trained


def same(one: Predictions, other: Predictions) -> None:
    for field in ("ids", "folds", "repeats", "labels", "predicted", "scores"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def evaluated(trained: Trained, **protocol: Any) -> Evaluation:
    """The arm as ``compare`` evaluates it, without other arms."""
    made = compare(
        None,
        predictions=trained.path,
        protocol=Protocol(**protocol),
        measures=Measures(at_sensitivity=0.9),
    )
    return made.evaluations[0]
