"""Folds of a training on images and on features: copies stay together, and classes are in all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small import quick, small_backbone
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.finetune.cross_validate import finetune, train_on_features

ONE = Protocol(kind="cv", n_splits=2, inner_splits=2)
# Images of different patients that are one image: identical, mirrored and written as JPEG, and
# two of different classes.
TIED = ((0, 16), (2, 30), (5, 40), (9, 44))
CONFLICT = (12, 14)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    """Two images of each of 30 patients, of which every second one is malignant."""
    folder = tmp_path_factory.mktemp("copied")
    samples = []
    source = {b: a for a, b in (*TIED, CONFLICT)}
    for number in range(60):
        rng = np.random.default_rng(source.get(number, number))
        image = Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8)).resize((48, 48))
        name = f"{number:02d}.png"
        if number == 44:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if number == 40:
            name = "40.jpg"
        image.save(folder / name)
        label = ("benign", "malignant")[number // 2 % 2]
        samples.append(Sample(name, name, label, group=f"P{number // 2}"))
    return ImageDataset("copied", tuple(samples), FileSource(folder))


def sides(path: Path) -> list[dict[str, str]]:
    """The part of every sample, by fold, from the file that a user has."""
    table = pd.read_csv(path / "splits.csv", dtype=str)
    return [
        dict(zip(rows["id"], rows["part"], strict=True))
        for _, rows in table.groupby(["repeat", "fold"])
    ]


def check(path: Path, names: dict[int, str]) -> None:
    for part in sides(path):
        for a, b in TIED:
            # All images of both patients, and not only the copies.
            group = [n for n in (a, a ^ 1, b, b ^ 1) if n not in CONFLICT]
            assert len({part[names[n]] for n in group}) == 1
        assert not {names[n] for n in CONFLICT} & set(part)


def test_no_tied_pair_is_on_two_sides_and_compare_takes_it(
    copied: ImageDataset, tmp_path: Path
) -> None:
    names = {int(s.id[:2]): s.id for s in copied.samples}
    notes: list[str] = []
    steps: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        assert not any("epoch" in step or "fold" in step for step in steps)

    (trained,) = finetune(
        copied,
        quick(epochs=1),
        backbone=small_backbone(),
        protocol=ONE,
        output=tmp_path / "images",
        note=note,
        progress=lambda a, b, text: steps.append(text),
    )
    check(trained.path, names)
    (said,) = notes
    assert said.startswith("Leak audit: 5 pairs of copies (identical or near-duplicate images) tie")
    assert "tie 10 of 30 patients into 5 groups." in said
    assert "1 set of copies (2 images) has different labels: these are left out" in said

    file = extract(copied, small_backbone(), output=tmp_path).path
    features = load_features(file)
    comparison = compare(
        features,
        ["logistic"],
        predictions=[trained.path],
        positive="malignant",
        protocol=dataclasses.replace(ONE, kind="auto"),
        note=notes.append,
    )
    assert notes[1].endswith(said.removeprefix("Leak audit: "))
    (arm,) = (e for e in comparison.evaluations if e.head == "predictions")
    tested = pd.read_csv(trained.path / "predictions.csv", dtype={"id": str})
    tested = tested[tested["part"] == "test"]
    assert sorted(arm.predictions.ids) == sorted(tested["id"])
    assert len(tested) == 58
    # The frozen arms test the copies of different labels too, for the figure with them.
    effects = {effect.arm: effect for effect in comparison.conflicts.auroc}
    assert effects.pop(arm.name).with_them is None
    assert all(effect.with_them is not None for effect in effects.values())
    (fc,) = train_on_features(
        features, quick(epochs=1, backbone="new_fc"), protocol=ONE, output=tmp_path / "fc"
    )
    check(fc.path, names)
    assert sides(fc.path) == sides(trained.path)


FEW = "--folds 3 --epochs 1 --device cpu --workers 0 --backbone small_cnn"


@pytest.mark.parametrize(
    ("label", "columns", "options", "words"),
    [
        (lambda n: n // 2 % 3 == 0, {"fold": lambda n: n // 2 % 3}, [], "published fold '0' holds"),
        (lambda n: n < 2, {}, [], "has 1 patient (2 samples), so no two folds can"),
        (
            lambda n: n // 2 == 5,
            {"split": lambda n: "test" if n < 12 else "train"},
            [],
            "training set of the data set's split holds none",
        ),
        (
            lambda n: n // 2 in (1, 14),
            {"split": lambda n: ("train", "val", "test")[n // 10]},
            [],
            "the validation set of the data set's split holds no 'malignant'",
        ),
        (lambda n: n // 2 in (1, 14), {}, ["--folds", "2"], "too small for a validation set"),
        (
            lambda n: n < 10,
            {"centre": lambda n: "NS"[n >= 14]},
            ["--protocol", "centres"],
            "the training set without the centre 'N' holds none",
        ),
    ],
)
def test_a_fold_without_a_class_is_refused_in_words(
    label, columns, options, words, tmp_path: Path
) -> None:
    rows = [",".join(["image", "label", "patient", *columns])]
    for n in range(30):
        rng = np.random.default_rng(n)
        Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / f"{n}.png")
        values = [f"{n}.png", "malignant" if label(n) else "benign", f"P{n // 2}"]
        rows.append(",".join([*values, *(str(column(n)) for column in columns.values())]))
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    command = [
        "finetune",
        str(tmp_path / "labels.csv"),
        "--path-column",
        "image",
        *FEW.split(),
        *options,
    ]
    done = CliRunner().invoke(app, [*command, "--output", str(tmp_path / "o")])
    assert done.exit_code == 2, done.output
    said = " ".join(done.output.split())
    assert words in said
    assert "Traceback" not in said
    assert not list((tmp_path).glob("o/fold-*"))
