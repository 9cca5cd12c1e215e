"""Weights that were trained on the data set that they are used on."""

from __future__ import annotations

from bottleneck.audit.findings import Finding
from bottleneck.backbones.volumetric.volume_encoders import VOLUME_ENCODERS
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["describe_pretraining"]

# Its collections include LIDC-IDRI. Publishers name it, and not what they took of it.
_ARCHIVE = "NCI Imaging Data Commons"
# Data sets by a part of the name of one, or by the name of a reader; and those that contain their
# images. LUNA16 and NoduleMNIST3D are chosen from LIDC-IDRI.
_LIDC = ("LIDC-IDRI", _ARCHIVE)
_CONTAINED_IN = {
    "luna16": ("LUNA16", *_LIDC),
    "lidc": ("LUNA16", *_LIDC),
    "nodulemnist3d": ("LUNA16", *_LIDC),
}


def describe_pretraining(features: FeatureSet) -> list[Finding]:
    """Describe weights that were trained on images of the data set, as their publishers state.

    Parameters
    ----------
    features : FeatureSet
        The features. The data set is known by the name of its reader, or by its own.
    """
    recipe, dataset = (features.provenance.get(name) or {} for name in ("recipe", "dataset"))
    encoder = VOLUME_ENCODERS.get(str(recipe.get("backbone")))
    weights = str(recipe.get("weights"))
    if encoder is None or weights == "random":
        return []
    names = f"{dataset.get('name')} {(dataset.get('reader') or {}).get('name')}".casefold()
    containing = {one for name, sets in _CONTAINED_IN.items() if name in names for one in sets}
    stated = [one for one in encoder.published if one.weights == weights]
    for published in stated or encoder.published:
        shared = [name for name in published.trained_on if name in containing]
        if not shared:
            continue
        whose = "weights that are published for" if not stated else f"weights {weights} of"
        known = "which these images are from"
        conditions = [] if stated else [f"the weights {weights} are these"]
        if shared == [_ARCHIVE]:
            known = "which also holds these images; it was not checked whether these were used"
            conditions.append("they were")
        condition = f"If {' and '.join(conditions)}, their" if conditions else "Their"
        text = (
            f"The {whose} {encoder.name} were trained on {' and '.join(shared)}, {known}. "
            f"{condition} features can separate them better than new images."
        )
        return [Finding("BF108", "warning", len(features), text)]
    return []
