"""Folds: patients on one side, every class on both, every sample tested once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from bottleneck.data.splits.folds import make_folds
from bottleneck.data.splits.patients import (
    count_by_class,
    inner_folds,
    name_patients,
    shared_inner_folds,
)
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import ProtocolError, UsageError


def cohort(*patients: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and patients, from one string of one-letter labels a patient."""
    y = np.array([label for images in patients for label in images])
    groups = np.array([f"p{i}" for i, images in enumerate(patients) for _ in images])
    return y, groups


@st.composite
def pure_patients(draw, least):
    """Patients of one class each: two or three classes of ``least`` to ten patients."""
    sizes = st.lists(st.integers(1, 5), min_size=least, max_size=10)
    classes = "abc"[: draw(st.integers(2, 3))]
    return draw(st.permutations([name * n for name in classes for n in draw(sizes)]))


mixed_patients = st.lists(st.text(alphabet="ab", min_size=1, max_size=6), min_size=4, max_size=30)


def check_folds(folds, y, groups, n_repeats):
    tested = np.zeros((n_repeats, len(y)), dtype=int)
    for fold in folds:
        assert sorted([*fold.train, *fold.test]) == list(range(len(y)))
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert set(y[fold.train]) == set(y[fold.test]) == set(y)
        tested[fold.repeat, fold.test] += 1
    assert (tested == 1).all()


@settings(max_examples=60)
@given(pure_patients(4), st.integers(2, 4), st.integers(1, 3), st.integers(0, 2**31 - 1))
def test_drawn_folds_keep_patients_and_classes(patients, n_splits, repeats, seed):
    y, groups = cohort(*patients)
    protocol = Protocol(kind="cv", n_splits=n_splits, repeats=repeats, seed=seed)
    folds = make_folds(protocol, y, groups)
    assert len(folds) == n_splits * repeats
    assert len(set(folds.seeds)) == repeats
    check_folds(folds, y, groups, repeats)
    again = make_folds(protocol, y, groups)
    for one, other in zip(folds, again, strict=True):
        np.testing.assert_array_equal(one.test, other.test)


@settings(max_examples=60)
@given(mixed_patients, st.integers(2, 4), st.integers(0, 2**31 - 1))
def test_patients_with_several_labels_are_split_or_refused(patients, n_splits, seed):
    y, groups = cohort(*patients)
    counts = count_by_class(y, groups)
    assume(len(counts) > 1)
    try:
        folds = make_folds(Protocol(kind="cv", n_splits=n_splits, seed=seed), y, groups)
    except ProtocolError:
        # With twice the patients that folds need, the splitter has never failed.
        assert min(counts.values()) < 2 * n_splits
    else:
        check_folds(folds, y, groups, 1)


@settings(max_examples=60)
@given(pure_patients(2), st.integers(2, 6), st.integers(0, 2**31 - 1))
def test_inner_folds_keep_patients_and_classes(patients, n_splits, seed):
    y, groups = cohort(*patients)
    counts = count_by_class(y, groups)
    folds = inner_folds(y, groups, n_splits, seed)
    assert len(folds) == min(n_splits, *counts.values())
    scored = np.concatenate([test for _, test in folds])
    assert sorted(scored) == list(range(len(y)))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert set(y[train]) == set(y[test]) == set(y)


@settings(max_examples=60)
@given(pure_patients(6), st.integers(2, 5), st.integers(2, 5), st.integers(0, 2**31 - 1))
def test_shared_inner_folds_leave_the_same_patients_out_of_all_training_sets(
    patients, n_splits, n_inner, seed
):
    y, groups = cohort(*patients)
    outer = make_folds(Protocol(kind="cv", n_splits=min(n_splits, 6), seed=seed), y, groups)
    trains = [fold.train for fold in outer]
    tested = np.empty(len(y), int)
    for fold in outer:
        tested[fold.test] = fold.index
    divided = shared_inner_folds(y, groups, trains, tested, n_inner, seed)
    if divided is None:
        return
    part = {}
    for train, parts in zip(trains, divided, strict=True):
        assert sorted(np.concatenate([out for _, out in parts])) == list(range(len(train)))
        counts = count_by_class(y[train], groups[train])
        assert len(parts) <= min(n_inner, *counts.values())
        for number, (fit, out) in enumerate(parts):
            assert set(y[train][fit]) == set(y[train][out]) == set(y)
            for patient in groups[train][out].tolist():
                assert part.setdefault(patient, number) == number
            assert not set(groups[train][fit]) & set(groups[train][out])


