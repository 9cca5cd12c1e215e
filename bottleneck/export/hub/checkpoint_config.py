"""The config.json of a plain timm checkpoint, which timm and transformers both read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.export.hub.log_odds import NoPlainCheckpointError
from bottleneck.export.hub.plain_network import PlainNetwork

__all__ = ["checkpoint_config"]


def checkpoint_config(
    plain: PlainNetwork, preprocessing: Preprocessing, classes: Sequence[str], licence: str | None
) -> dict[str, Any]:
    """Return the content of config.json.

    Every field of the preprocessing is stated: what is left out becomes a default of timm, without
    a message, and probabilities change by up to 0.2.

    Parameters
    ----------
    plain : PlainNetwork
        The network.
    preprocessing : Preprocessing
        How pixels reach it.
    classes : sequence of str
        All labels, in the order of the logits.
    licence : str or None
        Licence of the weights.

    Raises
    ------
    NoPlainCheckpointError
        If another library than Pillow resizes.
    """
    if preprocessing.resizer != "pillow":
        raise NoPlainCheckpointError(
            f"images are resized as {preprocessing.resizer} does, and the transform that timm and "
            "transformers build resizes as Pillow does"
        )
    mean, std, side = preprocessing.mean, preprocessing.std, preprocessing.crop
    if preprocessing.channels == "BGR":
        mean, std = mean[::-1], std[::-1]
    network = plain.network
    pretrained = {
        "tag": None,
        "custom_load": False,
        "input_size": [3, side, side],
        "fixed_input_size": bool(network.pretrained_cfg.get("fixed_input_size")),
        "interpolation": preprocessing.interpolation,
        "crop_pct": _crop_share(preprocessing),
        "crop_mode": "squash" if preprocessing.squash else "center",
        "mean": list(mean),
        "std": list(std),
        "num_classes": len(classes),
        "first_conv": network.pretrained_cfg.get("first_conv"),
        "classifier": network.pretrained_cfg.get("classifier"),
        "license": licence,
    }
    return {
        "architecture": plain.architecture,
        "num_classes": len(classes),
        "num_features": network.num_features,
        "label_names": list(classes),
        "model_args": dict(plain.arguments),
        "pretrained_cfg": {name: value for name, value in pretrained.items() if value is not None},
    }


def _crop_share(preprocessing: Preprocessing) -> float:
    """Return the share of the resized image that is cropped, as timm finds the size again."""
    crop, resize = preprocessing.crop, preprocessing.resize
    # timm rounds crop / share down. Any share between two bounds is right, and this one is far
    # from both.
    middle = crop / (resize + 0.5)
    shares = (round(crop / resize, 3), round(middle, 4), middle)
    return next(share for share in shares if share <= 1 and math.floor(crop / share) == resize)
