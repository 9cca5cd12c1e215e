"""Split plans: duplicates planted across patients and splits are kept together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features
from sklearn.model_selection import LeaveOneGroupOut

from bottleneck.data.splits.folds import make_folds
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.cross_validation.split_plan import plan_split

CV = Protocol(kind="cv", n_splits=4)


def with_twins(**fields):
    """Image 0 (patient 0) again as image 5 (patient 2), image 2 (patient 1) as 71 (patient 35)."""
    pixels = np.array([f"{i:064d}" for i in range(80)])
    pixels[5], pixels[71] = pixels[0], pixels[2]
    return make_features(pixels=pixels, **fields)


def test_duplicates_are_on_one_side_of_every_split():
    f = with_twins()
    plan = plan_split(f, Protocol(kind="cv", n_splits=4, repeats=5))
    for fold in plan.folds:
        sides = np.isin(np.arange(len(f)), fold.test)
        for group in ((0, 1, 4, 5), (2, 3, 70, 71)):
            assert len(set(sides[list(group)])) == 1
        assert not set(f.groups[fold.train]) & set(f.groups[fold.test])
    assert not plan.audit.leaks
    assert "Copies were kept" in plan.folds.words
    # Were they not joined, some of five repeats would part them.
    apart = make_folds(Protocol(kind="cv", n_splits=4, repeats=5), f.y, f.stated_patients)
    assert any(np.isin(0, fold.test) != np.isin(5, fold.test) for fold in apart)


def test_imported_folds_state_that_duplicates_were_kept_together(tmp_path):
    f = with_twins()
    alone = compare(f, ["logistic"], protocol=CV)
    path = tmp_path / "theirs.csv"
    alone.evaluations[0].predictions.to_frame().to_csv(path, index=False)

    def words(features, **options):
        chosen = Protocol(inner_splits=2, **options)
        return compare(features, ["logistic"], predictions=[path], protocol=chosen).protocol[
            "words"
        ]

    sentence = "Copies were kept on one side of every split."
    assert f"'theirs'; every other arm was tested in the same. {sentence}" in words(f)
    assert sentence not in words(make_features())
    assert sentence not in words(f, allow_leakage=True)


def test_folds_that_cannot_be_are_refused_before_the_audit():
    def looked(done, total, text):
        assert text != "searching for leaks", "the audit began"

    f = with_twins()
    with pytest.raises(ProtocolError, match="--folds 20"):
        plan_split(f, Protocol(kind="cv", n_splits=21), progress=looked)
    with pytest.raises(AssertionError, match="the audit began"):
        plan_split(f, CV, progress=looked)


def test_copies_that_leave_too_few_patients_are_named():
    same = make_features(pixels=np.full(80, "0" * 64))
    with pytest.raises(ProtocolError, match=r"different labels, no sample of 'benign' is left"):
        plan_split(same, CV)
    keep = Protocol(kind="cv", n_splits=20, conflicts="keep")
    with pytest.raises(ProtocolError, match=r"with copies in one group .* of one patient"):
        plan_split(same, keep)
    pixels = np.array([f"{i // 20:064d}" for i in range(80)])
    with pytest.raises(ProtocolError, match=r"with copies in one group .* too few for 20 folds"):
        plan_split(make_features(pixels=pixels), keep)
    unnamed = dataclasses.replace(make_features(pixels=pixels), stated_patients=None)
    message = r"with copies in one group .* has \d+ groups? \(40 samples\), too few"
    with pytest.raises(ProtocolError, match=message):
        plan_split(unnamed, keep)


def test_allowed_leakage_is_the_first_warning():
    f = with_twins()
    splits = np.where(np.arange(80) < 60, "train", "test")
    f = dataclasses.replace(f, splits=splits)
    with pytest.raises(ProtocolError, match=r"1 group of identical .*--allow-leakage"):
        compare(f, ["logistic"])
    allowed = compare(f, ["logistic"], protocol=Protocol(allow_leakage=True, inner_splits=2))
    assert allowed.warnings[0].startswith("leakage was allowed (--allow-leakage)")
    assert "too optimistic: 1 pair of identical images" in allowed.warnings[0]
    assert allowed.protocol["allow_leakage"] is True
    # Drawn folds keep them together, so that nothing has to be allowed.
    assert "leakage" not in " ".join(compare(f, ["logistic"], protocol=CV).warnings)


def test_shared_patients_of_a_given_split_need_leave():
    f = make_features(splits=np.where(np.arange(80) < 61, "train", "test"))
    with pytest.raises(ProtocolError, match="1 patient into both sides"):
        compare(f, ["logistic"])
    allowed = compare(f, ["logistic"], protocol=Protocol(allow_leakage=True, inner_splits=2))
    assert "1 patient in several folds" in allowed.warnings[0]
    assert allowed.protocol["grouped"] is False


def test_samples_without_patients_stay_so_when_some_come_twice():
    f = dataclasses.replace(with_twins(), stated_patients=None)
    comparison = compare(f, ["logistic"], protocol=CV)
    assert comparison.dataset["n_patients"] is None
    assert comparison.protocol["grouped"] is False
    assert comparison.warnings[0].startswith("no patients named")
    plan = plan_split(f, CV)
    for fold in plan.folds:
        assert np.isin(0, fold.test) == np.isin(5, fold.test)


def test_a_large_group_gives_a_warning():
    pixels = np.array([f"{i:064d}" for i in range(80)])
    pixels[0:20:2] = "a"  # an image of ten of the forty patients
    warnings = compare(make_features(pixels=pixels), ["logistic"], protocol=CV).warnings
    assert any("join 10 of 40 patients into one group (25.0%)" in w for w in warnings)


def test_centres_are_left_out_one_at_a_time():
    centres = np.array(["north", "south", "west"])[np.arange(80) // 2 % 3]
    f = make_features(centres=centres)
    folds = plan_split(f, Protocol(kind="centres")).folds
    wanted = LeaveOneGroupOut().split(f.X, f.y, centres)
    for fold, (train, test) in zip(folds, wanted, strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
    comparison = compare(f, ["logistic"], protocol=Protocol(kind="centres"))
    assert comparison.protocol["kind"] == "centres"
    with pytest.raises(ProtocolError, match="a column 'centre' is needed"):
        compare(make_features(), ["logistic"], protocol=Protocol(kind="centres"))
    odd = dataclasses.replace(f, centres=np.where(f.y == "benign", "east", "west"))
    with pytest.raises(ProtocolError, match="the centre 'east' holds none"):
        compare(odd, ["svm"], protocol=Protocol(kind="centres"))
