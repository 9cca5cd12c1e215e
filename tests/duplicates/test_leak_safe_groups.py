"""Leak-safe groups: patients joined through identical and near-duplicate images."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
from made_features import make_features
from sklearn.model_selection import GroupKFold

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import decode, make_thumbnail
from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.duplicates.leak_safe_groups import leak_safe_groups


@pytest.fixture(scope="module")
def thumbnails() -> np.ndarray:
    """One frame of each of 60 patients."""
    dataset: ImageDataset = phantom_dataset(n_patients=60)
    first = {s.group: s for s in reversed(dataset.samples)}
    images = [decode(dataset.read(s), s.region) for s in first.values()]
    return np.stack([make_thumbnail(image) for image in images])


def test_groups_are_the_connected_components_of_patients() -> None:
    rng = np.random.default_rng(0)
    ids = np.arange(300).astype(str)
    patients = np.char.add("p", rng.integers(0, 120, 300).astype(str))
    pixels = rng.integers(0, 270, 300).astype(str)
    groups = leak_safe_groups(None, patients, ids, pixels=pixels)
    graph = networkx.Graph(zip(patients.tolist(), np.char.add("image ", pixels), strict=True))
    components = list(networkx.connected_components(graph))
    assert groups.names is not None
    for component in components:
        rows = np.isin(patients, list(component))
        assert len(set(groups.names[rows])) == 1
        assert groups.names[rows][0] == patients[rows][0]
    assert len(set(groups.names)) == len(components)


def test_near_duplicates_join_patients_without_features(thumbnails: np.ndarray) -> None:
    copies = np.concatenate([thumbnails, thumbnails[:3, :, ::-1], thumbnails[3:5, ::-1]])
    ids = np.arange(65).astype(str)
    patients = np.char.add("p", ids)
    groups = leak_safe_groups(copies, patients, ids)
    assert groups.names is not None
    np.testing.assert_array_equal(groups.names[60:], patients[:5])
    np.testing.assert_array_equal(groups.names[:60], patients[:60])
    assert [(p.a, p.b) for p in groups.pairs] == [(k, 60 + k) for k in range(5)]
    assert all(p.similarity is None for p in groups.pairs)
    # Rows without a thumbnail are not compared.
    some = leak_safe_groups(copies, patients, ids, searched=np.r_[:20, 60:62])
    assert [(p.a, p.b) for p in some.pairs] == [(0, 60), (1, 61)]


def test_without_patients_duplicates_alone_make_groups() -> None:
    ids = np.array(["a", "b", "c"])
    assert leak_safe_groups(None, None, ids, pixels=ids).names is None
    names = leak_safe_groups(None, None, ids, pixels=np.array(["1", "2", "1"])).names
    assert names is not None
    assert names.tolist() == ["sample a", "sample b", "sample a"]


def test_groups_of_features_are_safe_with_the_splitters_of_scikit_learn():
    pixels = np.array([f"{i:064d}" for i in range(80)])
    pixels[5], pixels[71] = pixels[0], pixels[2]
    features = make_features(pixels=pixels)
    for train, test in GroupKFold(5).split(features.X, features.y, features.groups):
        assert not set(pixels[train]) & set(pixels[test])
        assert not set(features.stated_patients[train]) & set(features.stated_patients[test])
    alone = make_features(n_patients=6, images=1, stated_patients=None)
    assert len(set(alone.groups.tolist())) == 6
