"""Imported predictions: our own, exported and read back, give the same arm."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_features import make_features

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import DataError, ProtocolError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.cross_validation.imported_predictions import (
    ImportedArm,
    adopt_names,
    load_imported,
)
from bottleneck.predictions import Predictions

QUICK = Protocol(n_splits=3, inner_splits=2, seed=5)


@pytest.fixture(scope="module")
def features():
    return make_features(signal=2.0)


@pytest.fixture(scope="module")
def alone(features):
    return compare(features, ["logistic"], protocol=QUICK)


@pytest.fixture
def written(tmp_path, alone):
    """The logistic arm's predictions, in another order."""
    frame = alone.evaluations[0].predictions.to_frame().sample(frac=1, random_state=0)
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    return tmp_path / "theirs.csv"


def test_an_arm_read_back_is_the_arm(features, alone, written):
    # Another seed would draw other folds; those of the predictions are taken.
    both = compare(
        features,
        ["logistic"],
        predictions=[written],
        protocol=dataclasses.replace(QUICK, seed=5, n_splits=7),
    )
    ours, theirs = both.evaluations[0], both.evaluations[1]
    assert theirs.name == "theirs"
    assert theirs.head == "predictions"
    assert ours.metrics["auroc"] == alone.evaluations[0].metrics["auroc"]
    # A table holds no models without a part of the patients: its interval is the wider one.
    assert theirs.metrics["auroc"].value == ours.metrics["auroc"].value
    assert theirs.metrics["auroc"].low < ours.metrics["auroc"].low
    np.testing.assert_array_equal(theirs.predictions.ids, ours.predictions.ids)
    np.testing.assert_array_equal(theirs.confusion, ours.confusion)
    between = [d for d in both.differences if {d.a, d.b} == {ours.name, "theirs"}]
    assert [(d.metric, d.value, d.p) for d in between] == [("auroc", 0, 1), ("accuracy", 0, 1)]
    assert both.protocol["folds"] == 3


def test_ids_and_classes_in_other_spellings_are_the_same(features, alone, written):
    frame = pd.read_csv(written, dtype=str)
    # In this order, the columns of the scores change places.
    spellings = {"malignant": "MALIGNANT", "benign": "benign\u200b"}
    frame["id"] = [f"{text}\u00a0" if n % 2 else f"'{text}" for n, text in enumerate(frame["id"])]
    frame = frame.replace({"label": spellings, "predicted": {"benign": "Benign "}})
    frame = frame.rename(columns={f"score_{old}": f"Score_{new}" for old, new in spellings.items()})
    frame.to_csv(written, index=False)
    both = compare(features, ["logistic"], predictions=[written], protocol=QUICK)
    ours, theirs = both.evaluations[0].predictions, both.evaluations[1].predictions
    np.testing.assert_array_equal(ours.ids, theirs.ids)
    np.testing.assert_array_equal(ours.predicted, theirs.predicted)
    np.testing.assert_allclose(ours.scores, theirs.scores)
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities)
    assert theirs.classes == ("benign", "malignant")


def test_a_single_test_part_is_a_split(features, alone, tmp_path):
    frame = alone.evaluations[0].predictions.to_frame()
    frame[frame["fold"] == 1].drop(columns=["fold", "repeat", "group"]).to_csv(
        tmp_path / "predictions.csv", index=False
    )
    both = compare(features, ["logistic"], predictions=[f"mine={tmp_path}"], protocol=QUICK)
    assert [e.name for e in both.evaluations] == [
        "resnet18 (imagenet) + logistic",
        "mine",
        "prior only",
    ]
    assert both.protocol["kind"] == "fixed split"
    assert both.evaluations[1].confusion.sum() == (frame["fold"] == 1).sum()


def test_training_record_is_read(features, alone, tmp_path):
    alone.evaluations[0].predictions.to_frame().to_csv(tmp_path / "predictions.csv", index=False)
    cost = {"seconds": 12.5, "trained_parameters": 11_177_538, "device": "cpu"}
    epochs = [{"epoch": n, "train_loss": 1 / n, "val_auroc": 0.5, "lr": 0.1} for n in (1, 2)]
    how = {"network": {"backbone": "resnet18"}, "seed": 3, "config": {"epochs": 2}}
    training = {"name": "resnet18 trained", "folds": [{"fold": 3, "curve": epochs}], **cost, **how}
    (tmp_path / "training.json").write_text(json.dumps(training))
    arm = compare(features, ["logistic"], predictions=[tmp_path], protocol=QUICK).evaluations[1]
    assert arm.name == "resnet18 trained"
    curves = arm.cost["curves"]
    assert curves[1] == {"repeat": 0, "fold": 3, "epoch": 2, "train_loss": 0.5, "val_auroc": 0.5}
    assert arm.cost == {**cost, "curves": curves, "training": how}
    assert arm.seconds == 12.5


