"""Damaged, missing and replaced files of a training: named, set aside, and trained again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import PROTOCOL, quick, small_backbone

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import ModelError, UsageError
from bottleneck.files import writing
from bottleneck.finetune.cross_validate import finetune
from bottleneck.finetune.trained_arm import Trained
from bottleneck.finetune.training.early_stopping import Course
from bottleneck.finetune.training_folder.run_folder import RunFolder
from bottleneck.finetune.training_folder.saved_files import read_sealed_json, write_sealed_json


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Path:
    """A finished training that a test may damage."""
    return Path(shutil.copytree(trained.path, tmp_path / "run"))


def again(dataset: ImageDataset, folder: Path) -> list[str]:
    """Train again; return the notes on files."""
    notes: list[str] = []
    finetune(
        dataset,
        quick(),
        backbone=small_backbone(),
        protocol=PROTOCOL,
        output=folder,
        note=notes.append,
    )
    return [note for note in notes if not note.startswith("Leak audit")]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def remove(path: Path) -> None:
    path.unlink()


def swap(path: Path) -> None:
    """Replace a file by that of another fold."""
    other = path.parent.with_name("fold-0-0" if path.parent.name != "fold-0-0" else "fold-0-1")
    shutil.copy(other / path.name, path)


def better(path: Path) -> None:
    """Improve a result by hand."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "test_auroc": 0.99}))


def same_results(folder: Path, trained: Trained) -> None:
    written = (folder / "predictions.csv").read_bytes()
    assert written == (trained.path / "predictions.csv").read_bytes()
    for fold in folder.glob("fold-*"):
        ours, theirs = ((run / fold.name / "scores.npz") for run in (folder, trained.path))
        with np.load(ours) as one, np.load(theirs) as other:
            np.testing.assert_array_equal(one["test"], other["test"])
        names = {path.name for path in fold.iterdir() if path.suffix != ".damaged"}
        assert names == {"fold.json", "network.safetensors", "reference.npz", "scores.npz"}


def test_a_fold_behind_a_link_is_refused(
    trained: Trained, copied: Path, dataset: ImageDataset
) -> None:
    shutil.rmtree(copied / "fold-0-1")
    (copied / "fold-0-1").symlink_to("fold-0-0")
    with pytest.raises(UsageError, match="fold-0-1 is a symbolic link, not the folder of a fold"):
        again(dataset, copied)
    for path in (trained.path / "fold-0-0").iterdir():
        assert (copied / "fold-0-0" / path.name).read_bytes() == path.read_bytes()


def test_a_folder_that_is_removed_during_the_training(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = RunFolder.finish

    def remove_after(self: RunFolder, *args: Any) -> Any:
        record = finish(self, *args)
        shutil.rmtree(self.path)
        return record

    monkeypatch.setattr(RunFolder, "finish", remove_after)
    with pytest.raises(UsageError, match="folder was removed, with the finished work in it"):
        again(dataset, tmp_path / "run")


def test_each_file_is_named_set_aside_and_trained_again(
    trained: Trained, copied: Path, dataset: ImageDataset
) -> None:
    empty(copied / "run.json")
    flip(copied / "fold-0-0" / "scores.npz")
    remove(copied / "fold-0-1" / "network.safetensors")
    better(copied / "fold-0-2" / "fold.json")
    for name in ("training.json", "predictions.csv", "splits.csv"):  # Made of the folds.
        cut(copied / name)
    notes = again(dataset, copied)
    assert [note.split(" ")[0] for note in notes] == [
        str(copied / name)
        for name in (
            "run.json",
            "fold-0-0/scores.npz",
            "fold-0-1/network.safetensors",
            "fold-0-2/fold.json",
        )
    ]
    assert notes[1].endswith(
        "is damaged: it has another checksum than the bytes that were written. It is kept as "
        "scores.npz.damaged. The fold is trained again."
    )
    assert notes[2].endswith("is missing. The fold is trained again.")
    assert {path.name for path in copied.rglob("*.damaged")} == {
        "run.json.damaged",
        "scores.npz.damaged",
        "fold.json.damaged",
    }
    same_results(copied, trained)
    assert again(dataset, copied) == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, empty, flip, remove, swap])
@pytest.mark.parametrize(
    "name", ["fold.json", "scores.npz", "network.safetensors", "reference.npz"]
)
def test_every_damage_of_every_file(
    trained: Trained, copied: Path, dataset: ImageDataset, name: str, damage: Callable[..., None]
) -> None:
    damage(copied / "fold-0-1" / name)
    (note,) = again(dataset, copied)
    assert note.startswith(str(copied / "fold-0-1" / name))
    assert (copied / "fold-0-1" / f"{name}.damaged").exists() == (damage is not remove)
    same_results(copied, trained)


