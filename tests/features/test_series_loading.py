"""Regions of DICOM series: how many series are in memory."""

from __future__ import annotations

import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from made_series import made_ct, slices, write_series

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.volumes.formats.dicom_slices import DicomSlice
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_files import VolumeFiles
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.features.images.region_loader import load_regions
from bottleneck.features.timing import Clock

N_SERIES = 16


def test_few_series_are_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = VolumeGeometry((8, 8, 2), np.eye(4))
    for number in range(N_SERIES):
        write_series(tmp_path / str(number), slices(made_ct((8, 8, 2)), geometry))
    opened: weakref.WeakSet[Volume] = weakref.WeakSet()
    most = [0]

    class Counted(VolumeFiles):
        def open_volume(self, source: str) -> Volume:
            volume = super().open_volume(source)
            opened.add(volume)
            most[0] = max(most[0], len(opened))
            return volume

    read = DicomSlice.read

    def read_slowly(self: DicomSlice) -> np.ndarray:
        time.sleep(0.05)
        return read(self)

    monkeypatch.setattr(DicomSlice, "read", read_slowly)
    samples = [Sample(str(number), str(number), "") for number in range(N_SERIES)]
    dataset = ImageDataset("made", samples, Counted(tmp_path), may_lack_labels=True)
    how = VolumePreprocessing(size=(4, 4, 2))
    rows = load_regions(
        dataset, range(N_SERIES), how, lambda _: [how], Clock(N_SERIES), ahead=N_SERIES
    )
    assert [row.failure for row in rows] == [None] * N_SERIES
    assert most[0] <= 6
