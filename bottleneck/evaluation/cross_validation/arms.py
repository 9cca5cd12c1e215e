"""The arms of a comparison: every feature set with every head, on the same samples."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.metadata_baseline import describe_columns, encode_columns
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.features.file.reader import load_features
from bottleneck.heads.registry import Head, get_head
from bottleneck.heads.search import check_finite

__all__ = ["METADATA_ONLY", "PRIOR_ONLY", "Arm", "load_all", "make_arms", "match_rows"]

METADATA_ONLY = "metadata only"
PRIOR_ONLY = "prior only"

_AGREED = {
    "y": "labels",
    "groups": "patients",
    "splits": "splits",
    "folds": "published folds",
    "sha256": "image bytes",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Arm:
    """Features and a head.

    Attributes
    ----------
    name : str
        Unique in a comparison.
    features : FeatureSet or None
        None for the arms that see no image.
    X : ndarray of float, shape (n_samples, n_features)
        Its rows in the order that all arms share.
    head : Head
        The head.
    """

    name: str
    features: FeatureSet | None
    X: NDArray[np.floating]
    head: Head


def load_all(
    features: Sequence[FeatureSet | str | Path] | FeatureSet | str | Path,
) -> list[FeatureSet]:
    """Read the feature sets that are named by a path.

    Raises
    ------
    UsageError
        If there are none.
    FeatureFileError
        If a file cannot be read, or features are not finite.
    """
    several = [features] if isinstance(features, FeatureSet | str | Path) else list(features)
    if not several:
        raise UsageError("there are no features to compare: name at least one feature file")
    sets = [f if isinstance(f, FeatureSet) else load_features(f) for f in several]
    for one in sets:
        check_finite(one.X)
    return sets


def make_arms(sets: Sequence[FeatureSet], heads: Sequence[str] | str) -> list[Arm]:
    """Pair every feature set with every head; the arms that see no image come last.

    Parameters
    ----------
    sets : sequence of FeatureSet
        Features of the same samples, in any order.
    heads : sequence of str
        Names of heads.

    Returns
    -------
    list of Arm
        Their rows are in the order of the first feature set. The last one knows the class
        frequencies only; the one before it, where anything beside the pictures differs
        between samples, knows that.

    Raises
    ------
    UsageError
        If a head is unknown or comes twice, or there is none.
    ProtocolError
        If two feature sets are of one recipe, or not of the same samples.
    """
    names = [heads] if isinstance(heads, str) else list(heads)
    if not names:
        raise UsageError("there is no head to compare: name at least one")
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise UsageError(f"head '{twice[0]}' is named twice")
    chosen = [get_head(name) for name in names if name != "prior"]
    arms = []
    for one, label in zip(sets, _label(sets), strict=True):
        X = one.X[match_rows(sets[0], one)]
        arms += [Arm(f"{label} + {head.name}", one, X, head) for head in chosen]
    if columns := describe_columns(sets[0]):
        arms.append(Arm(METADATA_ONLY, None, *encode_columns(columns)))
    return [*arms, Arm(PRIOR_ONLY, None, sets[0].X, get_head("prior"))]


def match_rows(first: FeatureSet, other: FeatureSet) -> NDArray[np.intp]:
    """Find the samples of one feature set in another.

    Parameters
    ----------
    first, other : FeatureSet
        Features of the same samples, in any order.

    Returns
    -------
    ndarray of int, shape (n_samples,)
        Rows of ``other``, in the order of ``first``.

    Raises
    ------
    ProtocolError
        If they are not of the same samples, or disagree on what is known of these.
    """
    pair = f"{_say(first)} and {_say(other)}"
    again = "extract both again from the same data set"
    if first.dataset != other.dataset:
        raise ProtocolError(
            f"{pair} are of different data sets, '{first.dataset}' and '{other.dataset}': "
            f"only features of the same samples can be compared"
        )
    common = np.intersect1d(first.ids, other.ids)
    if not len(common) == len(first) == len(other):
        raise ProtocolError(
            f"{pair} hold different samples ({len(first)} and {len(other)}, {len(common)} of them "
            f"in both): {again}"
        )
    order = np.argsort(other.ids)
    rows = order[np.searchsorted(other.ids, first.ids, sorter=order)]
    for field, what in _AGREED.items():
        a, b = getattr(first, field), getattr(other, field)
        if a is None and b is None:
            continue
        if a is None or b is None:
            if field != "sha256":
                raise ProtocolError(f"{pair}: only one of them has {what}; {again}")
        elif differing := int((a != b[rows]).sum()):
            raise ProtocolError(
                f"{pair} disagree on the {what} of {differing} of {len(first)} samples: {again}"
            )
    if first.provenance["dataset"]["fingerprint"] != other.provenance["dataset"]["fingerprint"]:
        raise ProtocolError(f"{pair} are of different states of the data set: {again}")
    return rows


def _label(sets: Sequence[FeatureSet]) -> list[str]:
    """Name each feature set by backbone and weights, and by more where these do not do."""
    hashes = [s.recipe_hash for s in sets]
    for i, one in enumerate(sets):
        if one.recipe_hash in hashes[:i]:
            raise ProtocolError(
                f"{_say(sets[hashes.index(one.recipe_hash)])} and {_say(one)} are of the same "
                f"recipe, so they would be one arm twice: name one of them"
            )
    details = [[s.weights] for s in sets]
    for field in ("layer", "pooling", "precision", "decoding"):
        values = [str(s.provenance["recipe"].get(field) or "") for s in sets]
        kin: list[Hashable] = [(s.backbone, s.weights) for s in sets]
        if field == "decoding":
            # It goes with the precision as a rule, and would only say the same again.
            kin = [(s.backbone, *d) for s, d in zip(sets, details, strict=True)]
            values = [f"decoding {value}" if value else "" for value in values]
        for own, value, detail in zip(kin, values, details, strict=True):
            alike = {v for k, v in zip(kin, values, strict=True) if k == own}
            if len(alike) > 1 and value:
                detail.append(value)
    labels = [f"{s.backbone} ({', '.join(d)})" for s, d in zip(sets, details, strict=True)]
    return [
        label if labels.count(label) == 1 else f"{label[:-1]}, {one.recipe_hash[:8]})"
        for one, label in zip(sets, labels, strict=True)
    ]


def _say(features: FeatureSet) -> str:
    if features.path is not None:
        return str(features.path)
    return f"the features of {features.backbone} ({features.weights})"
