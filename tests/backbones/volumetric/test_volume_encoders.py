"""Weight files of networks of volumes, in the layouts of their publishers."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_weights import draw_input, draw_weights
from references import monai_encoder, monai_medicalnet, widen
from safetensors.torch import save_file
from torch import Tensor, nn

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.inputs.preprocessing_presets import find_preprocessing
from bottleneck.backbones.layers.layer_listing import width_of
from bottleneck.backbones.licences import judge_licence
from bottleneck.backbones.networks import build
from bottleneck.backbones.recorded_backbone import load_recipe_backbone
from bottleneck.backbones.volumetric.volume_encoders import VOLUME_ENCODERS
from bottleneck.backbones.volumetric.volume_presets import VOLUME_PRESETS
from bottleneck.backbones.weights.index import import_file
from bottleneck.errors import UsageError, WeightsError

State = dict[str, Tensor]


@functools.cache
def state_of(name: str) -> State:
    network = build(find_encoder(name))
    network.load_state_dict(draw_weights(network), strict=False)
    return network.state_dict()


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def ssl_file(state: State) -> dict[str, Any]:
    """Return what ``load_from`` of MONAI's SwinUNETR reads, with heads of the training."""
    renamed = {re.sub(r"mlp\.linear([12])", r"mlp.fc\1", k): v for k, v in state.items()}
    for stage, block in itertools.product(range(1, 5), range(2)):
        name = f"layers{stage}.0.blocks.{block}.attn.relative_position_index"
        renamed[name] = torch.zeros(343, 343, dtype=torch.long)
    heads = ("norm.weight", "rotation_head.weight", "contrastive_head.bias", "conv.0.weight")
    renamed |= {name: torch.ones(4) for name in heads}
    return {"state_dict": prefixed(renamed, "module."), "epoch": 5, "optimizer": {"state": {}}}


def segmentation_file(state: State) -> dict[str, Any]:
    """Return what SwinUNETR/BTCV and BRATS21 of Project-MONAI/research-contributions save."""
    decoder = ("encoder1.layer.conv1.conv.weight", "encoder10.layer.norm1.weight", "out.conv.bias")
    others = {name: torch.ones(3) for name in decoder}
    return {"state_dict": prefixed(state, "swinViT.") | others, "epoch": 9, "best_acc": 0.8}


def medicalnet_file(state: State) -> dict[str, Any]:
    head = {"conv_seg.0.weight": torch.ones(2), "conv_seg.1.running_mean": torch.ones(2)}
    return {"state_dict": prefixed(state | head, "module.")}


FILES = [
    ("swin_unetr", ssl_file, "model_swinvit.pt", "ssl"),
    ("swin_unetr", segmentation_file, "base.pt", "btcv"),
    ("swin_unetr_monai15", ssl_file, "own.pt", "ssl"),
    ("swin_unetr_monai15", segmentation_file, "base.pt", "btcv"),
    ("swin_unetr_brats", segmentation_file, "model.pt", "brats"),
    ("medicalnet_resnet10", medicalnet_file, "resnet_10_23dataset.pth", "medicalnet"),
]


@pytest.mark.parametrize(
    ("name", "make", "file", "layout"),
    [
        pytest.param(*one, id=f"{one[0]}-{one[3]}", marks=[pytest.mark.slow] * (one != FILES[0]))
        for one in FILES
    ],
)
def test_published_files_load_with_their_preprocessing(
    name: str, make: Any, file: str, layout: str, tmp_path: Path
) -> None:
    state = state_of(name)
    torch.save(make(state), tmp_path / file)
    backbone = load_backbone(name, weights=str(tmp_path / file))
    assert backbone.weights.layout == layout
    assert backbone.preprocessing == VOLUME_PRESETS[layout]
    assert backbone.width == width_of(find_encoder(name))
    loaded = backbone.network.state_dict()
    for tensor in state:
        assert tensor.endswith("num_batches_tracked") or state[tensor].equal(loaded[tensor])
    recipe = backbone.recipe("fp32")
    assert recipe.variant == find_encoder(name).variant
    again = load_recipe_backbone(
        recipe.to_dict(), backbone.weights.to_dict(), weights=tmp_path / file
    )
    assert again.recipe("fp32").hash == recipe.hash


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "encoder.", "backbone."])
def test_files_of_ct_fm_load(prefix: str, tmp_path: Path) -> None:
    state = state_of("ct_fm")
    save_file(prefixed(state, prefix), tmp_path / "model.safetensors")
    backbone = load_backbone("ct_fm", weights=str(tmp_path / "model.safetensors"))
    assert backbone.preprocessing == VOLUME_PRESETS["ct_fm"]
    assert backbone.network.state_dict()["layers.4.blocks.3.conv2.weight"].equal(
        state["layers.4.blocks.3.conv2.weight"]
    )


def reference_of(name: str) -> Callable[[Tensor], Tensor]:
    """Return MONAI's network of the same arithmetic, which gives the last map."""
    encoder = VOLUME_ENCODERS[name]
    if encoder.family == "swin_unetr":
        swin = monai_encoder(*encoder.arguments)
        swin.load_state_dict(swin.state_dict() | state_of(name))
        return lambda x: swin(x)[4]
    if encoder.family == "medicalnet":
        residual = monai_medicalnet(*encoder.arguments)
        residual.load_state_dict(state_of(name))
        widen(residual)
        stem = nn.Sequential(residual.conv1, residual.bn1, residual.act, residual.maxpool)
        stages = (residual.layer1, residual.layer2, residual.layer3, residual.layer4)
        return nn.Sequential(stem, *stages)
    from monai.networks.nets.segresnet_ds import SegResEncoder

    segres = SegResEncoder(blocks_down=(1, 2, 2, 4, 4)).eval()
    segres.load_state_dict(state_of(name))
    return lambda x: segres(x)[-1]


