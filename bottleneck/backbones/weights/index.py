"""The weights that exist and those that are here: list, fetch, import, verify."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bottleneck.backbones import layouts
from bottleneck.backbones.catalogue import ENCODERS, Encoder, PublishedWeights, find_encoder
from bottleneck.backbones.layer_listing import width_of
from bottleneck.backbones.weights import folder, hub
from bottleneck.backbones.weights.folder import WeightsRecord
from bottleneck.backbones.weights.loading import (
    WeightFile,
    find_local,
    fit_file,
    licence_of,
    locate,
    unavailable_weights,
)
from bottleneck.errors import UsageError, WeightsError

__all__ = ["FileCheck", "describe_weights", "fetch", "import_file", "verify"]

_RESERVED = ("random",)


@dataclasses.dataclass(frozen=True)
class FileCheck:
    """Whether one file of the weights folder is what its record says: ok or broken, and why."""

    file: str
    state: str
    text: str


def describe_weights(name: str | None = None) -> list[dict[str, Any]]:
    """Describe the published weights of the encoders, and what the weights folder has.

    Parameters
    ----------
    name : str, optional
        Of one encoder.

    Returns
    -------
    list of dict
        backbone; weights; width of a pooled feature; file; source; licence; preprocessing;
        sha256, of the file here, else as third parties claim it; here, the file's path.

    Raises
    ------
    UsageError
        If there is no such encoder.
    """
    encoders = [find_encoder(name)] if name else list(ENCODERS.values())
    kept = folder.read_records(folder.folder_path())
    rows = []
    for encoder in encoders:
        for published in encoder.published:
            rows.append(_published_row(encoder, published))
        shown = {p.weights for p in encoder.published}
        rows.extend(
            _kept_row(encoder, path, record)
            for path, record in kept.items()
            if record.encoder == encoder.name and record.weights not in shown
        )
    return rows


def _published_row(encoder: Encoder, published: PublishedWeights) -> dict[str, Any]:
    found = folder.find_record(encoder.name, published.weights)
    if found:
        return _kept_row(encoder, *found)
    here = find_local(encoder, published)
    claimed = published.claimed_sha256
    return {
        "backbone": encoder.name,
        "weights": published.weights,
        "width": width_of(encoder),
        "file": published.file,
        "source": published.repository or published.home,
        "licence": licence_of(encoder, published),
        "preprocessing": published.preprocessing,
        "sha256": f"{claimed} (claimed by third parties)" if claimed else None,
        "here": str(here) if here else None,
    }


def _kept_row(encoder: Encoder, path: Path, record: WeightsRecord) -> dict[str, Any]:
    return {
        "backbone": encoder.name,
        "weights": record.weights,
        "width": width_of(encoder),
        "file": record.file,
        "source": record.source,
        "licence": record.licence,
        "preprocessing": record.preprocessing or record.layout,
        "sha256": record.sha256,
        "here": str(path),
    }


def fetch(name: str, weights: str = "imagenet") -> tuple[Path, WeightsRecord]:
    """Put published weights into the weights folder, from the hub's cache or the hub.

    Parameters
    ----------
    name : str
        Of an encoder.
    weights : str
        "imagenet" or "radimagenet".

    Returns
    -------
    path : Path
        Of the file.
    record : WeightsRecord
        What is known of it.

    Raises
    ------
    UsageError
        If there is no such encoder or weights.
    WeightsError
        If they cannot be had, or do not fit.
    """
    encoder = find_encoder(name)
    published = encoder.find_published(weights)
    if published is None:
        locate(encoder, weights)  # Says what is wrong with the name.
        raise UsageError(f"'{weights}' is not published; `bottleneck weights import` takes files")
    if published.repository is None:
        raise unavailable_weights(encoder, published, "they are not on the hub")
    try:
        path = hub.cached_file(published) or hub.download(published)
    except hub.HubError as error:
        raise unavailable_weights(encoder, published, str(error)) from None
    return _keep(encoder, published.weights, path, published)


def import_file(
    path: Path, *, name: str | None = None, weights: str | None = None
) -> WeightsRecord:
    """Recognise a weight file and put a copy of it into the weights folder.

    Parameters
    ----------
    path : Path
        The file.
    name : str, optional
        Of the encoder; by default the only one of the catalogue that the file fills.
    weights : str, optional
        The name that ``--weights`` will take; by default that of the published weights that
        the file turns out to be.

    Raises
    ------
    UsageError
        If a name is missing or cannot be.
    WeightsError
        If the file fits no encoder, or not this one.
    """
    encoder = find_encoder(name) if name else _recognised(path)
    if weights and (meant := encoder.find_published(weights)):
        weights = meant.weights
    fit, sha256 = fit_file(encoder, WeightFile(path, path.stem, path.name))
    published = _published(encoder, path, fit.layout.name, sha256, weights)
    weights = weights or (published.weights if published else None)
    if weights is None:
        raise UsageError(
            f"{path.name} fits {encoder.name} (layout {fit.layout.name}), and nothing in it says "
            "what it was trained on: give it a name with --as, for example --as imagenet"
        )
    if weights in _RESERVED or Path(weights).suffix or "/" in weights:
        raise UsageError(f"weights cannot be called '{weights}': it means something else")
    return _keep(encoder, weights, path, published)[1]


def _recognised(path: Path) -> Encoder:
    fitting = layouts.fitting_encoders(layouts.read_checkpoint(path))
    if not fitting:
        raise WeightsError(
            f"{path.name} fits none of the encoders of `bottleneck backbones` exactly. Name the "
            "one that it is meant for with --backbone, to hear what does not fit"
        )
    if len(fitting) > 1:
        names = " or ".join(encoder.name for encoder in fitting)
        raise UsageError(f"{path.name} fits several encoders: say which with --backbone {names}")
    return fitting[0]


def _published(
    encoder: Encoder, path: Path, layout: str, sha256: str, weights: str | None
) -> PublishedWeights | None:
    for published in encoder.published:
        if published.file.endswith(".h5") != (layout == "keras"):
            continue
        by_name = published.file == path.name and published.weights.startswith("radimagenet")
        by_wish = weights and published.weights in (weights, f"{weights}-keras")
        if by_wish or by_name or published.preprocessing == layout != "timm":
            return published
    return _of_torchvision(encoder, sha256) if layout == "torchvision" else None


def _of_torchvision(encoder: Encoder, sha256: str) -> PublishedWeights | None:
    # torchvision's file names carry the first eight digits of their sha256.
    from torchvision.models import get_model_weights

    for entry in get_model_weights(str(encoder.torchvision)):
        if f"-{sha256[:8]}." in entry.url:
            file = entry.url.rpartition("/")[2]
            return PublishedWeights(
                "imagenet", file, None, entry.url, "torchvision", "bsd-3-clause"
            )
    return None


def _keep(
    encoder: Encoder, weights: str, path: Path, published: PublishedWeights | None
) -> tuple[Path, WeightsRecord]:
    fit, sha256 = fit_file(encoder, WeightFile(path, weights, path.name))
    # What a publisher states holds for his form of the file, not for another library's.
    stated = published.preprocessing if published else None
    if stated in encoder.layouts and stated != fit.layout.name:
        published = stated = None
    record = WeightsRecord(
        encoder=encoder.name,
        weights=weights,
        file=path.name,
        sha256=sha256,
        layout=fit.layout.name,
        source=(published.repository or published.home) if published else path.name,
        licence=licence_of(encoder, published) if published else None,
        preprocessing=stated,
    )
    target = folder.keep(path, record)
    return target, dataclasses.replace(record, file=target.name)


def verify() -> list[FileCheck]:
    """Check every file of the weights folder against its record, and that it still fits.

    Returns
    -------
    list of FileCheck
        One a record, and one a file that has no record.
    """
    place = folder.folder_path()
    verdicts = []
    records = folder.read_records(place)
    for path, record in records.items():
        try:
            if not path.is_file():
                raise WeightsError("the record is here, the file is not: copy it here")
            located = WeightFile(path, record.weights, record.source, sha256=record.sha256)
            fit, _ = fit_file(find_encoder(record.encoder), located)
        except (UsageError, WeightsError) as error:
            verdicts.append(FileCheck(path.name, "broken", str(error)))
        else:
            text = f"{record.encoder}, {record.weights}, layout {fit.layout.name}"
            verdicts.append(FileCheck(path.name, "ok", text))
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if path.suffix != ".json" and path not in records and not path.name.startswith("."):
            text = "no record: import it with `bottleneck weights import`"
            verdicts.append(FileCheck(path.name, "unknown", text))
    return verdicts
