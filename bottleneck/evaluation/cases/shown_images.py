"""Images that a report may show: thumbnails and names of some rows of a feature set."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.audit.audit import Audit
from bottleneck.audit.image_check import is_unchanged, without_text
from bottleneck.audit.region_reading import find_volume_preprocessing, read_regions
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import decode, pixel_facts
from bottleneck.data.volumes.region_voxels import RegionVoxels
from bottleneck.errors import DataError
from bottleneck.evaluation.cases.wrong_cases import ImageName, WrongCase
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = [
    "NO_IMAGES",
    "THUMBNAIL_LENGTH",
    "make_thumbnails",
    "name_images",
    "rows_of_audit",
    "rows_of_cases",
]

#: What to do where images are to be shown, and there are none.
NO_IMAGES = (
    "--with-pictures (in Python with_pictures=True) shows images, but these features hold none, "
    "like features from arrays and comparisons of predictions alone: compare features that "
    "`bottleneck extract` made, or "
    "name the data set of the images (--data, in Python compare(dataset=…))"
)
#: Longer side of a thumbnail that is made from the image itself, or of a plane, in pixels.
THUMBNAIL_LENGTH = 128
# Number of pairs, and of single images, that are shown of a finding.
_SHOWN = 12
_THREADS = 4


def rows_of_audit(audit: Audit) -> list[int]:
    """Return the rows that findings are about, the most severe finding first."""
    rows = itertools.chain.from_iterable(
        (*itertools.chain.from_iterable(f.pairs[:_SHOWN]), *f.rows[:_SHOWN])
        for f in audit.findings
        if f.code != "BF101"
    )
    return list(itertools.islice(rows, 4 * _SHOWN))


def rows_of_cases(cases: Mapping[str, tuple[WrongCase, ...]], *, own: bool = True) -> Iterator[int]:
    """Yield the rows of misclassified samples, if ``own``, and of the training images near them."""
    for case in itertools.chain.from_iterable(cases.values()):
        if own:
            yield case.row
        yield from (near.row for near in case.nearest)


def name_images(features: FeatureSet, rows: Iterable[int]) -> dict[int, ImageName]:
    """Return id, patient and file of some rows."""
    patients, sources = features.stated_patients, features.sources
    return {
        row: ImageName(
            str(features.ids[row]),
            "" if patients is None else str(patients[row]),
            "" if sources is None else str(sources[row]),
        )
        for row in dict.fromkeys(rows)
    }


def make_thumbnails(
    features: FeatureSet, rows: Iterable[int], dataset: ImageDataset | None = None
) -> dict[int, NDArray[np.uint8]]:
    """Return thumbnails of some rows.

    Parameters
    ----------
    features : FeatureSet
        The features.
    rows : iterable of int
        The rows.
    dataset : ImageDataset or None
        The images, matched by id. An image that is missing, unreadable, or another one than the
        features were computed from is not shown; its thumbnail is that of the feature file.

    Returns
    -------
    dict of int to ndarray of uint8
        From ``dataset``: the image or its region in colour, as the network was shown it but for a
        filter against speckle, with a longer side of at most 128 pixels, shape (height, width, 3);
        or three planes of a volume, shape (256, 256). Otherwise the grey thumbnail of the feature
        file, shape (32, 32). Rows without either are left out.
    """
    wanted = list(dict.fromkeys(rows))
    if dataset is None:
        large = {}
    else:
        large = (_read_volumes if dataset.holds_volumes else _read)(features, wanted, dataset)
    small = features.thumbnails
    made = {}
    for row in wanted:
        if row in large:
            made[row] = large[row]
        elif small is not None:
            made[row] = np.array(small[row])
    return made


def _read_volumes(
    features: FeatureSet, rows: Collection[int], dataset: ImageDataset
) -> dict[int, NDArray[np.uint8]]:
    row_of = {str(features.ids[row]): row for row in rows}

    def draw(sample: Sample, voxels: RegionVoxels) -> NDArray[np.uint8] | None:
        if not is_unchanged(features, row_of[sample.id], voxels.sha256, voxels.facts()):
            return None
        return np.asarray(voxels.picture(2 * THUMBNAIL_LENGTH))

    samples = [sample for sample in dataset.samples if sample.id in row_of]
    drawn = read_regions(dataset, samples, find_volume_preprocessing(features), draw)
    return {row_of[sample.id]: image for sample, image in drawn if image is not None}


def _read(
    features: FeatureSet, rows: Collection[int], dataset: ImageDataset
) -> dict[int, NDArray[np.uint8]]:
    row_of = {str(features.ids[row]): row for row in rows}
    samples = [sample for sample in dataset.samples if sample.id in row_of]
    preparation = features.preparation

    def read(sample: Sample) -> NDArray[np.uint8] | None:
        try:
            data = dataset.read(sample)
            image = decode(data, sample.region, preparation.display)
        except (OSError, DataError):
            return None
        digest = hashlib.sha256(data).hexdigest()
        if not is_unchanged(features, row_of[sample.id], digest, pixel_facts(image)):
            return None
        shown = without_text(image, preparation)
        shown.thumbnail((THUMBNAIL_LENGTH, THUMBNAIL_LENGTH), Image.Resampling.LANCZOS)
        return np.asarray(shown)

    with ThreadPoolExecutor(_THREADS) as pool:
        made = zip(samples, pool.map(read, samples), strict=True)
        return {row_of[sample.id]: image for sample, image in made if image is not None}