def test_shared_inner_folds_have_about_the_same_numbers_of_each_class():
    y, groups = cohort(*["a", "b", "b", "b"] * 25)
    outer = make_folds(Protocol(kind="cv", n_splits=5), y, groups)
    tested = np.empty(len(y), int)
    for fold in outer:
        tested[fold.test] = fold.index
    for train, parts in zip(
        (fold.train for fold in outer),
        shared_inner_folds(y, groups, [fold.train for fold in outer], tested, 5, 0),
        strict=True,
    ):
        counts = [np.count_nonzero(y[train][out] == "a") for _, out in parts]
        assert max(counts) - min(counts) <= 2


def test_drawn_folds_are_those_of_scikit_learn():
    y, groups = cohort(*["aa", "b", "aaa", "bb"] * 6)
    folds = make_folds(Protocol(kind="cv", n_splits=4, seed=7), y, groups)
    drawn = StratifiedGroupKFold(4, shuffle=True, random_state=7).split(y, y, groups)
    for fold, (train, test) in zip(folds, drawn, strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
    assert folds.kind == "cross-validation"
    assert folds.grouped
    assert folds.seeds == (7,)
    assert folds.warnings == ()


def test_a_seed_that_leaves_a_fold_without_a_class_is_passed_over():
    y, groups = cohort("aabb", "aaaa", "ab", "aaaa", "aabb")
    first = StratifiedGroupKFold(3, shuffle=True, random_state=0).split(y, y, groups)
    assert any(len(set(y[test])) < 2 for _, test in first)
    folds = make_folds(Protocol(kind="cv", n_splits=3, seed=0), y, groups)
    assert folds.seeds[0] > 0
    check_folds(folds, y, groups, 1)
    repeated = make_folds(Protocol(kind="cv", n_splits=3, seed=0, repeats=2), y, groups)
    assert repeated.seeds[0] == folds.seeds[0] < repeated.seeds[1]


@pytest.mark.repeats
@pytest.mark.parametrize(("n_patients", "repeats"), [(499, 5), (500, 1)])
@pytest.mark.parametrize("named", [True, False])
def test_few_patients_are_divided_five_times(n_patients, repeats, named):
    y, groups = cohort(*["aa", "b"] * (n_patients // 2), *["a"] * (n_patients % 2))
    if not named:
        y, groups = y[:n_patients], None
    folds = make_folds(Protocol(kind="cv", n_splits=2), y, groups)
    assert len(folds.seeds) == repeats
    few = "This was repeated 5 times with new folds, as is the default below 500"
    assert (f"{few} {'patients' if named else 'samples'}." in folds.words) == (repeats > 1)
    first = make_folds(Protocol(kind="cv", n_splits=2, repeats=1), y, groups)
    for one, other in zip(first, folds, strict=False):
        np.testing.assert_array_equal(one.test, other.test)


@pytest.mark.repeats
def test_the_default_draws_as_often_as_it_can(monkeypatch):
    monkeypatch.setattr("bottleneck.data.splits.patients.SEEDS_TRIED", 1)
    y, groups = cohort("aabb", "aaaa", "ab", "aaaa", "aabb")
    n_drawn = set()
    for seed in range(12):
        try:
            folds = make_folds(Protocol(kind="cv", n_splits=3, seed=seed), y, groups)
        except ProtocolError:
            continue
        n_drawn.add(len(folds.seeds))
        check_folds(folds, y, groups, len(folds.seeds))
        if len(folds.seeds) < 5:
            with pytest.raises(ProtocolError, match="draws gave no"):
                make_folds(Protocol(kind="cv", n_splits=3, repeats=5, seed=seed), y, groups)
    assert min(n_drawn) < 5


def test_labels_that_no_seed_can_split_are_refused():
    # Two of any three patients share a fold, and the third lacks a class.
    y, groups = cohort("ab", "bc", "ac")
    with pytest.raises(ProtocolError, match=r"patients hold several classes.*fewer"):
        make_folds(Protocol(kind="cv", n_splits=2), y, groups)


def test_without_patients_samples_are_split_and_the_reader_warned():
    y = np.array(["a", "b"] * 10)
    for groups in (None, np.full(20, "")):
        folds = make_folds(Protocol(), y, name_patients(groups))
        assert not folds.grouped
        assert folds.warnings[0].startswith(
            "no patients named: images of one patient may be on both sides of a split"
        )
        drawn = StratifiedKFold(5, shuffle=True, random_state=0).split(y, y)
        for fold, (_, test) in zip(folds, drawn, strict=True):
            np.testing.assert_array_equal(fold.test, test)


def test_rows_without_a_patient_are_patients_of_their_own():
    groups = np.array(["p", "", "p", ""])
    named = name_patients(groups, np.array(["i", "j", "k", "l"]))
    assert len(set(named)) == 3
    assert named[0] == named[2] == "p"
    y = np.array(["a", "b"] * 12)
    some = np.array(["p0", "p0", *[""] * 22])
    folds = make_folds(Protocol(n_splits=3), y, name_patients(some), n_unnamed=22)
    assert folds.grouped
    assert folds.warnings == ("22 samples without a patient: each counts as a patient of its own",)


def test_fixed_split_trains_on_validation_too():
    y = np.array(["a", "b"] * 4)
    splits = np.array(["train", "train", "val", "val", "test", "test", "train", "train"])
    groups = np.array(list("ssttuuvv"))
    for kind in ("auto", "split"):
        folds = make_folds(Protocol(kind=kind), y, groups, splits)
        (fold,) = folds
        assert folds.kind == "fixed split"
        assert fold.train.tolist() == [0, 1, 2, 3, 6, 7]
        assert fold.test.tolist() == [4, 5]
        assert "training and validation sets (6 images)" in folds.words
    assert make_folds(Protocol(kind="cv", n_splits=2), y, groups, splits).kind == "cross-validation"


def test_a_split_without_a_test_part_is_no_fixed_split():
    y, groups = cohort(*"ab" * 6)
    splits = np.array(["train", "train", "val", "val"] * 3)
    assert make_folds(Protocol(), y, groups, splits).kind == "cross-validation"
    with pytest.raises(ProtocolError, match="has no training and test set of its own"):
        make_folds(Protocol(kind="split"), y, groups, splits)


def test_published_folds_are_kept():
    y = np.array(["a", "b"] * 6)
    published = np.repeat(["1", "2", "3"], 4)
    folds = make_folds(Protocol(), y, None, None, published)
    assert folds.kind == "given folds"
    assert [fold.test.tolist() for fold in folds] == [[*range(4)], [*range(4, 8)], [*range(8, 12)]]
    check_folds(folds, y, np.arange(12).astype(str), 1)


def test_half_published_folds_are_replaced_or_refused():
    y = np.array(["a", "b"] * 6)
    published = np.array(["1", "2"] * 5 + ["", ""])
    folds = make_folds(Protocol(), y, None, None, published)
    assert folds.kind == "cross-validation"
    assert "drawn at random" in folds.warnings[-1]
    with pytest.raises(ProtocolError, match=r"no fold for 2 of 12 samples.*--protocol cv"):
        make_folds(Protocol(kind="folds"), y, None, None, published)


@pytest.mark.parametrize(
    ("patients", "n_splits", "message"),
    [
        (["aa", "a"], 2, "all 3 samples are of class 'a'"),
        (["ab"], 2, "of one patient"),
        (["a"] * 9 + ["bb"] * 3, 5, r"class 'b' has 3 patients \(6 samples\).*for 3 or less"),
        (["a"] * 9 + ["bb"], 2, r"class 'b' has 1 patient \(2 samples\), so no two folds"),
    ],
)
def test_too_few_patients_are_refused_with_what_would_work(patients, n_splits, message):
    y, groups = cohort(*patients)
    with pytest.raises(ProtocolError, match=message):
        make_folds(Protocol(kind="cv", n_splits=n_splits), y, groups)


def test_the_number_of_folds_that_is_advised_works():
    y, groups = cohort(*["a"] * 9, *["bb"] * 3)
    check_folds(make_folds(Protocol(kind="cv", n_splits=3), y, groups), y, groups, 1)


def test_a_patient_on_both_sides_is_refused_without_being_named():
    y = np.array(["a", "b"] * 4)
    secret = np.array(["jane"] * 2 + ["p1", "p2", "jane", "p3", "p4", "p5"])
    sides = np.repeat(["train", "test"], 4)
    with pytest.raises(ProtocolError, match=r"1 patient into both sides.*--protocol cv") as caught:
        make_folds(Protocol(), y, secret, sides)
    assert "jane" not in str(caught.value)
    with pytest.raises(ProtocolError, match="1 patient into several of its published folds"):
        make_folds(Protocol(), y, secret, None, np.repeat(["1", "2"], 4))
    with pytest.raises(ProtocolError, match=r"into several of its centres.* write A-7 and B-7 if"):
        make_folds(Protocol(kind="centres"), y, secret, centres=np.repeat(["A", "B"], 4))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["train", "train", "test", "test", "", ""], "2 of 6 samples have no split"),
        (["train", "train", "test", "test", "dev", "test"], "1 of 6 samples have the split 'dev'"),
        (
            ["train", "train", "train", "train", "test", "train"],
            "test set .* none of the 3 samples of 'b'",
        ),
        (
            ["train", "test", "test", "test", "test", "test"],
            "training set .* of the 3 samples of 'b'",
        ),
    ],
)
def test_fixed_splits_that_cannot_be_used_are_refused(splits, message):
    y = np.array(["a", "b"] * 3)
    with pytest.raises(ProtocolError, match=message):
        make_folds(Protocol(), y, None, np.array(splits))


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (
            ["1", "1", "1", "1", "2", "1"],
            "without the published fold '1' holds none of the 3 samples of 'b'",
        ),
        (["1", "2", "1", "2", "1", "2"], "published fold '1' holds none of the 3 samples of 'b'"),
        (["1"] * 6, "a single fold"),
    ],
)
def test_published_folds_that_cannot_be_used_are_refused(folds, message):
    y = np.array(["a", "b"] * 3)
    with pytest.raises(ProtocolError, match=message):
        make_folds(Protocol(kind="folds"), y, None, None, np.array(folds))


