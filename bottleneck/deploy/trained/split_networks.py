"""Trained networks in two parts: a backbone that is extracted, and the classifier on its rows.

The pooled last map of a trained network is extracted like that of a frozen one: rows are computed
in batches of one shape, kept by the content of their image, and survive a kill. The
trained classifier then turns a row into scores.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.weights.loading import Weights
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.finetune.networks.classifier import Classifier
from bottleneck.finetune.training_folder.trained_folder import TrainingRecord
from bottleneck.predictions import Predictions, join_scores

__all__ = ["SplitNetwork", "score_rows", "split_network"]

_CHUNK = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class SplitNetwork:
    """A trained network in two parts.

    Attributes
    ----------
    backbone : Backbone
        From an image to the pooled last map; to the logits, for an architecture whose classifier
        is part of it.
    head : nn.Module
        The trained classifier; the identity for such an architecture.
    """

    backbone: Backbone
    head: nn.Module


def split_network(classifier: Classifier, record: TrainingRecord, name: str) -> SplitNetwork:
    """Return a trained network as a backbone and the classifier on its features.

    Parameters
    ----------
    classifier : Classifier
        The network.
    record : TrainingRecord
        The training.
    name : str
        Name of the network, for its feature files.
    """
    stated = record.network
    assert stated.preprocessing is not None
    body = classifier.body
    is_backbone = bool(stated.architecture)
    backbone = Backbone(
        body.get_submodule("network") if is_backbone else body,
        name=stated.backbone,
        architecture=stated.architecture or stated.backbone,
        weights=Weights(f"trained {name}", record.name, licence=stated.licence),
        preprocessing=stated.preprocessing,
        pooling=stated.pooling if is_backbone else "avg",
        own=stated.own,
    )
    # In double precision, the score of a row does not depend on the number of rows.
    return SplitNetwork(backbone, classifier.head.eval().double())


@torch.inference_mode()
def score_rows(features: FeatureSet, head: nn.Module, classes: tuple[str, ...]) -> Predictions:
    """Return the probability of every class by the classifier of a network, for every row."""
    parts = [
        head(torch.from_numpy(features.X[start : start + _CHUNK].astype(np.float64)))
        for start in range(0, max(1, len(features)), _CHUNK)
    ]
    scores = torch.cat(parts).softmax(1).numpy()
    return join_scores(
        scores,
        classes,
        "probability",
        ids=features.ids,
        labels=features.y,
        groups=features.patients,
    )
