"""A model as one torch module: pixels or patches in, calibrated probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.export.classifier.calibration_layer import CalibrationLayer
from bottleneck.export.classifier.graph_input import GraphInput, PatchFrame
from bottleneck.export.classifier.network_features import NetworkFeatures
from bottleneck.export.classifier.pixel_frame import PixelFrame
from bottleneck.predictions import Kind

__all__ = ["ClassifierMember", "ExportedClassifier"]


class ClassifierMember(nn.Module):
    """A head on the features of a network, with its calibration.

    Parameters
    ----------
    features : NetworkFeatures
        The network; several members may share one.
    head : nn.Module
        From features to the scores of the classes, both in float64.
    calibration : CalibrationLayer
        From scores to probabilities.
    """

    def __init__(
        self, features: NetworkFeatures, head: nn.Module, calibration: CalibrationLayer
    ) -> None:
        super().__init__()
        self.features, self.head, self.calibration = features, head, calibration


class ExportedClassifier(nn.Module):
    """A model as one torch module, which computes in float32 up to the features.

    ``build_classifier`` makes it of a model.

    Parameters
    ----------
    classes : sequence of str
        All labels, sorted: the order of the columns.
    preprocessing : Preprocessing or VolumePreprocessing
        How pixels or voxels reach the network.
    kind : {"decision", "probability"}
        What the scores are.
    members : sequence of ClassifierMember
        One, or those whose calibrated probabilities are averaged. The mean is then the score.
    """

    def __init__(
        self,
        classes: Sequence[str],
        preprocessing: AnyPreprocessing,
        kind: Kind,
        members: Sequence[ClassifierMember],
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.preprocessing = preprocessing
        self.kind = kind
        self.frame: nn.Module = (
            PatchFrame(preprocessing)
            if isinstance(preprocessing, VolumePreprocessing)
            else PixelFrame(preprocessing)
        )
        # A list of modules for torch, which mypy takes for a list of any modules.
        self.members = cast(list[ClassifierMember], nn.ModuleList(members))
        self.requires_grad_(False)

    @property
    def input(self) -> GraphInput:
        """What ``forward`` takes."""
        return GraphInput.of(self.preprocessing)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities and the scores of images, or of regions of volumes.

        Parameters
        ----------
        pixels : Tensor of uint8, shape (n, height, width, 3)
            RGB, of any size; or patches of volumes, as ``PatchFrame`` takes them.

        Returns
        -------
        probabilities : Tensor of float32, shape (n, n_classes)
            Calibrated.
        scores : Tensor of float64, shape (n, n_classes)
            What thresholds apply to: of a patient, they are aggregated over the images first. Two
            classes of a decision function have the scores -d and d. A threshold may be a score of
            the training or the next number in float64, so they are not rounded.
        """
        return self.decide(self.frame(pixels))

    def decide(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities and the scores of images that were resized and cropped.

        Parameters
        ----------
        levels : Tensor of float32, shape (n, n_channels, crop, crop)
            Values from 0 to 255, as of ``PixelFrame``; or patches, as of ``PatchFrame``.
        """
        each = []
        for member, features in zip(self.members, self._features(levels), strict=True):
            scores = member.head(features)
            each.append((member.calibration(scores), scores))
        if len(each) == 1:
            probabilities, scores = each[0]
        else:
            probabilities = scores = torch.stack([one for one, _ in each]).mean(0)
        return probabilities.float(), scores

    def _features(self, levels: Tensor) -> list[Tensor]:
        """Return the features of each member in float64."""
        made: dict[NetworkFeatures, Tensor] = {}
        for member in self.members:
            if member.features not in made:
                made[member.features] = member.features(levels).double()
        return [made[member.features] for member in self.members]
