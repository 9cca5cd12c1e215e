"""Findings of the audit on patients, duplicates and metadata, and leak-safe groups."""

from __future__ import annotations

import numpy as np
import pytest
from made_features import make_features

from bottleneck.audit.audit import Audit, audit_features
from bottleneck.checks.check_registry import is_unchecked
from bottleneck.data.labels.selection import Selection
from bottleneck.errors import UsageError
from bottleneck.features.sets.feature_set import FeatureSet


def pixels(n: int) -> np.ndarray:
    """Hashes of n different images."""
    return np.array([f"{i:064x}" for i in range(n)])


def kinds(found: Audit) -> list[tuple[str, str, int]]:
    return [(f.kind, f.severity, f.count) for f in found.findings if not is_unchecked(f.code)]


def with_twins(*twins: tuple[int, int], **fields: object) -> FeatureSet:
    """80 images of 40 patients; the second of each pair has the first one's pixels."""
    hashes = pixels(80)
    for one, other in twins:
        hashes[other] = hashes[one]
    return make_features(**{"pixels": hashes} | fields)


def test_clean_features_have_no_finding() -> None:
    found = audit_features(with_twins())
    assert found.findings == tuple(f for f in found.findings if is_unchecked(f.code))
    assert (found.leaks, found.groups.pairs, found.largest_group) == ((), (), 1)
    assert (found.n_samples, found.n_patients) == (80, 40)


def test_a_patient_in_two_folds_is_a_leak() -> None:
    folds = np.repeat(["1", "2", "3", "4"], 20)
    folds[1] = "2"  # The second image of patient 0; its first is in fold 1.
    found = audit_features(with_twins(folds=folds))
    assert kinds(found) == [("shared patients", "leak", 1)]
    assert found.leaks[0].rows == (0, 1)
    assert "patient-00" not in found.leaks[0].text

    splits = np.where(np.arange(80) % 2, "train", "test")
    assert kinds(audit_features(with_twins(splits=splits))) == [("shared patients", "leak", 40)]


def test_rows_without_a_fold_or_patient_are_in_no_two_folds() -> None:
    folds = np.repeat(["1", "2"], 40)
    folds[1] = ""
    groups = make_features().groups
    assert groups is not None
    groups[[10, 50]] = ""
    assert kinds(audit_features(with_twins(folds=folds, stated_patients=groups))) == []


def test_folds_that_are_given_take_the_place_of_the_published_ones() -> None:
    features = with_twins(folds=np.tile(["1", "2"], 40))
    assert kinds(audit_features(features)) == [("shared patients", "leak", 40)]
    assert kinds(audit_features(features, folds=np.repeat(["1", "2"], 40))) == []
    with pytest.raises(UsageError, match="each of the 80 samples"):
        audit_features(features, folds=["1", "2"])


def test_duplicates_are_reported_by_the_relation_they_cross() -> None:
    folds = np.repeat(["1", "2"], 40)
    # Rows 0 and 1: one patient. 2 and 6: patients 1 and 3, one label, one fold.
    # 8 and 70: patients 4 and 35, two labels, two folds.
    twins = with_twins((0, 1), (2, 6), (8, 70), folds=folds)
    found = audit_features(twins, joined=False)
    assert kinds(found) == [
        ("identical samples", "leak", 1),
        ("identical samples", "leak", 2),
        ("conflicting labels", "warning", 1),
        ("identical samples", "note", 1),
        ("large group", "note", 2),
    ]
    assert [f.pairs for f in found.findings if f.pairs] == [
        ((8, 70),),
        ((2, 6), (8, 70)),
        ((8, 70),),
        ((0, 1),),
    ]
    # Commands keep copies together, so that only the folds of the data set are a leak.
    found = audit_features(twins)
    assert [f.severity for f in found.findings if f.pairs] == ["leak", "warning", "note", "note"]
    assert found.verdict == "1 leak found, 1 warning"


def test_frequent_duplicates_form_a_chain() -> None:
    folds = np.repeat(["1", "2"], 40)
    features = make_features(pixels=np.full(80, "0" * 64), folds=folds)
    found = audit_features(features)
    assert len(found.groups.pairs) == 79
    assert [(f.severity, f.count > 0) for f in found.findings if "labels" in f.text] == [
        ("warning", True)
    ]
    assert "different folds" in found.leaks[0].text
    joined = found.groups.names
    assert joined is not None
    assert set(joined) == {"patient-00"}


def test_groups_join_patients_through_chains_of_images() -> None:
    features = with_twins((0, 10), (11, 20), (30, 31))
    joined = audit_features(features).groups.names
    assert joined is not None
    assert features.stated_patients is not None
    expected = features.stated_patients.copy()
    expected[[10, 11, 20, 21]] = "patient-00"  # Patients 0, 5 and 10.
    np.testing.assert_array_equal(joined, expected)


def test_units_without_patients() -> None:
    features = make_features(stated_patients=None)
    assert audit_features(features).groups.names is None
    features = with_twins((3, 7), stated_patients=None)
    joined = audit_features(features).groups.names
    assert joined is not None
    assert joined[3] == joined[7]
    assert len(set(joined)) == 79


