"""A model as a plain timm checkpoint: its network, its tensors and its config.json."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import nn

from bottleneck.backbones.inputs.network_inputs import require_image_preprocessing
from bottleneck.backbones.licences import recorded_licence
from bottleneck.backbones.recipe import read_recipe
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.explain.maps.exact.linear_decision import LinearDecision
from bottleneck.explain.maps.gradients.explained_network import linear_layer
from bottleneck.export.classifier.exported_classifier import ClassifierMember, ExportedClassifier
from bottleneck.export.hub.checkpoint_config import checkpoint_config
from bottleneck.export.hub.log_odds import LogOdds, NoPlainCheckpointError, fold_head
from bottleneck.export.hub.plain_network import plain_network, timm_config
from bottleneck.export.standalone.program_files import classifier_facts

__all__ = ["FoldedModel", "fold_model"]

# Both compute the same in float32, in another order.
_MOST_APART = 2e-5
# Width and height of the pictures that are compared, in pixels.
_SIZE = (400, 300)


@dataclasses.dataclass(frozen=True, eq=False)
class FoldedModel:
    """A model as a plain timm checkpoint.

    Attributes
    ----------
    network : nn.Module
        The network of timm, whose softmax gives the probabilities.
    config : dict
        The content of config.json.
    """

    network: nn.Module
    config: dict[str, Any]


def fold_model(classifier: ExportedClassifier, model: Model | TrainedModel) -> FoldedModel:
    """Return a model as a plain timm checkpoint.

    Parameters
    ----------
    classifier : ExportedClassifier
        The model as one module.
    model : Model or TrainedModel
        The model.

    Raises
    ------
    NoPlainCheckpointError
        If it has no such form, with the reason.
    """
    if (n := len(classifier.members)) != 1:
        raise NoPlainCheckpointError(f"it is the mean of the probabilities of {n} networks")
    if not isinstance(preprocessing := classifier.preprocessing, Preprocessing):
        raise NoPlainCheckpointError("it takes volumes")
    (member,) = classifier.members
    assert isinstance(member, ClassifierMember)
    timm_config(member.features)  # First, as other networks may have their classifier inside.
    log_odds = _log_odds(member, model)
    if model.recipe:  # Without the faster resize of a recipe, which timm does not have.
        preprocessing = require_image_preprocessing(
            read_recipe(model.recipe).preprocessing, "export"
        )
    plain = plain_network(member.features, preprocessing)
    plain.classify(log_odds)
    licence = recorded_licence(model.weights)
    config = checkpoint_config(plain, preprocessing, classifier.classes, licence)
    slope, intercept = log_odds.of_score
    config["decision"] = {
        **classifier_facts(classifier, model),
        "scores": classifier.kind,
        "slope": slope,
        "intercept": intercept,
    }
    folded = FoldedModel(plain.network, config)
    _refuse_difference(folded, classifier, preprocessing)
    return folded


def _log_odds(member: ClassifierMember, model: Model | TrainedModel) -> LogOdds:
    try:
        if isinstance(model, Model):
            return fold_head(LinearDecision.of(model.estimator, model.classes), model.sigmoids)
        head, calibration = member.head, member.calibration
        assert isinstance(head, nn.Sequential)  # The classifier, and a softmax.
        slopes, intercepts = calibration.slopes.tolist(), calibration.intercepts.tolist()
        sigmoids = None if calibration.is_kept else Sigmoids(tuple(slopes), tuple(intercepts))
        return fold_head(linear_layer(head[0], model.name), sigmoids)
    except NoPlainCheckpointError:
        raise
    except UsageError as error:
        raise NoPlainCheckpointError(str(error)) from None


@torch.inference_mode()
def _refuse_difference(
    folded: FoldedModel, classifier: ExportedClassifier, preprocessing: Preprocessing
) -> None:
    """Raise the same error if the checkpoint gives other probabilities than the model."""
    rng = np.random.default_rng(0)
    drawn = [Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)) for _ in range(2)]
    pictures = [one.resize(_SIZE, Image.Resampling.BICUBIC) for one in drawn]
    levels = torch.from_numpy(np.stack([preprocessing.pixels(one) for one in pictures]))
    wanted, _ = classifier.decide(levels.permute(0, 3, 1, 2).float())
    options = resolve_data_config(pretrained_cfg=folded.config["pretrained_cfg"])
    transform = create_transform(**options, is_training=False)
    inputs = torch.stack([transform(one) for one in pictures])
    apart = float((folded.network(inputs).softmax(1) - wanted).abs().max())
    if not apart <= _MOST_APART:
        raise NoPlainCheckpointError(
            "its decision is not the weighted sum that its coefficients state (probabilities "
            f"differ by {apart:.2g})"
        )
