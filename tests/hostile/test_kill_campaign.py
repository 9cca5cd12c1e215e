"""Kills and full disks at any moment of every command that writes; the next run completes it."""

from __future__ import annotations

import collections
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kill_campaign import Campaign, full_disk_blows, kill_blow
from PIL import Image
from watched_runs import Job, make_context

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

FOLDS = ("--folds", "2", "--repeats", "1", "--jobs", "1", "-q")
FEW = ("--epochs", "2", "--batch-size", "16", "--device", "cpu", "--workers", "0", "-q")
FILE, NETWORK = "in/f.h5", "timm/test_resnet"
LOGISTIC, RANDOM = ("--head", "logistic"), ("--weights", "random")
OUT = ("--output", "out")
KEPT = ("--unit", "patient", "--at-sensitivity", "0.9")
IMAGES = ("in/images", "--patient-pattern", r"(P\d+)_")
JOBS = {
    job.name: job
    for job in (
        Job("extract", ("extract", *IMAGES, *OUT, *RANDOM, "--batch-size", "8", "-q")),
        Job("fit", ("fit", FILE, *LOGISTIC, *OUT, *KEPT, "--jobs", "1", "-q")),
        Job(
            "predict",
            (
                *("predict", "in/m.skops", *IMAGES, "--output", "out/p.csv"),
                *("--features", "out/rows", "--batch-size", "8", "-q"),
            ),
            "p.csv",
        ),
        Job(
            "recalibrate",
            ("recalibrate", "in/a.skops", "in/cases.h5", "--output", "out/new.skops", "-q"),
        ),
        # With worker processes.
        Job("search", ("fit", FILE, "--head", "svm", *OUT, "--jobs", "2", "-q")),
        Job("compare", ("compare", FILE, *LOGISTIC, *OUT, *FOLDS), "results.json"),
        Job(
            "report",
            ("compare", FILE, *LOGISTIC, "--predictions", "in/p.csv", *OUT, "--jobs", "1", "-q"),
            "results.json",
        ),
        Job("finetune", ("finetune", FILE, "--backbone", "new_fc", *OUT, "--folds", "2", *FEW)),
        Job(
            "reproduce",
            (
                *("reproduce", "tn5000-swinv2", "--data", *IMAGES, *OUT, *RANDOM),
                *("--backbone", "swinv2_base=timm/test_vit", "--epochs", "1"),
                *("--arm", "SwinV2-Base fine-tuned", "--arm", "SwinV2-Base frozen + logistic"),
                *("--device", "cpu", "--jobs", "1", "-q"),
            ),
            "study.json",
        ),
        Job("leakage", ("leakage", *IMAGES, *OUT, *RANDOM, *FOLDS), "leakage.json"),
        Job(
            "import", ("weights", "import", "in/w.pth", "--backbone", NETWORK, "--as", "own", "-q")
        ),
    )
}
KILLS = {
    "extract": 40,
    "fit": 40,
    "predict": 40,
    "recalibrate": 20,
    "search": 15,
    "compare": 25,
    "report": 25,
    "finetune": 60,
    "reproduce": 25,
    "leakage": 30,
    "import": 60,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for number in range(64):
        rng = np.random.default_rng(number)
        pixels = rng.normal((100, 140)[number // 2 % 2], 40, (24, 24)).clip(0, 255)
        path = folder / "images" / ("benign", "malignant")[number // 2 % 2]
        path.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels.astype(np.uint8))
        image.save(path / f"P{number // 2}_{number}.png")
    return folder


@pytest.fixture(scope="module")
def features(inputs: Path) -> Path:
    from bottleneck.data.readers import load_dataset
    from bottleneck.features.extraction import extract
    from bottleneck.testing import tiny_backbone

    data = load_dataset(str(inputs / "images"), patient_pattern=r"(P\d+)_")
    file = extract(data, tiny_backbone(), precision="fp32", output=inputs / "made").path
    return file.rename(inputs / "f.h5")


@pytest.fixture(scope="module")
def more(inputs: Path, features: Path) -> Path:
    import timm
    import torch

    from bottleneck.backbones.backbone import load_backbone
    from bottleneck.data.readers import load_dataset
    from bottleneck.data.splits.protocol import Protocol
    from bottleneck.deploy.fit import fit
    from bottleneck.evaluation.compare import compare
    from bottleneck.features.extraction import extract
    from bottleneck.features.sets.feature_set import FeatureSet

    predictions = (
        compare(features, ("svm",), protocol=Protocol(n_splits=2), n_jobs=1)
        .evaluations[0]
        .predictions
    )
    predictions.to_frame().to_csv(inputs / "p.csv", index=False)
    made = extract(
        load_dataset(str(inputs / "images"), patient_pattern=r"(P\d+)_"),
        load_backbone(NETWORK, weights="random"),
        precision="fp32",
        output=inputs / "rows",
    )
    fit(made.path, "logistic", unit="patient", inner_splits=2).save(inputs / "m.skops")
    rng, y = np.random.default_rng(0), np.repeat(["benign", "malignant"], 30)
    home, cases = (
        FeatureSet.from_arrays(rng.normal(size=(60, 8)) + (y == "malignant")[:, None], y, name=name)
        for name in ("home", "cases")
    )
    fit(home, "lda").save(inputs / "a.skops")
    cases.save(inputs / "cases.h5")
    torch.save(timm.create_model(NETWORK.removeprefix("timm/")).state_dict(), inputs / "w.pth")
    return inputs


@pytest.fixture(scope="module")
def networks() -> Any:
    return make_context()


def say(campaign: Campaign, counts: collections.Counter[str]) -> None:
    told = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
    print(f"{campaign.job.name}, {len(campaign.events)} events: {told}", file=sys.stderr)


def kill(campaign: Campaign, kills: int) -> list[str]:
    """Kill so many runs; return all that is wrong."""
    counts: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    done = attempt = 0
    while done < kills:
        assert attempt < 2 * kills + 10, "the runs end before they can be killed"
        blow = kill_blow(campaign, attempt)
        state, faults = campaign.strike(blow)
        wrong += faults
        attempt += 1
        if state != "ended":
            done += 1
            counts[f"{signal.Signals(blow.signal).name} left {state}"] += 1
    say(campaign, counts)
    return wrong


def fill(campaign: Campaign, at_most: int) -> list[str]:
    """Let the disk be full from each event on; return all that is wrong."""
    outcomes = [campaign.strike(blow) for blow in full_disk_blows(campaign, at_most)]
    say(campaign, collections.Counter(f"full disk: {state}" for state, _ in outcomes))
    return [one for _, faults in outcomes for one in faults]


@pytest.mark.parametrize(("name", "kills"), KILLS.items())
def test_kills(networks: Any, more: Path, tmp_path: Path, name: str, kills: int) -> None:
    assert kill(Campaign(networks, JOBS[name], more, tmp_path), kills) == []


@pytest.mark.parametrize("name", JOBS)
def test_full_disks(networks: Any, more: Path, tmp_path: Path, name: str) -> None:
    assert fill(Campaign(networks, JOBS[name], more, tmp_path), 25) == []
