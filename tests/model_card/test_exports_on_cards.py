"""What cards quote of the exports of a model, and which exports are refused."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from model_card.conftest import QUICK, Published

from bottleneck import (
    check_card,
    compare,
    export_model,
    extract,
    fit,
    load_dataset,
    load_features,
    load_model,
    write_card,
)
from bottleneck.errors import UsageError
from bottleneck.report.json_record import results_text
from bottleneck.testing import tiny_backbone

PARITY = {
    "pictures": "100 pictures, drawn from 447 in scans",
    "n": 100,
    "largest": 3.14e-6,
    "mean": 2.5e-7,
    "limit": 1e-4,
    "refused": {"16-bit pictures are not read": 2},
    "n_unread": 0,
    "change": {"precision": "bf16", "largest": 0.01234, "n_changed": 3},
}
LOSS = {"auroc_int8": 0.7012, "auroc": 0.7512, "difference": 0.05, "low": -0.0123, "high": 0.1123}
QUANTISED = {
    "file": "model-int8.onnx",
    "largest_change": 0.0298,
    "n_compared": 100,
    "loss": {**LOSS, "n_changed": 17, "n": 456},
}


def export(folder: Path, published: Published, **changes: Any) -> Path:
    """A folder as ``export_model`` records it."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    model = load_model(published.model)
    content = {
        "format": "bottleneck-export/1",
        "target": "onnx",
        "model": {
            "name": "model.skops",
            "sha256": hashlib.sha256(published.model.read_bytes()).hexdigest(),
        },
        "classes": ["benign", "malignant"],
        "positive": "malignant",
        "recipe_hash": model.recipe_hash,
        "unit": "image",
        "aggregate": None,
        "threshold": {"positive": "malignant", "score": -0.4125, "probability": 0.31},
        "parity": PARITY,
        "files": {
            "README.md": {"sha256": "0" * 64},
            "model.onnx": {"sha256": hashlib.sha256(b"graph").hexdigest()},
        },
    }
    (folder / "export.json").write_text(json.dumps(content | changes))
    return folder


def test_parity_and_loss_are_fields_of_the_export(published: Published, tmp_path: Path) -> None:
    folder = export(tmp_path / "onnx", published, quantised=QUANTISED)
    card = write_card(published.model, published.report, tmp_path / "card.md", exports=[folder])
    text = card.read_text()
    for shown in (
        "3.1e−06<!--onnx/export.json#/parity/largest-->",
        "2.5e−07<!--onnx/export.json#/parity/mean-->",
        "100 pictures, drawn from 447 in scans<!--onnx/export.json#/parity/pictures-->",
        "bf16<!--onnx/export.json#/parity/change/precision-->",
        "3<!--onnx/export.json#/parity/change/n_changed--> of 100<!--onnx/export.json#/parity/n-->",
        "0.012<!--onnx/export.json#/parity/change/largest-->",
        "2<!--onnx/export.json#/parity/refused/16-bit%20pictures%20are%20not%20read-->",
        "0.31<!--onnx/export.json#/threshold/probability-->",
        "0.701<!--onnx/export.json#/quantised/loss/auroc_int8-->",
        "−0.012<!--onnx/export.json#/quantised/loss/low-->",
        f"sha256 `{hashlib.sha256((folder / 'export.json').read_bytes()).hexdigest()}`",
    ):
        assert shown in text
    assert re.search(r"(?m)^library_name: onnx$", text)
    assert "- onnx\n" in text
    assert check_card(card, published.report, exports=[folder]).agrees

    card.write_text(text.replace("3.1e−06", "3.1e−07"))
    done = check_card(card, published.report)
    assert "the export for onnx were not compared" in done.notes[-1]
    (difference,) = done.differences
    assert difference.words.startswith("the card says 3.1e−07, and the field is 3.1e−06")
    card.write_text(text)
    changed = json.loads((folder / "export.json").read_text()) | {"created": "later"}
    (folder / "export.json").write_text(json.dumps(changed))
    (difference,) = check_card(card, published.report, exports=[folder]).differences
    assert difference.words == "the export for onnx has changed"


