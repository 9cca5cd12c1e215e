"""Weight files: nested, in old forms, damaged, hostile, or of another network."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import ENCODERS
from bottleneck.backbones.layouts.checkpoint import read_checkpoint
from bottleneck.backbones.layouts.fitting import find_fit, fitting_encoders
from bottleneck.errors import WeightsError

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    return torchvision.models.resnet18().state_dict()


@pytest.fixture(scope="module")
def digest(state: State, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plain") / "resnet18.pth"
    torch.save(state, path)
    return load_backbone("resnet18", weights=str(path)).digest


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


def changed(state: State) -> State:
    return {key: value + 1 if value.is_floating_point() else value for key, value in state.items()}


WRAPPED: dict[str, tuple[Callable[[State], object], str]] = {
    "state_dict": (lambda s: {"state_dict": s, "epoch": 3}, "entry 'state_dict'"),
    "model": (lambda s: {"model": s, "optimizer": {"state": {}}}, "entry 'model'"),
    "module": (lambda s: prefixed(s, "module."), "names after 'module.'"),
    "compiled": (lambda s: prefixed(s, "_orig_mod.module."), "names after '_orig_mod.module.'"),
    "lightning": (
        lambda s: {
            "state_dict": prefixed(s, "model.encoder.") | {"model.decoder.w": torch.ones(2)}
        },
        "entry 'state_dict', names after 'model.encoder.'",
    ),
    "projector": (
        lambda s: prefixed(s, "backbone.") | {"projector.0.weight": torch.ones(2, 2)},
        "names after 'backbone.'",
    ),
    "nested": (lambda s: {"model": {"state_dict": s}}, "entry 'model.state_dict'"),
    "ema beside": (
        lambda s: {"state_dict": changed(s), "state_dict_ema": s},
        "entry 'state_dict_ema'",
    ),
    "ema prefix": (
        lambda s: prefixed(changed(s), "model.") | prefixed(s, "model_ema.module."),
        "names after 'model_ema.module.'",
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_checkpoint_is_the_network_inside(name, state, digest, tmp_path):
    wrap, part = WRAPPED[name]
    path = tmp_path / "checkpoint.pth"
    torch.save(wrap(state), path)
    backbone = load_backbone("resnet18", weights=str(path))
    assert backbone.digest == digest
    assert backbone.weights.part == part


def test_two_networks_in_one_file_are_not_guessed_between(state, tmp_path):
    path = tmp_path / "moco.pth"
    torch.save(prefixed(state, "encoder_q.") | prefixed(changed(state), "encoder_k."), path)
    with pytest.raises(WeightsError, match=r"2 networks.*encoder_k.*encoder_q"):
        load_backbone("resnet18", weights=str(path))


def test_safetensors_are_read_as_well(state, digest, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file(state, path)
    backbone = load_backbone("resnet18", weights=str(path))
    assert (backbone.digest, backbone.weights.layout) == (digest, "timm")


def test_a_file_is_recognised_without_a_name(state, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(prefixed(state, "backbone."), path)
    assert [e.name for e in fitting_encoders(read_checkpoint(path))] == ["resnet18"]


class Hostile:
    def __reduce__(self):
        return (print, ("this code was run",))


class Shell:
    def __reduce__(self):
        return (os.system, ("echo this code was run",))


def truncated(path: Path, state: State) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[: 2**20])


def hostile(path: Path, state: State) -> None:
    path.write_bytes(pickle.dumps({"state_dict": state, "args": Hostile()}))


def hostile_zip(path: Path, state: State) -> None:
    torch.save({"state_dict": state, "args": Hostile()}, path)


def replaced(change: Callable[[State], State]) -> Callable[[Path, State], None]:
    return lambda path, state: torch.save(change(dict(state)), path)


def without(key: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if k != key}


def renamed(old: str, new: str) -> Callable[[State], State]:
    return lambda state: {(new if k == old else k): v for k, v in state.items()}


def transposed(key: str) -> Callable[[State], State]:
    return lambda state: state | {key: state[key].transpose(0, 1).contiguous()}


def resnet50(path: Path, state: State) -> None:
    torch.save(torchvision.models.resnet50().state_dict(), path)


DAMAGED: dict[str, tuple[Callable[[Path, State], object], str]] = {
    "missing": (replaced(without("layer3.0.bn1.weight")), r"missing \(1\): layer3.0.bn1.weight"),
    "renamed": (
        replaced(renamed("layer1.0.conv1.weight", "layer1.0.conv_1.weight")),
        r"missing \(1\): layer1.0.conv1.weight\n.*left over \(1\): layer1.0.conv_1.weight",
    ),
    "transposed": (
        replaced(transposed("layer2.0.conv1.weight")),
        r"of another shape \(1\): layer2.0.conv1.weight \(64, 128, 3, 3\) instead of "
        r"\(128, 64, 3, 3\)",
    ),
    "first missing": (replaced(without("conv1.weight")), r"missing \(1\): conv1.weight"),
    "another network": (resnet50, r"fits another network: --backbone resnet50"),
    "web page": (lambda p, s: p.write_text("<!DOCTYPE html><html>404"), "is a web page"),
    "pointer": (
        lambda p, s: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "Git LFS pointer",
    ),
    "empty": (lambda p, s: p.write_bytes(b""), "is empty"),
    "truncated": (truncated, "is damaged, or not a weight file"),
    "table": (
        lambda p, s: p.write_text("path,label\na.png,benign\n"),
        r"not a weight file\. Supported are \.safetensors, files of torch\.save .* of Keras$",
    ),
    "noise": (lambda p, s: p.write_bytes(np.random.default_rng(0).bytes(999)), "is damaged"),
    "code": (hostile, "could run code, so it is refused"),
    "code in a zip": (hostile_zip, "could run code, so it is refused"),
    "code of the shell": (
        lambda p, s: torch.save({"args": Shell()}, p),
        "could run code, so it is refused",
    ),
    "no names": (lambda p, s: torch.save(torch.ones(3), p), "contains a Tensor, but no named"),
    "no tensors": (lambda p, s: torch.save({"epoch": 3}, p), "with the keys epoch, but no named"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_not_right_is_refused_with_its_reason(name, state, tmp_path, capfd):
    damage, reason = DAMAGED[name]
    path = tmp_path / "resnet18.pth"
    damage(path, state)
    with pytest.raises(WeightsError, match=reason):
        load_backbone("resnet18", weights=str(path))
    assert "this code was run" not in capfd.readouterr().out


def test_the_layouts_that_were_tried_are_named(state, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(without("conv1.weight")(dict(state)), path)
    with pytest.raises(WeightsError, match="layouts tried: timm, torchvision"):
        load_backbone("resnet18", weights=str(path))


def test_a_file_that_is_absent_is_named():
    with pytest.raises(WeightsError, match=r"absent\.pth does not exist"):
        load_backbone("resnet18", weights="absent.pth")


def test_damaged_safetensors_and_hdf5_are_refused(tmp_path):
    from safetensors.torch import save

    whole = save({"a": torch.ones(1000)})
    (tmp_path / "x.safetensors").write_bytes(whole[:-100])
    with pytest.raises(WeightsError, match="not a safetensors file"):
        read_checkpoint(tmp_path / "x.safetensors")
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 600)
    with pytest.raises(WeightsError, match="not a Keras weight file"):
        read_checkpoint(tmp_path / "x.h5")


def keras_file(path: Path, layers: dict[str, list[np.ndarray]], group: str = "", **options) -> Path:
    import h5py

    chunks = options.get("chunks", 1)
    with h5py.File(path, "w") as h5:
        root = h5.create_group(group) if group else h5
        names = [name.encode() for name in layers]
        if chunks == 1:
            root.attrs["layer_names"] = names
        else:
            for n, part in enumerate(np.array_split(names, chunks)):
                root.attrs[f"layer_names{n}"] = part
        for name, arrays in layers.items():
            weights = [f"{name}_W_{n}:0" for n in range(len(arrays))]
            root.create_group(name).attrs["weight_names"] = [w.encode() for w in weights]
            for weight, array in zip(weights, arrays, strict=True):
                root[name][weight] = array
    return path


def vgg_layers() -> dict[str, list[np.ndarray]]:
    layers, n_in = {"input_1": []}, 3
    for block, (n_convs, n_out) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for conv in range(1, n_convs + 1):
            kernel = np.full((3, 3, n_in, n_out), block + conv / 10, np.float32)
            layers[f"block{block}_conv{conv}"] = [kernel, np.zeros(n_out, np.float32)]
            n_in = n_out
        layers[f"block{block}_pool"] = []
    return layers


@pytest.mark.parametrize("options", [{}, {"group": "model_weights"}, {"chunks": 3}])
def test_keras_files_of_all_ages_are_read(options, tmp_path):
    path = keras_file(tmp_path / "vgg16.h5", vgg_layers(), **options)
    fit = find_fit(read_checkpoint(path), ENCODERS["vgg16"], what="vgg16.h5")
    assert fit.layout.name == "keras"
    assert fit.state["features.28.weight"].shape == (512, 512, 3, 3)
    assert float(fit.state["features.12.weight"][0, 0, 0, 0]) == pytest.approx(3.2)


def test_numbers_that_keras_counts_on_are_counted_from_the_first(tmp_path):
    one = [np.ones((1, 1, 2, 2), np.float32)]
    path = keras_file(tmp_path / "x.h5", {"conv2d_94": one, "conv2d_95": one, "input_2": []})
    assert set(read_checkpoint(path)[""]) == {"conv2d_0.weight", "conv2d_1.weight"}


def test_the_layout_of_keras_3_is_named(tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.weights.h5", "w") as h5:
        h5["layers/conv2d/vars/0"] = np.ones(3)
    with pytest.raises(WeightsError, match="layout of Keras 3"):
        read_checkpoint(tmp_path / "x.weights.h5")
    with h5py.File(tmp_path / "y.h5", "w") as h5:
        h5["features"] = np.ones(3)
    with pytest.raises(WeightsError, match="without Keras weights"):
        read_checkpoint(tmp_path / "y.h5")


def test_both_generations_of_transformers_names_are_read():
    from transformers import SwinConfig, SwinModel

    encoder = ENCODERS["swin_tiny"]
    with torch.device("meta"):
        new = SwinModel(SwinConfig()).state_dict()
    old = {}
    for key, tensor in new.items():
        for now, before in (
            (".q_proj.", ".self.query."),
            (".k_proj.", ".self.key."),
            (".v_proj.", ".self.value."),
            (".o_proj.", ".output.dense."),
            (".relative_position_bias.relative", ".self.relative"),
            (".mlp.fc1.", ".intermediate.dense."),
            (".mlp.fc2.", ".output.dense."),
        ):
            key = key.replace(now, before)
        old[f"swin.{key}"] = tensor
    assert set(old) != {f"swin.{key}" for key in new}
    for names in (new, old):
        assert find_fit({"": names}, encoder, what="x").layout.name == "transformers"


def test_another_window_size_is_read_from_the_file():
    with torch.device("meta"):
        state = torchvision.models.swin_v2_t().state_dict()
        for key in [k for k in state if k.endswith("relative_coords_table")]:
            state[key] = torch.empty(1, 31, 31, 2)
    with pytest.raises(WeightsError, match=r"relative_coords_table \(1, 31, 31, 2\) instead of"):
        find_fit({"": state}, ENCODERS["swinv2_tiny"], what="window16.pth")


def test_the_older_place_of_swins_merging_is_read():
    import timm

    with torch.device("meta"):
        state = timm.create_model("swin_tiny_patch4_window7_224").state_dict()
    older = {}
    for key, tensor in state.items():
        for stage in (1, 2, 3):
            key = key.replace(f"layers.{stage}.downsample", f"layers.{stage - 1}.downsample")
        older[key] = tensor
    assert find_fit({"model": older}, ENCODERS["swin_tiny"], what="x").entry == "model"


def test_the_published_densenet_has_names_of_an_older_torchvision():
    with torch.device("meta"):
        state = torchvision.models.densenet121().state_dict()
    pairs = ((".norm1.", ".norm.1."), (".norm2.", ".norm.2."), (".conv1.", ".conv.1."))
    older = {}
    for key, tensor in state.items():
        for now, before in (*pairs, (".conv2.", ".conv.2.")):
            key = key.replace(now, before) if "denselayer" in key else key
        older[key] = tensor
    fit = find_fit({"": older}, ENCODERS["densenet121"], what="densenet121-a639ec97.pth")
    assert fit.layout.name == "torchvision"


def test_every_other_encoder_is_distinguished_from_the_rest(tmp_path):
    """Of each encoder of torchvision, and of no other, unless it is the same network."""
    for encoder in ENCODERS.values():
        if encoder.torchvision is None:
            continue
        # Says so, or torchvision warns of a slow initialisation.
        options = {"init_weights": False} if "inception" in encoder.name else {}
        with torch.device("meta"):
            state = torchvision.models.get_model(encoder.torchvision, **options).state_dict()
        twins = {e.name for e in ENCODERS.values() if e.architecture == encoder.architecture}
        assert {e.name for e in fitting_encoders({"": state})} == twins


def test_a_zip_that_is_no_checkpoint_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    (tmp_path / "x.pth").write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError, match="is damaged, or not a weight file"):
        read_checkpoint(tmp_path / "x.pth")