def test_repeats_of_a_fixed_split_are_refused():
    y = np.array(["a", "b"] * 4)
    with pytest.raises(ProtocolError, match="10 repeats would all be the same"):
        make_folds(Protocol(repeats=10), y, None, np.repeat(["train", "test"], 4))


def test_inner_folds_need_two_patients_of_every_class():
    y, groups = cohort("a", "a", "a", "bb")
    with pytest.raises(ProtocolError, match="one training set holds 1 patient of class 'b'"):
        inner_folds(y, groups, 5, 0)


def test_inner_folds_of_a_training_part_with_mixed_patients_shrink_rather_than_fail():
    y, groups = cohort("abb", "bb", "abb", "bbbb", "aaa", "abb")
    folds = inner_folds(y, groups, 5, 0)
    assert len(folds) >= 2
    assert all(len(set(y[rows])) == 2 for rows in itertools.chain(*folds))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "loocv"}, "unknown protocol 'loocv'.*auto, centres, cv, folds, split"),
        ({"n_splits": 1}, "folds must be a whole number from 2 to 10,000, not 1"),
        ({"n_splits": 2.5}, "not 2.5"),
        ({"repeats": 0}, "repeats must be a whole number from 1 to 10,000, not 0"),
        (
            {"inner_splits": 1},
            "inner_splits must be a whole number from 2 to 10,000, not 1",
        ),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_protocols_that_cannot_be_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Protocol(**options)


def test_groups_larger_than_patients_are_kept_together():
    y, patients = cohort(*["ab"] * 12)
    groups = np.where(np.isin(patients, np.unique(patients)[:3]), "joined", patients)
    protocol = Protocol(kind="cv", n_splits=4, repeats=5)
    check_folds(make_folds(protocol, y, patients, groups=groups), y, groups, 5)
    sides = np.repeat(["train", "test"], 12)
    sides[:2] = "test"
    with pytest.raises(ProtocolError, match="1 group of identical or near-duplicate images"):
        make_folds(Protocol(), y, patients, sides, groups=groups)
    allowed = make_folds(Protocol(allow_leakage=True), y, patients, sides, groups=groups)
    assert not allowed.grouped
