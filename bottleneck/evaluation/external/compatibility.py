"""Compatibility of an external cohort with the internal data set, and a description of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.findings import Finding
from bottleneck.backbones.recipe import explain_mismatch
from bottleneck.data.spelling.spelling_keys import near_key
from bottleneck.data.splits.patients import count_by_class
from bottleneck.errors import ProtocolError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.features.sets.sample_extents import count_regions, explain_extents
from bottleneck.text.plurals import counted

__all__ = ["describe_cohorts", "match_external", "refuse_other_recipe"]

_UNKNOWN = "not recorded"


def match_external(internal: FeatureSet, external: FeatureSet) -> tuple[Finding, ...]:
    """Check whether an external cohort can test heads trained on the internal data set.

    Parameters
    ----------
    internal, external : FeatureSet
        Features that heads are trained on, and those of the external cohort.

    Returns
    -------
    tuple of Finding
        Images and names of patients that both hold, and classes that the external cohort
        lacks; the most severe first. Their ``rows`` are those of ``external``.

    Raises
    ------
    ProtocolError
        If the recipes differ, the heads are not trained on an external label, or only one of both
        data sets has regions of volumes.
    """
    refuse_other_recipe(internal, external)
    sides = [(count_regions(one), len(one)) for one in (internal, external)]
    if words := explain_extents(*sides[0], *sides[1]):
        raise ProtocolError(f"heads are {words}")
    unknown = sorted(set(external.classes) - set(internal.classes))
    if unknown:
        counts = count_by_class(external.y)
        named = ", ".join(f"'{label}' ({counts[label]})" for label in unknown)
        raise ProtocolError(
            f"heads trained on '{internal.dataset}' know the labels {', '.join(internal.classes)}, "
            f"and '{external.dataset}' has samples labelled {named}: leave them out "
            f"(--classes {','.join(internal.classes)}, in Python selection=), or give them one of "
            f"the known labels and extract the external cohort again"
        )
    return tuple(
        finding
        for find in (_find_images, _find_patients, _find_missing_classes)
        for finding in find(internal, external)
    )


def refuse_other_recipe(internal: FeatureSet, external: FeatureSet) -> None:
    """Refuse features of different recipes.

    Raises
    ------
    ProtocolError
        If the recipes differ; the message names the fields.
    """
    if internal.recipe_hash != external.recipe_hash:
        differing = explain_mismatch(
            internal.provenance["recipe"],
            external.provenance["recipe"],
            "Extract the external cohort again with the same options",
        )
        raise ProtocolError(
            f"the features of '{external.dataset}' have another recipe than those of "
            f"'{internal.dataset}' that heads are trained on: {differing}"
        )


def describe_cohorts(internal: FeatureSet, external: FeatureSet) -> dict[str, Mapping[str, str]]:
    """Describe the labels and images of two data sets side by side.

    Parameters
    ----------
    internal, external : FeatureSet
        Features that heads are trained on, and those of the external cohort.

    Returns
    -------
    dict of str to mapping of str to str
        Texts for "inside" and "outside" by property; "not recorded" for a property that the
        features do not hold. No text names a patient or a file.
    """
    return {
        name: {"inside": describe(internal), "outside": describe(external)}
        for name, describe in _PROPERTIES.items()
    }


def _find_images(internal: FeatureSet, external: FeatureSet) -> list[Finding]:
    known = [
        (a, b)
        for a, b in (
            (internal.contents, external.contents),
            (internal.image_hashes, external.image_hashes),
        )
        if a is not None and b is not None
    ]
    if not known:
        text = (
            "The features hold no hashes of images: it was not checked whether the external cohort "
            "holds images that heads are trained on."
        )
        return [Finding("BF902", "note", 0, text)]
    rows = np.flatnonzero(np.any([np.isin(b, a) for a, b in known], axis=0))
    if not len(rows):
        return []
    alike = "images are identical to images"
    if not internal.has_images:
        alike = "samples have the same features as samples"
    text = (
        f"{len(rows)} of {len(external)} external {alike} of the training set: heads are tested "
        "on their training data. Leave these out of one data set."
    )
    return [Finding("BF401", "leak", len(rows), text, rows=tuple(rows.tolist()))]


def _find_patients(internal: FeatureSet, external: FeatureSet) -> list[Finding]:
    if internal.stated_patients is None or external.stated_patients is None:
        return []
    # Two tables may spell one patient in two ways, which must not hide a leak.
    inside, outside = (
        np.array([near_key(name) for name in groups.tolist()])
        for groups in (internal.stated_patients, external.stated_patients)
    )
    shared = np.setdiff1d(np.intersect1d(inside, outside), [""])
    if not len(shared):
        return []
    rows = np.flatnonzero(np.isin(outside, shared))
    text = (
        f"Patients of both data sets share {counted(len(shared), 'name')} "
        f"({counted(len(rows), 'external image')}). This may be a coincidence, for example if "
        "each centre numbers its patients from 1. If they are the same people, heads are tested "
        "on patients that they were trained on: leave these out of one data set."
    )
    return [Finding("BF402", "warning", len(shared), text, rows=tuple(rows.tolist()))]


def _find_missing_classes(internal: FeatureSet, external: FeatureSet) -> list[Finding]:
    lacking = sorted(set(internal.classes) - set(external.classes))
    if not lacking:
        return []
    named = ", ".join(f"'{label}'" for label in lacking)
    text = f"The external cohort has no sample of {named}: metrics of all classes are undefined."
    return [Finding("BF403", "warning", len(lacking), text)]


def _describe_labels(features: FeatureSet) -> str:
    patients = features.patients
    counts = count_by_class(features.y)
    if patients is None:
        return "; ".join(f"{label}: {counted(n, 'image')}" for label, n in counts.items())
    by_patient = count_by_class(features.y, patients)
    return "; ".join(
        f"{label}: {counted(n, 'image')} of {counted(by_patient[label], 'patient')}"
        for label, n in counts.items()
    )


def _quote(field: str) -> Callable[[FeatureSet], str]:
    """Return a function that quotes a field of the data set's description."""

    def quote(features: FeatureSet) -> str:
        return features.provenance["dataset"].get("description", {}).get(field) or _UNKNOWN

    return quote


