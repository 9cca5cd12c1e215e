"""A part of a feature set is what numpy takes of it, says that it is a part, and is as safe."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_features import make_features

from bottleneck.data.labels.selection import Selection
from bottleneck.duplicates.label_conflicts import resolve_conflicts
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.cross_validation.arms import match_rows
from bottleneck.evaluation.results.methods_text import describe_dataset
from bottleneck.features.file.reader import load_features
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.report.figures.flow_diagram import flow

N = 24


def made(**fields: Any) -> FeatureSet:
    rng = np.random.default_rng(5)
    whole = {
        "sha256": np.array([f"{i:064x}" for i in range(N)]),
        "pixels": np.array([f"{i:064x}" for i in range(N)]),
        "thumbnails": rng.integers(0, 256, (N, 32, 32), np.uint8),
        "size": np.full((N, 2), 32, np.int32),
        "brightness": rng.uniform(0, 255, N).astype(np.float32),
        "sources": np.array([f"images/{i}.png" for i in range(N)]),
        "regions": np.array([(-1,) * 4 if i % 2 else (0, 0, i + 1, 9) for i in range(N)], np.int32),
        "centres": np.array(["Bern", "Basel"])[np.arange(N) // 4 % 2],
        "failures": (("lost", "no image"),),
        "failed_samples": (FailedSample("lost", "benign", "patient-99"),),
    }
    return make_features(n_patients=N // 2, images=2, **(whole | fields))


def columns(features: FeatureSet) -> dict[str, Any]:
    return {
        field.name: value
        for field in dataclasses.fields(features)
        if isinstance(value := getattr(features, field.name), np.ndarray)
    }


MASK = np.arange(N) % 3 == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda f: MASK,
        lambda f: MASK.tolist(),
        lambda f: pd.Series(MASK),
        lambda f: pd.Series(MASK, dtype="boolean"),
        lambda f: pd.DataFrame({"chosen": MASK}),
        lambda f: pd.Series(MASK, index=f.ids).sample(frac=1, random_state=0),
        lambda f: f.ids[MASK],
        lambda f: pd.Series(f.ids[MASK], index=range(100, 108)),
        lambda f: (name for name in f.ids[MASK]),
        lambda f: pd.Categorical(f.ids[MASK]),
    ],
)
def test_a_part_is_what_numpy_takes(make: Any) -> None:
    features = made()
    part = features.select(make(features))
    for name, column in columns(part).items():
        assert np.array_equal(column, getattr(features, name)[MASK]), name


def test_ids_have_the_order_of_the_list() -> None:
    features = made()
    wanted = features.ids[[7, 2, 11]]
    part = features.select(wanted.tolist())
    assert part.ids.tolist() == wanted.tolist()
    assert np.array_equal(part.X, features.X[[7, 2, 11]])


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (None, "this is None"),
        ("image-001", "put a single id in a list"),
        ({"image-001": True}, "this is {'image-001': True}"),
        (slice(3), "this is slice(None, 3, None)"),
        (3, "this is 3"),
        ([1, 2], "features.ids[numbers]"),
        (np.array([0, 1]), "features.ids[numbers]"),
        ([True], "has 1 value, and 'phantom' has 24 samples"),
        (np.zeros(N, bool), "none of the 24 samples"),
        ([], "none of the 24 samples"),
        (["image-001"] * 2, "'image-001' is listed 2 times"),
        (["image-01"], "similar ids: 'image-0"),
        (["nothing"], "no sample with the id 'nothing'. Its first id is 'image-000'"),
        (["lost"], "the sample 'lost' has no features: no image"),
        (np.ones((N, 2), bool), "2 dimensions"),
        ([True] * (N - 1) + [None], "1 missing value"),
        (pd.array([True] * (N - 1) + [pd.NA]), "1 missing value"),
        (["image-001", None], "one of the ids is missing"),
        ([True] * (N - 1) + ["image-001"], "a mask, with True or False"),
        (pd.Series(MASK, index=range(1, N + 1)), "neither 0, 1, 2"),
        (pd.Series(MASK).sort_values(), "neither 0, 1, 2"),
        (pd.DataFrame({"a": MASK, "b": MASK}), "2 columns"),
        ([b"image-001"], "a list of ids"),
    ],
)
def test_what_cannot_be_meant_is_refused(chosen: Any, words: str) -> None:
    with pytest.raises(UsageError) as error:
        made().select(chosen)
    assert words in str(error.value)


def test_an_index_of_numbers_is_matched_only_where_it_is_clear() -> None:
    mask = pd.Series(MASK)
    numbered = made(ids=np.arange(N).astype(str))
    assert np.array_equal(numbered.select(mask).X, numbered.X[MASK])
    assert np.array_equal(numbered.select(mask[::-1]).X, numbered.X[MASK])
    shuffled = made(ids=np.arange(N)[::-1].astype(str))
    with pytest.raises(UsageError, match="both 0, 1, 2"):
        shuffled.select(mask)
    assert np.array_equal(shuffled.select(mask.to_numpy()).X, shuffled.X[MASK])


def test_a_part_says_what_it_is_a_part_of() -> None:
    features = made()
    part = features.select(MASK, reason="too small")
    about = part.provenance["dataset"]
    assert about["part_of"] == {"fingerprint": "f" * 64, "n_samples": N, "selected": 8}
    assert about["fingerprint"] != "f" * 64
    everyone = resolve_conflicts(part.leak_safe_groups, part.y, part.ids, "drop")
    diagram = flow(describe_dataset(part, None, everyone))
    assert (diagram.used, diagram.excluded, diagram.found) == (8, {"too small": 16}, N + 1)
    # However a part is made, it is the same part; and never the whole.
    twice = features.select(np.arange(N) % 2 == 0).select(features.ids[np.arange(N) % 6 == 0])
    once = features.select(np.arange(N) % 6 == 0)
    assert match_rows(once, twice).tolist() == [0, 1, 2, 3]
    with pytest.raises(ProtocolError, match="different samples"):
        match_rows(features, part)
    assert features.select(np.ones(N, bool)).provenance == features.provenance


def test_groups_of_a_part_follow_from_its_own_images(tmp_path: Path) -> None:
    # One image of patient 1 is a copy of one of patient 0, another of one of patient 2.
    pixels = np.array([f"{i:064x}" for i in range(N)])
    pixels[[0, 2]], pixels[[3, 4]] = "a" * 64, "b" * 64
    features = made(pixels=pixels)
    assert len(set(features.groups[:6])) == 1
    left_out = features.ids[[2]].tolist()
    rest = features.select(~np.isin(features.ids, left_out))
    saved = load_features(rest.save(tmp_path / "rest.h5"))
    chosen = features.choose(Selection(exclude=left_out))
    came_without = features.take(np.flatnonzero(~np.isin(features.ids, left_out)))
    for part in (rest, saved, chosen):
        assert part.groups.tolist() == came_without.groups.tolist()
        assert len(set(part.groups[:5])) == 2  # Patients 1 and 2 still share an image.


@pytest.mark.parametrize("bare", [False, True])
def test_a_saved_set_reads_back_equal(tmp_path: Path, bare: bool) -> None:
    features = make_features() if bare else made()
    read = load_features(features.save(tmp_path / "new" / "saved.h5"))
    assert columns(read).keys() == columns(features).keys()
    for name, column in columns(read).items():
        assert np.array_equal(column, getattr(features, name)), name
    assert read.failures == features.failures
    assert read.failed_samples == features.failed_samples
    assert read.provenance["dataset"] == features.provenance["dataset"]
    assert np.array_equal(read.groups, features.groups)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ids": np.array(["same"] * N)}, "the same id"),
        ({"X": np.full((N, 2), 0.1)}, "32 bits"),
        ({"size": np.zeros((N, 2), np.int32)}, "'size' has values out of range"),
        ({"sha256": np.array(["é"] * N)}, "'sha256' has values out of range"),
        ({"y": np.array(["a\0b"] * N)}, "NUL"),
        ({"centres": np.array(["Bern"])}, "'centres' has the shape (1,)"),
        ({"provenance": {"recipe": {}}}, "its provenance"),
    ],
)
def test_what_no_file_can_hold_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as error:
        dataclasses.replace(made(), **change).save(tmp_path / "odd.h5")
    assert words in str(error.value)
    assert not list(tmp_path.glob("*.h5"))


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = made().save(tmp_path / "mine.h5")
    before = path.read_bytes()
    for other, words in ((path, "exists"), (tmp_path, "folder"), (tmp_path / "a.npz", ".h5")):
        with pytest.raises(UsageError, match=words):
            make_features().save(other)
    assert path.read_bytes() == before
    make_features().save(path, overwrite=True)
    assert load_features(path).thumbnails is None
