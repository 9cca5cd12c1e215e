"""Pictures as files, on which an export is compared with its model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bottleneck.audit.region_reading import read_regions
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.new_images.image_inputs import load_new_images
from bottleneck.data.samples.sample_table import Sample, collect
from bottleneck.data.volumes.region_voxels import RegionVoxels
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import DataError, DecodeError
from bottleneck.settings.config import CONFIGURATION_FILE, read_configuration
from bottleneck.text.plurals import counted

__all__ = ["ParityPictures", "write_pictures"]

_LONGEST_SUFFIX = 6
# The embedded images and images in memory are in this format, which few programs read.
_NETPBM = (b"P5", b"P6")


@dataclasses.dataclass(frozen=True)
class ParityPictures:
    """Pictures as files.

    Attributes
    ----------
    paths : tuple of Path
        The files.
    ids : tuple of str
        What each is called in its data set.
    words : str
        Which pictures they are: "100 pictures, drawn from 447 in ddti-crops".
    are_simulated : bool
        Whether they are those of the embedded data set.
    regions : ImageDataset or None
        Of a model of volumes: the regions that the files are patches of.
    """

    paths: tuple[Path, ...]
    ids: tuple[str, ...]
    words: str
    are_simulated: bool
    regions: ImageDataset | None = None

    @property
    def given(self) -> ImageDataset | list[Path]:
        """What the model predicts."""
        return list(self.paths) if self.regions is None else self.regions


def write_pictures(
    images: Any, folder: Path, most: int, preprocessing: AnyPreprocessing
) -> ParityPictures:
    """Write pictures into a folder, each with the bytes of its file.

    Regions of images, the embedded images and images in memory become PNG files. Regions of volumes
    become patches, in files of numpy.

    Parameters
    ----------
    images : path, list of paths, ImageDataset or None
        What ``load_new_images`` takes. None: the data set that ``bottleneck.toml`` names, and
        without one the embedded simulated images.
    folder : Path
        An existing folder.
    most : int
        Number of pictures that are drawn, with a fixed seed, where there are more.
    preprocessing : Preprocessing or VolumePreprocessing
        That of the model.

    Raises
    ------
    DataError
        If there is no picture, or one cannot be read; or if the model takes volumes, and these are
        pictures.
    """
    of_volumes = isinstance(preprocessing, VolumePreprocessing)
    dataset, of, are_simulated = _read(images, volumes=of_volumes)
    samples = _draw(dataset, most)
    if isinstance(preprocessing, VolumePreprocessing):
        return _write_patches(dataset, samples, folder, preprocessing, of)
    paths = tuple(_write(dataset, one, folder, n) for n, one in enumerate(samples))
    words = counted(len(samples), "picture")
    if len(samples) < len(dataset):
        words += f", drawn from {len(dataset)}"
    ids = tuple(one.id for one in samples)
    return ParityPictures(paths, ids, f"{words} in {of}", are_simulated)


def _write_patches(
    dataset: ImageDataset,
    samples: Sequence[Sample],
    folder: Path,
    preprocessing: VolumePreprocessing,
    of: str,
) -> ParityPictures:
    """Write patches of regions of volumes; one that cannot be read has no file."""
    if not dataset.holds_volumes:
        raise DataError(
            f"the model takes volumes, and {of} holds images: name volumes for the comparison of "
            "the export with --images (in Python: images=)"
        )
    paths = {sample.id: folder / f"{n:06}.npy" for n, sample in enumerate(samples)}

    def write(sample: Sample, voxels: RegionVoxels) -> None:
        np.save(paths[sample.id], voxels.patch)

    for _ in read_regions(dataset, samples, preprocessing, write):
        pass
    words = counted(len(samples), "region" if dataset.names("volume_region") else "volume")
    if len(samples) < len(dataset):
        words += f", drawn from {len(dataset)}"
    drawn = dataclasses.replace(dataset, samples=collect(samples))
    return ParityPictures(tuple(paths.values()), tuple(paths), f"{words} in {of}", False, drawn)


def _read(images: Any, *, volumes: bool) -> tuple[ImageDataset, str, bool]:
    """Return the data set, what it is in words, and whether it is the embedded one."""
    if images is not None:
        dataset = load_new_images(images, volumes=volumes)
        paths = [images] if isinstance(images, str | os.PathLike) else images
        if isinstance(paths, ImageDataset) or not all(map(_is_path, paths)):
            return dataset, dataset.name, False
        names = [Path(path).name for path in paths]
        return dataset, names[0] if len(names) == 1 else "several files and folders", False
    dataset = load_dataset()
    if read_configuration().dataset is not None:
        return dataset, f"{dataset.name}, which {CONFIGURATION_FILE} names", False
    return dataset, "the embedded simulated data set", True


def _is_path(one: object) -> bool:
    return isinstance(one, str | os.PathLike)


def _draw(dataset: ImageDataset, most: int) -> Sequence[Sample]:
    if not len(dataset):
        raise DataError("an export is compared with its model on pictures, but there are none")
    if len(dataset) <= most:
        return list(dataset.samples)
    drawn = np.sort(np.random.default_rng(0).choice(len(dataset), most, replace=False))
    return [dataset.samples[number] for number in drawn.tolist()]


def _write(dataset: ImageDataset, sample: Sample, folder: Path, number: int) -> Path:
    data = dataset.read(sample)
    suffix = PurePosixPath(sample.source).suffix
    path = folder / f"{number:06}{suffix if len(suffix) <= _LONGEST_SUFFIX else ''}"
    if sample.region is None and not data.startswith(_NETPBM):
        path.write_bytes(data)
        return path
    path = path.with_suffix(".png")
    try:
        decode(data, sample.region).save(path)
    except DecodeError as error:
        raise DataError(f"{sample.id}: {error}") from None
    return path
