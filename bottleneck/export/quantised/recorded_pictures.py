"""The images that features were extracted from, read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import decode
from bottleneck.data.samples.sample_table import Sample
from bottleneck.errors import DataError, UsageError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.processes.progress_bar import Progress

__all__ = ["RecordedPictures"]


class RecordedPictures:
    """The images of a feature set, in a data set.

    Parameters
    ----------
    data : ImageDataset
        The data set that the features were extracted from.
    features : FeatureSet
        The features.

    Raises
    ------
    UsageError
        If the data set lacks one of the images.
    """

    def __init__(self, data: ImageDataset, features: FeatureSet) -> None:
        wanted = set(features.ids.tolist())
        self._data = data
        self._samples: dict[str, Sample] = {s.id: s for s in data.samples if s.id in wanted}
        if lacking := sorted(wanted - set(self._samples)):
            raise UsageError(
                f"{len(lacking)} of {len(wanted)} images of the comparison are not in "
                f"{data.name}, the first of them '{lacking[0]}': name the data set that was "
                "compared, with --data (in Python: data=)"
            )
        self._hashes: dict[str, str] = {}
        if features.sha256 is not None:
            pairs = zip(features.ids.tolist(), features.sha256.tolist(), strict=True)
            self._hashes = dict(pairs)

    def read(
        self, ids: Sequence[str], progress: Progress | None = None, text: str = ""
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of images, each of shape (1, height, width, 3), in RGB.

        Parameters
        ----------
        ids : sequence of str
            Samples of the feature set.
        progress : callable or None
            Called with the number of images read, their total, and the text.
        text : str
            What they are read for.

        Raises
        ------
        DataError
            If an image cannot be read, or is another one than the features are of.
        """
        for number, name in enumerate(ids):
            if progress is not None:
                progress(number, len(ids), text)
            sample = self._samples[name]
            try:
                data = self._data.read(sample)
            except OSError as error:
                raise DataError(f"the image '{name}' cannot be read: {error}") from error
            digest = hashlib.sha256(data).hexdigest()
            if self._hashes.get(name, digest) != digest:
                raise DataError(
                    f"the image '{name}' is not the image of its features: name the data set that "
                    "was compared, or extract and compare again"
                )
            yield np.asarray(decode(data, sample.region))[np.newaxis]
