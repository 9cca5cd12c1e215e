"""The order in which weights are searched; the weights folder and its commands."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from click.testing import Result
from torch import nn
from typer.testing import CliRunner

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import ENCODERS
from bottleneck.backbones.weights import folder, hub, index
from bottleneck.backbones.weights.folder import WeightsRecord
from bottleneck.backbones.weights.loading import locate
from bottleneck.cli.command_line import app
from bottleneck.errors import UsageError, WeightsError
from bottleneck.settings.config import data_folder
from bottleneck.testing import tiny_backbone

GONE = WeightsRecord("resnet18", "mine", "gone.pth", 64 * "0", "torchvision", "gone.pth")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(hub, "cached_file", lambda published: None)
    monkeypatch.setattr(hub, "download", refuse)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


def refuse(published):
    raise hub.HubError("this test has no hub")


def resnet18(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return path


def radimagenet_resnet50(path: Path) -> Path:
    with torch.device("meta"):
        whole = torchvision.models.resnet50()
    network = nn.Module()
    network.backbone = nn.Sequential(*list(whole.children())[:9]).to_empty(device="cpu")
    for tensor in network.state_dict().values():
        tensor.zero_()
    torch.save(network.state_dict(), path)
    return path


def test_the_order_is_path_folder_cache_hub(place, tmp_path, monkeypatch):
    encoder = ENCODERS["resnet18"]
    asked = []

    def answer(name: str, found: bool):
        def ask(published):
            asked.append(name)
            return hub.HubFile(resnet18(tmp_path / f"{name}.pth")) if found else None

        return ask

    monkeypatch.setattr(hub, "cached_file", answer("cache", False))
    monkeypatch.setattr(hub, "download", answer("hub", True))
    assert locate(encoder, "imagenet").path == tmp_path / "hub.pth"
    assert asked == ["cache", "hub"]
    monkeypatch.setattr(hub, "cached_file", answer("cache", True))
    assert locate(encoder, "imagenet").path == tmp_path / "cache.pth"
    index.import_file(tmp_path / "hub.pth", weights="imagenet", name="resnet18")
    asked.clear()
    (stored,) = place.glob("resnet18--imagenet-*.pth")
    assert locate(encoder, "imagenet").path == stored
    assert locate(encoder, str(tmp_path / "hub.pth")).path == tmp_path / "hub.pth"
    assert asked == []


def test_import_keeps_hash_layout_and_origin(place, tmp_path):
    file = resnet18(tmp_path / "mine.pth")
    record = index.import_file(file, weights="thyroid", name="resnet18")
    sha256 = folder.sha256_of(file)
    assert record == WeightsRecord(
        encoder="resnet18",
        weights="thyroid",
        file=f"resnet18--thyroid-{sha256[:8]}.pth",
        sha256=sha256,
        layout="torchvision",
        source="mine.pth",
    )
    stored = json.loads((place / "resnet18--thyroid.json").read_text())
    assert WeightsRecord(**stored) == record
    backbone = load_backbone("resnet18", weights="thyroid")
    assert (backbone.weights.name, backbone.weights.sha256) == ("thyroid", record.sha256)
    assert backbone.digest == load_backbone("resnet18", weights=str(file)).digest
    assert not list(place.glob(".*"))


def test_a_second_import_takes_the_place_of_the_first(place, tmp_path):
    index.import_file(resnet18(tmp_path / "a.pth"), weights="mine", name="resnet18")
    second = index.import_file(resnet18(tmp_path / "b.pt", seed=1), weights="mine", name="resnet18")
    assert sorted(p.name for p in place.iterdir()) == [
        f"resnet18--mine-{second.sha256[:8]}.pt",
        "resnet18--mine.json",
    ]
    assert load_backbone("resnet18", weights="mine").weights.sha256 == second.sha256


def test_radimagenet_is_recognised_by_the_names_in_the_file(tmp_path):
    record = index.import_file(radimagenet_resnet50(tmp_path / "download.pt"))
    assert (record.encoder, record.weights, record.layout) == (
        "resnet50",
        "radimagenet",
        "radimagenet",
    )
    assert record.licence == "mit (BMEII-AI/RadImageNet)"
    assert index.unlike_published(record)
    backbone = load_backbone("resnet50", weights="radimagenet")
    assert backbone.preprocessing.channels == "BGR"
    assert backbone.preprocessing.mean == (0.5, 0.5, 0.5)


def test_the_published_h5_is_known_by_its_name():
    """Its layout is that of every Keras file, and its input is not."""
    located = locate(ENCODERS["resnet50"], "RadImageNet-ResNet50_notop.h5")
    assert located.preprocessing == "radimagenet-keras"
    assert locate(ENCODERS["resnet50"], "resnet50_notop.h5").preprocessing is None


def test_a_file_that_says_nothing_of_its_origin_needs_a_name(tmp_path):
    with pytest.raises(UsageError, match=r"fits resnet18 \(layout torchvision\).*--as"):
        index.import_file(resnet18(tmp_path / "x.pth"))


def test_a_file_of_torchvision_is_known_by_its_hash(tmp_path, monkeypatch):
    file = resnet18(tmp_path / "x.pth")
    name = f"resnet18-{folder.sha256_of(file)[:8]}.pth"
    published = [SimpleNamespace(url=f"https://download.example/{name}")]
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda name: published)
    record = index.import_file(file)
    assert (record.weights, record.licence) == ("imagenet", "bsd-3-clause")
    assert record.source.endswith(name)


def test_a_file_that_fits_two_encoders_is_not_guessed(tmp_path):
    with torch.device("meta"):
        network = torchvision.models.inception_v3(init_weights=False)
    network.to_empty(device="cpu")
    torch.save(network.state_dict(), tmp_path / "x.pth")
    with pytest.raises(UsageError, match="--backbone inception_v3 or inception_v3_tf"):
        index.import_file(tmp_path / "x.pth", weights="mine")


def test_names_that_mean_something_else_are_refused(tmp_path):
    file = resnet18(tmp_path / "x.pth")
    for name in ("random", "mine.pth", "a/b"):
        with pytest.raises(UsageError, match="cannot be named"):
            index.import_file(file, weights=name, name="resnet18")


def test_a_file_that_fits_nothing_is_refused(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="does not fit any encoder"):
        index.import_file(tmp_path / "x.pth", weights="mine")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_before_anything_is_computed(
    tmp_path: Path, value: float
) -> None:
    state = torch.load(resnet18(tmp_path / "mine.pth"))
    state["conv1.weight"][3, 1, 0, 0] = value
    torch.save(state, tmp_path / "mine.pth")
    for wrong in (
        lambda: load_backbone("resnet18", weights=str(tmp_path / "mine.pth")),
        lambda: index.import_file(tmp_path / "mine.pth", name="resnet18", weights="mine"),
    ):
        with pytest.raises(WeightsError, match=r"not finite.*1 value of 'conv1\.weight'"):
            wrong()
    backbone = tiny_backbone()
    parameter = next(backbone.network.parameters())
    parameter.data.view(-1)[0] = value
    with pytest.raises(WeightsError, match="not finite"):
        backbone.recipe("fp32")


def test_fetch_puts_what_the_hub_has_into_the_folder(place, tmp_path, monkeypatch):
    monkeypatch.setattr(
        hub,
        "download",
        lambda published: hub.HubFile(
            radimagenet_resnet50(tmp_path / published.file), revision=40 * "a"
        ),
    )
    path, record = index.fetch("resnet50", "radimagenet")
    assert path == place / f"resnet50--radimagenet-{record.sha256[:8]}.pt"
    assert (record.source, record.revision) == ("Lab-Rasool/RadImageNet", 40 * "a")
    assert record.sha256 == folder.sha256_of(path)


def test_weights_missing_on_the_hub_are_reported_with_their_source():
    with pytest.raises(WeightsError, match=r"RadImageNet-IRV2_notop\.h5 from the links on https"):
        index.fetch("inception_resnet_v2", "radimagenet")


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "swin_tiny", "mobilenetv3"])
def test_weights_that_were_never_published_are_reported(name):
    with pytest.raises(WeightsError) as caught:
        load_backbone(name, weights="radimagenet")
    message = str(caught.value)
    assert f"no radimagenet weights are published for {name}" in message
    assert "inception_v3, resnet50, densenet121, inception_resnet_v2" in message
    assert "--weights FILE" in message
    assert f"bottleneck weights import FILE --backbone {name} --as NAME" in message


def test_unknown_weights_are_named_with_the_known(tmp_path):
    index.import_file(resnet18(tmp_path / "x.pth"), weights="thyroid", name="resnet18")
    with pytest.raises(UsageError, match=r"unknown weights 'imagenette'.*imagenet.*thyroid"):
        load_backbone("resnet18", weights="imagenette")


def test_verify_finds_what_changed(place, tmp_path):
    names = [
        index.import_file(
            resnet18(tmp_path / "x.pth", seed=number), weights=f"w{number}", name="resnet18"
        ).file
        for number in range(3)
    ]
    with (place / names[0]).open("r+b") as file:
        file.seek(-2000, os.SEEK_END)
        file.write(b"changed")
    (place / names[1]).unlink()
    resnet18(place / "stray.pth")
    verdicts = {verdict.file: verdict for verdict in index.verify()}
    assert {name: v.state for name, v in verdicts.items()} == {
        names[0]: "broken",
        names[1]: "broken",
        names[2]: "ok",
        "stray.pth": "unknown",
    }
    with pytest.raises(WeightsError, match="copy it there"):
        load_backbone("resnet18", weights="w1")


def test_a_file_that_is_not_the_recorded_one_is_not_used(place, tmp_path):
    record = index.import_file(resnet18(tmp_path / "x.pth"), weights="mine", name="resnet18")
    resnet18(place / record.file, seed=5)
    with pytest.raises(WeightsError, match="was changed: its sha256 is"):
        load_backbone("resnet18", weights="mine")


@pytest.mark.parametrize("text", ["{", "[]", '{"encoder": "x"}'])
def test_a_damaged_record_is_named(place, text):
    place.mkdir()
    (place / "x.pth.json").write_text(text)
    with pytest.raises(WeightsError, match=r"record .*x\.pth\.json cannot be read"):
        load_backbone("resnet18", weights="mine")


def test_a_record_cannot_name_a_file_outside(place, tmp_path):
    name = index.import_file(resnet18(tmp_path / "x.pth"), weights="mine", name="resnet18").file
    record = place / "resnet18--mine.json"
    record.write_text(record.read_text().replace(name, "../x.pth"))
    with pytest.raises(WeightsError, match="in another folder"):
        load_backbone("resnet18", weights="mine")


def test_the_configuration_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("BOTTLENECK_WEIGHTS")
    assert folder.folder_path() == data_folder() / "weights"
    (tmp_path / "bottleneck.toml").write_text("[weights]\nfolder = 'stick'")
    assert folder.folder_path() == tmp_path / "stick"
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", "elsewhere")
    assert folder.folder_path() == Path("elsewhere")


def test_a_missing_home_folder_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where HOME is not set and the user is not declared.
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("BOTTLENECK_WEIGHTS", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(UsageError, match="no home folder for weights"):
        folder.folder_path()


def test_the_list_has_every_published_file_and_ones_own(tmp_path):
    index.import_file(resnet18(tmp_path / "x.pth"), weights="thyroid", name="resnet18")
    rows = {(row["backbone"], row["weights"]): row for row in index.describe_weights()}
    assert {name for name, weights in rows if weights == "imagenet"} == set(ENCODERS)
    radimagenet = {name: row["file"] for (name, w), row in rows.items() if w == "radimagenet"}
    assert radimagenet == {
        "resnet50": "ResNet50.pt",
        "inception_v3": "InceptionV3.pt",
        "densenet121": "DenseNet121.pt",
    }
    assert rows["inception_resnet_v2", "radimagenet-keras"]["width"] == 1536
    assert "claimed" in rows["resnet50", "radimagenet"]["sha256"]
    assert rows["resnet18", "thyroid"]["here"]


def run(*arguments: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """The command, in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "400", **environment},
        check=False,
    )


