"""Predictions of trained networks on another data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small import N_IMAGES

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.errors import DataError, ModelError
from bottleneck.finetune.external_prediction import predict
from bottleneck.finetune.trained_arm import Trained


def test_another_data_set(
    trained: Trained, dataset: ImageDataset, backbone: Backbone, photos: Path
) -> None:
    # Of those samples that the fold was tested on, and some others, the same is said again.
    told = trained.predictions.take(trained.predictions.folds == 1)
    later = predict(trained.path, dataset, fold=1, backbone=backbone)
    rows = [list(later.ids).index(i) for i in told.ids]
    np.testing.assert_allclose(later.scores[rows], told.scores, atol=1e-6)
    assert len(later) == N_IMAGES
    with pytest.raises(ModelError, match="no network of repeat 0, fold 7"):
        predict(trained.path, dataset, fold=7, backbone=backbone)
    samples = tuple(Sample(p.name, p.name, "other") for p in sorted(photos.iterdir())[:2])
    with pytest.raises(DataError, match="benign, malignant; the data set 'x' has other"):
        predict(trained.path, ImageDataset("x", samples, FileSource(photos)), backbone=backbone)
