"""Weights folders that others prepared, and imports that are killed."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner

from bottleneck import doctor
from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.layouts import checkpoint
from bottleneck.backbones.layouts.checkpoint import read_checkpoint, read_weights
from bottleneck.backbones.networks import build
from bottleneck.backbones.weights import folder, index, loading
from bottleneck.backbones.weights.folder import WeightsRecord
from bottleneck.backbones.weights.loading import WeightFile, read_content
from bottleneck.cli.command_line import app
from bottleneck.errors import UsageError, WeightsError

SMALL = "timm/test_resnet.r160_in1k"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


def weights(seed: int) -> bytes:
    """A weight file of the smallest network of timm."""
    state = build(find_encoder(SMALL)).state_dict()
    return save({k: v * (1 + seed / 100) if v.is_floating_point() else v for k, v in state.items()})


def diagnosis() -> str:
    """What ``doctor`` says of the weights folder."""
    return "\n".join(check.text for check in doctor._check_weights_folder())


def imported(tmp_path: Path, seed: int, name: str = "mine") -> WeightsRecord:
    path = tmp_path / f"{seed}.safetensors"
    path.write_bytes(weights(seed))
    return index.import_file(path, name=SMALL, weights=name)


def packed(seed: int, kind: str) -> bytes:
    """A weight file in one of the formats that are read."""
    value = np.full((3, 3, 2, 4), seed, np.float32)
    if kind == ".safetensors":
        return save({"conv2d_0.weight": torch.from_numpy(value)})
    buffer = io.BytesIO()
    if kind == ".h5":
        with h5py.File(buffer, "w") as file:
            file.attrs["layer_names"] = np.array(["conv2d_1"], h5py.string_dtype())
            group = file.create_group("conv2d_1")
            group.attrs["weight_names"] = np.array(["k"], h5py.string_dtype())
            group["k"] = value
    else:
        torch.save(
            {"conv2d_0.weight": torch.from_numpy(value)},
            buffer,
            _use_new_zipfile_serialization=kind == ".pth",
        )
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [".safetensors", ".pth", ".bin", ".h5"])
def test_what_is_parsed_is_what_was_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The file changes at the last moment between the two, in place and by a rename."""
    path = tmp_path / f"w{kind}"
    path.write_bytes(packed(1, kind))
    parse = loading.parse_checkpoint
    changed = packed(2, kind)

    def change_and_parse(data: bytes, path: Path) -> object:
        with path.open("r+b") as file:
            file.write(changed)
            file.truncate()
        other = tmp_path / "other"
        other.write_bytes(changed)
        other.replace(path)
        return parse(data, path)

    monkeypatch.setattr(loading, "parse_checkpoint", change_and_parse)
    sha256 = folder.sha256_of(path)
    content = read_content(WeightFile(path, "w", "w", sha256=sha256))
    assert content.sha256 == sha256
    assert float(content.entries[""]["conv2d_0.weight"].mean()) == 1
    assert path.read_bytes() == changed


