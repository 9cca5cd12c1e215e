"""Two cohorts side by side: whether one can test what the other trained, and what each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.findings import Finding
from bottleneck.backbones.recipe import name_differences
from bottleneck.data.splits.patients import count_by_class, name_patients
from bottleneck.errors import ProtocolError
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.plurals import counted

__all__ = ["definitions", "match_external", "refuse_other_recipe"]

_UNKNOWN = "not recorded"


def match_external(inside: FeatureSet, outside: FeatureSet) -> tuple[Finding, ...]:
    """Say whether an external cohort can test heads that were trained on the first.

    Parameters
    ----------
    inside, outside : FeatureSet
        Features trained on and of the external cohort.

    Returns
    -------
    tuple of Finding
        Pictures and names of patients that both cohorts hold, and classes that the external
        one lacks; the gravest first. Their ``rows`` are those of ``outside``.

    Raises
    ------
    ProtocolError
        If the features are of different recipes, or an external label is not among those
        trained on.
    """
    refuse_other_recipe(inside, outside)
    unknown = sorted(set(outside.classes) - set(inside.classes))
    if unknown:
        counts = count_by_class(outside.y)
        named = ", ".join(f"'{label}' ({counts[label]})" for label in unknown)
        raise ProtocolError(
            f"heads trained on '{inside.dataset}' know the labels {', '.join(inside.classes)}, and "
            f"'{outside.dataset}' has samples labelled {named}: give them the labels trained on, "
            f"or leave them out, and extract the external cohort again"
        )
    return tuple(
        finding
        for find in (_find_pictures, _find_patients, _find_lack)
        for finding in find(inside, outside)
    )


def refuse_other_recipe(inside: FeatureSet, outside: FeatureSet) -> None:
    """Refuse features of two recipes.

    Raises
    ------
    ProtocolError
        With the fields that differ.
    """
    if inside.recipe_hash != outside.recipe_hash:
        differing = name_differences(inside.provenance["recipe"], outside.provenance["recipe"])
        raise ProtocolError(
            f"the features of '{outside.dataset}' are of another recipe than those of "
            f"'{inside.dataset}' that heads are trained on: "
            f"{'; '.join(differing) or 'the hashes differ'}. "
            f"Extract the external cohort again with the options of the first"
        )


def definitions(inside: FeatureSet, outside: FeatureSet) -> dict[str, Mapping[str, str]]:
    """Describe the labels and images of two cohorts side by side.

    Parameters
    ----------
    inside, outside : FeatureSet
        Features trained on and of the external cohort.

    Returns
    -------
    dict of str to mapping of str to str
        What is described to texts for "inside" and "outside"; "not recorded" for what the
        features do not say. No text names a patient or a file.
    """
    return {
        what: {"inside": describe(inside), "outside": describe(outside)}
        for what, describe in _DESCRIBED.items()
    }


def _find_pictures(inside: FeatureSet, outside: FeatureSet) -> list[Finding]:
    known = [
        (a, b)
        for a, b in ((inside.pixels, outside.pixels), (inside.sha256, outside.sha256))
        if a is not None and b is not None
    ]
    if not known:
        text = (
            "The features hold no hashes of pictures: whether the external cohort holds pictures "
            "that were trained on was not looked for."
        )
        return [Finding("not looked at", "note", 0, text)]
    rows = np.flatnonzero(np.any([np.isin(b, a) for a, b in known], axis=0))
    if not len(rows):
        return []
    text = (
        f"{len(rows)} of {len(outside)} external images are identical to images trained on: the "
        f"head is tested on what it knows. Leave them out of one of the cohorts."
    )
    return [Finding("identical pictures", "leak", len(rows), text, rows=tuple(rows.tolist()))]


def _find_patients(inside: FeatureSet, outside: FeatureSet) -> list[Finding]:
    if inside.groups is None or outside.groups is None:
        return []
    shared = np.setdiff1d(np.intersect1d(inside.groups, outside.groups), [""])
    if not len(shared):
        return []
    rows = np.flatnonzero(np.isin(outside.groups, shared))
    text = (
        f"Patients of both cohorts share {counted(len(shared), 'name')} "
        f"({counted(len(rows), 'external image')}). It may be coincidence, as with numbers that "
        f"each centre gives from 1 on; if they are the same persons, the head is tested on "
        f"patients it was trained on, and these must be left out of one of the cohorts."
    )
    return [Finding("shared patients", "warning", len(shared), text, rows=tuple(rows.tolist()))]


def _find_lack(inside: FeatureSet, outside: FeatureSet) -> list[Finding]:
    lacking = sorted(set(inside.classes) - set(outside.classes))
    if not lacking:
        return []
    named = ", ".join(f"'{label}'" for label in lacking)
    text = f"The external cohort has no sample of {named}: what needs all classes is not known."
    return [Finding("missing class", "warning", len(lacking), text)]


def _describe_labels(features: FeatureSet) -> str:
    patients = name_patients(features.groups, features.ids)
    counts = count_by_class(features.y)
    if patients is None:
        return "; ".join(f"{label}: {counted(n, 'image')}" for label, n in counts.items())
    by_patient = count_by_class(features.y, patients)
    return "; ".join(
        f"{label}: {counted(n, 'image')} of {counted(by_patient[label], 'patient')}"
        for label, n in counts.items()
    )


def _say(field: str) -> Callable[[FeatureSet], str]:
    """Return what quotes a field of the data set's description."""

    def quote(features: FeatureSet) -> str:
        return features.provenance["dataset"].get("description", {}).get(field) or _UNKNOWN

    return quote


def _describe_patients(features: FeatureSet) -> str:
    patients = name_patients(features.groups, features.ids)
    if patients is None:
        return _UNKNOWN
    images = np.unique(patients, return_counts=True)[1]
    each = f"{images.mean():.1f} images each ({images.min()} to {images.max()})"
    assert features.groups is not None
    unnamed = int((features.groups == "").sum())
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


_DESCRIBED: Mapping[str, Callable[[FeatureSet], str]] = {
    "data set": lambda features: features.dataset,
    "labels": _describe_labels,
    "labels come from": _say("labels"),
    "images show": _say("images"),
    "images": lambda features: counted(len(features), "image"),
    "patients": _describe_patients,
    "size": _describe_size,
    "brightness": _describe_brightness,
    "files": _describe_files,
    "centres": _describe_centres,
    "left out": _describe_losses,
}
