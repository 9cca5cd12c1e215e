"""Which images are taken for those that a decision was made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from bottleneck import Backbone
from bottleneck.explain.explanation import ExplainedCase
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.shown_cases.case_maps import same_features
from bottleneck.testing import tiny_backbone


def test_images_are_recognised_by_features_of_the_recorded_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With ImageNet weights, bf16 moves the features of EfficientNet-Lite by 5 to 20 %."""
    exact = Backbone.embed

    def embed(self: Backbone, pixels: torch.Tensor, precision: str = "fp32") -> torch.Tensor:
        return exact(self, pixels) * (1.2 if precision == "bf16" else 1)

    monkeypatch.setattr(Backbone, "embed", embed)
    backbone = tiny_backbone()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    pixels[1] //= 4
    rows = backbone.embed(torch.from_numpy(pixels), "bf16").numpy()
    head = ExplainedHead(backbone, LogisticRegression().fit(rows, ["a", "b"]), ("a", "b"))
    about: dict[str, Any] = {"patient": "", "label": "a", "predicted": "b", "probability": None}
    cases = [ExplainedCase(reason="wrong", number=n, id=str(n), score=0.0, **about) for n in (0, 1)]
    agrees = same_features(cases, {"0": rows[0], "1": rows[1]}, "bf16")
    assert agrees(head, pixels, [0, 1]).tolist() == [True, True]
    assert agrees(head, pixels[::-1].copy(), [0, 1]).tolist() == [False, False]
