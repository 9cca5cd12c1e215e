"""Feature sets from arrays and data frames: what is read, and what is refused."""

from __future__ import annotations

import decimal
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from bottleneck import BottleneckError, FeatureSet, audit_features

N = 12
X = np.random.default_rng(0).normal(size=(N, 3))
Y = [0, 1] * (N // 2)
FRAME = pd.DataFrame(X, columns=["area", "mean", "edge"], index=[f"s{i}" for i in range(N)])


def with_value(row, column, value, dtype=float):
    changed = X.astype(dtype)
    changed[row, column] = value
    return changed


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i8", "?"])
def test_numbers_of_every_type_are_what_numpy_makes_of_them(dtype):
    values = (X * 10).astype(dtype)
    frozen = np.asfortranarray(values)
    frozen.flags.writeable = False
    for given_values in (values, frozen, values.tolist(), pd.DataFrame(values)):
        features = FeatureSet.from_arrays(given_values, Y)
        assert features.X.dtype == np.float32
        np.testing.assert_array_equal(features.X, values.astype(np.float32))
    objects = np.array([[decimal.Decimal(str(v)) for v in row] for row in X.round(3)], object)
    np.testing.assert_allclose(FeatureSet.from_arrays(objects, Y).X, X.round(3), rtol=1e-6)


def test_later_changes_of_the_array_do_not_reach_the_features():
    own = X.astype(np.float32)
    features = FeatureSet.from_arrays(own, Y)
    own[:] = 0
    assert features.X.any()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "m"], ("b", "m")),
        ([0, 1], ("0", "1")),
        ([0.0, 1.0], ("0", "1")),
        ([False, True], ("False", "True")),
        (np.array([b"b", b"m"]), ("b", "m")),
        (pd.Categorical(["b", "m"], categories=["m", "b", "unused"]), ("b", "m")),
        (pd.array([0, 1], dtype="Int64"), ("0", "1")),
        (np.array([-3, 7], np.int8), ("-3", "7")),
    ],
)
def test_labels_become_text(labels, names):
    y = pd.Series(list(labels) * (N // 2), dtype=getattr(labels, "dtype", None))
    for values in (y, y.to_numpy(), list(y)):
        assert FeatureSet.from_arrays(X, values).classes == names


def test_spellings_of_one_label_and_patient_are_joined_with_a_warning():
    with pytest.warns(UserWarning, match="letter case"):
        features = FeatureSet.from_arrays(X, ["Benign", "benign", "cyst"] * 4, ["p1", "P1"] * 6)
    assert features.classes == ("Benign", "cyst")
    assert len(set(features.stated_patients.tolist())) == 1


def test_a_column_that_is_the_label_is_named():
    with pytest.warns(UserWarning, match="column 'target' of X has one value for each label"):
        FeatureSet.from_arrays(FRAME.assign(target=Y), pd.Series(Y, index=FRAME.index))


def test_ids_are_those_given_or_of_the_index_or_numbers():
    assert FeatureSet.from_arrays(FRAME, Y).ids[0] == "s0"
    assert FeatureSet.from_arrays(X, Y).ids[1] == "1"
    assert FeatureSet.from_arrays(FRAME.set_axis([0] * N), Y).ids[1] == "1"
    assert FeatureSet.from_arrays(X, Y, ids=range(5, 5 + N)).ids[0] == "5"
    pairs = pd.MultiIndex.from_product([["a", "b"], range(N // 2)])
    assert FeatureSet.from_arrays(FRAME.set_axis(pairs), Y).ids[1] == "a/1"


def test_the_recipe_is_the_columns_and_their_name():
    sets = [
        FeatureSet.from_arrays(FRAME, Y),
        FeatureSet.from_arrays(FRAME * 2, Y, name="other"),
        FeatureSet.from_arrays(X, Y),
        FeatureSet.from_arrays(FRAME[["mean", "area", "edge"]], Y),
        FeatureSet.from_arrays(FRAME, Y, recipe="radiomics"),
    ]
    assert sets[0].recipe_hash == sets[1].recipe_hash
    assert len({one.recipe_hash for one in sets}) == 4
    assert sets[4].title == "radiomics (3 columns)"
    assert sets[0].provenance["recipe"]["columns"] == ["area", "mean", "edge"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2], [3]], [0, 1]), "rows of different lengths"),
        ((X[:, 0], Y), r"2-D.*reshape\(-1, 1\)"),
        ((X[None], Y), "2-D.*pool"),
        ((X[:0], []), "X has no row"),
        ((X[:, :0], Y), "X has no column"),
        ((scipy.sparse.csr_array(X), Y), r"sparse matrix: pass X.toarray\(\)"),
        (((row for row in X), Y), r"generator.*list\(X\)"),
        (("features.h5", Y), "load_features"),
        (({"a": X}, Y), "mapping"),
        ((X.astype(complex), Y), "complex128, not numbers"),
        ((X.astype("M8[s]"), Y), "datetime64"),
        ((X.astype(str), Y), "must hold only numbers: encode texts"),
        ((with_value(2, 1, None, object), Y), "missing values.*row 2, column 1"),
        ((with_value(2, 1, np.nan), Y), "missing values.*row 2, column 1"),
        ((with_value(2, 1, np.inf), Y), "infinite values.*row 2, column 1"),
        ((np.ma.masked_greater(X, 1), Y), "missing values"),
        ((X * 1e60, Y), "float32 cannot"),
        ((X + 1e12, Y), "float32 cannot"),
        ((np.arange(N)[:, None] + 2**62, Y), "float32 cannot"),
        ((np.arange(N)[:, None] + 2**25, Y), "float32 cannot"),
        ((FRAME.assign(sex="f"), Y), "'f' in row 0"),
        ((FRAME.assign(sex=pd.Categorical(["f"] * N)), Y), "column 'sex' of the type category"),
        ((FRAME.assign(edge=pd.array([None] * N, dtype="Float64")), Y), "column 'edge'"),
        ((FRAME.set_axis(["a", "b", "a"], axis=1), Y), "several columns called 'a'"),
        ((FRAME, pd.Series(Y)), r"X and b = y .*pass b.to_numpy\(\)"),
        ((FRAME, pd.Series(Y, FRAME.index[::-1])), r"b = b.loc\[a.index\]"),
        ((X, Y[:5]), "5 labels, and X 12 rows"),
        ((X, None), "not None"),
        ((X, "malignant"), "single value"),
        ((X, np.eye(2)[Y]), r"argmax\(axis=1\)"),
        ((X, np.array(Y)[:, None]), r"ravel\(\)"),
        ((X, pd.DataFrame({"label": Y})), "not a data frame"),
        ((X, np.where(Y, 1, np.nan)), "no label .* 6 of 12 rows, first in row 0"),
        ((X, pd.array([pd.NA, 1] * 6, dtype="Int64")), "no label"),
        ((X, X[:, 0]), "divide a measurement into classes"),
        ((X, ["NA", "b"] + ["a", "b"] * 5), "means that there is none"),
        ((X, ["unknown"] + ["a"] * 5 + ["b"] * 6), "is 'unknown'.*a class"),
        ((X, [object()] * N), "not a name of a label"),
        ((X, ["a\0", "b"] * 6), "NUL"),
        ((X, Y, ["p"] * 5), "5 patients, and X 12 rows"),
        ((X, Y, np.where(Y, 1, np.nan)), "no patient .* write ''"),
        ((X, Y, ["007", "7"] * 6), "leading zeros"),
        ((X, Y, None, ["a"] * N), "'a' several times"),
        ((X, Y, None, [1, "1", *range(2, N)]), "'1' several times"),
        ((X, Y, None, [None] * N), "ids has no id"),
        ((X, Y, None, ["", *"abcdefghijk"]), "1 empty text"),
    ],
)
def test_what_is_no_table_of_samples_is_refused_with_advice(arguments, message):
    with pytest.raises(BottleneckError, match=message):
        FeatureSet.from_arrays(*arguments)


