"""Trained networks are explained on their test folds, each by its own network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made import dataset_of, make_images

from bottleneck import Protocol, explain_predictions, load_model
from bottleneck.errors import UsageError
from bottleneck.finetune.cross_validate import finetune
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.testing import tiny_backbone


@pytest.mark.slow(reason="two networks are trained")
def test_each_error_has_the_map_of_the_network_of_its_fold(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 40)
    dataset = dataset_of(tmp_path / "images")
    (done,) = finetune(
        dataset,
        TrainingOptions(epochs=2, precision="fp32"),
        backbone=tiny_backbone(),
        protocol=Protocol(n_splits=2),
        output=tmp_path / "trained",
        quiet=True,
    )
    model = load_model(tmp_path / "trained", backbone=tiny_backbone())
    tested = done.predictions
    wrong = set(tested.ids[tested.predicted != tested.labels].tolist())
    (arm,) = explain_predictions(model, data=dataset, most=30, quiet=True).arms
    assert {case.id for case in arm.cases} == wrong
    assert arm.n_wrong == len(wrong)
    for case in arm.cases:
        assert case.heat_map is not None
        # The log-odds of the recorded probability.
        assert case.heat_map.decision == pytest.approx(
            np.log(case.score / (1 - case.score)), abs=1e-3
        )
    (bare,) = explain_predictions(model, most=30, quiet=True).arms
    assert [case.id for case in bare.cases] == [case.id for case in arm.cases]
    assert "--data" in " ".join(bare.words)
    make_images(tmp_path / "new", 6, first=100)
    for name in (None, "fold-1"):
        made = explain_predictions(model, tmp_path / "new", network=name, quiet=True)
        assert len(made.arms[0].heat_maps) == 6
    with pytest.raises(UsageError, match="--arm is for the report"):
        explain_predictions(model, arms="a", quiet=True)
