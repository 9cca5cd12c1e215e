"""Search of a feature set for copies, and the groups of samples that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import SplitColumns
from bottleneck.features.rows import key_of

if TYPE_CHECKING:
    from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups

__all__ = ["CopySearch"]

Strings = NDArray[np.str_]


class CopySearch(SplitColumns):
    """Samples with features that are searched for copies once.

    Attributes
    ----------
    X : ndarray of float32, shape (n_samples, n_features)
        Features.
    provenance : mapping
        What the rows come from.
    sha256, pixels, thumbnails, size, regions, volume_regions, boxes
        As in ``FeatureSet``.
    """

    X: NDArray[np.float32]
    provenance: Mapping[str, Any]
    sha256: Strings | None
    pixels: Strings | None
    regions: NDArray[np.int32] | None
    volume_regions: Strings | None
    boxes: NDArray[np.float64] | None
    thumbnails: NDArray[np.uint8] | None
    size: NDArray[np.int32] | None

    @cached_property
    def groups(self) -> Strings:
        """Group of every sample; every split must keep a group on one side.

        Patients joined by identical and near-duplicate images, as in ``leak_safe_groups``. A
        sample without a patient and without a copy is a group of its own. The first use searches
        for copies.
        """
        names = self.leak_safe_groups.names
        return np.char.add("sample ", self.ids) if names is None else names

    @property
    def leak_safe_groups(self) -> LeakSafeGroups:
        """Patients joined by identical and near-duplicate images; searched for once."""
        return self.join_duplicates()

    def join_duplicates(
        self, progress: Callable[[int, int, str], None] | None = None
    ) -> LeakSafeGroups:
        """Return ``leak_safe_groups``, and show the progress of the first search.

        Parameters
        ----------
        progress : callable or None
            Called with the number of images done, their total and a text.
        """
        from bottleneck.duplicates.leak_safe_groups import leak_safe_groups

        if self._searched:
            return self._searched[0]
        self._searched.append(
            leak_safe_groups(
                self.thumbnails,
                self.patients,
                self.ids,
                pixels=self.contents,
                noun=self.noun,
                sizes=self.size,
                features=self.X,
                order_by=self.fold_columns,
                examinations=self.loose_examinations,
                progress=progress,
            )
        )
        return self._searched[0]

    @property
    def has_images(self) -> bool:
        """Whether the features are of images; features from arrays need not be."""
        return "columns" not in self.provenance["recipe"]

    @property
    def has_columns(self) -> bool:
        """Whether there are features; samples of predictions have none."""
        return self.X.shape[1] > 0

    @property
    def has_volumes(self) -> bool:
        """Whether the samples are volumes or regions of volumes."""
        return self.boxes is not None or self.volume_regions is not None

    @property
    def noun(self) -> str:
        """What a sample is in words: "image", "volume", "region", or "sample" without an image."""
        if not self.has_images:
            return "sample"
        if not self.has_volumes:
            return "image"
        regions = self.volume_regions
        return "region" if regions is not None and (regions != "").any() else "volume"

    @property
    def image_hashes(self) -> Strings | None:
        """Hash by which an image is recognised in other feature files, of any recipe.

        That of its bytes. The hash of a row of a volume depends on the preprocessing, so that
        volumes are recognised by the voxels around their centre. None where it is not known.
        """
        return self.pixels if self.has_volumes else self.sha256

    def keys(self) -> list[str]:
        """Return the key of every row, as feature files have it; hashes must be known."""
        if self.sha256 is None:
            raise ValueError("the hashes of the images are not known")
        n = len(self.sha256)
        regions = [None] * n if self.regions is None else self.regions.tolist()
        of_volumes = [""] * n if self.volume_regions is None else self.volume_regions.tolist()
        return list(map(key_of, self.sha256.tolist(), regions, of_volumes))

    @cached_property
    def contents(self) -> Strings | None:
        """Hash of the content of each sample; equal hashes are copies.

        Hashes of the pixels, or of the rows of features where there are no images. None where
        features take so few values that different samples can have equal ones by chance.
        """
        from bottleneck.duplicates.equal_rows import hash_rows, is_by_chance

        if self.has_images:
            return self.pixels
        hashes = hash_rows(self.X)
        is_unique = len(set(hashes.tolist())) == len(hashes)
        return None if not is_unique and is_by_chance(self.X) else hashes

    @cached_property
    def _searched(self) -> list[LeakSafeGroups]:
        """Result of the search for duplicates, once it was made."""
        return []
