"""No command waits for a pipe, reads a device or takes a file of any size in place of its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made import dataset_of, make_images
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.features.extraction import extract
from bottleneck.testing import tiny_backbone

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")

QUICK = ["extract", "phantom", "--backbone", "resnet18", "--weights", "random"]
# Arguments, and the name of the file in them.
FILES = {
    "extract": (["extract", "{}"], "x.csv"),
    "extract, workbook": (["extract", "{}"], "x.xlsx"),
    "extract, MedMNIST": (["extract", "{}"], "x.npz"),
    "extract --preprocessing": ([*QUICK, "--preprocessing", "{}"], "x.toml"),
    "extract --sector": ([*QUICK, "--sector", "{}"], "x.png"),
    "extract --weights": (
        ["extract", "phantom", "--backbone", "resnet18", "--weights", "{}"],
        "x.pth",
    ),
    "extract, configuration": (["extract"], "bottleneck.toml"),
    "doctor, configuration": (["doctor"], "bottleneck.toml"),
    "fit": (["fit", "{}"], "x.h5"),
    "audit": (["audit", "{}"], "x.h5"),
    "audit --data": (["audit", "good.h5", "--data", "{}"], "x.csv"),
    "inspect": (["inspect", "{}"], "x.h5"),
    "inspect, model": (["inspect", "{}"], "x.skops"),
    "compare": (["compare", "{}"], "x.h5"),
    "compare --predictions": (["compare", "good.h5", "--predictions", "{}"], "x.csv"),
    "compare, record of a training": (["compare", "good.h5", "--predictions", "p.csv"],
                                      "training.json"),
    "compare --external": (["compare", "good.h5", "--external", "{}"], "x.h5"),
    "compare --metadata": (
        ["compare", "good.h5", "--subgroup", "age", "--metadata", "{}"],
        "x.csv",
    ),
    "leakage": (["leakage", "{}"], "x.csv"),
    "finetune --config": (["finetune", "phantom", "--config", "{}"], "x.toml"),
    "finetune, features": (["finetune", "{}", "--backbone", "new_fc"], "x.h5"),
    "reproduce --data": (["reproduce", "sai-sundar", "--data", "{}"], "x.csv"),
    "run": (["run", "{}"], "x.toml"),
    "weights import": (["weights", "import", "{}"], "x.pth"),
    "weights import, Keras": (["weights", "import", "{}"], "x.h5"),
}  # fmt: skip
KINDS = ("pipe", "device", "folder", "socket", "terabyte", "loop")

CHILD = r"""
import itertools, json, os, resource, socket, sys
from pathlib import Path

import h5py
import torch  # Their memory is not that of a command.
from typer.testing import CliRunner

from bottleneck.cli.command_line import app

cases, kinds, work = json.loads(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
start, wrong, numbers = None, [], itertools.count()
for case, (arguments, name) in cases.items():
    for kind in kinds:
        folder = work / f"{next(numbers)}"
        folder.mkdir()
        os.chdir(folder)
        (folder / "good.h5").symlink_to(work / "good.h5")
        (folder / "p.csv").symlink_to(work / "p.csv")
        path = folder / name
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case "socket":
                socket.socket(socket.AF_UNIX).bind(name)
            case "terabyte":
                with path.open("wb") as file:
                    file.truncate(2**40)
            case "loop":
                path.symlink_to(path)
        result = CliRunner().invoke(app, [one.format(name) for one in arguments])
        raised = result.exception
        raised = None if isinstance(raised, SystemExit) else repr(raised) if raised else None
        told = "".join(result.output.split())
        # doctor goes on to its other checks.
        mark, code = ("broken", 1) if arguments == ["doctor"] else ("error:", 2)
        sound = raised is None and result.exit_code == code and mark in told and name in told
        if not sound:
            wrong.append([case, kind, result.exit_code, raised, result.output[-300:]])
        if start is None:
            start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if path.exists() and not path.is_symlink():
            path.rmdir() if path.is_dir() else path.unlink()
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"wrong": wrong, "kib": most - start}))
"""


@pytest.mark.parametrize("name", ["x.h5", "x.skops", "x.toml"])
def test_pipes_and_devices_are_refused_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for make in (os.mkfifo, lambda path: Path(path).symlink_to("/dev/zero")):
        make(name)
        result = CliRunner().invoke(app, ["run" if name == "x.toml" else "inspect", name])
        assert result.exit_code == 2
        assert f"{name} is a" in " ".join(result.output.split())
        Path(name).unlink()


@pytest.mark.slow
def test_irregular_files_are_refused_everywhere(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 12)
    dataset = dataset_of(tmp_path / "images")
    made = extract(dataset, tiny_backbone(), precision="fp32", output=tmp_path / "f").path
    made.rename(tmp_path / "good.h5")
    ids = [sample.id for sample in dataset.samples]
    rows = [
        f"{name},{sample.label},0.1,0.9" for name, sample in zip(ids, dataset.samples, strict=True)
    ]
    header = "id,label," + ",".join(f"score_{name}" for name in dataset.classes)
    (tmp_path / "p.csv").write_text("\n".join([header, *rows, ""]))
    command = [sys.executable, "-c", CHILD, json.dumps(FILES), json.dumps(KINDS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["wrong"] == []
    assert told["kib"] < 400 * 1024
