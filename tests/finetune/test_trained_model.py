"""Networks of a training in use: what they predict is what a comparison evaluates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bottleneck import load_model
from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.results import Evaluation
from bottleneck.finetune.trained_arm import Trained


@pytest.fixture
def model(trained: Trained, backbone: Backbone) -> TrainedModel:
    made = load_model(trained.path, backbone=backbone)
    assert isinstance(made, TrainedModel)
    return made


def evaluated(trained: Trained, **protocol: Any) -> Evaluation:
    """The arm as ``compare`` evaluates it, without other arms."""
    from bottleneck.data.splits.protocol import Protocol

    made = compare(
        None,
        predictions=trained.path,
        protocol=Protocol(**protocol),
        measures=Measures(at_sensitivity=0.9),
    )
    return made.evaluations[0]


@pytest.mark.parametrize("unit", ["image", "patient"])
def test_a_fold_predicts_what_compare_evaluates(
    trained: Trained, model: TrainedModel, dataset: ImageDataset, tmp_path: Path, unit: Any
) -> None:
    told = evaluated(trained, unit=unit)
    for fold in range(3):
        rows = told.predictions.take(told.predictions.folds == fold)
        made = model.predict(
            dataset, network=f"fold-{fold + 1}", at_sensitivity=0.9, unit=unit, output=tmp_path
        )
        part = made.decided if made.by_patient is None else made.by_patient.decided
        at = [part.predictions.ids.tolist().index(one) for one in rows.ids.tolist()]
        assert part.predictions.probabilities is not None
        assert rows.probabilities is not None
        difference = part.predictions.probabilities[at] - rows.probabilities
        assert np.abs(difference).max() < 1e-6
        threshold = told.operating_points[0].thresholds[fold]
        score = part.predictions.scores[at, 1]
        clear = np.abs(score - threshold) > 1e-6
        decided = part.decisions[at] == "malignant"
        np.testing.assert_array_equal(decided[clear], (score >= threshold)[clear])
