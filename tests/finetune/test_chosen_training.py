"""Trainings of a selection: what their record says of it."""

from __future__ import annotations

import json

from made_features import make_features

from bottleneck.data.labels.selection import Selection
from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.finetune.cross_validate import train_on_features
from bottleneck.finetune.training_options import TrainingOptions


def test_a_training_records_what_was_chosen_and_its_name(tmp_path):
    features = make_features(classes=("benign", "malignant", "normal"), n_patients=42)
    selection = Selection(classes=["benign", "malignant"], exclude=["image-000"])
    options = TrainingOptions(backbone="new_fc", epochs=1)
    train_on_features(
        features.choose(selection),
        options,
        protocol=Protocol(n_splits=2),
        output=tmp_path,
        name="our network",
    )
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["name"] == "our network"
    assert record["classes"] == ["benign", "malignant"]
    words = "excluded by list: 1; class normal left out: 28"
    assert record["dataset"]["selection"]["words"] == words
    both = compare(
        features,
        ["logistic"],
        predictions=[tmp_path],
        selection=selection,
        protocol=Protocol(inner_splits=2),
    )
    assert [e.name for e in both.evaluations][1] == "our network"
    assert len(both.evaluations[1].predictions) == 55
