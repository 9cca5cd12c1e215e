"""Each study from images in the layout of its data to the table, at toy size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from layouts import make_ddti, make_folders, make_tn5000
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app
from bottleneck.studies.study import load_study

SMALL = ["--weights", "random", "--epochs", "1", "--folds", "2", "--jobs", "1", "--quiet"]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield
    torch.set_num_threads(before)


def run(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done


def replaced(**backbones: str) -> list[str]:
    return [part for old, new in backbones.items() for part in ("--backbone", f"{old}={new}")]


def told(output: Path) -> dict:
    return json.loads((output / "study.json").read_text())


def test_sai_sundar_on_ddti(tmp_path):
    data, output = make_ddti(tmp_path / "ddti", 10), tmp_path / "out"
    tiny = replaced(vgg16="timm/test_resnet")
    # One arm of each kind; the others are alike.
    skipped = ("LinearSVC", "pooled", "Inception")
    arms = [arm.name for arm in load_study("sai-sundar").arms]
    arms = [name for name in arms if not any(word in name for word in skipped)]
    assert len(arms) == 4
    tiny += [part for name in arms for part in ("--arm", name)]
    command = ["reproduce", "sai-sundar", "--data", data, "--output", output, "--limit", "8"]
    done = run(*command, *SMALL, *tiny)
    assert re.search(r"^ CNN from scratch +published .*\n +ours ", done.stdout, re.MULTILINE)
    first = "Changes of the study: 8 of 10 patients; 4 of 11 arms; timm/test_resnet in place"
    assert " ".join(done.stdout.split()).startswith(first)
    assert "needs at most 72" in " ".join(done.stdout.split())

    result = told(output)
    assert result["first_line"].endswith("arms with random weights mean nothing.")
    leaking, honest = result["protocols"]
    assert "include another copy of the same image for" in leaking["words"]
    assert honest["words"].startswith("Patients, each with all their images, were divided")
    for protocol in (leaking, honest):
        arms = {arm["arm"]: arm for arm in protocol["arms"]}
        assert len(arms) >= 5
        assert arms["VGG-16 flattened + SVM"]["published"]["specificity"] == "0.985"
        for arm in arms.values():
            assert 0 <= arm["ours"]["accuracy"]["value"] <= 1
        assert arms["CNN from scratch"]["cost"]["trained_parameters"] == 1_212_578
    # 8 patients of 1 or 2 images, each with 6 copies; 613 of 3,138 of them tested.
    n_images = sum(honest["dataset"]["classes"].values())
    assert sum(leaking["dataset"]["classes"].values()) == 7 * n_images
    assert f"{round(7 * n_images * 613 / 3138)} to test" in leaking["words"]

    folders = sorted((output / "split-by-patient" / "trained").iterdir())
    assert len(folders) == 3
    given = pd.read_csv(output / "split-by-patient" / "folds.csv", dtype=str)
    wanted = dict(zip(given["id"], given["fold"], strict=True))
    for folder in folders:
        rows = pd.read_csv(folder / "predictions.csv", dtype=str)
        test = rows[rows["part"] == "test"]
        assert dict(zip(test["id"], test["fold"], strict=True)) == wanted
        who = pd.read_csv(folder / "splits.csv", dtype=str)
        assert (who.groupby(["fold", "group"])["part"].nunique() == 1).all()
    report = (output / "split-by-patient" / "report" / "predictions.csv").read_text()
    assert "VGG-16 fine-tuned" in report


def _without_time(result: dict) -> list[dict]:
    for protocol in result["protocols"]:
        for arm in protocol["arms"]:
            arm["cost"].pop("seconds", None)
    return result["protocols"]


@pytest.mark.slow
def test_tn5000_under_both_splits_with_another_cohort(tmp_path):
    data, output = make_tn5000(tmp_path / "TN5000", 40), tmp_path / "out"
    other = make_folders(tmp_path / "elsewhere", 6, first=40)
    names = ["the card's split", "the data set's own split"]
    protocols = [part for name in names for part in ("--protocol", name)]
    command = ["reproduce", "tn5000-swinv2", "--data", data, "--external", other]
    few = [*replaced(swinv2_base="timm/test_vit"), "--arm", "SwinV2-Base fine-tuned"]
    few += ["--arm", "SwinV2-Base frozen + logistic"]
    run(*command, "--output", output, *protocols, *SMALL, *few)
    drawn, own = told(output)["protocols"]
    # 2,800, 700 and 750 of 4,250, of 40.
    assert "33 images to train (with 7 to choose on), 7 to test" in drawn["words"]
    assert "tested once on its test set (8 images)" in own["words"]
    for protocol in (drawn, own):
        inside = {arm["arm"]: arm for arm in protocol["arms"]}
        outside = {arm["arm"]: arm for arm in protocol["external"]}
        assert inside["SwinV2-Base fine-tuned"]["published"]["auroc"] == "0.937"
        assert outside["SwinV2-Base fine-tuned"]["published"]["sensitivity"] == "34.5 %"
        assert {"SwinV2-Base fine-tuned", "SwinV2-Base frozen + logistic"} <= set(outside)
        assert "npv" in inside["SwinV2-Base fine-tuned"]["ours"]
        course = inside["SwinV2-Base fine-tuned"]["training"]
        assert [row["when"] for row in course[:3]] == [
            "epoch 1",
            "epoch 1",
            "epoch 5",
        ]
        # A single epoch was trained.
        assert set(course[1]["values"]) == set(course[0]["values"])
        assert course[3] == {
            "source": "ours",
            "when": "epoch 5, reached by 0 of 1 network",
            "n": 0,
            "values": {},
        }
    who = pd.read_csv(
        output / "the-data-set-s-own-split" / "trained" / "SwinV2-Base-fine-tuned" / "splits.csv"
    )
    assert who["part"].value_counts().to_dict() == {"train": 24, "validation": 8, "test": 8}


@pytest.mark.slow
def test_radimagenet_tests_every_pair(tmp_path):
    data, output = make_folders(tmp_path / "nodules", 12), tmp_path / "out"
    command = ["reproduce", "radimagenet-thyroid", "--data", data, "--output", output]
    patients = ["--patient-pattern", r"(P\d+)_"]
    run(*command, *patients, *SMALL, *replaced(resnet18="timm/test_resnet"))
    test, folds = told(output)["protocols"]
    assert [one["p"] for one in test["tests"]] == ["0.03", "<0.01", "<0.01"]
    assert all(0 <= one["ours"]["p"] <= 1 for one in test["tests"])
    # What is cross-validated is what the test part leaves.
    tested = int(test["words"].split(" to test")[0].rpartition(" ")[2])
    assert sum(folds["dataset"]["classes"].values()) == 24 - tested
    arms = {arm["arm"]: arm for arm in test["arms"]}
    assert arms["ResNet-18 from RadImageNet"]["published"] == {"auroc": "0.83"}


@pytest.mark.slow
def test_thyronet_is_repeated_over_seeds(tmp_path):
    data, output = make_folders(tmp_path / "nodules", 8), tmp_path / "out"
    patients = ["--patient-pattern", r"(P\d+)_", "--seeds", "2"]
    arms = [part for name in ("ThyroNet-X4", "AlexNet") for part in ("--arm", name)]
    arms += ["--protocol", "split by patient, repeated"]
    command = ["reproduce", "thyronet-x4", "--data", data, "--output", output, *patients, *arms]
    names = ("thyronet_x4", "torchvision/alexnet")
    tiny = replaced(**dict.fromkeys(names, "small_cnn"), resnet34="timm/test_resnet")
    done = run(*command, *SMALL, *tiny)
    (honest,) = told(output)["protocols"]
    arm = honest["arms"][0]
    spread = arm["over_seeds"]["accuracy"]
    folder = output / "split-by-patient-repeated" / "trained" / "ThyroNet-X4"
    each = []
    for seed in (0, 1):
        rows = pd.read_csv(folder / f"seed-{seed}" / "predictions.csv")
        rows = rows[rows["part"] == "test"]
        each.append((rows["label"] == rows["predicted"]).mean())
    assert spread["n"] == 2
    assert spread["mean"] == pytest.approx(np.mean(each))
    assert spread["sd"] == pytest.approx(np.std(each, ddof=1))
    assert arm["over_folds"]["accuracy"]["n"] == 2
    assert "mean ± SD over seeds" in done.stdout
    published, chosen, _, tested = arm["training"]
    assert published["values"] == {
        "train_loss": "0.2595",
        "train_accuracy": "0.8555",
        "val_loss": "0.6149",
        "val_accuracy": "0.7170",
    }
    assert chosen["n"] == tested["n"] == 4
    assert tested["values"]["val_accuracy"] == pytest.approx(np.mean(each))
    assert "training, published and ours" in (output / "study.md").read_text()
    # The maps of the network of each fold, of its errors, without an image or a name.
    page = output / honest["explanations"]["ThyroNet-X4"]
    assert json.loads(page.with_name("explanation.json").read_text())["arms"][0]["cases"]
    assert "Grad-CAM" in page.read_text()
    assert not (page.parent / "images").exists()
    assert "Errors and maps of 'ThyroNet-X4'" in done.stdout

    before = {path: path.stat().st_mtime_ns for path in output.rglob("fold.json")}
    assert before
    again = run(*command, *SMALL, *tiny, "--json", "--overwrite")
    assert {path: path.stat().st_mtime_ns for path in output.rglob("fold.json")} == before
    assert _without_time(json.loads(again.stdout)) == _without_time(told(output))


def test_a_study_of_ones_own(tmp_path):
    make_folders(tmp_path / "images", 8)
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\ndata = "images"\n'
        '[[protocols]]\nname = "folds"\nfolds = 2\npublished = "test"\n'
        '[[arms]]\nname = "frozen"\nbackbone = "timm/test_resnet"\nweights = "random"\n'
        'head = "logistic"\nmodel = "theirs"\n'
        '[[published]]\nname = "test"\n[[published.rows]]\nmodel = "theirs"\nauroc = "0.9"\n'
    )
    output = tmp_path / "out"
    done = run(
        "run", path, "--output", output, "--jobs", "1", "-q", "--patient-pattern", r"(P\d+)_"
    )
    assert "Changes of the study: none." in done.stdout
    (protocol,) = told(output)["protocols"]
    assert protocol["arms"][0]["published"] == {"auroc": "0.9"}
    assert (output / "study.md").read_text().startswith("> **Changes of the study: none.**")
    assert "No contradiction was found" in run("run", path, "--check").stdout


def test_published_studies_are_listed_and_checked_without_data():
    assert "tn5000-swinv2: SwinV2-Base" in run("reproduce").stdout
    found = json.loads(run("reproduce", "tn5000-swinv2", "--check", "--json").stdout)
    assert [one["published"] for one in found["contradictions"]] == [
        "training",
        "validation",
        "test",
    ]
    refused = CliRunner().invoke(app, ["reproduce", "tn5000-swinv2"])
    assert refused.exit_code == 2
    assert "needs data: --data PATH" in " ".join(refused.stderr.split())


@pytest.mark.slow
def test_the_real_networks_of_sai_sundar(tmp_path):
    data, output = make_ddti(tmp_path / "ddti", 8), tmp_path / "out"
    protocol = ["--protocol", "split by patient"]
    run("reproduce", "sai-sundar", "--data", data, "--output", output, *SMALL, *protocol)
    arms = {arm["arm"]: arm for arm in told(output)["protocols"][0]["arms"]}
    # conv5_2 and conv5_3, and a layer from 7 x 7 x 512 to two classes.
    trained = 2 * (512 * 512 * 9 + 512) + 7 * 7 * 512 * 2 + 2
    assert arms["VGG-16 fine-tuned"]["cost"]["trained_parameters"] == trained


@pytest.mark.slow
def test_the_real_networks_of_tn5000_and_thyronet(tmp_path):
    tn5000 = make_tn5000(tmp_path / "TN5000", 20)
    run("reproduce", "tn5000-swinv2", "--data", tn5000, "--output", tmp_path / "a", *SMALL)
    nodules = make_folders(tmp_path / "nodules", 6)
    protocol = ["--protocol", "split by image"]
    run(
        "reproduce", "thyronet-x4", "--data", nodules, "--output", tmp_path / "b", *SMALL, *protocol
    )
    assert len(told(tmp_path / "b")["protocols"][0]["arms"]) >= 9
