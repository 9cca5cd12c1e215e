"""The volumes of a data set: opened by sample, and read as patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.samples.sample_counts import SampleCounts
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.sources.image_sources import ImageSource, open_volume
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume import Volume, VolumeSource
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError

__all__ = ["VolumeSamples"]


class VolumeSamples(SampleCounts):
    """The volumes of a data set, for classes that hold samples and their source.

    Attributes
    ----------
    name : str
        Name of the data set, for messages.
    images : ImageSource
        A ``VolumeSource`` if the samples are volumes or regions of volumes.
    """

    name: str
    images: ImageSource

    @property
    def noun(self) -> str:
        """What a sample is in words: "image", "volume" or "region".

        Examples
        --------
        >>> from bottleneck import load_dataset
        >>> load_dataset("phantom", limit=2).noun
        'image'
        """
        if not self.holds_volumes:
            return "image"
        return "region" if self.names("volume_region") else "volume"

    @property
    def holds_volumes(self) -> bool:
        """Whether the samples are volumes or regions of volumes."""
        return isinstance(self.images, VolumeSource)

    def open_volume(self, sample: Sample) -> Volume:
        """Return the open volume of a sample.

        Raises
        ------
        OSError, DataError
            If it cannot be read.
        StorageError
            If the storage failed, which says nothing about the volume.
        UsageError
            If the data set holds images.

        Examples
        --------
        >>> from bottleneck import load_dataset
        >>> load_dataset("phantom", limit=2).holds_volumes
        False
        """
        if not isinstance(self.images, VolumeSource):
            raise UsageError(f"the data set '{self.name}' holds images, not volumes")
        return open_volume(self.images, sample.source, sample.id)

    def read_patch(self, sample: Sample, preprocessing: VolumePreprocessing) -> NDArray[np.float32]:
        """Return the patch that a network takes of a volume, or of a region of one.

        Parameters
        ----------
        sample : Sample
            One of ``samples``.
        preprocessing : VolumePreprocessing
            That of the network: ``Backbone.preprocessing``, or ``input.preprocessing`` in the
            ``export.json`` of an exported model.

        Returns
        -------
        ndarray of float32, shape ``preprocessing.input_shape``
            Before the mean and the deviation, which the network applies.

        Raises
        ------
        OSError, DataError
            If it cannot be read.
        UsageError
            If the data set holds images.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from bottleneck import VolumePreprocessing, load_new_images
        >>> path = Path(tempfile.mkdtemp(), "ct.mha")
        >>> header = (
        ...     "ObjectType = Image\\nNDims = 3\\nBinaryData = True\\n"
        ...     "BinaryDataByteOrderMSB = False\\nTransformMatrix = 1 0 0 0 1 0 0 0 1\\n"
        ...     "Offset = 0 0 0\\nElementSpacing = 1 1 1\\nDimSize = 8 8 8\\n"
        ...     "ElementType = MET_SHORT\\nElementDataFile = LOCAL\\n"
        ... )
        >>> _ = path.write_bytes(header.encode() + bytes(8 * 8 * 8 * 2))
        >>> data = load_new_images(path)
        >>> data.read_patch(data.samples[0], VolumePreprocessing(size=(4, 4, 4))).shape
        (4, 4, 4, 1)
        """
        volume = self.open_volume(sample)
        return read_region(volume, sample.volume_region, preprocessing).patch
