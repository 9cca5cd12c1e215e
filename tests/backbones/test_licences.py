"""Licences of weights: which allow commercial use, and what a policy refuses."""

from __future__ import annotations

import dataclasses

import pytest
import timm
import torch
from made_features import make_features
from typer.testing import CliRunner

from bottleneck.backbones import networks
from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.licences import judge_licence, recorded_licence, require_licence
from bottleneck.backbones.recipe import hash_recipe
from bottleneck.backbones.weights import hub
from bottleneck.backbones.weights.index import import_file
from bottleneck.cli.command_line import app
from bottleneck.deploy.fit import fit
from bottleneck.errors import LicenceError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.features.extraction import extract
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.testing import tiny_backbone

# What each publisher says of commercial use; None where a publisher's own terms must be read.
TIMM = {
    "apache-2.0": True,
    "apple-amlr": False,
    "apple-ascl": True,
    "bsd-3-clause": True,
    "cc-by-4.0": True,
    "cc-by-nc-4.0": False,
    "cvnets-license": None,
    "dinov3-license": True,
    "fair-noncommercial-research-license": False,
    "fastvit-license": None,
    "gemma": True,
    "mit": True,
    "mobileone-license": None,
    "nvidia-open-model-license": True,
    "qwen-community-1.0": None,
    "sapiens2-license": None,
    "seer-license": False,
}
NON_COMMERCIAL = "timm/convnextv2_atto.fcmae"


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)

    def refuse(published):
        raise AssertionError("nothing is downloaded before the licence is known")

    monkeypatch.setattr(hub, "download", refuse)


def test_every_licence_of_timm_is_judged():
    words = {True: "commercial", False: "non-commercial", None: "unknown"}
    stated = {timm.get_pretrained_cfg(name).license for name in timm.list_pretrained()}
    for name in stated - {None, "unknown"}:
        # A newer timm may know further licences: these are never accepted unread.
        assert judge_licence(name) == words[TIMM.get(name)], name
    assert judge_licence(None) == judge_licence("unknown") == "not stated"


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("CC BY-NC-SA 4.0", "non-commercial"),
        ("cc-by-nc-nd-4.0", "non-commercial"),
        ("PolyForm-Noncommercial-1.0.0", "non-commercial"),
        ("for research only", "non-commercial"),
        ("Academic use only", "non-commercial"),
        ("AFL-3.0", "commercial"),
        ("Apache 2.0", "commercial"),
        ("GPL-3.0-or-later", "commercial"),
        ("mit (BMEII-AI/RadImageNet)", "commercial"),
        ("ask us", "unknown"),
    ],
)
def test_licences_are_known_by_the_names_that_publishers_use(name, verdict):
    assert judge_licence(name) == verdict


def test_weights_are_refused_before_they_are_downloaded():
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0.*does not allow commercial use"):
        load_backbone(NON_COMMERCIAL, licence_policy="commercial")
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        extract(None, NON_COMMERCIAL, licence_policy="commercial")
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        TrainingOptions(backbone=NON_COMMERCIAL).require_licence("commercial")
    TrainingOptions(backbone="small_cnn").require_licence("commercial")


def test_another_policy_is_an_error():
    with pytest.raises(UsageError, match="licence policy must be any or commercial"):
        require_licence({}, "free")


def test_an_import_states_the_licence_of_a_file_for_all_that_was_made_of_it(tmp_path):
    path = tmp_path / "mine.pth"
    torch.save(networks.build(find_encoder("resnet18")).state_dict(), path)
    with pytest.raises(LicenceError, match=r"no licence is stated for the weights 'mine\.pth'"):
        load_backbone("resnet18", weights=str(path), licence_policy="commercial")
    made = load_backbone("resnet18", weights=str(path))
    before = made.weights.to_dict()
    assert before["licence"] is recorded_licence(before) is None

    import_file(path, name="resnet18", weights="mine", licence="cc-by-4.0")

    assert recorded_licence(before) == "cc-by-4.0"
    require_licence(before, "commercial")
    for weights in (str(path), "mine"):
        again = load_backbone("resnet18", weights=weights, licence_policy="commercial")
        assert again.recipe("fp32").licence == "cc-by-4.0"
        assert again.recipe("fp32").hash == made.recipe("fp32").hash


def test_the_licence_is_no_part_of_the_hash():
    recipe = tiny_backbone().recipe("fp32")
    stated = dataclasses.replace(recipe, licence="mit")
    assert stated.hash == recipe.hash == hash_recipe(stated.to_dict())
    without = {name: value for name, value in recipe.to_dict().items() if name != "licence"}
    assert hash_recipe(without) == recipe.hash


def test_a_network_of_ones_own_states_its_licence():
    network = torch.nn.Conv2d(3, 4, 3)
    grey = tiny_backbone().preprocessing
    stated = Backbone.from_module(network, grey, licence="mit")
    assert stated.recipe("fp32").licence == "mit"
    unstated = Backbone.from_module(network, grey)
    with pytest.raises(LicenceError, match="no licence is stated for the weights 'own "):
        extract(None, unstated, licence_policy="commercial")


def _features(licence):
    made = make_features(n_patients=20, images=1)
    weights = {"name": "imagenet", "source": "timm/x", "sha256": None, "licence": licence}
    return dataclasses.replace(made, provenance={**made.provenance, "weights": weights})


def test_fit_compare_and_predict_refuse_what_their_features_were_made_with():
    refused = _features("cc-by-nc-4.0")
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        fit(refused, "lda", licence_policy="commercial")
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        compare(refused, "lda", licence_policy="commercial")
    model = fit(refused, "lda")
    assert model.weights["licence"] == "cc-by-nc-4.0"
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        model.predict(refused, licence_policy="commercial")
    assert fit(_features("mit"), "lda", licence_policy="commercial").weights["licence"] == "mit"


def test_the_commands_refuse_them_too(tmp_path):
    model = fit(_features("cc-by-nc-4.0"), "lda").save(tmp_path / "lda.skops")
    ask = ["--licence-policy", "commercial"]
    for arguments in (
        ["extract", "phantom", "--backbone", NON_COMMERCIAL],
        ["predict", str(model), "phantom"],
    ):
        result = CliRunner().invoke(app, [*arguments, *ask])
        assert result.exit_code == 2, result.output
        assert "does not allow commercial use" in " ".join(result.output.split())
    assert not (tmp_path / "features").exists()