@pytest.mark.parametrize("options", [{"name": ""}, {"name": "a/b"}, {"recipe": " "}, {"name": 3}])
def test_names_are_texts(options):
    with pytest.raises(BottleneckError, match="name"):
        FeatureSet.from_arrays(X, Y, **options)


def test_unknown_patients_are_patients_of_their_own():
    features = FeatureSet.from_arrays(X, Y, ["", "", *"abcdeabcde"])
    assert features.n_unnamed == 2
    assert len(set(features.groups.tolist())) == 7
    with pytest.warns(UserWarning, match="is not a name"):
        nobody = FeatureSet.from_arrays(X, Y, [-1] * 4 + [1, 2] * 4)
    assert nobody.n_unnamed == 4


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, N - 1)), max_size=6))
def test_samples_with_equal_features_are_in_one_group(copies):
    """The groups are those that come of joining pairs of patients one by one."""
    rows = np.tile(X, (2, 1)) + np.repeat([[0.0], [50.0]], N, axis=0)
    for to, source in copies:
        rows[to] = rows[source + N]
    patients = np.arange(2 * N) // 2
    features = FeatureSet.from_arrays(rows, Y * 2, patients)
    expected = {frozenset([p]) for p in patients.tolist()}
    for a in range(2 * N):
        for b in range(a):
            if (features.X[a] == features.X[b]).all():
                joined = {one for one in expected if one & {int(patients[a]), int(patients[b])}}
                expected = (expected - joined) | {frozenset().union(*joined)}
    groups = {frozenset(patients[features.groups == g].tolist()) for g in set(features.groups)}
    assert groups == expected


def test_the_audit_names_equal_features_of_different_patients():
    rows = X.copy()
    rows[11] = rows[0]
    features = FeatureSet.from_arrays(rows, Y, np.arange(N) // 2)
    audit = audit_features(features, folds=["a"] * 6 + ["b"] * 6)
    (leak,) = audit.leaks
    assert leak.code == "BF103"
    assert leak.pairs == ((0, 11),)
    assert audit.ties == (
        "1 pair of copies (samples with equal features) ties 2 of 6 patients into 1 group."
    )


def test_features_of_few_values_are_equal_by_chance():
    few = np.random.default_rng(0).integers(0, 2, (60, 4))
    features = FeatureSet.from_arrays(few, [0, 1] * 30, np.arange(60) // 2)
    assert len(set(features.groups.tolist())) == 30
    assert "by chance" in audit_features(features).findings[-1].text


def test_sound_arrays_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FeatureSet.from_arrays(X, Y, np.arange(N) // 2)
