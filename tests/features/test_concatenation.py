"""Several feature sets as one: no id or patient is mistaken for another, copies are found."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_features import VGG, make_features

from bottleneck.audit.audit import audit_features
from bottleneck.data.labels.selection import Selection
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.cross_validation.arms import match_rows
from bottleneck.evaluation.cross_validation.split_plan import plan_split
from bottleneck.features.file.reader import load_features
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.report.figures.flow_diagram import flow
from bottleneck.report.wording.paragraphs import methods_paragraph


def hospital(number: int, name: str, *, n_patients: int = 12, **fields: Any) -> FeatureSet:
    """Images of a hospital; those of another number are other images."""
    n = 2 * n_patients
    rng = np.random.default_rng(number)
    hashes = np.array([f"{number:032x}{i:032x}" for i in range(n)])
    images = {
        "sha256": hashes,
        "pixels": hashes,
        "thumbnails": rng.integers(0, 256, (n, 32, 32), np.uint8),
        "size": np.full((n, 2), 32, np.int32),
        "brightness": rng.uniform(0, 255, n).astype(np.float32),
        "sources": np.array([f"{i}.png" for i in range(n)]),
    }
    dataset = {"name": name, "fingerprint": f"{number:064x}"} | fields.pop("dataset", {})
    given = images | fields
    return make_features(n_patients=n_patients, dataset=dataset, **given)


BERN, BASEL = hospital(1, "Bern"), hospital(2, "Basel", n_patients=10)


def test_rows_stay_with_their_samples(tmp_path: Path) -> None:
    basel = BASEL.save(tmp_path / "basel.h5")
    both = FeatureSet.concatenate([BERN, basel])
    assert len(both) == len(BERN) + len(BASEL) == len(set(both.ids.tolist()))
    rows = dict(zip(both.ids.tolist(), range(len(both)), strict=True))
    for one in (BERN, BASEL):
        for n, name in enumerate(one.ids.tolist()):
            row = rows[f"{one.dataset}/{name}"]
            assert both.y[row] == one.y[n]
            assert both.sha256 is not None
            assert both.sha256[row] == one.sha256[n]
            assert both.stated_patients[row] == f"{one.dataset}/{one.stated_patients[n]}"
            assert (both.centres[row], both.sources[row]) == (one.dataset, f"{one.dataset}/{n}.png")
            assert np.array_equal(both.X[row], one.X[n])
            assert np.array_equal(both.thumbnails[row], one.thumbnails[n])
    assert len(np.unique(both.groups)) == 22
    about = both.provenance["dataset"]
    assert [(s["name"], s["fingerprint"]) for s in about["sources"]] == [
        ("Bern", f"{1:064x}"),
        ("Basel", f"{2:064x}"),
    ]
    with pytest.raises(UsageError, match="similar ids: 'Bern/image-001', 'Basel/image-001'"):
        both.select(["image-001"])
    assert (both.dataset, about["n_patients"], about["n_samples"]) == ("Bern + Basel", 22, 44)
    read = load_features(both.save(tmp_path / "both.h5"))
    assert match_rows(both, read).tolist() == list(range(44))


def test_samples_without_a_row_have_the_names_of_the_whole() -> None:
    lost = FailedSample("x.png", "malignant", "patient-01")
    bern = dataclasses.replace(BERN, failures=(("x.png", "damaged"),), failed_samples=(lost,))
    both = FeatureSet.concatenate([bern, BASEL])
    assert both.failures == (("Bern/x.png", "damaged"),)
    assert both.failed_samples == (FailedSample("Bern/x.png", "malignant", "Bern/patient-01"),)
    same = FeatureSet.concatenate([bern, BASEL], same_patients=True)
    assert same.failed_samples[0].patient == "patient-01"


def test_same_patients_on_request() -> None:
    both = FeatureSet.concatenate([BERN, BASEL], same_patients=True)
    assert len(np.unique(both.stated_patients)) == 12
    apart = FeatureSet.concatenate([BERN, BASEL])
    with pytest.raises(ProtocolError, match="patients"):
        match_rows(both, apart)


def test_other_recipes_of_the_same_data_sets_are_compared() -> None:
    others = [hospital(1, "Bern", recipe=VGG), hospital(2, "Basel", n_patients=10, recipe=VGG)]
    rows = match_rows(FeatureSet.concatenate([BERN, BASEL]), FeatureSet.concatenate(others))
    assert rows.tolist() == list(range(44))
    with pytest.raises(ProtocolError, match="different data sets"):
        match_rows(FeatureSet.concatenate([BERN, BASEL]), others[0])


def test_a_copy_at_another_hospital_is_found() -> None:
    thumbnails, pixels = BASEL.thumbnails.copy(), BASEL.pixels.copy()
    thumbnails[7] = BERN.thumbnails[2]
    thumbnails[7, 0, 0] += 1
    pixels[9] = BERN.pixels[8]
    copied = dataclasses.replace(BASEL, thumbnails=thumbnails, pixels=pixels)
    both = FeatureSet.concatenate([BERN, copied])
    pairs = {(both.ids[p.a], both.ids[p.b]): p.identical for p in both.leak_safe_groups.pairs}
    assert pairs == {
        ("Bern/image-002", "Basel/image-007"): False,
        ("Bern/image-008", "Basel/image-009"): True,
    }
    found = audit_features(both, folds=both.centres)
    assert {f.kind for f in found.leaks} == {"identical samples", "near-duplicates"}
    with pytest.raises(ProtocolError, match="2 groups of identical or near-duplicate"):
        plan_split(both, Protocol(kind="centres"))
    # Without the copies, each hospital is tested by a model of the other.
    apart = both.select([i for i in both.ids if i not in ("Basel/image-007", "Basel/image-009")])
    for fold in plan_split(apart, Protocol(kind="centres")).folds:
        assert len(set(apart.centres[fold.test])) == len(set(apart.centres[fold.train])) == 1


def test_the_report_states_the_samples_of_each_data_set() -> None:
    both = FeatureSet.concatenate([BERN, BASEL])
    lost = Selection(exclude=["Bern/image-000", "Bern/image-001", "Basel/image-005"])
    protocol = Protocol(n_splits=2, inner_splits=2)
    comparison = compare(both, ["prior"], selection=lost, protocol=protocol)
    assert comparison.dataset["sources"] == {"Bern": 22, "Basel": 19}
    words = "Bern (22 samples) and Basel (19 samples)"
    assert f"It combines {words}." in methods_paragraph(comparison)
    assert flow(comparison.dataset).details == [words]
    assert compare(BERN, ["prior"], protocol=protocol).dataset["sources"] == {}


def test_centres_of_a_data_set_follow_its_name() -> None:
    scanners = np.array(["one", ""])[np.arange(24) % 2]
    bern = dataclasses.replace(BERN, centres=scanners)
    notes: list[str] = []
    both = FeatureSet.concatenate([bern, BASEL], note=notes.append)
    assert sorted(set(both.centres.tolist())) == ["Basel", "Bern", "Bern/one"]
    (note,) = notes
    assert "it has 2 here (Bern, Bern/one): --protocol centres tests each of them" in note
    without = FeatureSet.concatenate([bern, BASEL], centre=False)
    assert sorted(set(without.centres.tolist())) == ["", "Bern/one"]
    assert FeatureSet.concatenate([BERN, BASEL], centre=False).centres is None


def test_classes_splits_and_positive_class() -> None:
    notes: list[str] = []
    split = np.array(["train", "test"])[np.arange(24) // 2 % 2]
    bern = dataclasses.replace(BERN, splits=split)
    upper = np.array([label.upper() for label in BASEL.y.tolist()])
    upper[:4] = "cyst"
    stated = {**BASEL.provenance, "dataset": {**BASEL.provenance["dataset"]}}
    stated["dataset"]["positive"] = "MALIGNANT"
    basel = dataclasses.replace(BASEL, y=upper, provenance=stated)
    both = FeatureSet.concatenate([bern, basel], note=notes.append)
    assert both.classes == ("benign", "cyst", "malignant")
    assert both.splits is None
    assert both.positive == "malignant"
    assert [any(w in n for n in notes) for w in ("'BENIGN'", "'cyst'", "split")] == [True] * 3
    halves = [dataclasses.replace(s, splits=split[: len(s)]) for s in (BERN, BASEL)]
    assert FeatureSet.concatenate(halves).splits is not None


def named(name: str, features: FeatureSet = BASEL) -> FeatureSet:
    dataset = {**features.provenance["dataset"], "name": name}
    return dataclasses.replace(features, provenance={**features.provenance, "dataset": dataset})


def with_positive(features: FeatureSet, label: str) -> FeatureSet:
    dataset = {**features.provenance["dataset"], "positive": label}
    return dataclasses.replace(features, provenance={**features.provenance, "dataset": dataset})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "at least two data sets, not 0"),
        ([BERN], "at least two data sets, not 1"),
        (BERN, "several data sets in a list"),
        ("bern.h5", "several data sets in a list"),
        (None, "several data sets in a list"),
        ([BERN, BERN], "data sets 1 and 2, both named 'Bern', hold the same samples"),
        ({"a": BERN, "b": BERN}, "'a' and 'b' hold the same samples"),
        ({"all": BERN, "some": BERN.select(BERN.y == "benign")}, "hold the same samples"),
        ([BERN, BERN.X], "data set 2 of 2 is ndarray"),
        ([BERN, named("Bern")], "2 of the data sets are named 'Bern'"),
        ([BERN, named("Bern/1")], "'Bern' and 'Bern/1'"),
        ({1: BERN, "b": BASEL}, "must be a text, not 1"),
        ([BERN, hospital(2, "Basel", recipe=VGG)], "backbone is 'vgg16', not 'resnet18'"),
        ([BERN, hospital(2, "Basel", width=5)], "5 numbers, not 8"),
        ([BERN, hospital(2, "Basel", classes=("0", "1"))], "they share no class"),
        ([BERN, hospital(2, "Basel", thumbnails=None)], "'Basel' has none"),
        (
            [with_positive(BERN, "benign"), with_positive(BASEL, "malignant")],
            "that of 'Basel' is 'malignant'",
        ),
    ],
)
def test_wrong_uses_are_explained(given: Any, words: str) -> None:
    with pytest.raises(UsageError) as error:
        FeatureSet.concatenate(given)
    assert words in str(error.value)


def test_own_features_of_the_same_samples_are_refused() -> None:
    X = np.random.default_rng(0).normal(size=(8, 3))
    y = np.arange(8) % 2
    whole = FeatureSet.from_arrays(X, y, name="whole")
    turned = FeatureSet.from_arrays(X[::-1], y[::-1], name="turned")
    for other in (turned, whole.select(whole.ids[:5]), turned.select(turned.ids[:5])):
        with pytest.raises(UsageError, match="hold the same samples"):
            FeatureSet.concatenate({"one": whole, "other": other})
