"""When a training ends."""

from __future__ import annotations

from typing import Any

from bottleneck.finetune.training.early_stopping import is_over
from bottleneck.finetune.training_options import TrainingOptions


def test_early_stopping() -> None:
    def over(aurocs: list[float], **options: Any) -> bool:
        return is_over([{"val_auroc": value} for value in aurocs], TrainingOptions(**options))

    assert not over([], patience=1)
    assert not over([0.6, 0.7], patience=1)
    assert over([0.6, 0.6], patience=1)
    assert not over([0.8, 0.7, 0.7], patience=3)
    assert over([0.8, 0.7, 0.7, 0.8], patience=3)
    assert not over([0.8] + [0.1] * 20, patience=0)
    assert over([0.1, 0.2], patience=0, epochs=2)
