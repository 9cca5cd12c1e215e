"""The networks that may be quantised."""

from __future__ import annotations

from bottleneck.backbones.recipe import takes_volumes
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import UsageError

__all__ = ["QUANTISABLE", "refuse_quantise"]

#: Networks of convolutions, small enough for a phone: their timm names and what users call them.
QUANTISABLE = {
    "mobilenetv3_large_100": "mobilenetv3",
    "tf_efficientnet_lite0": "efficientnet_lite0",
    "resnet18": "resnet18",
}


def refuse_quantise(model: Model | TrainedModel) -> None:
    """Refuse a model whose network is not quantised here.

    Raises
    ------
    UsageError
        If the network is another one, or has been trained as a whole.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> refuse_quantise(fit(FeatureSet.from_arrays(X, y), "logistic"))
    Traceback (most recent call last):
    bottleneck.errors.UsageError: the network ... cannot be quantised: ...
    """
    if isinstance(model, TrainedModel):
        raise UsageError(
            "networks that were trained as a whole cannot be quantised: measuring the loss would "
            "mean training the network again in each fold, which takes hours; export it without "
            "--quantise (in "
            "Python: quantise=)"
        )
    if takes_volumes(model.recipe):
        raise UsageError(
            "models of volumes cannot be quantised: 8-bit integers are for phones; export it "
            "without --quantise (in Python: quantise=)"
        )
    name = str(model.recipe.get("network", model.recipe.get("backbone", "")))
    if name not in QUANTISABLE:
        raise UsageError(
            f"the network {name} cannot be quantised: 8-bit integers are for phones, and are "
            f"available for {', '.join(QUANTISABLE.values())}. Transformers spend their time in "
            "layer norms, softmax and GELU, which stay in floating point, and larger "
            "convolutional networks are still too slow for a phone: export the model without "
            "--quantise (in Python: quantise=), or fit a model on features of one of these networks"
        )
