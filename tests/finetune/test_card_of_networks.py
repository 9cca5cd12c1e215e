"""The card of trained networks: of the arm that they are, and of no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made import dataset_of
from small import train

from bottleneck import check_card, compare, load_model, write_card
from bottleneck.backbones.backbone import Backbone
from bottleneck.errors import UsageError
from bottleneck.finetune.trained_arm import Trained
from bottleneck.report.json_record import results_text


@pytest.fixture
def report(trained: Trained, tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(results_text(compare(None, predictions=trained.path)))
    return path


def test_a_card_is_of_the_arm_that_the_networks_are(
    trained: Trained, backbone: Backbone, report: Path, tmp_path: Path
) -> None:
    card = write_card(trained.path, report, tmp_path / "README.md")
    assert check_card(card, report, model=trained.path).agrees
    assert check_card(card, report, model=load_model(trained.path, backbone=backbone)).agrees
    arm = json.loads(report.read_text())["arms"][0]
    text = card.read_text()
    assert f"{arm['metrics']['auroc']['value']:.3f}<!--/arms/0/metrics/auroc/value-->" in text
    assert "mean of the calibrated probabilities of the networks of 3 folds" in text


def test_networks_of_another_training_have_no_card(
    report: Path, photos: Path, tmp_path: Path
) -> None:
    other = train(dataset_of(photos), tmp_path / "other", seed=7)
    with pytest.raises(UsageError, match="has no arm of the training"):
        write_card(other.path, report, tmp_path / "README.md")
