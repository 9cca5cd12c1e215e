"""Several sources of images as one data set, and the names of their samples."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.image_sources import CombinedSource
from bottleneck.data.samples import Sample, collect
from bottleneck.data.source_names import prefixed, refuse_unclear
from bottleneck.text.plurals import counted

__all__ = ["Part", "join_parts", "read_image_files"]


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """The images of one source.

    Attributes
    ----------
    dataset : ImageDataset
        The images.
    path : Path or None
        The file or folder; None for images in memory.
    is_folder : bool
        Whether it is a folder of images, in no format of its own.
    files : tuple of Path
        The image files that it consists of, if it is neither.
    """

    dataset: ImageDataset
    path: Path | None = None
    is_folder: bool = False
    files: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths that the user gave for it."""
        return self.files or (() if self.path is None else (self.path,))


def read_image_files(files: Sequence[Path]) -> Part:
    """Return image files as one data set, sorted by path, each once.

    Parameters
    ----------
    files : sequence of Path
        Absolute paths. Ids are relative to the folder that contains them all.
    """
    distinct = sorted({os.path.realpath(file): file for file in reversed(files)}.values())
    folder = _common_folder(distinct)
    names = [file.relative_to(folder).as_posix() for file in distinct]
    notes = []
    if n := len(files) - len(distinct):
        notes = [f"{counted(n, 'image')} named twice, and read once"]
    dataset = ImageDataset(
        name=distinct[0].stem or "images",
        samples=collect(Sample(id=name, source=name, label="") for name in names),
        images=FileSource(folder),
        notes=tuple(notes),
        may_lack_labels=True,
    )
    return Part(dataset, files=tuple(distinct))


def join_parts(parts: Sequence[Part]) -> ImageDataset:
    """Return the images of all sources as one data set.

    Its name holds a hash of all paths. With several sources, ids, patients and sources begin with
    the path of their source, relative to the folder that contains all of these.

    Parameters
    ----------
    parts : sequence of Part
        At least one.
    """
    paths = sorted(path for part in parts for path in part.paths)
    if len(parts) == 1:
        (part,) = parts
        return _named(part.dataset, part.dataset.name, paths)
    folder = _common_folder(paths)
    named = sorted(_prefixes(parts, folder).items())
    notes = [f"{prefix}: {n}" for prefix, part in named for n in part.dataset.notes]
    repeated = Counter[str]()
    samples = collect(_join(named, repeated))
    if n := repeated.total():
        notes.append(
            f"{counted(n, 'image')} of several sources {'is' if n == 1 else 'are'} read once, such "
            f"as '{next(iter(repeated))}'"
        )
    excluded: Counter[str] = Counter()
    for part in parts:
        excluded.update(part.dataset.excluded)
    first = parts[0].dataset.name
    dataset = ImageDataset(
        name=f"{first}-and-{len(parts) - 1}-more",
        samples=samples,
        images=CombinedSource({prefix: part.dataset.images for prefix, part in reversed(named)}),
        excluded=dict(excluded),
        notes=tuple(notes),
        may_lack_labels=True,
    )
    return _named(dataset, dataset.name, paths)


def _named(dataset: ImageDataset, name: str, paths: Sequence[Path]) -> ImageDataset:
    if not paths:
        return dataset
    digest = hashlib.sha256("\n".join(map(str, paths)).encode(errors="surrogateescape"))
    return dataclasses.replace(dataset, name=f"{name}-{digest.hexdigest()[:8]}", named_by_path=True)


def _prefixes(parts: Sequence[Part], folder: Path) -> dict[str, Part]:
    """Return the sources by the names that go before their ids."""
    named: dict[str, Part] = {}
    for part in parts:
        path = part.path or (_common_folder(part.files) if part.files else None)
        name = part.dataset.name if path is None else path.relative_to(folder).as_posix()
        name = "files" if name == "." else name
        number = 1
        while name in named:
            number += 1
            name = f"{name}-{number}"
        named[name] = part
    if any(not part.paths for part in parts):  # Nested folders hold the same images; others do not.
        refuse_unclear(named)
    return named


def _join(named: Sequence[tuple[str, Part]], repeated: Counter[str]) -> Iterator[Sample]:
    known: dict[tuple[str, object], str] = {}
    for prefix, part in named:
        images = part.dataset.images
        for sample in part.dataset.samples:
            if isinstance(images, FileSource):
                file = os.path.realpath(images.root / sample.source)
                if known.setdefault((file, sample.region), prefix) != prefix:
                    repeated[prefixed(prefix, sample.id)] += 1
                    continue
            yield dataclasses.replace(
                sample,
                id=prefixed(prefix, sample.id),
                source=prefixed(prefix, sample.source),
                group=sample.group and prefixed(prefix, sample.group),
            )


def _common_folder(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths]))