def interrupt(dataset: ImageDataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until the second fold's second epoch."""

    def stop(course: Course, *_: Any) -> None:
        if "fold 2" in course.text and len(course.curve) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Course, "on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            again(dataset, folder)


def test_a_damaged_checkpoint(
    trained: Trained, dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A relative path, through a link.
    monkeypatch.chdir(tmp_path)
    Path("real").mkdir()
    Path("link").symlink_to("real")
    folder = Path("link/run")
    interrupt(dataset, folder, monkeypatch)
    checkpoint = folder / "fold-0-1" / "last.ckpt"
    assert stat.S_IMODE(checkpoint.stat().st_mode) == 0o600
    data = checkpoint.read_bytes()
    assert data[-32:] == hashlib.sha256(data[:-40]).digest()
    assert set(torch.load(checkpoint, weights_only=True)) == {"fold", "content"}

    # Half a checkpoint; the rest of the training is as it would have been.
    other = Path(shutil.copytree(folder, "other"))
    cut(other / "fold-0-1" / "last.ckpt")
    (note,) = again(dataset, other)
    assert note == (
        f"{other / 'fold-0-1' / 'last.ckpt'} is damaged: it has another checksum than the bytes "
        "that were written. It is kept as last.ckpt.damaged. The fold is trained again from its "
        "start."
    )
    same_results(other, trained)

    # A checkpoint of another fold has learnt from patients that this one tests.
    (folder / "fold-0-2").mkdir()
    shutil.move(checkpoint, folder / "fold-0-2" / "last.ckpt")
    with pytest.raises(UsageError, match="belongs to another training or fold"):
        again(dataset, folder)


@pytest.mark.parametrize("number", [errno.EIO, pytest.param(errno.ESTALE, marks=pytest.mark.slow)])
def test_a_disk_that_fails_is_no_damage(
    copied: Path, dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    opened = os.open

    def fail(path: Any, *rest: Any, **named: Any) -> int:
        if Path(path).name == "scores.npz":
            raise OSError(number, os.strerror(number))
        return opened(path, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(UsageError, match=r"scores.npz cannot be read: .* not a fault of the f"):
            again(dataset, copied)
    assert before == {
        path: path.read_bytes() for path in copied.rglob("*") if path.is_file() and path in before
    }


@pytest.mark.parametrize(
    "name",
    [
        "last.ckpt",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("network.safetensors", "scores.npz", "fold.json", "training.json")
        ),
    ],
)
def test_a_full_disk_keeps_what_is_finished(
    trained: Trained,
    dataset: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    folder = Path(shutil.copytree(trained.path, tmp_path / "run"))
    shutil.rmtree(folder / "fold-0-2")
    create = writing.create_file

    if not Path("/dev/full").exists():
        pytest.skip("this system has no full device")

    def on_full_device(path: Path) -> Any:
        file = create(path)
        if f".{name}." in path.name:
            device = os.open("/dev/full", os.O_RDWR)
            os.dup2(device, file.fileno())
            os.close(device)
        return file

    with monkeypatch.context() as patch:
        patch.setattr(writing, "create_file", on_full_device)
        with pytest.raises(UsageError, match=r"written: No space left on device.*are kept") as told:
            again(dataset, folder)
    assert str(folder) in str(told.value)
    assert not any(folder.rglob("*.writing"))
    assert again(dataset, folder) == []
    same_results(folder, trained)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("training.json", empty, "is not valid JSON"),
        ("training.json", better, "another checksum"),
        ("training.json", remove, r"a training that is not finished \(3 folds done\): repeat"),
        ("predictions.csv", flip, "another checksum"),
        ("predictions.csv", remove, "is missing; repeat the training"),
        ("fold-0-1/network.safetensors", cut, "bytes, and .* were written"),
        ("fold-0-1/network.safetensors", flip, "another checksum"),
        ("fold-0-1/network.safetensors", swap, "another checksum"),
        ("fold-0-1/network.safetensors", remove, "is missing"),
    ],
)
def test_a_network_that_cannot_predict(
    copied: Path,
    dataset: ImageDataset,
    backbone: Backbone,
    name: str,
    damage: Callable[..., None],
    message: str,
) -> None:
    damage(copied / name)
    with pytest.raises(ModelError, match=message):
        TrainedModel(copied, backbone=backbone).predict(dataset, network="fold-2", features=copied)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "bottleneck-training/0"),
        ("decoding", "other rules"),
        ("seed", 10**400),
        ("seed", "0"),
        ("classes", "ab"),
        ("config", {"epochs": -1}),
        ("folds", 3),
        ("folds", [{"repeat": 0, "fold": 1}]),
        ("folds", [None]),
    ],
)
def test_a_record_that_does_not_describe_a_training(copied: Path, field: str, value: Any) -> None:
    path = copied / "training.json"
    write_sealed_json(path, {**read_sealed_json(path, "record"), field: value})
    with pytest.raises(ModelError, match=r"training\.json|by the rules 'other rules'"):
        TrainedModel(copied)
