"""Arms of a comparison: every feature set with every head, on the same samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.metadata_baseline import describe_columns, encode_columns
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.metrics.inference.row_groups import list_repeats, take_repeats
from bottleneck.evaluation.results.arm_origin import ArmOrigin, samples_digest
from bottleneck.features.arrays.feature_inputs import NamedFeatures, SampleFields, read_sets
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import get_head, get_heads
from bottleneck.heads.search import check_finite
from bottleneck.predictions import Predictions

__all__ = [
    "METADATA_ONLY",
    "PRIOR_ONLY",
    "Arm",
    "ArmPredictions",
    "load_feature_sets",
    "make_arms",
    "match_rows",
]

METADATA_ONLY = "metadata only"
PRIOR_ONLY = "prior only"

# Columns on which feature sets of the same samples must agree.
_SHARED_COLUMNS = {
    "y": "labels",
    "stated_patients": "patients",
    "splits": "splits",
    "folds": "published folds",
    "centres": "centres",
    "image_hashes": "image bytes",
    "regions": "regions of the images",
    "volume_regions": "regions of the volumes",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Arm:
    """A feature set with a head.

    Attributes
    ----------
    name : str
        Unique in a comparison.
    features : FeatureSet or None
        None for the arms without images.
    X : ndarray of float, shape (n_samples, n_features)
        Features in the order of samples that all arms share.
    head : Head
        The head.
    origin : ArmOrigin or None
        What it was made of; None for the arms without images.
    """

    name: str
    features: FeatureSet | None
    X: NDArray[np.floating]
    head: Head
    origin: ArmOrigin | None = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ArmPredictions:
    """Predictions of an arm, trained here or imported.

    Attributes
    ----------
    name, head : str
        Name of the arm and of its head; "predictions" for imported predictions, "ensemble"
        for the mean of other arms, and "reader" for human readers.
    backbone, weights : str or None
        None for arms without images and for imported predictions.
    test : Predictions
        Predictions of all test sets.
    inner : tuple of Predictions
        Out-of-fold predictions of each training set (for imported predictions: predictions of
        each validation set), one element per fold and repeat; empty where there are none.
    chosen : tuple of mapping
        Hyperparameters chosen in each fold; empty for a head without any.
    classifier : mapping
        Record of the head, as in ``Evaluation``.
    unconverged : int
        Number of folds in which the solver stopped at its limit of iterations.
    notes : tuple of str
        What its estimator warned of, each once.
    seconds : float
        Sum of the time of all folds.
    cost : mapping
        Record of the training of a network, as in ``Evaluation``.
    members : tuple of str
        Names of the arms that an ensemble averages.
    origin : ArmOrigin or None
        What it was made of, as in ``Evaluation``.
    """

    name: str
    head: str
    backbone: str | None = None
    weights: str | None = None
    test: Predictions
    inner: tuple[Predictions, ...] = ()
    chosen: tuple[Mapping[str, Any], ...] = ()
    classifier: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unconverged: int = 0
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    members: tuple[str, ...] = ()
    origin: ArmOrigin | None = None

    def take_repeats(self, repeats: Collection[int]) -> ArmPredictions:
        """Return the arm in some of its repeats."""
        if list_repeats(self.test) <= set(repeats):
            return self
        inner = tuple(part for part in self.inner if set(part.repeats.tolist()) <= set(repeats))
        return dataclasses.replace(self, test=take_repeats(self.test, repeats), inner=inner)

    def map(
        self,
        *,
        test: Callable[[Predictions], Predictions],
        inner: Callable[[Predictions], Predictions],
    ) -> ArmPredictions:
        """Return the arm with functions applied to its test and its inner predictions."""
        return dataclasses.replace(
            self, test=test(self.test), inner=tuple(inner(part) for part in self.inner)
        )


def load_feature_sets(
    features: NamedFeatures, fields: SampleFields | None = None
) -> list[FeatureSet]:
    """Return the feature sets of the same samples, as ``read_sets`` does, with finite features.

    Raises
    ------
    UsageError
        If there are none, or they are nothing that ``read_sets`` reads.
    FeatureFileError
        If a file cannot be read, or features are not finite.
    """
    sets = read_sets(features, fields or SampleFields())
    for one in sets:
        check_finite(one.X)
    return sets


def make_arms(
    sets: Sequence[FeatureSet],
    heads: Any,
    labels: Sequence[str] = (),
    files: Sequence[str | None] = (),
) -> list[Arm]:
    """Pair every feature set with every head, and add the arms without images.

    Parameters
    ----------
    sets : sequence of FeatureSet
        Features of the same samples, in any order.
    heads : str, estimator, Head, sequence of these, or mapping of names to these
        Heads, as for ``get_heads``.
    labels : sequence of str
        Names of the feature sets; by default they are named by their recipes.
    files : sequence of str or None
        Their files, from ``file_of``; by default none is known.

    Returns
    -------
    list of Arm
        Their rows are in the order of the first feature set. The last arm knows the class
        frequencies only. The one before it knows the metadata only; it is left out where there
        are none that differ between samples.

    Raises
    ------
    UsageError
        If a head is unknown or listed twice, or there is none.
    ProtocolError
        If two feature sets have the same recipe, or different samples.
    """
    chosen = [head for head in get_heads(heads) if head.name != "prior"]
    for head in chosen:
        head.for_samples(len(sets[0]))  # Refused before anything is trained.
    arms = []
    own = _label(sets)
    known = files or [None] * len(sets)
    for one, label, file in zip(sets, labels or own, known, strict=True):
        rows = match_rows(sets[0], one)
        # A copy of the features may be most of the memory.
        X = one.X if np.array_equal(rows, np.arange(len(rows))) else one.X[rows]
        samples = samples_digest(one)
        arms += [
            Arm(f"{label} + {head.name}", one, X, head, ArmOrigin.of(one, head, samples, file))
            for head in chosen
        ]
    if columns := describe_columns(sets[0]):
        arms.append(Arm(METADATA_ONLY, None, *encode_columns(columns, len(sets[0].classes))))
    # The prior ignores its features; it is given one.
    return [*arms, Arm(PRIOR_ONLY, None, sets[0].X[:, :1], get_head("prior"))]


def match_rows(first: FeatureSet, other: FeatureSet) -> NDArray[np.intp]:
    """Return the rows of a feature set in the order of another.

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
        If their samples differ, or labels, patients, splits or image bytes of these.
    """
    pair = f"{_describe(first)} and {_describe(other)}"
    again = "extract both again from the same data set"
    if not (first.has_images and other.has_images):
        again = "give them the same y, groups and ids"
    common = np.intersect1d(first.ids, other.ids)
    if not len(common) == len(first) == len(other):
        if first.dataset != other.dataset:
            raise _of_different_data_sets(first, other)
        raise ProtocolError(
            f"{pair} hold different samples ({len(first)} and {len(other)}, {len(common)} of them "
            f"in both): {again}"
        )
    order = np.argsort(other.ids)
    rows = order[np.searchsorted(other.ids, first.ids, sorter=order)]
    # Whatever a data set or its folder is named, the same images under the same ids are the same.
    a, b = first.image_hashes, other.image_hashes
    is_same = a is not None and b is not None and np.array_equal(a, b[rows])
    # Features of arrays join those of images by the ids, labels and patients that both state.
    is_mixed = first.has_images and not other.has_images
    is_same = is_same or is_mixed
    if first.dataset != other.dataset and not is_same:
        raise _of_different_data_sets(first, other)
    for field, what in _SHARED_COLUMNS.items():
        a, b = getattr(first, field), getattr(other, field)
        if a is None and b is None:
            continue
        if a is None or b is None:
            is_left_out = is_mixed and b is None and field != "stated_patients"
            if field != "image_hashes" and not is_left_out:
                raise ProtocolError(f"{pair}: only one of them has {what}; {again}")
        elif differing := int((a != b[rows]).reshape(len(rows), -1).any(axis=1).sum()):
            what = "voxels" if field == "image_hashes" and first.has_volumes else what
            raise ProtocolError(
                f"{pair} disagree on the {what} of {differing} of {len(first)} samples: {again}"
            )
    fingerprints = [one.provenance["dataset"]["fingerprint"] for one in (first, other)]
    if fingerprints[0] != fingerprints[1] and not is_same:
        raise ProtocolError(f"{pair} come from different versions of the data set: {again}")
    return rows


def _of_different_data_sets(first: FeatureSet, other: FeatureSet) -> ProtocolError:
    return ProtocolError(
        f"{_describe(first)} and {_describe(other)} come from different data sets, "
        f"'{first.dataset}' and '{other.dataset}': only features of the same samples can be "
        "compared. To use both as one data set, with each original data set as a centre, run "
        "`bottleneck "
        "concatenate` on them (in Python FeatureSet.concatenate); to train on one and test on the "
        "other, name the other with --external (external=)"
    )


def _label(sets: Sequence[FeatureSet]) -> list[str]:
    """Name each feature set by backbone, weights and input, and by more where needed."""
    hashes = [s.recipe_hash for s in sets]
    for i, one in enumerate(sets):
        if one.recipe_hash in hashes[:i]:
            if (first := sets[hashes.index(one.recipe_hash)]).dataset != one.dataset:
                raise _of_different_data_sets(first, one)
            advice = "leave one of them out"
            if not one.has_images:
                advice += ", or name them: {'NAME': features, …}"
            raise ProtocolError(
                f"{_describe(sets[hashes.index(one.recipe_hash)])} and {_describe(one)} have the "
                f"same recipe, so they would be one arm twice: {advice}"
            )
    details = [[s.weights, *filter(None, [s.input_words])] for s in sets]
    for field in ("layer", "pooling", "precision", "decoding"):
        values = [str(s.provenance["recipe"].get(field) or "") for s in sets]
        kin: list[Hashable] = [(s.backbone, s.weights, s.input_words) for s in sets]
        if field == "decoding":
            # It usually follows from the precision, and would repeat it.
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


def _describe(features: FeatureSet) -> str:
    if features.path is not None:
        return str(features.path)
    return f"the features of {features.title}"
