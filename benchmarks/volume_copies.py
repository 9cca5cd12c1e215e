"""Agreement of the thumbnails of true copies of regions, and of different places in one CT.

Around random points of a CT, regions are read as they are, and from altered versions of the volume.
Pairs of different points count if their regions do not overlap. "Needed" is the agreement that 0.1
of all pairs of so many samples would reach by chance, as the search for near-duplicates of images
extrapolates it.

    python benchmarks/volume_copies.py ct.nii.gz
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.region_voxels import RegionVoxels, read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_files import open_volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.duplicates.alignment import agree
from bottleneck.duplicates.near_duplicates import _extrapolate
from bottleneck.duplicates.similarity import round_aspects

_POINTS, _SAMPLES = 150, 3_500
_BODY, _DETAIL = 0.15, 0.05
_WINDOW = (-1000.0, 400.0)
_FRAMINGS = {
    "50 mm": (50.0, VolumePreprocessing(size=(64, 64, 64), window=_WINDOW)),
    "67 mm": (67.0, VolumePreprocessing(size=(64, 64, 64), window=_WINDOW)),
    "50 mm, axial slices": (
        50.0,
        VolumePreprocessing(
            size=(64, 64, 16), window=_WINDOW, slices="axial", orientation="LPI", n_channels=1
        ),
    ),
}


def _resampled(volume: Volume, voxels: NDArray[np.float32], *spacing: float) -> Volume:
    ratio = np.array(spacing) / volume.geometry.spacing
    shape = tuple(int(n / r) for n, r in zip(voxels.shape, ratio, strict=True))
    made = ndimage.affine_transform(voxels, ratio, output_shape=shape, order=1, mode="nearest")
    affine = volume.geometry.affine.copy()
    affine[:3, :3] *= ratio
    return Volume(VolumeGeometry(made.shape, affine), made)


def _alter(volume: Volume) -> dict[str, tuple[Volume, Callable[[NDArray], NDArray]]]:
    """Return altered versions of a volume, and where they have the voxel of an index."""
    voxels = volume.read((0, 0, 0), volume.geometry.shape)
    rng = np.random.default_rng(1)
    mm = volume.geometry.spacing

    def noisy(values: NDArray[np.float32], hu: float) -> Volume:
        noise = rng.normal(0, hu, values.shape).astype(np.float32)
        return Volume(volume.geometry, values + noise)

    def smooth(sigma: float) -> NDArray[np.float32]:
        return np.asarray(ndimage.gaussian_filter(voxels, [sigma / one for one in mm]))

    def moved(by: float) -> Callable[[NDArray], NDArray]:
        return lambda index: index + np.array([by / mm[0], 0, 0])

    def mirrored(index: NDArray) -> NDArray:
        return np.array([volume.geometry.shape[0] - 1 - index[0], *index[1:]])

    x, y, z = mm
    here = moved(0)
    resampled = {
        "resampled to two thirds of the spacing": _resampled(
            volume, voxels, *(2 * m / 3 for m in mm)
        ),
        "resampled to 1.5 times the spacing": _resampled(volume, voxels, *(1.5 * m for m in mm)),
        "slices twice as thick": _resampled(volume, voxels, x, y, 2 * z),
    }
    return {
        **{name: (one, _scaled(here, volume, one)) for name, one in resampled.items()},
        "noise of 20 HU": (noisy(voxels, 20), here),
        "noise of 60 HU": (noisy(voxels, 60), here),
        "smoother (sigma 3 mm)": (noisy(smooth(3), 0), here),
        "smoother (sigma 1.5 mm), noise of 20 HU": (noisy(smooth(1.5), 20), here),
        **{f"centre moved by {by} mm": (volume, moved(by)) for by in (1, 2, 4)},
        "mirrored": (Volume(volume.geometry, np.ascontiguousarray(voxels[::-1])), mirrored),
    }


def _scaled(
    where: Callable[[NDArray], NDArray], volume: Volume, other: Volume
) -> Callable[[NDArray], NDArray]:
    ratio = np.array(volume.geometry.spacing) / other.geometry.spacing
    return lambda index: where(index) * ratio


def _thumbnail(voxels: RegionVoxels) -> NDArray[np.uint8]:
    return np.frombuffer(voxels.facts().thumbnail, np.uint8).reshape(32, 32)


def _measure(volume: Volume, edge: float, how: VolumePreprocessing) -> None:
    def read(of: Volume, index: NDArray) -> RegionVoxels:
        return read_region(of, VolumeRegion(*index.tolist(), "voxel", edge), how)

    rng = np.random.default_rng(0)
    points, regions = [], []
    while len(points) < _POINTS:
        index = rng.uniform(0, np.array(volume.geometry.shape) - 1)
        one = read(volume, index)
        if one.patch.mean() >= _BODY and one.patch.std() >= _DETAIL:
            points.append(index)
            regions.append(one)
    thumbnails = np.stack([_thumbnail(one) for one in regions])
    aspect = float(round_aspects(np.array([regions[0].size]), 1)[0])
    both = np.stack([agree(one, aspect, thumbnails) for one in thumbnails])
    both = np.maximum(both, both.T)
    low, high = np.split(np.array([one.box for one in regions]), 2, axis=1)
    a, b = np.triu_indices(_POINTS, 1)
    apart = ((low[a] >= high[b]) | (low[b] >= high[a])).any(axis=1)
    chance = both[a, b][apart]
    needed = _extrapolate(chance, (0.9, 0.99), _SAMPLES * (_SAMPLES - 1) // 2, 0.1)
    print(
        f"{len(chance)} pairs that do not overlap: median {np.median(chance):.2f}, largest "
        f"{chance.max():.2f}, {int((chance >= 0.8).sum())} from 0.80; needed for {_SAMPLES} "
        f"samples: {needed:.3f}\n\n| copy | median agreement | from 0.80 | from {needed:.2f} |"
        "\n| --- | ---: | ---: | ---: |"
    )
    for name, (altered, where) in _alter(volume).items():
        found = []
        for row, index in enumerate(points):
            at = where(index)
            inside = (at > -0.5) & (at < np.array(altered.geometry.shape) - 0.5)
            if inside.all():
                copy = _thumbnail(read(altered, at))
                one = agree(thumbnails[row], aspect, copy[None])
                found.append(max(one[0], agree(copy, aspect, thumbnails[row : row + 1])[0]))
        values = np.array(found)
        shares = " | ".join(f"{(values >= at).mean():.0%}" for at in (0.8, needed))
        print(f"| {name} | {np.median(values):.2f} | {shares} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ct", type=Path)
    volume = open_volume(parser.parse_args().ct)
    for name, (edge, how) in _FRAMINGS.items():
        print(f"\n## {name}\n")
        _measure(volume, edge, how)


if __name__ == "__main__":
    main()