@pytest.mark.parametrize(("n_tied", "severity"), [(2, "note"), (3, "warning")])
def test_a_unit_above_five_per_cent_of_the_patients_is_warned_of(
    n_tied: int, severity: str
) -> None:
    found = audit_features(with_twins(*[(0, 2 * k) for k in range(1, n_tied)]))
    (large,) = [f for f in found.findings if f.kind == "large group"]
    assert (large.severity, large.count, found.largest_group) == (severity, n_tied, n_tied)
    assert f"{n_tied} of 40 patients" in large.text


def test_unchecked_parts_are_reported() -> None:
    said = " ".join(f.text for f in audit_features(make_features(stated_patients=None)).findings)
    for phrase in ("no patients", "no hashes of pixels", "no thumbnails", "Burned-in text"):
        assert phrase in said


def test_metadata_that_predict_the_label_are_flagged() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(80) // 2 % 2
    size = np.stack([300 + 40 * y + rng.integers(0, 60, 80), np.full(80, 300)], axis=1)
    brightness = rng.normal(80, 10, 80).astype(np.float32)
    found = audit_features(make_features(size=size.astype(np.int32), brightness=brightness))
    assert found.metadata is not None
    assert found.metadata.columns == ("width", "brightness")
    assert found.metadata.auroc.low > 0.7
    assert found.metadata.alone["width"] > 0.8 > 0.7 > found.metadata.alone["brightness"]
    (finding,) = [f for f in found.findings if f.kind == "metadata"]
    assert finding.severity == "warning"
    assert finding.text.startswith("Without any image, width and brightness predict the label")
    assert "`bottleneck extract --sector auto` blackens it." in finding.text
    prepared = {"preprocessing": {"preparation": {"sector": "auto"}}}
    found = audit_features(
        make_features(size=size.astype(np.int32), brightness=brightness, recipe=prepared)
    )
    (finding,) = [f for f in found.findings if f.kind == "metadata"]
    assert "--sector" not in finding.text  # It is black already.
    boxes = np.tile([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], (80, 1))
    found = audit_features(
        make_features(size=size.astype(np.int32), brightness=brightness, boxes=boxes)
    )
    (finding,) = [f for f in found.findings if f.kind == "metadata"]
    assert "--sector" not in finding.text  # Volumes have no such step.


def test_metadata_without_a_signal_are_not_flagged() -> None:
    brightness = np.random.default_rng(1).normal(80, 10, 80).astype(np.float32)
    found = audit_features(make_features(brightness=brightness))
    (finding,) = [f for f in found.findings if f.kind == "metadata"]
    assert finding.severity == "note"


def test_a_brightness_of_the_patient_is_no_signal_when_patients_stay_together() -> None:
    # Every patient has a brightness of its own, by which a split by image would know them.
    brightness = np.repeat(np.random.default_rng(2).permutation(40), 2).astype(np.float32)
    found = audit_features(make_features(brightness=brightness))
    assert found.metadata is not None
    assert found.metadata.auroc.low < 0.5


def test_a_folder_that_is_the_label_itself_is_no_metadata() -> None:
    y = np.array(["benign", "malignant"])[np.arange(80) // 2 % 2]
    plain = np.array([f"{label}/{i}.png" for i, label in enumerate(y)])
    assert audit_features(make_features(sources=plain)).metadata is None
    telling = np.array([f"{'ab'[label == 'benign']}/{i}.png" for i, label in enumerate(y)])
    found = audit_features(make_features(sources=telling))
    assert found.metadata is not None
    assert found.metadata.auroc.value == 1
    suffix = np.where(y == "benign", ".jpg", ".png")
    found = audit_features(make_features(sources=np.char.add(np.arange(80).astype(str), suffix)))
    assert found.metadata is not None
    assert found.metadata.columns == ("file suffix",)
    assert found.metadata.auroc.value == 1


def test_folders_named_after_a_class_before_it_was_merged_are_no_metadata() -> None:
    y = np.array(["Benign", "malignant", "susp\u00e9ct"])[np.arange(80) // 2 % 3]
    # A Mac stores accents as letters of their own.
    folders = np.char.replace(y, "\u00e9", "e\u0301")
    sources = np.array([f"{label}/{i}.png" for i, label in enumerate(folders)])
    features = make_features(y=y, sources=sources)
    assert audit_features(features).metadata is None
    merged = features.choose(Selection(merge={"bad": ["malignant", "susp\u00e9ct"]}))
    renamed = merged.choose(Selection(merge={"1": ["bad"], "0": ["Benign"]}))
    assert renamed.selection["merged"] == {"1": ["malignant", "susp\u00e9ct"], "0": ["Benign"]}
    for one in (merged, renamed):
        assert audit_features(one).metadata is None


def test_metadata_with_three_classes_name_the_class() -> None:
    centres = np.array(["A", "B", "B"])[np.arange(80) // 2 % 3]
    found = audit_features(make_features(classes=("a", "b", "c"), centres=centres))
    (finding,) = [f for f in found.findings if f.kind == "metadata"]
    assert "'a' against the rest with an AUROC of 1.00" in finding.text
