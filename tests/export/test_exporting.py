"""Exports: what is compared, refused and recorded."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from bottleneck import Protocol, export_model, extract, fit, load_dataset
from bottleneck.cli.command_line import app
from bottleneck.errors import DecodeError, ExportError, LicenceError, UsageError
from bottleneck.export import exporting
from bottleneck.export.folder.export_folder import export_folder
from bottleneck.export.parity.full_precision import in_full_precision, precision_words
from bottleneck.finetune.cross_validate import finetune
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.testing import tiny_backbone


@pytest.fixture(scope="module")
def scans():
    return load_dataset("phantom", limit=12)


def fitted(scans, folder, precision):
    """Return a model with a threshold."""
    run = extract(scans, tiny_backbone(), precision=precision, output=folder)
    model = fit(run.path, "logistic", at_sensitivity=0.8)
    rising = dataclasses.replace(model.sigmoids, slopes=(1.5,))
    return dataclasses.replace(model, sigmoids=rising)


@pytest.fixture(scope="module")
def models(scans, tmp_path_factory):
    return {"fp32": fitted(scans, tmp_path_factory.mktemp("features"), "fp32")}


class Wrapped:
    """The probabilities of the module itself, with an error; no file of a model."""

    name = "torch"

    def __init__(self, error=0.0, refuse=()):
        self.error, self.refuse = error, refuse

    def write(self, classifier, model, folder):
        self.classifier = classifier
        (folder / "model.bin").write_bytes(b"model")
        return ()

    def read(self, folder):
        def probabilities(path):
            if int(path.stem) in self.refuse:
                raise DecodeError(f"{path}: it is too bright")
            pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB")))
            probabilities, _ = self.classifier(pixels[None])
            return probabilities[0].double().numpy() + self.error

        return probabilities


@pytest.fixture
def target(monkeypatch):
    def use(**how):
        wrapped = Wrapped(**how)
        monkeypatch.setattr(exporting, "_find_target", lambda name, path: wrapped)

    use()
    return use


def export(models, scans, folder, precision="fp32", **how):
    how = {"backbone": tiny_backbone(), "images": scans, "n_pictures": 5, **how}
    return export_model(models[precision], "torch", output=folder, **how)


@pytest.mark.slow(reason="torch.export takes seconds")
def test_an_export_for_torch_gives_the_probabilities_of_the_model(models, scans, tmp_path):
    made = export(models, scans, tmp_path / "out")
    assert made.parity.n == 5
    assert made.parity.largest < 1e-6
    assert made.parity.pictures == f"5 pictures, drawn from {len(scans)} in {scans.name}"
    assert made.parity.change is None
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert record == made.record
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"export.json", *record["files"]}
    for name, stated in record["files"].items():
        data = (tmp_path / "out" / name).read_bytes()
        assert stated == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    page = (tmp_path / "out" / "README.md").read_text()
    assert "benign, malignant" in page
    assert all(sentence in page for sentence in made.parity.sentences)


def test_a_threshold_is_a_probability_too(models, scans, tmp_path, target):
    stated = export(models, scans, tmp_path / "out").record["threshold"]
    model = models["fp32"]
    assert stated["score"] == model.operating_point.threshold
    made = model.predict(scans, backbone=tiny_backbone(), quiet=True)
    probabilities = made.predictions.probabilities[:, model.classes.index(model.positive)]
    decided = made.decided.decisions == model.positive
    np.testing.assert_array_equal(probabilities >= stated["probability"] - 1e-12, decided)
    assert 0 < decided.sum() < len(decided)


def test_a_falling_probability_has_no_threshold(models, scans, tmp_path, target):
    model = models["fp32"]
    falling = dataclasses.replace(
        model, sigmoids=dataclasses.replace(model.sigmoids, slopes=(-1.0,))
    )
    stated = export({"fp32": falling}, scans, tmp_path / "out").record["threshold"]
    assert stated["probability"] is None


def test_other_probabilities_are_refused_and_leave_nothing(models, scans, tmp_path, target):
    target(error=9e-5)
    export(models, scans, tmp_path / "out")
    before = sorted(path.name for path in tmp_path.iterdir())
    target(error=1.1e-4)
    with pytest.raises(ExportError, match=r"differs from its model by 0\.00011 .* 5 of 5 pictures"):
        export(models, scans, tmp_path / "out", overwrite=True)
    with pytest.raises(ExportError):
        export(models, scans, tmp_path / "other")
    target(error=np.nan)
    with pytest.raises(ExportError, match="differs from its model by nan"):
        export(models, scans, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == before == ["out"]
    assert (tmp_path / "out" / "model.bin").exists()


def test_the_message_says_what_is_unusual_of_the_picture(models, tmp_path, target):
    path = tmp_path / "case.png"
    noise = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    Image.fromarray(noise).convert("P").save(path)
    target(error=0.5)
    with pytest.raises(ExportError, match=r"picture .*case.*\(mode P, 30 × 20 pixels\)"):
        export(models, [path], tmp_path / "out")


def test_refused_pictures_are_counted_with_their_reason(models, scans, tmp_path, target):
    target(refuse=(1, 3))
    parity = export(models, scans, tmp_path / "out").parity
    assert (parity.n, parity.refused) == (3, {"it is too bright": 2})
    assert parity.pictures == f"3 of 5 pictures, drawn from {len(scans)} in {scans.name}"
    assert "refuses 2 of these pictures" in " ".join(parity.sentences)
    target(refuse=range(5))
    with pytest.raises(ExportError, match=r"none is predicted by both .*too bright"):
        export(models, scans, tmp_path / "other")


def test_pictures_that_the_model_cannot_read_are_counted(models, scans, tmp_path, target):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (30, 20), "red").save(tmp_path / "new" / "red.png")
    parity = export(models, tmp_path / "new", tmp_path / "out").parity
    assert (parity.n, parity.n_unread) == (1, 1)
    assert parity.pictures == "1 of 2 pictures in new"


@pytest.mark.slow(reason="2 s")
def test_reduced_precision_is_compared_with_full_precision(scans, tmp_path, target):
    model = fitted(scans, tmp_path / "features", "bf16")
    assert precision_words(model).startswith("bf16")
    made = export({"bf16": model}, scans, tmp_path / "out", "bf16", n_pictures=1000)
    own, full = (
        one.predict(scans, backbone=tiny_backbone(), quiet=True).decided
        for one in (model, in_full_precision(model))
    )
    change = np.abs(own.predictions.probabilities - full.predictions.probabilities).max()
    assert made.parity.change.largest == pytest.approx(change, abs=1e-12)
    assert 0 < change < 0.1
    assert made.parity.change.n_changed == (own.decisions != full.decisions).sum()
    assert "fitted on features in bf16" in " ".join(made.parity.sentences)


def test_what_a_quantised_copy_needs_is_checked_first(models, scans, tmp_path, target):
    with pytest.raises(UsageError, match="--to onnx, not torch"):
        export(models, scans, tmp_path / "out", quantise=True)
    how = {"output": tmp_path / "out", "backbone": tiny_backbone()}
    with pytest.raises(UsageError, match="name its folder with --report"):
        export_model(models["fp32"], "onnx", quantise=True, **how)
    with pytest.raises(UsageError, match="add --quantise"):
        export(models, scans, tmp_path / "out", data=scans)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_other_files_is_kept(models, scans, tmp_path, target):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        export(models, scans, tmp_path / "out", overwrite=True)
    (tmp_path / "out" / "mine.txt").unlink()
    export(models, scans, tmp_path / "out")
    with pytest.raises(UsageError, match="--overwrite"):
        export(models, scans, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        export(models, scans, tmp_path / "out", overwrite=True)
    (tmp_path / "out" / "mine.txt").unlink()
    export(models, scans, tmp_path / "out", overwrite=True)


def test_an_interrupted_export_leaves_nothing(tmp_path):
    def interrupt():
        with export_folder(tmp_path / "out") as folder:
            (folder / "model.bin").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert not list(tmp_path.iterdir())


def test_two_runs_do_not_write_one_folder(tmp_path):
    with (
        export_folder(tmp_path / "out"),
        pytest.raises(UsageError, match="out is being written by another export"),
        export_folder(tmp_path / "out"),
    ):
        pass


def test_licence_and_target_are_checked_first(models, scans, tmp_path):
    stated = {"name": "imagenet", "licence": "cc-by-nc-4.0"}
    model = dataclasses.replace(models["fp32"], weights=stated)
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        export({"fp32": model}, scans, tmp_path / "out", licence_policy="commercial")
    with pytest.raises(UsageError, match="unknown target 'tflite'"):
        export_model(model, "tflite", output=tmp_path / "out")


def test_the_command_prints_parity_and_refuses_with_one_message(
    models, scans, tmp_path, target, monkeypatch
):
    with_network = functools.partial(export_model, backbone=tiny_backbone())
    monkeypatch.setattr(exporting, "export_model", with_network)
    path = models["fp32"].save(tmp_path / "m.skops")
    arguments = ["export", str(path), "--to", "torch", "--pictures", "3", "--quiet"]
    arguments += ["--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "Parity: the probabilities of the export differ" in text
    assert "in the embedded simulated data set" in text
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert record["model"]["name"] == "m.skops"
    assert record["model"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    target(error=1)
    done = CliRunner().invoke(app, [*arguments, "--overwrite"])
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_the_command_prints_the_record_as_json(models, scans, tmp_path, monkeypatch):
    with_network = functools.partial(export_model, backbone=tiny_backbone())
    monkeypatch.setattr(exporting, "export_model", with_network)
    path = models["fp32"].save(tmp_path / "m.skops")
    arguments = ["export", str(path), "--to", "torch", "--pictures", "1", "--quiet", "--json"]
    done = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "out" / "export.json").read_text())
    assert json.loads(done.stdout) == written | {"path": str(tmp_path / "out")}


@pytest.mark.slow
def test_trained_networks_are_compared_in_full_precision(scans, tmp_path):
    options = TrainingOptions(backbone="small_cnn", epochs=1, precision="bf16", workers=0)
    (arm,) = finetune(scans, options, protocol=Protocol(n_splits=2), output=tmp_path / "trained")
    how = {"images": scans, "n_pictures": 5}
    for network, chosen in ((None, "mean"), ("fold-1", "fold-1")):
        made = export_model(arm.path, "torch", output=tmp_path / chosen, network=network, **how)
        assert made.parity.largest < 1e-5
        assert made.parity.change.precision == "bf16"
        assert 0 < made.parity.change.largest < 0.1
        record = (arm.path / "training.json").read_bytes()
        assert made.record["model"]["sha256"] == hashlib.sha256(record).hexdigest()
        assert made.record["model"]["network"] == chosen


def test_features_of_an_array_cannot_be_exported(scans, tmp_path):
    y = np.repeat(["benign", "malignant"], 20)
    X = np.random.default_rng(0).normal(size=(40, 4))
    with pytest.raises(UsageError, match="columns of an array"):
        export({"fp32": fit(X, "logistic", y=y)}, scans, tmp_path / "out", backbone=None)


def test_an_export_has_a_folder_of_its_own(tmp_path):
    (tmp_path / "export.json").write_text("{}")
    with (
        pytest.raises(UsageError, match="holds an export and would be deleted with it"),
        export_folder(tmp_path / "models" / "out"),
    ):
        pass
    assert not (tmp_path / "models").exists()
