"""Weights that were trained on the data set that they are used on."""

from __future__ import annotations

from bottleneck.audit.findings import Finding
from bottleneck.backbones.volumetric.volume_encoders import VOLUME_ENCODERS
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["describe_pretraining"]

# Data sets by a part of the name of one, or by the name of a reader; and those that contain their
# images. LUNA16 and NoduleMNIST3D are chosen from LIDC-IDRI.
_LIDC = ("LIDC-IDRI", "NCI Imaging Data Commons")
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
        condition = "Their" if stated else f"If the weights {weights} are these, their"
        text = (
            f"The {whose} {encoder.name} were trained on {' and '.join(shared)}, which these "
            f"images are from. {condition} features can separate them better than new images."
        )
        return [Finding("pretraining", "warning", len(features), text)]
    return []