COMPARED = [
    *((name, make, layout) for name, make, _, layout in FILES),
    *((f"medicalnet_resnet{n}", medicalnet_file, "medicalnet") for n in (18, 34, 50)),
    ("ct_fm", lambda state: state, "ct_fm"),
]


def test_every_layout_of_every_network_is_compared() -> None:
    layouts = {(name, one) for name, encoder in VOLUME_ENCODERS.items() for one in encoder.layouts}
    assert {(name, layout) for name, _, layout in COMPARED} == layouts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "layout"), COMPARED, ids=[f"{one[0]}-{one[2]}" for one in COMPARED]
)
def test_features_are_those_of_the_original(
    name: str, make: Any, layout: str, tmp_path: Path
) -> None:
    torch.save(make(state_of(name)), tmp_path / "net.pt")
    backbone = load_backbone(
        name, weights=str(tmp_path / "net.pt"), pooling="flatten", patch_size=64
    )
    assert backbone.weights.layout == layout
    x = draw_input(2, 64, 64, 64, VOLUME_ENCODERS[name].n_channels)
    with torch.inference_mode():
        expected = reference_of(name)(x.movedim(-1, 1)).flatten(1)
    features = backbone.embed(x)
    largest = ((features - expected).abs().max() / expected.abs().max()).item()
    print(f"{name:<20} {layout:<10} {features.shape[1]:>6} features: {largest:.1e}")
    assert largest < 1e-4


@pytest.mark.slow
def test_the_form_of_the_merging_is_part_of_the_recipe(tmp_path: Path) -> None:
    state = state_of("swin_unetr")
    torch.save(segmentation_file(state), tmp_path / "net.pt")
    old, new = (
        load_backbone(name, weights=str(tmp_path / "net.pt"), patch_size=32)
        for name in ("swin_unetr", "swin_unetr_monai15")
    )
    assert old.digest == new.digest
    assert old.recipe("fp32").hash != new.recipe("fp32").hash
    x = draw_input(1, 32, 32, 32, 1)
    assert (old.embed(x) - new.embed(x)).abs().max() > 0.05


@pytest.mark.slow
def test_lacking_and_foreign_tensors_are_named(tmp_path: Path) -> None:
    content = ssl_file(state_of("swin_unetr"))
    state = content["state_dict"]
    del state["module.layers3.0.blocks.1.attn.qkv.weight"]
    # Of SwinUNETR-V2, which has convolutions in front of each stage.
    state["module.layers1c.0.layer.conv1.conv.weight"] = torch.ones(48, 48, 3, 3, 3)
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(WeightsError) as caught:
        load_backbone("swin_unetr", weights=str(tmp_path / "net.pt"))
    message = str(caught.value)
    assert "missing (1): layers3.0.blocks.1.attn.qkv.weight" in message
    assert "left over (1): layers1c.0.layer.conv1.conv.weight" in message


@pytest.mark.slow
def test_a_file_of_four_channels_names_its_network(tmp_path: Path) -> None:
    torch.save(segmentation_file(state_of("swin_unetr_brats")), tmp_path / "net.pt")
    with pytest.raises(WeightsError, match="--backbone swin_unetr_brats"):
        load_backbone("swin_unetr", weights=str(tmp_path / "net.pt"))


@pytest.mark.slow
def test_imports_recognise_published_names_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    state = state_of("swin_unetr")
    torch.save(ssl_file(state), tmp_path / "model_swinvit.pt")
    record = import_file(tmp_path / "model_swinvit.pt")
    assert (record.encoder, record.weights, record.preprocessing) == ("swin_unetr", "ssl", "ssl")
    assert judge_licence(record.licence) == "commercial"
    torch.save(segmentation_file(state), tmp_path / "own.pt")
    with pytest.raises(UsageError, match="give the weights a name with --as"):
        import_file(tmp_path / "own.pt")
    own = import_file(tmp_path / "own.pt", weights="ours")
    assert (own.encoder, own.licence, own.layout) == ("swin_unetr", None, "btcv")
    assert load_backbone("swin_unetr", weights="ssl").preprocessing == VOLUME_PRESETS["ssl"]


def test_weights_that_are_lacking_are_named() -> None:
    with pytest.raises(WeightsError, match="Choose --weights ssl or btcv"):
        load_backbone("swin_unetr")
    with pytest.raises(WeightsError, match=r"model_swinvit\.pt from the links on https://"):
        load_backbone("swin_unetr", weights="ssl")


@pytest.mark.parametrize("name", VOLUME_ENCODERS)
def test_presets_fit_their_networks(name: str) -> None:
    encoder = VOLUME_ENCODERS[name]
    for layout in encoder.layouts:
        stated = find_preprocessing(layout, encoder)
        assert stated.n_channels == encoder.n_channels
    for published in encoder.published:
        assert published.preprocessing in encoder.layouts
        assert judge_licence(published.licence) == "commercial"


def test_other_preprocessings_are_refused(tmp_path: Path) -> None:
    encoder = find_encoder("swin_unetr")
    with pytest.raises(UsageError, match=r"Known: FILE\.toml, btcv, ct_fm, medicalnet, ssl\."):
        find_preprocessing("radimagenet", encoder)
    path = tmp_path / "four.toml"
    path.write_text("size = [32, 32, 32]\nn_channels = 4\n")
    with pytest.raises(UsageError, match=r"takes one channel, but .* state n_channels = 1"):
        find_preprocessing(str(path), encoder)