def test_a_known_sha256_is_compared_before_anything_is_parsed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = imported(tmp_path, 1)
    (place / record.file).write_bytes(b"\x80\x04" + bytes(100))

    def parse(*_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(loading, "parse_checkpoint", parse)
    with pytest.raises(WeightsError, match="was changed: its sha256 is"):
        load_backbone(SMALL, weights="mine")
    assert [check.state for check in index.verify()] == ["broken"]


def test_files_that_never_end_or_take_all_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "folder.pth").mkdir()
    for name, kind in (("pipe.pth", "pipe"), ("folder.pth", "folder"), ("/dev/zero", "device")):
        with pytest.raises(WeightsError, match=f"is a {kind}; name a regular file"):
            read_checkpoint(tmp_path / name)
    with (tmp_path / "sparse.safetensors").open("wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(WeightsError, match="too many for a weight file on this machine"):
        read_checkpoint(tmp_path / "sparse.safetensors")
    (tmp_path / "w.pth").write_bytes(bytes(1000))
    monkeypatch.setattr(checkpoint, "_memory", lambda: 1999)
    with pytest.raises(WeightsError, match="needs twice as much memory"):
        read_weights(tmp_path / "w.pth")
    for name in ("nul\0.pth", "x" * 300 + ".pth"):
        with pytest.raises(WeightsError, match="does not exist"):
            read_checkpoint(tmp_path / name)
    for name in ("nul\0", "x" * 300):
        with pytest.raises(UsageError, match="unknown weights"):
            load_backbone(SMALL, weights=name)


def test_a_file_name_of_any_bytes(place: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.safetensors"))
    path.write_bytes(weights(1))
    assert index.import_file(path, name=SMALL, weights="mine").source == "\ufffd\ufffd.safetensors"
    assert load_backbone(SMALL, weights=str(path)).weights.name == "\ufffd\ufffd"
    assert [check.state for check in index.verify()] == ["ok"]
    # A weight file cannot become a record.
    other = tmp_path / "w.json"
    torch.save(build(find_encoder(SMALL)).state_dict(), other)
    assert index.import_file(other, name=SMALL, weights="other").file.endswith(".bin")


def test_planted_links_are_replaced_and_not_followed(place: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    name = imported(tmp_path, 1).file
    for planted in (place / name, place / "timm-test_resnet.r160_in1k--mine.json", place / ".lock"):
        planted.unlink(missing_ok=True)
        planted.symlink_to(precious)
    assert imported(tmp_path, 1).file == name
    assert precious.read_text() == "precious"
    assert not any(path.is_symlink() for path in place.iterdir())
    assert [check.state for check in index.verify()] == ["ok"]


def test_records_that_mislead(place: Path, tmp_path: Path) -> None:
    record = imported(tmp_path, 1)
    path = place / "timm-test_resnet.r160_in1k--mine.json"
    fields = json.loads(path.read_text())
    for change, reason in (
        ({"file": "../x.pth"}, "another folder"),
        ({"file": ".."}, "another folder"),
        ({"file": ""}, "another folder"),
        ({"file": "/etc/passwd"}, "another folder"),
        ({"file": "x" * 300}, "but not the file"),
        ({"file": "x\0"}, "but not the file"),
        ({"sha256": ""}, "64 hexadecimal digits"),
        ({"sha256": record.sha256.upper()}, "64 hexadecimal digits"),
        ({"revision": 3}, "revision"),
        ({"source": "x" * 200_000}, "larger than 100,000 bytes"),
    ):
        path.write_text(json.dumps(fields | change))
        with pytest.raises(WeightsError, match=reason):
            load_backbone(SMALL, weights="mine")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(WeightsError, match="is a pipe"):
        load_backbone(SMALL, weights="mine")
    path.unlink()
    path.write_text(json.dumps(fields))
    # A second record of the same weights, which comes first in the alphabet.
    other = tmp_path / "other.safetensors"
    other.write_bytes(weights(2))
    planted = fields | {"file": "a.safetensors", "sha256": folder.sha256_of(other)}
    other.rename(place / "a.safetensors")
    (place / "a.json").write_text(json.dumps(planted))
    with pytest.raises(WeightsError, match=r"has several weights 'mine' .*a\.safetensors"):
        load_backbone(SMALL, weights="mine")
    assert {check.state for check in index.verify()} == {"broken"}


def test_folders_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "x" * 300):
        monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / name))
        with pytest.raises(WeightsError, match=r"the weights folder .* cannot be read"):
            load_backbone(SMALL, weights="mine")
        with pytest.raises(WeightsError, match=r"the weights folder .* cannot be"):
            imported(tmp_path, 1)
        with pytest.raises(WeightsError, match=r"the weights folder .* cannot be read"):
            index.verify()
        assert "cannot be read" in diagnosis()


def test_another_record_that_is_damaged_does_not_stop_an_import(
    place: Path, tmp_path: Path
) -> None:
    imported(tmp_path, 1)
    (place / "x.json").write_text("{")
    record = imported(tmp_path, 2)
    fields = json.loads((place / "timm-test_resnet.r160_in1k--mine.json").read_text())
    assert fields["sha256"] == record.sha256


def test_an_import_replaces_the_weights_of_its_name_under_any_file_name(
    place: Path, tmp_path: Path
) -> None:
    first = imported(tmp_path, 1)
    kept = imported(tmp_path, 3, "other")
    (place / "timm-test_resnet.r160_in1k--mine.json").rename(place / "by-hand.json")
    (place / "._by-hand.json").write_bytes(b"\x00\x05\x16\x07")  # as macOS leaves it on a stick
    second = imported(tmp_path, 2)
    assert {path.name for path in place.iterdir() if path.name[0] != "."} == {
        "timm-test_resnet.r160_in1k--mine.json",
        "timm-test_resnet.r160_in1k--other.json",
        second.file,
        kept.file,
    }
    assert first.file != second.file
    assert load_backbone(SMALL, weights="mine").weights.sha256 == second.sha256


def test_two_names_that_become_one_file_name(tmp_path: Path) -> None:
    imported(tmp_path, 1, "a b")
    with pytest.raises(WeightsError, match=r"the weights 'a b' .* choose another name with --as"):
        imported(tmp_path, 2, "a-b")
    imported(tmp_path, 3, "a b")


