"""The folder of the browser demo: what is put into it, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "mobile" / "browser"
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
LOSS = {"auroc": 0.7512, "auroc_int8": 0.7487}


def write_export(folder: Path, **changes: Any) -> Path:
    export = folder / "export"
    export.mkdir()
    record = {
        "target": "onnx",
        "model": {"head": "svm"},
        "recipe": {"backbone": "resnet18"},
        "classes": ["benign", "malignant"],
        "positive": "malignant",
        "unit": "image",
        "threshold": None,
        "decision": "The class with the largest score is decided.",
        "quantised": None,
    }
    (export / "export.json").write_text(json.dumps(record | changes))
    (export / "model.onnx").write_bytes(b"exact")
    (export / "model-int8.onnx").write_bytes(b"integers")
    return export


def build(folder: Path, export: Path, *options: str) -> subprocess.CompletedProcess[str]:
    dist = folder / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True, exist_ok=True)
    (dist.parent / "package.json").write_text('{"version": "1.23.0"}')
    for name in RUNTIME:
        (dist / name).write_text("runtime")
    where = ["--output", folder / "demo", "--packages", folder / "node_modules"]
    command = [sys.executable, DEMO / "build.py", export, *where, *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_folder_has_the_model_the_page_and_the_runtime(tmp_path: Path) -> None:
    done = build(tmp_path, write_export(tmp_path))
    assert done.returncode == 0, done.stderr
    demo = tmp_path / "demo"
    assert (demo / "model.onnx").read_bytes() == b"exact"
    assert {one.name for one in (demo / "ort").iterdir()} == {*RUNTIME, "LICENSE.txt"}
    facts = json.loads((demo / "model.json").read_text())
    assert facts["name"] == "svm on resnet18: benign or malignant"
    assert facts["classes"] == ["benign", "malignant"]
    assert facts["words"] == "The class with the largest score is decided."
    # A page of our own may be built again.
    assert build(tmp_path, tmp_path / "export").returncode == 0


def test_a_quantised_copy_is_taken_and_its_loss_shown(tmp_path: Path) -> None:
    quantised = {"file": "model-int8.onnx", "loss": LOSS}
    threshold = {"score": -0.25, "probability": 0.4}
    export = write_export(tmp_path, quantised=quantised, threshold=threshold)
    assert build(tmp_path, export).returncode == 0
    facts = json.loads((tmp_path / "demo" / "model.json").read_text())
    assert (tmp_path / "demo" / "model.onnx").read_bytes() == b"integers"
    assert "the AUROC is 0.749 with them and 0.751 without" in facts["words"]
    assert facts["threshold"] == -0.25
    assert build(tmp_path, export, "--model", "model.onnx").returncode == 0
    assert (tmp_path / "demo" / "model.onnx").read_bytes() == b"exact"
    assert "integers" not in json.loads((tmp_path / "demo" / "model.json").read_text())["words"]


@pytest.mark.parametrize("case", ["torch", "nothing", "other files"])
def test_what_is_no_export_to_onnx_is_refused(case: str, tmp_path: Path) -> None:
    export = write_export(tmp_path, **({"target": "torch"} if case == "torch" else {}))
    said = "export the model with --to onnx"
    if case == "nothing":
        export, said = tmp_path, "is not a folder of `bottleneck export"
    if case == "other files":
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "thesis.tex").write_text("")
        said = "holds other files"
    done = build(tmp_path, export)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "demo" / "model.json").exists()
