"""Parts that fail in the middle: the GPU, the memory, a source of images, the locks."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import h5py
import pytest
import torch
from made import make_images
from PIL import Image, ImageFile
from typer.testing import CliRunner, Result

from bottleneck.backbones.backbone import Backbone
from bottleneck.cli.command_line import app
from bottleneck.data.dataset import FileSource
from bottleneck.data.readers import load_dataset
from bottleneck.errors import FeatureFileError
from bottleneck.features.compute import tapped_networks
from bottleneck.features.extraction import extract, extract_all
from bottleneck.testing import tiny_backbone

OPTIONS: dict[str, Any] = {"precision": "fp32", "batch_size": 4}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for n in range(2):
        make_images(tmp_path / "images" / "ab"[n], 10, first=50 * n)
    return tmp_path / "images"


def rows(folder: Path) -> dict[str, bytes]:
    (path,) = folder.glob("*.h5")
    with h5py.File(path) as file:
        return dict(
            zip(file["ids"].asstr()[:].tolist(), map(bytes, file["embeddings"][:]), strict=True)
        )


def failing(error: Exception, after: int) -> Backbone:
    """A network that computes some batches, and then no more."""
    backbone, batches = tiny_backbone(), [0]

    def fail(*_: object) -> None:
        batches[0] += 1
        if batches[0] > after:
            raise error

    backbone.network.register_forward_pre_hook(fail)
    return backbone


def command(images: Path, output: Path, monkeypatch: Any, backbone: Backbone) -> Result:
    monkeypatch.setattr(tapped_networks, "load_backbone", lambda *_, **__: backbone)
    asked = ["extract", str(images), "--output", str(output), "--precision", "fp32"]
    return CliRunner().invoke(app, [*asked, "--batch-size", "4"])


GPU_ERRORS: list[Exception] = [
    RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]
if hasattr(torch, "AcceleratorError"):
    GPU_ERRORS.append(torch.AcceleratorError("unspecified launch failure"))


@pytest.mark.parametrize("error", GPU_ERRORS, ids=lambda error: type(error).__name__)
def test_a_gpu_that_fails_in_the_middle(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    result = command(images, tmp_path / "f", monkeypatch, failing(error, after=3))
    assert result.exit_code == 2, result.output
    said = " ".join(result.stderr.split())
    assert f"error: the device cpu failed: {str(error).splitlines()[0]}." in said
    assert "Finished work is kept" in said
    (log,) = (tmp_path / "f").glob("*.unfinished")
    assert log.stat().st_size > 5_000
    result = command(images, tmp_path / "f", monkeypatch, tiny_backbone())
    assert result.exit_code == 0, result.output
    assert "20 × 8" in result.stdout
    extract(load_dataset(images), tiny_backbone(), output=tmp_path / "whole", **OPTIONS)
    assert set(rows(tmp_path / "f").values()) == set(rows(tmp_path / "whole").values())


def test_a_mistake_in_a_network_is_not_taken_for_a_broken_gpu(images: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        extract(
            load_dataset(images),
            failing(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), after=1),
            output=tmp_path / "f",
            **OPTIONS,
        )


@pytest.mark.parametrize(
    ("where", "error", "reason"),
    [
        ("read", ValueError("embedded null byte"), "cannot be read: ValueError: embedded null"),
        ("read", OSError(errno.EACCES, "Permission denied"), "cannot be read: Permission denied"),
        ("read", MemoryError(), "the memory was too small for it"),
        ("decode", MemoryError(), "there was not enough memory to decode it"),
        ("resize", MemoryError(), "the memory was too small for it"),
    ],
)
def test_an_image_that_fails_in_an_odd_way_is_left_out_and_comes_next_time(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    error: Exception,
    reason: str,
) -> None:
    def once(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not failed:
            failed.append(True)
            raise error
        return call(*args, **kwargs)

    class Odd(FileSource):
        def read(self, source: str) -> bytes:
            return once(super().read, source)

    failed: list[bool] = []
    dataset = load_dataset(images)
    if where == "read":
        dataset = dataclasses.replace(dataset, images=Odd(images))
    options = {**OPTIONS, "output": tmp_path / "f", "workers": 1}
    with monkeypatch.context() as patch:
        for name, owner, method in (
            ("decode", ImageFile.ImageFile, "load"),
            ("resize", Image.Image, "resize"),
        ):
            if where == name:
                call = getattr(owner, method)
                patch.setattr(owner, method, lambda *a, c=call, **k: once(c, *a, **k))
        first = extract(dataset, tiny_backbone(), **options)
    assert len(first.failures) == 1
    assert reason in first.failures[0][1]
    second = extract(dataset, tiny_backbone(), **options)
    assert (second.n_extracted, second.n_known, second.failures) == (1, 19, ())
    extract(dataset, tiny_backbone(), **OPTIONS, output=tmp_path / "whole")
    assert rows(tmp_path / "f") == rows(tmp_path / "whole")


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (sparse, "1,099,511,627,776 bytes: no image has"),
        (lambda path: path.symlink_to("/dev/zero"), "a folder or special file, not an image"),
        (lambda path: os.mkfifo(path), "a folder or special file, not an image"),
    ],
    ids=["sparse file", "device", "pipe"],
)
def test_files_without_end_are_left_out_unread(
    images: Path, tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    dataset = load_dataset(images)
    # After the folder was listed, which passes over what is not a file.
    (images / "a" / "005.png").unlink()
    make(images / "a" / "005.png")
    result = extract(dataset, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    assert [identity for identity, _ in result.failures] == ["a/005.png"]
    assert reason in result.failures[0][1]


def test_a_file_that_another_pass_of_several_networks_writes(images: Path, tmp_path: Path) -> None:
    dataset, said = load_dataset(images), []
    both = [tiny_backbone(), tiny_backbone(width=5, side=12)]

    def second(done: int, total: int, text: str) -> None:
        if not said:
            with pytest.raises(FeatureFileError) as refused:
                extract(dataset, tiny_backbone(width=5, side=12), output=tmp_path, **OPTIONS)
            said.append(str(refused.value))

    extract_all(dataset, both, layers=(), output=tmp_path, progress=second, **OPTIONS)
    assert "is being written by another extraction; wait for it" in said[0]
    # And the other way round: nothing is begun where one of several files is taken.
    third = tmp_path / "third"
    one = extract(dataset, both[1], output=third, **OPTIONS).path
    with (
        filelock.FileLock(one.with_name(f".{one.name}.lock")),
        pytest.raises(FeatureFileError, match="being written by another"),
    ):
        extract_all(dataset, both, layers=(), output=third, **OPTIONS)
    assert [path.name for path in third.glob("*.h5")] == [one.name]
    assert not list(third.glob("*.unfinished"))
    result = extract_all(dataset, both, layers=(), output=third, **OPTIONS)
    assert [r.n_extracted for r in result] == [20, 0]


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("FileSystem does not appear to support flock"),
        OSError(errno.ENOLCK, "No locks available"),
    ],
)
def test_a_file_system_without_locks(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def acquire(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(FeatureFileError, match=r"cannot be locked .*(flock|No locks available);"):
        extract(load_dataset(images), tiny_backbone(), output=tmp_path / "f", **OPTIONS)
