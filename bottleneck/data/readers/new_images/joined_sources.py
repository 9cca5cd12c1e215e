"""Several sources of images as one data set, and the names of their samples."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.folders.mask_files import split_masks
from bottleneck.data.samples.sample_table import Box, Sample, collect, values_of
from bottleneck.data.sources.image_sources import combine_sources
from bottleneck.data.sources.source_names import prefixed, refuse_unclear
from bottleneck.data.volumes.volume_files import VolumeFiles
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.text.plurals import counted

__all__ = ["SourceImages", "join_sources", "read_image_files"]

_Key = tuple[str, Box | None, VolumeRegion | None]


@dataclasses.dataclass(frozen=True, eq=False)
class SourceImages:
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


def read_image_files(files: Sequence[Path], *, volumes: bool = False) -> SourceImages:
    """Return files of images, or of volumes, as one data set, in the order given, each once.

    Parameters
    ----------
    files : sequence of Path
        Absolute paths. Ids are relative to the folder that contains them all.
    volumes : bool
        Whether they are volumes.
    """
    noun = "volume" if volumes else "image"
    first: dict[str, Path] = {}
    for file in files:
        first.setdefault(os.path.realpath(file), file)
    distinct = list(first.values())
    folder = _common_folder(distinct)
    names = [file.relative_to(folder).as_posix() for file in distinct]
    notes = []
    if masks := split_masks(sorted(names))[1]:
        n = len(masks)
        notes.append(
            f"{counted(n, 'file')} {'has' if n == 1 else 'have'} the name of a mask of another "
            f"{noun}, such as '{masks[0][0]}' of '{masks[0][1]}': what is named is read; name the "
            "folder, and masks are left out"
        )
    if n := len(files) - len(distinct):
        notes.append(f"{counted(n, noun)} named twice, and read once")
    dataset = ImageDataset(
        name=min(distinct).stem.removesuffix(".nii") or f"{noun}s",
        samples=collect(Sample(id=name, source=name, label="") for name in names),
        images=VolumeFiles(folder) if volumes else FileSource(folder),
        notes=tuple(notes),
        may_lack_labels=True,
    )
    return SourceImages(dataset, files=tuple(distinct))


def join_sources(sources: Sequence[SourceImages]) -> ImageDataset:
    """Return the images of all sources as one data set.

    Its name holds a hash of all paths. With several sources, ids, patients and sources begin with
    the path of their source, relative to the folder that contains all of these.

    Parameters
    ----------
    sources : sequence of SourceImages
        At least one.
    """
    paths = sorted(path for source in sources for path in source.paths)
    if len(sources) == 1:
        (source,) = sources
        return _named(source.dataset, source.dataset.name, paths)
    folder = _common_folder(paths)
    named = sorted(_prefixes(sources, folder).items())
    notes = [f"{prefix}: {n}" for prefix, source in named for n in source.dataset.notes]
    repeated = _Repeated(named)
    samples = collect(repeated.join())
    notes += [*repeated.notes(), *_note_patients(named)]
    excluded: Counter[str] = Counter()
    for source in sources:
        excluded.update(source.dataset.excluded)
    first = sources[0].dataset.name
    dataset = ImageDataset(
        name=f"{first}-and-{len(sources) - 1}-more",
        samples=samples,
        images=combine_sources(
            {prefix: source.dataset.images for prefix, source in reversed(named)}
        ),
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


def _prefixes(sources: Sequence[SourceImages], folder: Path) -> dict[str, SourceImages]:
    """Return the sources by the names that go before their ids."""
    named: dict[str, SourceImages] = {}
    for source in sources:
        path = source.path or (_common_folder(source.files) if source.files else None)
        name = source.dataset.name if path is None else path.relative_to(folder).as_posix()
        name = "files" if name == "." else name
        number = 1
        while name in named:
            number += 1
            name = f"{name}-{number}"
        named[name] = source
    if any(
        not source.paths for source in sources
    ):  # Nested folders hold the same images; others do not.
        refuse_unclear(named)
    return named


class _Repeated:
    """The samples of several sources, each image once.

    Parameters
    ----------
    named : sequence of (str, SourceImages)
        The sources, each with the name that goes before its ids.
    """

    def __init__(self, named: Sequence[tuple[str, SourceImages]]) -> None:
        self._named = named
        self._first: dict[_Key, str] = {}
        self._labels: dict[_Key, set[str]] = {}
        self._repeated = Counter[str]()
        self._contradicted: list[str] = []
        for prefix, source in named:
            for sample in source.dataset.samples:
                key = _key(source, sample)
                if key is not None and self._first.setdefault(key, prefix) != prefix:
                    self._repeated[prefixed(prefix, sample.id)] += 1
                    self._labels.setdefault(key, set())
        # Of an image in several sources, one may know the label.
        for _, source in named if self._labels else ():
            for sample in source.dataset.samples:
                key = _key(source, sample)
                if key in self._labels and sample.label:
                    self._labels[key].add(sample.label)

    def join(self) -> Iterator[Sample]:
        """Yield the samples with the names of their sources."""
        for prefix, source in self._named:
            for sample in source.dataset.samples:
                key, label = _key(source, sample), sample.label
                if key is not None and self._first[key] != prefix:
                    continue
                if key is not None and (known := self._labels.get(key)):
                    label = next(iter(known)) if len(known) == 1 else ""
                    if len(known) > 1:
                        self._contradicted.append(prefixed(prefix, sample.id))
                yield dataclasses.replace(
                    sample,
                    id=prefixed(prefix, sample.id),
                    source=prefixed(prefix, sample.source),
                    label=label,
                    group=sample.group and prefixed(prefix, sample.group),
                )

    def notes(self) -> Iterator[str]:
        """Yield notes on images of several sources, after ``join``."""
        if n := self._repeated.total():
            yield (
                f"{counted(n, 'image')} of several sources {'is' if n == 1 else 'are'} read once, "
                f"such as '{next(iter(self._repeated))}'"
            )
        if n := len(self._contradicted):
            yield (
                f"{counted(n, 'image')} with several labels in several sources, such as "
                f"'{self._contradicted[0]}': {'it counts' if n == 1 else 'these count'} as "
                "unlabelled"
            )


def _note_patients(named: Sequence[tuple[str, SourceImages]]) -> Iterator[str]:
    """Yield a note on patients of several sources, who count as one in each."""
    sources: dict[str, str] = {}
    for prefix, source in named:
        for patient in set(values_of(source.dataset.samples, "group")) - {None}:
            if (other := sources.setdefault(patient, prefix)) != prefix:
                yield (
                    f"patients of one name in '{other}' and '{prefix}' count as two: if they are "
                    "the same people, name the folder that contains both"
                )
                return


def _key(source: SourceImages, sample: Sample) -> _Key | None:
    """Return what the same image has in all sources; None for an image that is not a file."""
    images = source.dataset.images
    if not isinstance(images, FileSource | VolumeFiles):
        return None
    return os.path.realpath(images.root / sample.source), sample.region, sample.volume_region


def _common_folder(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths]))