def test_folders_that_others_can_change_are_named(place: Path, tmp_path: Path) -> None:
    record = imported(tmp_path, 1)
    assert [check.state for check in index.verify()] == ["ok"]
    place.chmod(0o777)
    (place / record.file).chmod(0o666)
    last = index.verify()[-1]
    assert last.state == "open"
    assert f"can change the folder itself, {record.file}: chmod -R o-w {place}" in last.text
    assert "every user of this machine can change" in diagnosis()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})
    assert result.exit_code == 0, result.output
    return " ".join((result.stderr + result.stdout).split())


def test_the_folder_that_a_project_brings_is_announced(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(tmp_path, 1)
    own = f"{place}, named by the environment variable BOTTLENECK_WEIGHTS"
    assert own in run("weights", "verify")
    assert own in run("weights", "list", "resnet18")
    assert own in diagnosis()
    monkeypatch.delenv("BOTTLENECK_WEIGHTS")
    assert "weights folder: " in run("weights", "verify")
    (tmp_path / "bottleneck.toml").write_text("[weights]\nfolder = 'weights'")
    brought = f"{place}, named by bottleneck.toml in the current folder"
    assert brought in run("weights", "list", "resnet18")
    assert brought in diagnosis()
    assert f"note: the weights folder is {brought}" in run("weights", "verify", "--quiet")


@pytest.mark.slow
def test_every_run_says_which_weights_folder_it_uses(place: Path, tmp_path: Path) -> None:
    imported(tmp_path, 1)
    own = f"weights folder: {place}, named by the environment variable BOTTLENECK_WEIGHTS"
    network = ("--limit", "4", "--backbone", SMALL, "--weights", "mine")
    assert own in run("extract", "phantom", *network)
    assert own in run("leakage", "phantom", "--limit", "20", *network[2:], "--copies", "1")
    assert own in run("finetune", "phantom", "--limit", "20", *network[2:], "--epochs", "1")
    assert "weights folder: " not in run("extract", "phantom", *network[:4], "--weights", "random")


def test_an_import_that_is_killed_leaves_the_old_or_the_new_weights(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at each of its writes: each record names a file that is there and has its sha256."""

    class Killed(BaseException):
        pass

    old = imported(tmp_path, 1)
    new = tmp_path / "new.pth"
    torch.save({k: v + 1 for k, v in build(find_encoder(SMALL)).state_dict().items()}, new)
    steps = ("replacing", "write_whole", "_remove_earlier")
    for step in steps:
        for after in (False, True):
            original = getattr(folder, step)

            def stop(*values: object, original=original, after=after, **named: object) -> object:
                if after:
                    made = original(*values, **named)
                    if hasattr(made, "__enter__"):
                        with made as file:
                            file.write(values[0].name.encode())  # half of it
                            raise Killed
                raise Killed

            monkeypatch.setattr(folder, step, stop)
            with pytest.raises(Killed):
                index.import_file(new, name=SMALL, weights="mine")
            monkeypatch.setattr(folder, step, original)
            states = {check.state for check in index.verify()}
            assert states <= {"ok", "unknown"}
            now = load_backbone(SMALL, weights="mine").weights.sha256
            assert now in (old.sha256, folder.sha256_of(new))
    index.import_file(new, name=SMALL, weights="mine")
    assert [check.state for check in index.verify()] == ["ok"]


@pytest.mark.slow
def test_imports_that_are_killed_at_any_moment(place: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from bottleneck.backbones.weights import index\n"
        "print('ready', flush=True)\n"
        f"while True:\n  for n in (1, 2): index.import_file(Path(f'{{n}}.safetensors'), "
        f"name='{SMALL}', weights='mine')\n"
    )
    hashes = set()
    for seed in (1, 2):
        (tmp_path / f"{seed}.safetensors").write_bytes(weights(seed))
        hashes.add(folder.sha256_of(tmp_path / f"{seed}.safetensors"))
    draw = random.Random(0)
    for _ in range(25):
        with subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.3 + draw.random())
            process.send_signal(signal.SIGKILL)
        assert {check.state for check in index.verify()} <= {"ok", "unknown"}
        assert load_backbone(SMALL, weights="mine").weights.sha256 in hashes
    imported(tmp_path, 1)
    assert [check.state for check in index.verify()] == ["ok"]
    assert len(list(place.iterdir())) == 2  # the weights and their record


def test_imports_at_the_same_time_never_mix(place: Path, tmp_path: Path) -> None:
    for seed in range(4):
        (tmp_path / f"{seed}.safetensors").write_bytes(weights(seed))

    def work(seed: int) -> None:
        for _ in range(4):
            try:
                index.import_file(tmp_path / f"{seed}.safetensors", name=SMALL, weights="mine")
            except WeightsError as error:
                refusals.append(str(error))

    refusals: list[str] = []
    threads = [threading.Thread(target=work, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("is being written by another import of weights" in text for text in refusals)
    assert [check.state for check in index.verify()] == ["ok"]
    assert not list(place.glob("*.writing"))
