"""Findings on regions of one volume that overlap."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck import FeatureSet
from bottleneck.audit import region_overlap
from bottleneck.audit.audit import audit_features, restate
from bottleneck.audit.region_overlap import describe_overlaps


def regions(sources, points, *, edge=50.0, groups=None, folds=None):
    """Features of cubes around points in volumes."""
    n = len(sources)
    X = np.random.default_rng(0).normal(size=(n, 4))
    features = FeatureSet.from_arrays(X, np.arange(n) % 2, groups=groups or list(sources))
    points = np.array(points, float)
    boxes = np.concatenate([points - edge / 2, points + edge / 2], axis=1)
    column = None if folds is None else np.array(folds)
    return dataclasses.replace(features, sources=np.array(list(sources)), boxes=boxes, folds=column)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.tuples(*[st.integers(0, 4)] * 3),
            st.sampled_from(["", "1", "2"]),
        ),
        min_size=2,
        max_size=10,
    )
)
def test_pairs_are_those_of_the_definition(rows):
    sources, cells, folds = map(list, zip(*rows, strict=True))
    features = regions(sources, np.array(cells) * 20.0, edge=30.0)
    found = describe_overlaps(features, {"folds": np.array(folds)})
    leaks, notes = set(), set()
    for a, b in itertools.combinations(range(len(rows)), 2):
        # Cubes of 30 mm on a lattice of 20 mm overlap with their neighbours along each axis.
        near = all(abs(p - q) <= 1 for p, q in zip(cells[a], cells[b], strict=True))
        if sources[a] == sources[b] and near:
            divided = folds[a] != folds[b] and folds[a] and folds[b]
            (leaks if divided else notes).add((a, b))
    listed = {finding.severity: finding for finding in found}
    for severity, expected in (("leak", leaks), ("note", notes)):
        finding = listed.pop(severity, None)
        assert expected == (set() if finding is None else set(map(tuple, finding.pairs)))
        assert finding is None or finding.count == len(expected)
    assert not listed


@pytest.mark.parametrize(("distance", "n"), [(49.99, 1), (50.0, 0), (51.0, 0)])
def test_regions_that_touch_do_not_overlap(distance, n):
    for axis in range(3):
        features = regions("aa", [[0.0] * 3, np.eye(3)[axis] * distance])
        assert sum(f.count for f in describe_overlaps(features, {})) == n


def test_an_audit_has_the_finding():
    features = regions("aabb", [[0, 0, 0], [10, 0, 0], [0, 0, 0], [90, 0, 0]], folds=list("1212"))
    found = audit_features(features)
    texts = {f.text: f for f in found.leaks if f.kind == "overlapping regions"}
    (text,) = texts
    assert text.startswith(
        "1 pair of regions of one volume that overlap: they are in different fol"
    )
    assert texts[text].pairs == ((0, 1),)
    again = restate(found, features, np.array(list("1122")), joined=True)
    (note,) = [f for f in again.findings if f.kind == "overlapping regions"]
    assert (note.severity, note.count) == ("note", 1)


def test_a_volume_of_two_patients_is_a_leak():
    features = regions("aa", [[0, 0, 0], [1, 0, 0]], groups=["p", "q"])
    (finding,) = describe_overlaps(features, {})
    assert (finding.severity, finding.count) == ("leak", 1)
    assert "name the patient of each volume" in finding.text


def test_many_pairs_are_counted_and_some_listed():
    features = regions(["a"] * 60, np.zeros((60, 3)))
    (finding,) = describe_overlaps(features, {})
    assert finding.count == 60 * 59 // 2
    assert len(finding.pairs) == 1_000


def test_many_regions_of_one_volume_are_compared_some_at_a_time(monkeypatch):
    points = np.random.default_rng(3).uniform(0, 200, (80, 3))
    features = regions(["a"] * 80, points)
    monkeypatch.setattr(region_overlap, "_BLOCK", 7)
    (finding,) = describe_overlaps(features, {})
    expected = {
        (a, b)
        for a, b in itertools.combinations(range(80), 2)
        if np.abs(points[a] - points[b]).max() < 50
    }
    assert set(finding.pairs) == expected


def test_images_have_none():
    features = FeatureSet.from_arrays(np.eye(4), [0, 1, 0, 1])
    assert describe_overlaps(features, {}) == []
