"""The steps of a study do what the public functions do, and say what a newcomer has to know."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import make_images

from bottleneck import load_dataset, load_features, load_model
from bottleneck.app.study.steps.step_choices import (
    CompareChoice,
    DataChoice,
    ExtractChoice,
    FitChoice,
    PatternChoice,
    WeightsChoice,
)
from bottleneck.app.study.steps.study_steps import (
    compare_heads,
    extract_features,
    fit_model,
    list_networks,
    read_data,
    try_pattern,
)
from bottleneck.errors import UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.report.fit_command import fit_command


def ignore(done: int, total: int, text: str) -> None:
    """Show no progress."""


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two classes with a folder for each of five patients."""
    for number in range(10):
        label = ("benign", "malignant")[number % 2]
        make_images(tmp_path / "scans" / label / f"P{number}", 2, first=2 * number)
    return tmp_path / "scans"


def test_what_was_read(scans: Path) -> None:
    data = read_data(DataChoice(source=str(scans), allowed=(scans,)), ignore)
    assert (data.name, data.n_images, data.n_patients) == ("scans", 20, None)
    assert (data.class_counts, data.positive) == ({"benign": 10, "malignant": 10}, "malignant")
    assert set(data.sources) == {sample.source for sample in load_dataset(scans).samples}


def test_the_proposed_pattern_finds_the_patients(scans: Path) -> None:
    pattern = read_data(DataChoice(source=str(scans), allowed=(scans,)), ignore).proposed_pattern
    choice = DataChoice(source=str(scans), allowed=(scans,), patient_pattern=pattern)
    assert read_data(choice, ignore).n_patients == 10


def test_images_outside_the_folders_are_not_read(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outside the folders"):
        read_data(DataChoice(source=str(scans), allowed=(tmp_path / "scans/benign",)), ignore)


def test_a_pattern_is_tried_on_paths() -> None:
    sources = ("a/P1_1.png", "a/P1_2.png", "b/P2_1.png", "b/x.png")
    preview = try_pattern(PatternChoice(pattern=r"(P\d+)_", sources=sources), ignore)
    assert preview.examples == tuple(zip(sources, ("P1", "P1", "P2", None), strict=True))
    assert (preview.n_patients, preview.n_unmatched, preview.unmatched) == (2, 1, "b/x.png")
    with pytest.raises(UsageError, match="not a regular expression"):
        try_pattern(PatternChoice(pattern="(", sources=sources), ignore)


@pytest.mark.slow
def test_networks_are_those_with_weights_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torchvision.models import mobilenet_v3_large

    from bottleneck.backbones.weights.index import import_file

    with torch.random.fork_rng(devices=[]):
        torch.save(mobilenet_v3_large().state_dict(), tmp_path / "own.pth")
    named = {one.backbone: one for one in list_networks(WeightsChoice(), ignore)}
    assert all(one.weights in ("imagenet", "radimagenet") for one in named.values())
    first, *_ = list_networks(WeightsChoice(file=str(tmp_path / "own.pth")), ignore)
    assert (first.backbone, first.weights_name) == ("mobilenetv3", "own.pth")
    assert first.weights == str(tmp_path / "own.pth")
    assert first.licence is None
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    import_file(tmp_path / "own.pth", name="mobilenetv3", weights="own", licence="mit")
    first, *_ = list_networks(WeightsChoice(file=str(tmp_path / "own.pth")), ignore)
    assert first.licence == "mit"


@pytest.mark.slow
def test_from_a_folder_to_a_model(scans: Path, tmp_path: Path) -> None:
    data = DataChoice(source=str(scans), allowed=(scans,), patient_pattern=r"P\d+")
    choice = ExtractChoice(
        data=data, backbone="resnet18", weights="random", output=tmp_path / "features"
    )
    made = extract_features(choice, ignore)
    assert (made.n_rows, made.n_new, made.width) == (20, 20, 512)
    assert extract_features(choice, ignore).n_new == 0
    assert len(load_features(made.path)) == 20

    heads = ("logistic", "knn")
    plan = CompareChoice(features=made.path, heads=heads, output=tmp_path / "report")
    compared = compare_heads(plan, ignore)
    alone = compare([made.path], heads)
    aurocs = {e.head: e.metrics["auroc"].value for e in alone.evaluations if e.uses_images}
    assert {arm.head: arm.auroc for arm in compared.arms} == aurocs
    assert compared.positive == "malignant"
    assert (compared.report / "report.html").is_file()

    best = compared.arms[0]
    keep = FitChoice(
        features=made.path,
        head=best.head,
        positive=compared.positive,
        at_sensitivity=best.at_sensitivity,
        comparison=compared.report,
        output=tmp_path / "models",
    )
    # The command that the report itself states, and where the model goes.
    stated = fit_command(alone, compared.report).command
    assert keep.command == f"{stated} --output {tmp_path / 'models'}"
    kept = fit_model(keep, ignore)
    model = load_model(kept.path)
    assert model.head == best.head
    assert model.comparison is not None
    assert model.comparison.auroc.value == best.auroc
