"""Licences of weights: which allow commercial use, and what a policy refuses."""

from __future__ import annotations

import dataclasses

import pytest
import timm
import torch
from made_features import make_features

from bottleneck.backbones import networks
from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.licences import judge_licence, recorded_licence, require_licence
from bottleneck.backbones.recipe import hash_recipe
from bottleneck.backbones.weights import folder, hub
from bottleneck.backbones.weights.folder import WeightsRecord
from bottleneck.backbones.weights.index import import_file
from bottleneck.data.readers import load_dataset
from bottleneck.deploy.fit import fit
from bottleneck.deploy.recalibration import recalibrate
from bottleneck.errors import LicenceError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.explain.explained_predictions import explain_predictions
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features, read_provenance
from bottleneck.features.sets.feature_set import FeatureSet
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
        ("The MIT License", "commercial"),
        ("Apache License, Version 2.0", "commercial"),
        ("MIT OR Apache-2.0", "commercial"),
        ("MIT AND CC-BY-NC-4.0", "non-commercial"),
        ("mit and ask us", "unknown"),
        ("mit (non-commercial use only)", "non-commercial"),
        ("apache-2.0 (code), cc-by-nc-4.0 (weights)", "non-commercial"),
        ("mit (not for sale)", "unknown"),
        ("BSD-3-Clause, for research use only", "non-commercial"),
        ("bsd-3-clause for our customers", "unknown"),
        ("cc-by\u2011nc\u20114.0", "non-commercial"),
        ("ask us", "unknown"),
        (["mit", "cc-by-4.0"], "unknown"),
        (3, "unknown"),
        (" ", "not stated"),
        ("Other", "not stated"),
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
    with pytest.raises(LicenceError, match=r"no licence .* 'mine' \(from mine\.pth\)"):
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "none", "random.pth"])
def test_a_file_by_the_name_of_random_weights_has_a_licence_all_the_same(tmp_path, name):
    torch.save(networks.build(find_encoder("efficientnet_lite0")).state_dict(), tmp_path / name)
    weights = f"./{name}" if "." not in name else name
    with pytest.raises(LicenceError, match="no licence is stated"):
        load_backbone("efficientnet_lite0", weights=weights, licence_policy="commercial")
    made = load_backbone("efficientnet_lite0", weights=weights).weights
    assert made.name == f"file {name}"
    with pytest.raises(LicenceError, match="no licence is stated"):
        require_licence(made.to_dict(), "commercial")


def _stated(tmp_path, monkeypatch, sha256, licence):
    record = WeightsRecord("resnet18", "mine", "mine.bin", sha256, "timm", "mine.pth", licence)
    monkeypatch.setattr(folder, "read_records", lambda place: {tmp_path / "mine.bin": record})


@pytest.mark.parametrize("before", [None, "unknown", "Other"])
def test_a_licence_that_is_stated_later_counts_for_features_and_their_models(
    tmp_path, monkeypatch, before
):
    path = _features(before, sha256="a" * 64).save(tmp_path / "scans.h5")
    with pytest.raises(LicenceError, match="no licence is stated"):
        fit(path, "lda", licence_policy="commercial")
    _stated(tmp_path, monkeypatch, "a" * 64, "mit")
    loaded = load_features(path)
    assert (
        loaded.provenance["weights"]["licence"] == loaded.provenance["recipe"]["licence"] == "mit"
    )
    assert fit(loaded, "lda", licence_policy="commercial").weights["licence"] == "mit"


def test_the_next_extraction_writes_a_licence_that_was_stated_later(tmp_path):
    scans, network = load_dataset("phantom", limit=2), tiny_backbone()
    extract(scans, network, output="features")
    stated = tiny_backbone()
    stated.weights = dataclasses.replace(stated.weights, licence="mit")
    (path,) = (tmp_path / "features").glob("*.h5")
    for made_by in (stated, network):  # Who does not know the licence does not remove it.
        run = extract(scans, made_by, output="features")
        assert run.n_extracted == 0
        assert read_provenance(path)["weights"]["licence"] == "mit"
        assert read_provenance(path)["recipe"]["licence"] == "mit"
    written = path.stat().st_mtime_ns
    extract(scans, stated, output="features")
    assert path.stat().st_mtime_ns == written


def test_features_without_a_record_of_their_weights_have_those_of_their_recipe():
    made = make_features(n_patients=20, images=1)
    with pytest.raises(LicenceError, match="no licence is stated for the weights 'imagenet'"):
        fit(made, "lda", licence_policy="commercial")
    columns = FeatureSet.from_arrays(made.X, made.y)
    assert fit(columns, "lda", licence_policy="commercial").weights == {}


@pytest.mark.parametrize(
    ("licences", "joined"),
    [
        (("mit", "cc-by-nc-4.0"), "mit AND cc-by-nc-4.0"),
        ((None, "mit"), "mit"),
        (("mit", "mit"), "mit"),
        ((None, None), None),
    ],
)
def test_features_of_several_data_sets_have_the_licences_of_all(licences, joined):
    a, b = (_features(licence, seed=n) for n, licence in enumerate(licences))
    both = FeatureSet.concatenate({"a": a, "b": b})
    assert both.provenance["weights"]["licence"] == both.provenance["recipe"]["licence"] == joined


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


def _features(licence, *, sha256=None, seed=0):
    made = make_features(n_patients=20, images=1, seed=seed)
    weights = {"name": "imagenet", "source": "timm/x", "sha256": sha256, "licence": licence}
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
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        recalibrate(model, refused, licence_policy="commercial")
    with pytest.raises(LicenceError, match=r"cc-by-nc-4\.0"):
        explain_predictions(model, refused, licence_policy="commercial")
