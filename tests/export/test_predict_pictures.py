"""The program of an exported folder: decisions, and what it prints."""

from __future__ import annotations

import numpy as np
import pytest

from bottleneck.export.standalone import predict_pictures
from bottleneck.export.standalone.predict_pictures import decide, main


@pytest.mark.parametrize(
    ("classes", "positive", "threshold", "scores", "decision"),
    [
        (["a", "b"], "b", None, [0.2, -0.2], "a"),
        (["a", "b"], "b", -0.5, [0.2, -0.2], "b"),
        (["a", "b"], "b", -0.2, [0.2, -0.2], "b"),
        (["a", "b"], "a", 0.3, [0.2, -0.2], "b"),
        (["a", "b", "c"], "b", 0.4, [0.2, 0.3, 0.5], "not b"),
        (["a", "b", "c"], None, None, [0.2, 0.3, 0.5], "c"),
    ],
)
def test_decisions(
    classes: list[str],
    positive: str | None,
    threshold: float | None,
    scores: list[float],
    decision: str,
) -> None:
    facts = {"classes": classes, "positive": positive, "threshold": threshold}
    assert decide(facts, np.array(scores)) == decision


def test_without_pictures_it_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "python predict.py picture.png ..." in capsys.readouterr().out


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(folder: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

    monkeypatch.setattr(predict_pictures, "load_classifier", lacking)
    assert main(["a.png"]) == 2
    assert capsys.readouterr().err == (
        "No module named 'onnxruntime'. Install it with: pip install onnxruntime\n"
    )
