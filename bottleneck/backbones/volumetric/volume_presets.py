"""The preprocessing that each publisher of a network of volumes states, by name."""

from __future__ import annotations

from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing

__all__ = ["VOLUME_PRESETS"]

VOLUME_PRESETS = {
    # SwinUNETR/Pretrain/utils/data_utils.py and main.py in Project-MONAI/research-contributions:
    # voxels as they are.
    "ssl": VolumePreprocessing(size=(96, 96, 96), window=(-1000.0, 1000.0)),
    # SwinUNETR/BTCV/utils/data_utils.py and main.py.
    "btcv": VolumePreprocessing(size=(96, 96, 96), spacing=(1.5, 1.5, 2.0), window=(-175.0, 250.0)),
    # SwinUNETR/BRATS21/utils/data_utils.py and main.py: the four sequences of BraTS, at 1 mm and in
    # the orientation of its files. A sample here is one series, and fills the four channels.
    "brats": VolumePreprocessing(
        size=(128, 128, 128),
        spacing=(1.0, 1.0, 1.0),
        orientation="LPS",
        standardise="nonzero",
        n_channels=4,
    ),
    # datasets/brains18.py in Tencent/MedicalNet, without the noise that it puts in place of 0.
    # Arrays are (z, y, x). The publisher states a size for whole brains only, 56×448×448.
    "medicalnet": VolumePreprocessing(size=(64, 64, 64), orientation="SPL", standardise="nonzero"),
    # scripts/feature_extractor.py in project-lighter/CT-FM.
    "ct_fm": VolumePreprocessing(
        size=(24, 128, 128),
        spacing=(3.0, 1.0, 1.0),
        orientation="SPL",
        window=(-1024.0, 2048.0),
    ),
}