def test_a_record_of_a_training_that_does_not_end_is_refused(features, alone, tmp_path):
    alone.evaluations[0].predictions.to_frame().to_csv(tmp_path / "predictions.csv", index=False)
    deep = '{"name": "x", "config": ' + '{"a": ' * 600 + "1" + "}" * 601
    (tmp_path / "training.json").write_text(deep)
    with pytest.raises(DataError, match="config is nested too deeply"):
        compare(features, ["logistic"], predictions=[tmp_path], protocol=QUICK)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"seconds": 1e400}', "seconds cannot be inf"),
        ('{"seconds": NaN}', "seconds cannot be nan"),
        ('{"images_seen": 1' + "0" * 400 + "}", "images_seen cannot be 1000"),
        ('{"images_seen": true}', "images_seen cannot be True"),
        ('{"device": ["cpu"]}', "device cannot be"),
        ('{"name": {"a": 1}}', "name must be a text"),
        ('{"name": "' + "x" * 2000 + '"}', "name must be a text"),
        ('{"config": {"epochs": 1' + "0" * 400 + "}}", "config has a number"),
        ('{"folds": [{"curve": [{"epoch": 1, "val_loss": Infinity}]}]}', "val_loss cannot be inf"),
        ('{"seconds": 1', "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_a_record_with_absurd_values_is_refused(written, text, message):
    written.with_name("training.json").write_text(text)
    with pytest.raises(DataError, match=message):
        load_imported(written)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[:-1], "1 are missing"),
        (lambda f: f.assign(id=f["id"] + "x"), "80 of 80 predictions"),
        (lambda f: f.assign(label="benign"), "another label than the features for 40 samples"),
        (lambda f: f.assign(fold=np.arange(len(f)) % 3), "patients .* on both sides"),
        (
            lambda f: f.rename(columns=lambda c: c.replace("malignant", "m")).replace(
                "malignant", "m"
            ),
            "of the classes benign, m",
        ),
    ],
)
def test_predictions_of_other_samples_are_refused(features, written, change, message):
    frame = pd.read_csv(written, dtype=str)
    change(frame).to_csv(written, index=False)
    with pytest.raises(ProtocolError, match=message):
        compare(features, ["logistic"], predictions=[written], protocol=QUICK)


def test_folds_that_were_drawn_must_be_those_of_the_predictions(features, written):
    drawn = dataclasses.replace(QUICK, kind="cv")
    compare(features, ["logistic"], predictions=[written], protocol=drawn)
    with pytest.raises(ProtocolError, match="Leave --protocol at auto"):
        compare(
            features,
            ["logistic"],
            predictions=[written],
            protocol=dataclasses.replace(drawn, seed=6),
        )


def test_leaking_folds_are_accepted_with_allow_leakage(features, written):
    frame = pd.read_csv(written)
    frame.assign(fold=np.arange(len(frame)) % 3).to_csv(written, index=False)
    allowed = dataclasses.replace(QUICK, allow_leakage=True)
    comparison = compare(features, ["logistic"], predictions=[written], protocol=allowed)
    assert comparison.warnings[0].startswith("leakage was allowed")
    assert comparison.protocol["grouped"] is False


def test_validation_rows_set_thresholds_and_calibrate(features, alone, tmp_path):
    arm = alone.evaluations[0]
    frame = arm.predictions.to_frame().drop(columns=["probability_benign", "probability_malignant"])
    # A model's validation part: here what the next fold's samples were given.
    validation = frame.assign(fold=(frame["fold"] + 1) % 3, part="validation")
    both = [validation, frame.assign(part="test")]
    path = tmp_path / "trained.csv"
    pd.concat(both).to_csv(path, index=False)
    theirs = compare(features, ["logistic"], predictions=[path], protocol=QUICK).evaluations[1]
    assert "on the validation set of each fold" in theirs.calibration.source
    (point,) = [p for p in theirs.operating_points if p.held == "specificity"]
    for fold, threshold in enumerate(point.thresholds):
        rows = (validation["fold"] == fold) & (validation["label"] == "benign")
        assert (validation["score_malignant"][rows] < threshold).mean() >= 0.9
    pd.concat([validation[validation["fold"] != 1], both[1]]).to_csv(path, index=False)
    with pytest.raises(ProtocolError, match="fold 1 has test samples but no validation samples"):
        compare(features, ["logistic"], predictions=[path], protocol=QUICK)