def test_the_card_says_how_each_export_is_used(published: Published, tmp_path: Path) -> None:
    program = hashlib.sha256(b"print()").hexdigest()
    onnx = export(tmp_path / "onnx", published)
    hub = export(tmp_path / "hub", published, target="hub")
    (tmp_path / "hub" / "predict.py").write_bytes(b"print()")
    files = {"predict.py": {"sha256": program}}
    own = export(tmp_path / "own", published, target="hub", files=files)
    (own / "predict.py").write_bytes(b"print()")
    card = write_card(published.model, published.report, tmp_path / "a.md", exports=[onnx, hub])
    assert "## Exported files" in card.read_text()
    assert 'pipeline("image-classification", model="FOLDER")' in card.read_text()
    card = write_card(published.model, published.report, tmp_path / "b.md", exports=[own])
    assert "python predict.py picture.png" in card.read_text()
    assert "pipeline(" not in card.read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other/1"}, "not a record of an export by this version"),
        ({"model": {"name": "other.skops", "sha256": "1" * 64}}, "is an export of 'other.skops'"),
        ({"classes": ["a", "b"]}, "other classes or features"),
        ({"recipe_hash": "2" * 64}, "other classes or features"),
        ({"files": {"model.onnx": {"sha256": "3" * 64}}}, "has changed since the export"),
        ({"files": {"lost.bin": {"sha256": "3" * 64}}}, "has changed since the export"),
        ({"target": "--><script>"}, "not a record of an export by this version"),
        ({"files": None}, "is damaged"),
        ({"parity": None}, "lacks a field that a card needs"),
    ],
)
def test_other_exports_are_refused(
    published: Published, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    folder = export(tmp_path / "onnx", published, **changes)
    with pytest.raises(UsageError, match=words):
        write_card(published.model, published.report, tmp_path / "card.md", exports=[folder])
    assert not (tmp_path / "card.md").exists()


def test_exports_for_patients_say_how_images_become_one(
    by_patient: Published, tmp_path: Path
) -> None:
    folder = export(tmp_path / "onnx", by_patient, unit="patient", aggregate="mean")
    card = write_card(by_patient.model, by_patient.report, tmp_path / "card.md", exports=[folder])
    assert "take the mean<!--onnx/export.json#/aggregate--> of the scores" in card.read_text()


@pytest.mark.slow
def test_an_export_of_this_version_is_quoted(tmp_path: Path) -> None:
    scans, network = load_dataset("phantom", limit=24), tiny_backbone()
    features = load_features(extract(scans, network, output=tmp_path).path)
    comparison = compare(features, ("logistic",), protocol=QUICK)
    (tmp_path / "results.json").write_text(results_text(comparison))
    fit(features, "logistic", inner_splits=2, comparison=comparison).save(tmp_path / "m.skops")
    how: dict[str, Any] = {"images": scans, "backbone": network}
    made = export_model(tmp_path / "m.skops", "torch", output=tmp_path / "torch", **how)
    card = made.path / "README.md"
    write_card(tmp_path / "m.skops", tmp_path, card, exports=[made.path], overwrite=True)
    shown = f"{made.parity.largest:.2g}".replace("-", "−")
    assert f"by at most {shown}<!--torch/export.json#/parity/largest-->" in card.read_text()
    done = check_card(card, tmp_path, model=tmp_path / "m.skops", exports=[made.path])
    assert done.agrees


def test_two_exports_of_one_kind_are_refused(published: Published, tmp_path: Path) -> None:
    folders = [export(tmp_path / name, published) for name in ("a", "b")]
    with pytest.raises(UsageError, match="second export for onnx"):
        write_card(published.model, published.report, tmp_path / "card.md", exports=folders)
    with pytest.raises(UsageError, match="cannot be read"):
        write_card(published.model, published.report, tmp_path / "card.md", exports=[tmp_path])
