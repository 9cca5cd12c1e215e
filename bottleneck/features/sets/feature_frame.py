"""Feature sets as pandas tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bottleneck.data.splits.patients import name_patients
from bottleneck.text.table_text import text_frame

if TYPE_CHECKING:
    import pandas as pd

    from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["feature_frame"]


def feature_frame(features: FeatureSet, *, with_features: bool) -> pd.DataFrame:
    """Return the table of ``FeatureSet.to_frame``."""
    import pandas as pd

    patients = name_patients(features.stated_patients, features.ids)
    columns = {
        "id": features.ids,
        "label": features.y,
        "patient": np.char.add("sample ", features.ids) if patients is None else patients,
        "group": features.groups,
        "split": features.splits,
        "fold": features.folds,
        "centre": features.centres,
    }
    frame = text_frame({name: c for name, c in columns.items() if c is not None})
    if not with_features:
        return frame
    own = features.provenance.get("recipe", {}).get("columns")
    names = [str(name) for name in own or (f"f{n}" for n in range(features.X.shape[1]))]
    taken = set(frame.columns)
    for number in range(len(names)):
        while names[number] in taken:
            names[number] += " (feature)"
        taken.add(names[number])
    return pd.concat([frame, pd.DataFrame(np.array(features.X), columns=names)], axis=1)