def _describe_patients(features: FeatureSet) -> str:
    if features.patients is None:
        return _UNKNOWN
    images = np.unique(features.patients, return_counts=True)[1]
    each = f"{images.mean():.1f} images each ({images.min()} to {images.max()})"
    unnamed = features.n_unnamed
    own = f"; {counted(unnamed, 'image')} without a patient" if unnamed else ""
    return f"{counted(len(images), 'patient')}, {each}{own}"


def _describe_size(features: FeatureSet) -> str:
    if features.size is None:
        return _UNKNOWN
    width, height = np.median(features.size, axis=0)
    if (features.size == features.size[0]).all():
        return f"{width:.0f} × {height:.0f} pixels"
    (least_w, least_h), (most_w, most_h) = features.size.min(axis=0), features.size.max(axis=0)
    return (
        f"median {width:.0f} × {height:.0f} pixels "
        f"(width {least_w} to {most_w}, height {least_h} to {most_h})"
    )


def _describe_brightness(features: FeatureSet) -> str:
    if features.brightness is None:
        return _UNKNOWN
    low, middle, high = np.quantile(features.brightness, (0, 0.5, 1))
    return f"median {middle:.0f} of 255 ({low:.0f} to {high:.0f})"


def _describe_files(features: FeatureSet) -> str:
    if features.sources is None:
        return _UNKNOWN
    suffixes = [PurePosixPath(source).suffix.lower() or "no suffix" for source in features.sources]
    return _tally(np.array(suffixes))


def _describe_centres(features: FeatureSet) -> str:
    if features.centres is None or not (features.centres != "").any():
        return _UNKNOWN
    return _tally(np.where(features.centres == "", _UNKNOWN, features.centres))


def _describe_losses(features: FeatureSet) -> str:
    recorded = features.provenance["dataset"].get("excluded")
    if recorded is None:
        return _UNKNOWN
    losses = [f"{n} × {reason}" for reason, n in recorded.items()]
    if features.failures:
        losses.append(f"{len(features.failures)} × without features")
    return "; ".join(losses) or "nothing"


def _tally(values: NDArray[np.str_]) -> str:
    return "; ".join(f"{value}: {n}" for value, n in Counter(values.tolist()).most_common())


_PROPERTIES: Mapping[str, Callable[[FeatureSet], str]] = {
    "data set": lambda features: features.dataset,
    "labels": _describe_labels,
    "labels come from": _quote("labels"),
    "images show": _quote("images"),
    "images": lambda features: counted(len(features), "image"),
    "patients": _describe_patients,
    "size": _describe_size,
    "brightness": _describe_brightness,
    "files": _describe_files,
    "centres": _describe_centres,
    "left out": _describe_losses,
}
