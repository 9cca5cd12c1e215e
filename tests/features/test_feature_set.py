"""Feature sets as pandas tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features

from bottleneck.features.sets.feature_set import FeatureSet


@pytest.fixture
def features() -> FeatureSet:
    """Image 5 is a copy of image 0, of another patient; image 3 has no patient."""
    made = make_features(n_patients=4)
    pixels = np.array([f"{n % 5:064x}" if n == 5 else f"{n:064x}" for n in range(8)])
    stated = np.where(np.arange(8) == 3, "", made.stated_patients)
    return dataclasses.replace(made, pixels=pixels, stated_patients=stated)


def test_a_row_holds_what_is_known_of_a_sample(features: FeatureSet) -> None:
    frame = features.to_frame()
    names = [f"f{n}" for n in range(features.X.shape[1])]
    assert frame.columns.tolist() == ["id", "label", "patient", "group", *names]
    np.testing.assert_array_equal(frame[names].to_numpy(), features.X)
    assert set(frame.dtypes[names]) == {np.dtype(np.float32)}
    assert frame["id"].tolist() == features.ids.tolist()
    assert frame["label"].tolist() == features.y.tolist()
    assert frame["group"].tolist() == features.groups.tolist()
    assert frame["group"][0] == frame["group"][5] != frame["group"][2]
    # Grouping by either column keeps rows without a patient apart.
    assert frame["patient"][3] == "sample image-003"
    assert frame["patient"].nunique() == 5


def test_columns_that_the_data_set_states(features: FeatureSet) -> None:
    centres, splits = np.repeat(["north", "south"], 4), np.tile(["train", "test"], 4)
    stated = dataclasses.replace(features, centres=centres, splits=splits, stated_patients=None)
    frame = stated.to_frame(with_features=False)
    assert frame.columns.tolist() == ["id", "label", "patient", "group", "split", "centre"]
    assert frame["centre"].tolist() == centres.tolist()
    assert frame["patient"].nunique() == 8


def test_the_table_is_a_copy(features: FeatureSet) -> None:
    before = features.X.copy()
    frame = features.to_frame()
    frame.loc[:, "f0"] = 7.0
    frame.loc[0, "label"] = "changed"
    np.testing.assert_array_equal(features.X, before)
    assert features.y[0] == "benign"


@pytest.mark.parametrize("width", [0, 1, 3])
def test_own_names_never_name_two_columns(width: int) -> None:
    own = ["id", "label", "id (feature)"][:width]
    features = make_features(n_patients=4, width=max(width, 1), recipe={"columns": own or None})
    frame = features.to_frame()
    assert frame.columns.is_unique
    if width == 3:
        assert all(name.endswith(" (feature)") for name in frame.columns[-3:])
