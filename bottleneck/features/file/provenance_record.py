"""The provenance in a feature file, checked as it is read.

A file that someone else made must not break what is computed or written long after it was read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck.backbones.recipe import recorded_words
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.settings.ranges import BatchSize, Count, Seconds
from bottleneck.settings.schema import Field, from_table, schema

__all__ = ["RecordedPlan", "read_format", "read_record"]


@schema(closed=False)
class RecordedPlan:
    """How rows were computed, in the provenance and in every batch of a log."""

    batch_size: BatchSize = 1
    compiled: bool = False
    drift: Mapping[str, float] | None = None


@schema(closed=False)
class _Whole:
    """The set that a part was selected from."""

    fingerprint: str
    n_samples: Count
    selected: Count


@schema(closed=False)
class _Source:
    """A data set that was concatenated with others."""

    name: str
    fingerprint: str
    n_samples: Count


@schema(closed=False)
class _Selection:
    """What a selection left out and merged."""

    excluded: Count
    left_out: Mapping[str, Count]
    merged: Mapping[str, tuple[str, ...]]
    words: str


@schema(closed=False)
class _Dataset:
    name: str
    fingerprint: str
    positive: str | None = None
    n_samples: Count = 0
    n_patients: Count | None = None
    classes: Mapping[str, Count] = Field(default_factory=dict)
    excluded: Mapping[str, Count] = Field(default_factory=dict)
    part_of: _Whole | None = None
    sources: tuple[_Source, ...] = ()
    description: Mapping[str, str] = Field(default_factory=dict)
    reader: Mapping[str, str] = Field(default_factory=dict)
    selection: _Selection | None = None


@schema(closed=False)
class _Recipe:
    backbone: str
    weights: str
    network: str = ""
    weights_digest: str = ""
    layer: str = ""
    pooling: str = ""
    preprocessing: Mapping[str, Any] = Field(default_factory=dict)
    precision: str = ""
    decoding: str = ""
    variant: str = ""
    licence: str | None = None


@schema(closed=False)
class _Stage:
    busy: Seconds
    waiting: Seconds


@schema(closed=False)
class _Record(RecordedPlan):
    """The fields that ``features/README.md`` specifies; required are those that all need."""

    format: int
    dataset: _Dataset
    recipe: _Recipe
    recipe_hash: str
    content: str = ""
    weights: Mapping[str, str | int | None] = Field(default_factory=dict)
    shape: tuple[Count, ...] = ()
    engine: str = ""
    device: str = ""
    versions: Mapping[str, str] = Field(default_factory=dict)
    command: str = ""
    created: str = ""
    stages: Mapping[str, _Stage] = Field(default_factory=dict)
    bottleneck: str = ""
    images_extracted: Count = 0
    seconds: Seconds = 0.0
    images_per_second: Seconds | None = None
    absent: tuple[str, ...] = ()
    taken: Mapping[str, Count] = Field(default_factory=dict)


def read_format(text: object) -> object:
    """Return the format that a provenance states; raise ValueError if it is none."""
    content = json.loads(text) if isinstance(text, str) else None
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    return content["format"]


def read_record(text: str, path: Path) -> Mapping[str, Any]:
    """Return the fields of a provenance.

    Parameters
    ----------
    text : str
        JSON with a format that ``read_format`` has read.
    path : Path
        The feature file, for the message.

    Raises
    ------
    FeatureFileError
        If a field is missing, or has another type or range than the format says.
    """
    content: Mapping[str, Any] = json.loads(text)
    try:
        from_table(_Record, content, "its provenance")
        recorded_words(content["recipe"])
    except UsageError as error:
        raise FeatureFileError(
            f"{path} is not a valid feature file of bottleneck: {error}; move it away and extract "
            "the features again"
        ) from None
    return content
