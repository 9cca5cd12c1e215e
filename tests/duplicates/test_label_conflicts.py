"""Copies with different labels: which images they are, and what is done with them."""

from __future__ import annotations

import itertools
from collections import Counter

import networkx as nx
import numpy as np
import pytest

from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair
from bottleneck.duplicates.label_conflicts import find_conflicting, resolve_conflicts
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups, leak_safe_groups
from bottleneck.duplicates.near_duplicates import NearDuplicateSearch
from bottleneck.errors import ProtocolError

HOW = ("drop", "keep", "majority")


def searched(*pairs: tuple[int, int, float], identical: tuple = (), capped: bool = False):
    near = [DuplicatePair(a, b, False, r, None) for a, b, r in pairs]
    same = [DuplicatePair(a, b, True, 1.0, 1.0) for a, b in identical]
    certain = 0.99 if capped else 0.7
    search = NearDuplicateSearch(tuple(near), 0.7, 0.6, 0.9, 100, capped, certain)
    return LeakSafeGroups(None, (*near, *same), search)


def expected_sets(y, same, near):
    """By another library: images are nodes that identical pixels join into one."""
    identical = nx.Graph(same)
    identical.add_nodes_from(range(len(y)))
    number = {row: n for n, rows in enumerate(nx.connected_components(identical)) for row in rows}
    tied = nx.Graph()
    for a, b in (*same, *near):
        rows = [r for r in number if number[r] in (number[a], number[b])]
        if len({y[r] for r in rows}) > 1:
            tied.add_edges_from(itertools.pairwise(rows))
    return sorted(tuple(sorted(rows)) for rows in nx.connected_components(tied))


@pytest.mark.parametrize("seed", range(30))
def test_sets_are_those_of_another_library(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 24
    pairs = [tuple(sorted(rng.choice(n, 2, replace=False).tolist())) for _ in range(14)]
    same, near = pairs[:6], pairs[6:]
    # The last three are not copies, so that every class stays.
    y = np.array([*rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]), "a", "b", "c"])
    n += 3
    copies = searched(*((a, b, 0.8) for a, b in near), identical=tuple(same))
    found = find_conflicting(copies, y)
    assert list(found) == expected_sets(y, same, near)
    for how in HOW:
        done = resolve_conflicts(copies, y, np.arange(n).astype(str), how)
        for rows in found:
            counts = Counter(y[list(rows)].tolist()).most_common()
            tie = len(counts) > 1 and counts[0][1] == counts[1][1]
            out = how == "drop" or (how == "majority" and tie)
            assert set(rows) <= set(done.dropped.tolist()) or not out
            if how == "majority" and not tie:
                assert set(done.y[list(rows)]) == {counts[0][0]}
                assert not set(rows) & set(done.dropped.tolist())
        rest = np.setdiff1d(np.arange(n), [r for rows in found for r in rows])
        np.testing.assert_array_equal(done.y[rest], y[rest])
        assert set(rest) <= set(done.kept.tolist())


def test_only_certain_copies_conflict() -> None:
    y = np.array(["a", "b", "a", "b", "a"])
    # A chain of frames of one label is not drawn in by its last neighbour.
    assert find_conflicting(searched((0, 2, 0.9), (2, 3, 0.9)), y) == ((2, 3),)
    # A pair that only its features confirm, and one below the limit where images share a frame.
    assert find_conflicting(searched((0, 1, 0.65)), y) == ()
    assert find_conflicting(searched((0, 1, 0.9), capped=True), y) == ()
    assert find_conflicting(searched((0, 1, 0.995), capped=True), y) == ((0, 1),)


def test_many_identical_images_are_one_set() -> None:
    ids = np.arange(90).astype(str)
    pixels = np.where(np.arange(90) < 70, "same", ids)
    y = np.where(np.arange(90) % 7 == 0, "b", "a")
    copies = leak_safe_groups(None, None, ids, pixels=pixels)
    assert find_conflicting(copies, y) == (tuple(range(70)),)
    done = resolve_conflicts(copies, y, ids, "majority")
    assert set(done.y[:70]) == {"a"}
    assert done.relabelled.tolist() == list(range(0, 70, 7))


def test_stop_names_the_copies() -> None:
    ids = np.array(["1.png", "2.png", "3.png", "4.png"])
    y = np.array(["benign", "malignant", "benign", "malignant"])
    copies = leak_safe_groups(None, None, ids, pixels=np.array(["x", "x", "y", "z"]))
    with pytest.raises(ProtocolError, match=r"1 set .*'1.png' \(benign\), '2.png' \(malignant\)"):
        resolve_conflicts(copies, y, ids, "stop")
    none = leak_safe_groups(None, None, ids, pixels=ids)
    assert resolve_conflicts(none, y, ids, "stop").sets == ()
    with pytest.raises(ProtocolError, match="no sample of 'benign' is left"):
        resolve_conflicts(copies, np.array(["benign", "c", "c", "c"]), ids, "drop")
