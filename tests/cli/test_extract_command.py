"""``bottleneck extract`` with several networks: one pass, and its times by stage."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from made import make_images
from made_luna16 import make_luna16
from PIL import Image
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app
from bottleneck.data.readers import load_dataset
from bottleneck.features.extraction import extract
from bottleneck.testing import tiny_volume_backbone

OPTIONS = ["--backbone", "resnet18", "--backbone", "mobilenet_v3", "--weights", "random"]


def test_several_networks_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for number, label in enumerate(("benign", "malignant")):
        make_images(tmp_path / "scans" / label, 3, first=10 * number)
        for path in (tmp_path / "scans" / label).iterdir():
            os.utime(path, (1e9, 1e9))
    words = ["extract", "scans", *OPTIONS, "--batch-size", "4"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("(6 new, 0 known") == 2
    for stage in ("read", "decode", "describe", "preprocess", "copy", "forward", "write"):
        assert f"{stage}: " in result.stderr
    assert "slowest stage: " in result.stderr
    again = CliRunner().invoke(app, [*words, "--verify", "--json"])
    records = json.loads(again.stdout)["files"]
    assert [(r["n_extracted"], r["n_known"]) for r in records] == [(0, 6)] * 2
    read = {stage["name"]: stage for stage in records[0]["stages"]}["read"]
    assert read["busy"] > 0
    known = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["files"]
    assert {stage["name"]: stage for stage in known[0]["stages"]}["read"]["busy"] == 0
    assert known[0]["bottleneck"] in {stage["name"] for stage in known[0]["stages"]}


def test_copies_are_not_known_from_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    make_images(tmp_path / "scans" / "benign", 2)
    make_images(tmp_path / "scans" / "malignant", 2, first=10)

    def copy(name: str) -> None:
        for path in list((tmp_path / "scans").glob("*/0??.png")):
            shutil.copy(path, path.with_name(f"{name}-{path.name}"))

    def run(*more: str) -> Result:
        words = ["extract", "scans", *OPTIONS[2:], "--batch-size", "4", *more]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return result

    copy("a")
    copy("b")
    assert "(4 new, 0 known, 8 copies of these, " in run().stdout
    assert "(nothing to do: all 12 images are known)" in run().stdout
    copy("c")
    (record,) = json.loads(run("--json").stdout)["files"]
    assert [record[f"n_{kind}"] for kind in ("extracted", "known", "copies")] == [0, 12, 4]


@pytest.mark.parametrize("command", ["extract", "finetune"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", "40"], "the window must be CENTRE,WIDTH, such as 40,400, not '40'"),
        (["--window", "40;400"], "not '40;400'"),
        (["--window", "-600,0"], "a positive width, of at most 1,000,000,000, not -600,0"),
        (["--window", "40,400", "--rescale"], "exclude each other: state one of them"),
        (["--sector", "nowhere.png"], "the sector mask nowhere.png cannot be read"),
        (["--denoise", "gauss"], "unknown denoise 'gauss'. Known: lee, median, nlm."),
    ],
)
def test_preparations_that_do_not_fit_are_refused_before_any_work(
    tmp_path: Path, command: str, options: list[str], message: str
) -> None:
    words = [command, str(tmp_path / "absent"), *options]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "absent" not in result.output  # The options come first.


def test_prepared_images_have_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for number, label in enumerate(("benign", "malignant")):
        make_images(tmp_path / "scans" / label, 2, first=10 * number)
    Image.new("1", (20, 24), 1).crop((0, 0, 24, 24)).save(tmp_path / "mask.png")
    network = ["--backbone", "timm/test_resnet", "--weights", "random", "-q"]
    steps = ["--mask-text", "--sector", "mask.png", "--denoise", "median"]
    for options in ([], steps, steps):
        result = CliRunner().invoke(app, ["extract", "scans", *network, *options])
        assert result.exit_code == 0, result.output
    assert "nothing to do: all 4 images are known" in result.stdout
    plain, prepared = sorted((tmp_path / "features").glob("*.h5"), key=lambda p: len(p.name))
    assert re.search(r"--text-masked-sector-mask-[0-9a-f]{8}-median--", prepared.name)
    shown = CliRunner().invoke(app, ["inspect", str(prepared)])
    assert shown.exit_code == 0, shown.output
    assert "base64" not in shown.output
    assert "denoise: median" in shown.output
    assert plain.name.count("--") == 4


def test_candidates_in_volumes_are_counted(tmp_path: Path) -> None:
    scans = make_luna16(tmp_path / "luna", 5)
    data = load_dataset(tmp_path / "luna")
    run = extract(data, tiny_volume_backbone(side=8), output=tmp_path, precision="fp32")
    shown = CliRunner().invoke(app, ["inspect", str(run.path)])
    assert shown.exit_code == 0, shown.output
    assert "known: patients, folds, regions, lesions" in shown.output
    assert f"    scans: {len(scans)}\n    lesions: " in shown.output
    listed = CliRunner().invoke(app, ["inspect", str(run.path), "--json"])
    scans_listed = json.loads(listed.output)["provenance"]["dataset"]["candidates"]["scans"]
    assert len(scans_listed) == len(scans)
