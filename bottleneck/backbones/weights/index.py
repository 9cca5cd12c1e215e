"""Published and local weights: list, fetch, import, verify."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from bottleneck.backbones.catalogue import ALL_ENCODERS, find_encoder
from bottleneck.backbones.encoder import Encoder, PublishedWeights
from bottleneck.backbones.layers.layer_listing import width_of
from bottleneck.backbones.layouts.fitting import fitting_encoders
from bottleneck.backbones.volumetric.volume_encoders import VolumeEncoder
from bottleneck.backbones.weights import folder
from bottleneck.backbones.weights.folder import WeightsRecord
from bottleneck.backbones.weights.loading import (
    WeightContent,
    WeightFile,
    find_local,
    fit_content,
    fit_file,
    locate,
    locate_published,
    read_content,
    readable,
)
from bottleneck.backbones.weights.stated_licences import licence_of
from bottleneck.errors import UsageError, WeightsError

__all__ = ["FileCheck", "describe_weights", "fetch", "import_file", "unlike_published", "verify"]

_RESERVED = ("random", "none")


@dataclasses.dataclass(frozen=True)
class FileCheck:
    """The result of verifying one file of the weights folder.

    Attributes
    ----------
    file : str
        Name of the file.
    state : {"ok", "broken", "unknown", "open"}
        "unknown" means that the file has no record, "open" that every user of this machine can
        change it.
    text : str
        The result in words.
    """

    file: str
    state: str
    text: str


def describe_weights(name: str | None = None) -> list[dict[str, Any]]:
    """Return a table of published weights and of those in the weights folder.

    Parameters
    ----------
    name : str, optional
        Name of an encoder, to list only its weights.

    Returns
    -------
    list of dict
        One row per set of weights: "backbone"; "weights"; "width", of a pooled feature vector;
        "file"; "source"; "licence"; "preprocessing"; "revision", the commit on the hub; "sha256",
        of the file on this machine, or as third parties claim it; "here", the path on this machine
        or None.

    Raises
    ------
    UsageError
        If there is no such encoder.
    """
    encoders = [find_encoder(name)] if name else list(ALL_ENCODERS.values())
    records = folder.read_records(folder.folder_path())
    rows = []
    for encoder in encoders:
        for published in encoder.published:
            rows.append(_published_row(encoder, published))
        published_names = {p.weights for p in encoder.published}
        rows.extend(
            _local_row(encoder, path, record)
            for path, record in records.items()
            if record.encoder == encoder.name and record.weights not in published_names
        )
    return rows


def _published_row(encoder: Encoder, published: PublishedWeights) -> dict[str, Any]:
    stored = folder.find_record(encoder.name, published.weights)
    if stored:
        return _local_row(encoder, *stored)
    path = find_local(encoder, published)
    known = published.sha256
    author = "of the package" if published.package else "claimed by third parties"
    return {
        "backbone": encoder.name,
        "weights": published.weights,
        "width": width_of(encoder),
        "file": published.file,
        "source": published.source,
        "licence": licence_of(encoder, published),
        "preprocessing": published.preprocessing,
        "revision": published.revision,
        "sha256": f"{known} ({author}, and required)" if known else None,
        "here": str(path) if path else None,
    }


def _local_row(encoder: Encoder, path: Path, record: WeightsRecord) -> dict[str, Any]:
    return {
        "backbone": encoder.name,
        "weights": record.weights,
        "width": width_of(encoder),
        "file": record.file,
        "source": record.source,
        "licence": record.licence,
        "preprocessing": record.preprocessing or record.layout,
        "revision": record.revision,
        "sha256": record.sha256,
        "here": str(path),
    }


def fetch(name: str, weights: str = "imagenet") -> tuple[Path, WeightsRecord]:
    """Copy published weights from the hub or its cache into the weights folder.

    Parameters
    ----------
    name : str
        Name of an encoder.
    weights : str
        A name that ``describe_weights`` lists, such as "imagenet".

    Returns
    -------
    path : Path
        The path of the file in the weights folder.
    record : WeightsRecord
        Its record.

    Raises
    ------
    UsageError
        If there is no such encoder or weights.
    WeightsError
        If the weights cannot be downloaded, or do not fit.
    """
    encoder = find_encoder(name)
    published = encoder.find_published(weights)
    if published is None:
        locate(encoder, weights)  # Raises an error for an unknown name.
        raise UsageError(f"'{weights}' is not published; files need `bottleneck weights import`")
    return _store(encoder, published.weights, locate_published(encoder, published), published)


def unlike_published(record: WeightsRecord) -> bool:
    """Return whether weights have a published name, but not the sha256 of the published file.

    They may be the same tensors in another format. Where no sha256 is known, the answer is False.
    """
    published = find_encoder(record.encoder).find_published(record.weights)
    return published is not None and published.sha256 not in (None, record.sha256)


def import_file(
    path: Path,
    *,
    name: str | None = None,
    weights: str | None = None,
    licence: str | None = None,
) -> WeightsRecord:
    """Recognise a weight file and copy it into the weights folder.

    Parameters
    ----------
    path : Path
        The weight file.
    name : str, optional
        Name of the encoder; by default the one encoder of the catalogue that the file fits.
    weights : str, optional
        The name for ``--weights``; by default the published name, if the file is recognised as
        published weights.
    licence : str, optional
        Its licence, such as "apache-2.0"; by default what the publisher states, if the file is
        recognised as published weights.

    Returns
    -------
    WeightsRecord
        The record of the copy.

    Raises
    ------
    UsageError
        If a name is necessary but missing, or invalid.
    WeightsError
        If the file does not fit the encoder, or no encoder.
    """
    if licence is not None and not licence.strip():
        raise UsageError("the licence is empty: name it, such as apache-2.0, or leave it out")
    if name is not None:
        find_encoder(name)  # An unknown name is reported before the file is read.
    located = WeightFile(path, path.stem, path.name)
    content = read_content(located)
    encoder = find_encoder(name) if name else _recognise_encoder(content, path)
    if weights and (entry := encoder.find_published(weights)):
        weights = entry.weights
    fit = fit_content(encoder, path, content)
    published = _recognise_published(encoder, path, fit.layout.name, content.sha256, weights)
    weights = weights or (published.weights if published else None)
    if weights is None:
        raise UsageError(
            f"{path.name} fits {encoder.name} (layout {fit.layout.name}), but it does not state "
            "what it was trained on: give the weights a name with --as, for example --as imagenet"
        )
    if weights in _RESERVED or Path(weights).suffix or "/" in weights:
        raise UsageError(
            f"weights cannot be named '{weights}', which --weights would read as something else; "
            "choose another name"
        )
    return _store(encoder, weights, located, published, content, licence)[1]


def _recognise_encoder(content: WeightContent, path: Path) -> Encoder:
    fitting = fitting_encoders(content.entries)
    if not fitting:
        raise WeightsError(
            f"{path.name} does not fit any encoder of `bottleneck backbones` exactly. Name the "
            "right one with --backbone to see what does not fit"
        )
    if len(fitting) > 1:
        names = " or ".join(encoder.name for encoder in fitting)
        raise UsageError(f"{path.name} fits several encoders: choose one with --backbone {names}")
    return fitting[0]


def _recognise_published(
    encoder: Encoder, path: Path, layout: str, sha256: str, weights: str | None
) -> PublishedWeights | None:
    for published in encoder.published:
        if published.file.endswith(".h5") != (layout == "keras"):
            continue
        if published.sha256 == sha256:
            return published
        by_name = published.file == path.name and published.weights.startswith("radimagenet")
        by_request = weights and published.weights in (weights, f"{weights}-keras")
        by_layout = published.preprocessing == layout != "timm"
        # Networks of volumes are trained by many in the layout of one publisher.
        if isinstance(encoder, VolumeEncoder):
            by_name, by_layout = published.file == path.name, False
        if by_request or by_name or by_layout:
            return published
    return _of_torchvision(encoder, sha256) if layout == "torchvision" else None


def _of_torchvision(encoder: Encoder, sha256: str) -> PublishedWeights | None:
    # torchvision's file names contain the first eight digits of their sha256.
    from torchvision.models import get_model_weights

    for entry in get_model_weights(str(encoder.torchvision)):
        if f"-{sha256[:8]}." in entry.url:
            file = entry.url.rpartition("/")[2]
            return PublishedWeights(
                "imagenet", file, None, entry.url, "torchvision", "bsd-3-clause"
            )
    return None


def _store(
    encoder: Encoder,
    weights: str,
    located: WeightFile,
    published: PublishedWeights | None,
    content: WeightContent | None = None,
    licence: str | None = None,
) -> tuple[Path, WeightsRecord]:
    path = located.path
    content = content or read_content(located)
    fit = fit_content(encoder, path, content)
    # What a publisher states applies to its own file, not to a conversion for another library.
    stated = published.preprocessing if published else None
    if stated in encoder.layouts and stated != fit.layout.name:
        published = stated = None
    record = WeightsRecord(
        encoder=encoder.name,
        weights=weights,
        file=path.name,
        sha256=content.sha256,
        layout=fit.layout.name,
        source=published.source if published else readable(path.name),
        licence=licence or (licence_of(encoder, published) if published else None),
        preprocessing=stated,
        revision=located.revision,
    )
    target = folder.store_weights(content.data, path.suffix, record)
    return target, dataclasses.replace(record, file=target.name)


def verify() -> list[FileCheck]:
    """Compare every file of the weights folder with its record, and fit it to its encoder.

    Returns
    -------
    list of FileCheck
        One for each record, one for each file without a record, and one if others can change them.

    Raises
    ------
    WeightsError
        If a record is damaged.
    """
    used = folder.find_folder()
    records = folder.read_records(used.path)
    names = Counter((record.encoder, record.weights) for record in records.values())
    checks = []
    for path, record in records.items():
        try:
            if not folder.is_file(path):
                raise WeightsError("only the record is here, the file is missing: copy it here")
            if names[record.encoder, record.weights] > 1:
                raise WeightsError(
                    f"several files are '{record.weights}' of {record.encoder}: remove all but "
                    "one, each with its record"
                )
            located = WeightFile(path, record.weights, record.source, sha256=record.sha256)
            fit, _ = fit_file(find_encoder(record.encoder), located)
        except (UsageError, WeightsError) as error:
            checks.append(FileCheck(path.name, "broken", str(error)))
        else:
            text = f"{record.encoder}, {record.weights}, layout {fit.layout.name}"
            if unlike_published(record):
                text += ", not the published file"
            if path.is_symlink():
                text += f", a link to {path.readlink()}"
            checks.append(FileCheck(path.name, "ok", text))
    for path in folder.list_files(used.path):
        if path.suffix != ".json" and path not in records and not path.name.startswith("."):
            text = "no record: import it with `bottleneck weights import`"
            checks.append(FileCheck(path.name, "unknown", text))
    if names_of_open := used.open_to_others():
        text = (
            f"every user of this machine can change {', '.join(names_of_open)}: "
            f"chmod -R o-w {used.path}"
        )
        checks.append(FileCheck(used.path.name, "open", text))
    return checks
