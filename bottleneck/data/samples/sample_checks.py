"""Checks of the fields of a sample, whatever made it."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bottleneck.data.volumes.volume_region import VolumeRegion, check_volume_region
from bottleneck.errors import DataError, UsageError
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    from bottleneck.data.samples.sample_table import Sample

__all__ = ["SPLIT_NAMES", "check_arguments", "check_sample"]

SPLIT_NAMES = ("train", "val", "test")

# Characters of an id, a path or a label. A text array takes four bytes per row for each character
# of its longest value. Readers of feature files rely on this limit.
_MAX_TEXT = 1_000
_REQUIRED = ("id", "source", "label")
_OPTIONAL = ("group", "split", "fold", "centre", "lesion", "examination")


def check_arguments(name: object, samples: object, images: object) -> None:
    """Raise UsageError for arguments of ``ImageDataset`` of other types."""
    if isinstance(images, type) or not callable(getattr(images, "read", None)):
        raise UsageError(
            f"images must be an object with a method read(name) that returns bytes, not "
            f"{shorten(images)}; ImageDataset.from_samples takes a folder as well"
        )
    if not isinstance(name, str):
        raise UsageError(f"the name of a data set must be text, not {shorten(name)}")
    if not isinstance(samples, Iterable):
        raise UsageError(f"samples must be a sequence of Sample, not {shorten(samples)}")


def check_sample(sample: Sample) -> Sample:
    """Return a sample with fields of the right types, or raise DataError.

    A field that is a kind of text, such as ``numpy.str_``, becomes plain text, and a region of
    whole numbers of any type becomes a tuple.

    Raises
    ------
    DataError
        If a text is not text, empty, too long, not valid Unicode, or contains a NUL or, in an id or
        a path, a line break, which feature files and tables cannot store; if the split is unknown,
        or the region is not a box.
    """
    changed: dict[str, Any] = {}
    for key in _REQUIRED:
        text = getattr(sample, key)
        if not isinstance(text, str):
            raise _not_text(sample, key, text)
        if not text and key != "label":  # The data set describes labels that mean nothing.
            raise DataError(f"the {key} of the sample {shorten(sample.id)} is empty")
        if (plain := _check_text(sample, key, text)) is not text:
            changed[key] = plain
    for key in _OPTIONAL:
        text = getattr(sample, key)
        if text is None:
            continue
        if not isinstance(text, str):
            raise _not_text(sample, key, text)
        if (plain := _check_text(sample, key, text)) is not text:
            changed[key] = plain
    if sample.split is not None and sample.split not in SPLIT_NAMES:
        raise DataError(
            f"the split {shorten(sample.split)} of the sample '{sample.id}' is unknown; known: "
            f"{', '.join(SPLIT_NAMES)}, and None"
        )
    region = sample.region
    if region is not None:
        box = _check_region(sample, region)
        if type(region) is not tuple or box != region or set(map(type, region)) != {int}:
            changed["region"] = box
    if sample.volume_region is not None:
        if region is not None:
            raise DataError(
                f"the sample {shorten(sample.id)} has a region of an image and one of a volume: "
                "state one of them"
            )
        checked = check_volume_region(sample.volume_region, sample.id)
        # Whole numbers become floats, which feature files have: 50 and 50.0 are one key of a row.
        kinds = [type(sample.volume_region), *map(type, sample.volume_region)]
        if kinds != [VolumeRegion, *map(type, checked)] or checked != sample.volume_region:
            changed["volume_region"] = checked
    return dataclasses.replace(sample, **changed) if changed else sample


def _check_text(sample: Sample, key: str, text: str) -> str:
    if len(text) > _MAX_TEXT:
        raise DataError(
            f"{key} '{text[:50]}…' has {len(text):,} characters; the limit is "
            f"{_MAX_TEXT:,}: shorten it"
        )
    broken = "\0" in text or (key in ("id", "source") and ("\r" in text or "\n" in text))
    if broken or not _is_unicode(text):
        what = "a line break or NUL" if broken else "bytes that are not UTF-8"
        raise DataError(f"{key} {text!r} contains {what}; rename it")
    return text if type(text) is str else str.__str__(text)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_text(sample: Sample, key: str, value: object) -> DataError:
    what = f"the {key} {shorten(value)}"
    if key != "id":
        what += f" of the sample {shorten(sample.id)}"
    kind = type(value).__name__
    if value is None:
        return DataError(f"the {key} of the sample {shorten(sample.id)} is missing (None)")
    example = f", such as '{shorten(value)}'" if isinstance(value, int) else ""
    return DataError(f"{what} is not text but {kind}: write it as text{example}")


def _check_region(sample: Sample, region: Any) -> tuple[int, ...]:
    try:
        values = [] if isinstance(region, str | bytes) else list(region)
    except TypeError:
        values = []
    whole = (isinstance(v, numbers.Integral) and not isinstance(v, bool) for v in values)
    if len(values) == 4 and all(whole):
        # A box that begins outside the image is that within it, so that equal crops are one row;
        # and the files of rows have −1 for the whole image.
        left, top, right, bottom = box = tuple(max(int(value), 0) for value in values)
        if left < right and top < bottom:
            return box
    raise DataError(
        f"the region {shorten(region)} of the sample {shorten(sample.id)} is not a box: expected "
        "whole numbers of pixels (left, top, right, bottom), with left < right and top < bottom"
    )