def test_validation_rows_that_are_tested_are_refused(features, alone, tmp_path):
    frame = alone.evaluations[0].predictions.to_frame()
    both = [frame.assign(part="test"), frame.assign(part="validation")]
    path = tmp_path / "leaking.csv"
    pd.concat(both).to_csv(path, index=False)
    with pytest.raises(ProtocolError, match="thresholds would be set on the samples"):
        compare(features, ["logistic"], predictions=[path], protocol=QUICK)


def test_folds_and_repeats_may_be_counted_from_one(features, alone, tmp_path):
    frame = alone.evaluations[0].predictions.to_frame()
    path = tmp_path / "counted.csv"
    frame.assign(fold=frame["fold"] + 1, repeat=1).to_csv(path, index=False)
    arm = compare(features, ["logistic"], predictions=[path], protocol=QUICK).evaluations[1]
    assert arm.metrics["auroc"].value == alone.evaluations[0].metrics["auroc"].value


def test_several_networks_on_one_test_part_are_several_arms(features, alone, tmp_path):
    frame = alone.evaluations[0].predictions.to_frame()
    part = frame[frame["fold"] == 0]
    path = tmp_path / "seeds.csv"
    pd.concat([part, part.assign(repeat=1)]).to_csv(path, index=False)
    with pytest.raises(ProtocolError, match="as an arm of its own"):
        compare(features, ["logistic"], predictions=[path], protocol=QUICK)


def test_arms_have_names_of_their_own(features, written):
    for names in ([written, f"theirs={written}"], [f"prior only={written}"]):
        with pytest.raises(UsageError, match="--predictions NAME=PATH"):
            compare(features, ["logistic"], predictions=names, protocol=QUICK)


def test_stated_probabilities_are_kept(features, alone, tmp_path):
    path = tmp_path / "stated.csv"
    alone.evaluations[0].predictions.to_frame().to_csv(path, index=False)
    arm = compare(features, ["logistic"], predictions=[path], protocol=QUICK).evaluations[1]
    stated = alone.evaluations[0].predictions.probabilities
    np.testing.assert_allclose(arm.predictions.probabilities, stated)
    assert arm.calibration.source == "probabilities as the arm states them"


@pytest.mark.parametrize(
    ("training", "is_kept"),
    [
        ({"network": {"architecture": "resnet18", "head": "linear"}}, True),
        ({"network": {"head": "new_fc"}}, False),  # It is a network on features.
        ({"network": "resnet18"}, False),
        (None, False),
    ],
)
def test_a_folder_of_trained_networks_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: dict[str, Any] | None, is_kept: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Predictions.from_arrays([0, 1, 0, 1], [0.1, 0.8, 0.3, 0.6], groups=list("abcd"))
    (tmp_path / "trained").mkdir()
    made.to_frame().to_csv(tmp_path / "trained" / "predictions.csv", index=False)
    if training is not None:
        (tmp_path / "trained" / "training.json").write_text(json.dumps(training))
    for given in ("trained", "trained/predictions.csv", "net=trained"):
        origin = load_imported(given).origin
        assert (origin is not None and origin.file) == ("trained" if is_kept else False)


def test_the_jackknife_follows_the_classes():
    scores = np.random.default_rng(0).normal(size=(6, 2))
    made = Predictions.from_arrays(["A", "b"] * 3, scores, classes=("A", "b"))
    made = dataclasses.replace(made, jackknife=np.stack([scores, scores + 1], axis=1))
    # Their order is another in these spellings.
    found = adopt_names(ImportedArm("theirs", made, None), made.ids.tolist(), ("B", "a")).test
    assert found.classes == ("B", "a")
    np.testing.assert_array_equal(found.scores, scores[:, ::-1])
    np.testing.assert_array_equal(found.jackknife[:, 0], found.scores)
