"""Malicious weight files and preprocessings are refused soon, with a reason."""

from __future__ import annotations

import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import ENCODERS, find_encoder
from bottleneck.backbones.inputs.preprocessing_presets import find_preprocessing
from bottleneck.backbones.layouts import keras
from bottleneck.backbones.layouts.checkpoint import read_checkpoint
from bottleneck.backbones.networks import build
from bottleneck.errors import UsageError, WeightsError

KERNEL = "layer1.0.conv1.weight"


def quantised(tensor: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


@pytest.fixture(scope="module")
def sound() -> dict[str, Tensor]:
    return dict(build(ENCODERS["resnet18"]).state_dict())


@pytest.mark.filterwarnings("ignore")  # torch's own, of what it reads here
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.to_sparse(), rf"missing \(1\): {KERNEL}"),
        (lambda t: t.to("meta"), rf"missing \(1\): {KERNEL}"),
        (lambda t: t.to(torch.complex64), rf"missing \(1\): {KERNEL}"),
        (quantised, rf"missing \(1\): {KERNEL}"),
        (lambda t: torch.zeros(1).expand(10**12), rf"of another shape \(1\): {KERNEL} \(10{{12}},"),
        (lambda t: t[:1], rf"of another shape \(1\): {KERNEL} \(1, 64, 3, 3\) instead"),
    ],
    ids=["sparse", "without values", "complex", "quantised", "huge", "smaller"],
)
def test_tensors_that_are_none_of_a_network(
    tmp_path: Path,
    sound: dict[str, Tensor],
    change: Callable[[Tensor], Tensor],
    reason: str,
) -> None:
    torch.save({**sound, KERNEL: change(sound[KERNEL])}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=reason):
        load_backbone("resnet18", weights=str(tmp_path / "w.pth"))


def test_a_checkpoint_that_would_burst(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(10_000_000)}, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    assert (tmp_path / "bomb.pth").stat().st_size < 50_000
    with pytest.raises(
        WeightsError, match=r"not read: it may be a decompression bomb: .* 40,000,000"
    ):
        read_checkpoint(tmp_path / "bomb.pth")


def test_a_checkpoint_that_nests_the_same_dictionaries(tmp_path: Path) -> None:
    nested: dict[str, object] = {"a": torch.ones(1)}
    for _ in range(4):
        nested = {f"k{n}": nested for n in range(300)}
    torch.save(nested, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no named tensors"):
        read_checkpoint(tmp_path / "w.pth")


def keras_file(path: Path, change: Callable[[h5py.File], object] = lambda _: None) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["conv2d_1", "conv2d_2"], h5py.string_dtype())
        for name in ("conv2d_1", "conv2d_2"):
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array(["k"], h5py.string_dtype())
            group["k"] = np.full((3, 3, 2, 4), 2, np.float32)
        change(file)
    return path


def replaced(make: Callable[[h5py.File], object]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["conv2d_2/k"]
        made = make(file)
        if made is not None:
            file["conv2d_2/k"] = made

    return change


def kernel(file: h5py.File, shape: tuple[int, ...], dtype: str = "<f4", **options: object) -> None:
    file.create_dataset("conv2d_2/k", shape, dtype, **options)


KERAS_LIES: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "external link": (replaced(lambda f: h5py.ExternalLink("/etc/passwd", "x")), "damaged"),
    "circle of links": (replaced(lambda f: h5py.SoftLink("/conv2d_2/k")), "damaged"),
    "group": (replaced(lambda f: f.create_group("conv2d_2/k") and None), "not an array in this"),
    "text": (replaced(lambda f: np.array([b"x"])), r"type \|S1"),
    "huge": (
        replaced(lambda f: kernel(f, (10**9, 10**3), chunks=(64, 64))),
        "over 8 times as many bytes",
    ),
    "bomb": (
        replaced(lambda f: kernel(f, (4096, 4096), chunks=(4096, 4096), compression="gzip")),
        "over 8 times as many bytes",
    ),
    "other file's bytes": (
        replaced(lambda f: kernel(f, (6,), external=[("/etc/passwd", 0, 24)])),
        "not an array in this file",
    ),
    "layers of numbers": (lambda f: f.attrs.__setitem__("layer_names", [1, 2]), "damaged"),
    "layer that is absent": (lambda f: f.__delitem__("conv2d_1"), "damaged"),
}


@pytest.mark.parametrize("lie", KERAS_LIES)
def test_keras_files_made_to_mislead_are_refused(tmp_path: Path, lie: str) -> None:
    change, reason = KERAS_LIES[lie]
    path = keras_file(tmp_path / "x.h5", change)
    with pytest.raises(WeightsError, match=reason):
        read_checkpoint(path)


def test_a_keras_file_cannot_lead_into_another_file(tmp_path: Path) -> None:
    keras_file(tmp_path / "other.h5")
    link = h5py.ExternalLink(str(tmp_path / "other.h5"), "/conv2d_2/k")
    path = keras_file(tmp_path / "x.h5", replaced(lambda _: link))
    with h5py.File(path) as file:
        assert file["conv2d_2/k"].shape == (3, 3, 2, 4)
    with pytest.raises(WeightsError, match="not an array in this file"):
        read_checkpoint(path)


def test_a_keras_file_in_which_hdf5_walks_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keras_file(tmp_path / "x.h5")
    state = read_checkpoint(path)[""]
    assert {name: float(t.sum()) for name, t in state.items()} == {
        "conv2d_0.weight": 144,
        "conv2d_1.weight": 144,
    }
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL\x01")
    data[heap + 16 : heap + 32] = bytes(16)
    path.write_bytes(data)
    monkeypatch.setattr(keras, "_SECONDS", 2.0)
    started = time.monotonic()
    with pytest.raises(WeightsError, match="HDF5 did not finish reading it within 2 seconds"):
        read_checkpoint(path)
    assert time.monotonic() - started < 60


def test_a_keras_file_at_which_hdf5_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which bytes make it crash changes with its version; what we do then does not.
    program = tmp_path / "crash.py"
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(keras.keras_hdf5, "__file__", str(program))
    with pytest.raises(WeightsError, match="it makes HDF5 crash"):
        read_checkpoint(keras_file(tmp_path / "x.h5"))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        (
            "resize",
            "1000000",
            "from 1 to 2,048, not 1000000",
        ),
        ("crop", "1000000", "crop must be at most resize \\(18\\), not 1000000"),
        ("mean", "[0.5, nan, 0.5]", "mean 2 must be a finite number, not nan"),
        ("std", "[0.5, inf, 0.5]", "std 2 must be a finite number, not inf"),
        ("std", "[0.5, 0, 0.5]", "std 2 must be a number from 1e-06 to"),
    ],
)
def test_preprocessings_that_would_take_all_memory(
    tmp_path: Path, field: str, value: str, says: str
) -> None:
    fields = {"resize": "18", "crop": "16", "interpolation": '"bilinear"'}
    fields |= {"mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]", field: value}
    path = tmp_path / "p.toml"
    path.write_text("".join(f"{name} = {text}\n" for name, text in fields.items()))
    with pytest.raises(UsageError, match=says):
        find_preprocessing(str(path), find_encoder("resnet18"))