def test_without_a_hub_the_message_is_the_way_to_an_extraction(place, tmp_path, monkeypatch):
    """HF_HUB_OFFLINE and an empty cache: the message, what it says to do, and the features."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "empty")}
    extract = ("extract", "phantom", "--limit", "1", "--backbone", "resnet18", "--quiet")
    first = start(*extract, **offline)
    assert first.returncode == 2
    assert "HF_HUB_OFFLINE is set" in " ".join(first.stderr.split())
    revision = ENCODERS["resnet18"].find_published("imagenet").revision
    address = f"https://huggingface.co/timm/resnet18.tv_in1k/resolve/{revision}/model.safetensors"
    assert address in first.stderr
    command = next(line for line in first.stderr.splitlines() if "weights import" in line).split()
    assert "Traceback" not in first.stderr

    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(torchvision.models.resnet18().state_dict(), tmp_path / command[3])
    imported = run(*command[1:])
    assert imported.exit_code == 0, imported.stderr
    assert "--backbone resnet18 --weights imagenet" in imported.stdout
    assert "not the published file" in imported.stderr
    second = run(*extract)
    assert second.exit_code == 0, second.stderr
    assert "× 512" in second.stdout

    # The folder alone, copied to another place, is enough.
    shutil.copytree(place, tmp_path / "stick")
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "stick"))
    moved = run("weights", "verify", "--json")
    assert [row["state"] for row in json.loads(moved.stdout)["files"]] == ["ok"]
    again = run(*command[1:], "--as", "mine", "--quiet", "--json")
    record = json.loads(again.stdout)
    assert (record["encoder"], record["weights"]) == ("resnet18", "mine")
    assert Path(record["path"]).name == record["file"]


def test_errors_of_the_command_end_with_2(place, tmp_path):
    assert run("weights", "import", "absent.pth").exit_code == 2
    place.mkdir()
    (place / "x.pth.json").write_text(json.dumps(dataclasses.asdict(GONE)))
    assert run("weights", "verify").exit_code == 1
    (place / "x.pth.json").write_text("{")
    listed = run("weights", "list", "resnet18")
    assert listed.exit_code == 2
    assert "cannot be read" in listed.stderr
