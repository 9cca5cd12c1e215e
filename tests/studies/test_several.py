"""A study on several data sets: each alone and all as one, in one table, from shared features."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from layouts import make_folders
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app
from bottleneck.features.file.reader import load_features, read_provenance

TINY = [
    *("reproduce", "sai-sundar", "--weights", "random", "--backbone", "vgg16=timm/test_resnet"),
    *("--arm", "VGG-16 pooled + SVM", "--protocol", "split by patient", "--folds", "2"),
    *("--patient-pattern", r"([^/]+)_\d+", "--jobs", "1", "--output", "out"),
]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_num_threads(before)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def hospitals() -> list[str]:
    """Folders of two hospitals, which call their patients alike."""
    make_folders(Path("all"), 12)
    for number, path in enumerate(sorted(Path("all").glob("*/*.*"))):
        label, name = path.parent.name, ("bern", "basel")[number % 2]
        target = Path(name) / label / f"{label[0]}{number // 2 % 6}_{number}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return ["bern", "basel"]


@pytest.mark.slow
def test_each_alone_and_all_as_one() -> None:
    done = run(*TINY, *hospitals())
    assert done.exit_code == 0, done.output
    assert "bern + basel" in " ".join(done.stdout.split())
    record = json.loads(Path("out/study.json").read_text())
    assert list(record["datasets"]) == ["bern", "basel", "bern + basel"]
    sizes = {}
    for name, one in record["datasets"].items():
        (protocol,) = one["protocols"]
        arm = protocol["arms"][0]
        assert arm["published"]["accuracy"] == "0.99"
        assert 0 <= arm["ours"]["accuracy"]["value"] <= 1
        sizes[name] = protocol["dataset"]["n_patients"], protocol["dataset"]["n_samples"]
    assert sizes["bern + basel"] == tuple(map(sum, zip(sizes["bern"], sizes["basel"], strict=True)))
    page = Path("out/study.md").read_text()
    for words in ("| published |", "| bern |", "| basel |", "| bern + basel |"):
        assert words in page
    assert len(list(Path("out").glob("*/split-by-patient/report/report.html"))) == 3
    # The combination computes nothing, and a finished study is not replaced unasked.
    (both,) = Path("out/features").glob("bern-basel--*.h5")
    assert read_provenance(both)["images_extracted"] == 0
    assert set(load_features(both).centres) == {"bern", "basel"}
    again = run(*TINY, "bern", "basel")
    assert (again.exit_code, "--overwrite" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bern", "bern"], "hold the same images"),
        (["bern", "copy/bern"], "are named 'bern'"),
        (["A=bern", "="], "must be DATA or NAME=DATA"),
        (["bern", "basel", "--data-name", "x"], "--data-name is for a single data set"),
        (["bern", "basel", "--external", "bern"], "--external is for a single data set"),
        (["bern", "basel", "--check"], "leave the data set out"),
        (["bern", "nothing"], "nothing"),
    ],
)
def test_wrong_uses(words: list[str], message: str) -> None:
    hospitals()
    shutil.copytree("basel", "copy/bern")
    done = run(*TINY, *words)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert not Path("out/study.json").exists()
