"""The program of an exported folder: decisions, and what it prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bottleneck.export.standalone import predict_pictures
from bottleneck.export.standalone.predict_pictures import decide, main
from bottleneck.export.standalone.program_files import read_with_program, write_program


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


def test_programs_below_one_relative_path_are_read_from_each_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for value in (0.25, 0.75):
        home = tmp_path / str(value)
        (home / "export").mkdir(parents=True)
        monkeypatch.chdir(home)
        write_program(Path("export"))
        program = Path("export", "predict.py")
        # A model of one number.
        loading = f"def load_classifier(_): return {{}}, lambda pixels: ([[{value}]], None)\n"
        program.write_text(f"{program.read_text()}\n\n{loading}")
        assert read_with_program(Path("export"))(tmp_path / "a.png").tolist() == [value]
        Path("export").rename("finished")
