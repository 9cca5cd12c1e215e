"""Presets of volumes, compared with the transforms in the code of their publishers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bottleneck.backbones.volumetric.volume_presets import VOLUME_PRESETS
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_region import VolumeRegion

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def published(name: str) -> tuple[list[Any], list[Any]]:
    """Return the transforms of MONAI before and after a crop that a publisher uses."""
    from monai.transforms import NormalizeIntensity, Orientation, ScaleIntensityRange, Spacing

    labels = (("L", "R"), ("P", "A"), ("I", "S"))
    return {
        "ssl": (
            [
                Orientation(axcodes="RAS", labels=labels),
                ScaleIntensityRange(-1000, 1000, 0, 1, clip=True),
            ],
            [],
        ),
        "btcv": (
            [
                Orientation(axcodes="RAS", labels=labels),
                Spacing((1.5, 1.5, 2.0), mode="bilinear"),
                ScaleIntensityRange(-175, 250, 0, 1, clip=True),
            ],
            [],
        ),
        # Files of BraTS lie in LPS, at 1 mm.
        "brats": (
            [Orientation(axcodes="LPS", labels=labels), Spacing((1, 1, 1), mode="bilinear")],
            [NormalizeIntensity(nonzero=True, channel_wise=True)],
        ),
        "ct_fm": (
            [
                Orientation(axcodes="SPL", labels=labels),
                Spacing((3, 1, 1), mode="bilinear"),
                ScaleIntensityRange(-1024, 2048, 0, 1, clip=True),
            ],
            [],
        ),
    }[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [
        ("ssl", (100, 98, 99), (0.7, 0.7, 1.25)),
        ("btcv", (80, 76, 60), (2.0, 2.1, 4.0)),
        ("brats", (132, 130, 129), (1.0, 1.0, 1.0)),
        ("ct_fm", (70, 72, 30), (2.0, 2.0, 4.0)),
    ],
)
def test_patches_are_those_of_the_publisher(
    name: str, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    import torch
    from monai.data import MetaTensor
    from monai.transforms import Compose, SpatialCrop

    how = VOLUME_PRESETS[name]
    affine = np.diag([*spacing, 1.0]) * [1, -1, 1, 1]
    affine[:3, 3] = (-60, 80, 30)
    values = np.random.RandomState(0).randint(-1500, 2500, shape).astype(np.int16)
    values[:, :20] = 0
    volume = Volume(VolumeGeometry(shape, affine), values)
    before, after = published(name)
    image = MetaTensor(torch.as_tensor(values)[None], affine=torch.as_tensor(_TO_RAS @ affine))
    whole = Compose(before)(image)
    # MONAI's crop of an even size begins half of it before its centre. So does a patch of whole
    # voxels; the point lies in the middle of a patch that is resampled.
    centre = np.array([n // 2 for n in whole.shape[1:]])
    point = centre - (0 if how.spacing in (None, spacing) else 0.5)
    world = (whole.affine.numpy() @ [*point, 1])[:3]
    patch = read_region(volume, VolumeRegion(*world.tolist(), "ras"), how).patch
    judge = Compose([SpatialCrop(roi_center=centre, roi_size=how.size), *after])(whole)
    assert patch.shape == how.input_shape
    for channel in range(how.n_channels):
        np.testing.assert_allclose(patch[..., channel], judge[0].numpy(), atol=1e-4)
