"""Exact maps: the decision of a linear head on averaged features, divided among the places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.embedding import read_layers
from bottleneck.errors import UsageError, unknown_name
from bottleneck.explain.maps.explained_head import ExplainedHead, pixel_batches
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.explain.maps.linear_decision import LinearDecision

__all__ = ["class_activation_maps", "find_obstacle"]

# What the mean of a map and its decision may differ by: this, or as many roundings of the sum of
# the terms in float32, if that is more.
_MOST_APART, _MOST_ROUNDINGS = 1e-5, 8
_WHY_NOT_POOLED = {
    "max": "the largest value over all places",
    "gem": "a generalised mean over all places",
    "flatten": "features of their own for each place",
}


def class_activation_maps(head: ExplainedHead, pixels: NDArray[Any], towards: str) -> list[HeatMap]:
    """Return how much each place adds to the decision of a linear head, without approximation.

    The features are averages over the places of a layer, and the head takes a weighted sum of
    them. So its decision is the mean over the places of the same weighted sum (Zhou et al. 2016,
    eq. 2). As the head does, the map measures from the mean of the training images: its intercept
    is the decision for that mean, and a value of 0 is a place like the average of these.

    Parameters
    ----------
    head : ExplainedHead
        A network whose features are averaged (pooling "avg"), and a linear head. Everything is
        computed in float32 on the device of the network, whatever precision the features had that
        the head was fitted to.
    pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
        As for ``ExplainedHead.decisions``.
    towards : str
        The class. With three classes or more, the map is of the value of this class alone; what
        decides between two classes is the difference of their maps.

    Returns
    -------
    list of HeatMap
        One for each image. The mean of the values plus the intercept is the decision.

    Raises
    ------
    UsageError
        If there is no such class, or the head has no exact map.

    Examples
    --------
    >>> import torch
    >>> from sklearn.linear_model import LogisticRegression
    >>> from bottleneck.testing import tiny_backbone
    >>> pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    >>> backbone = tiny_backbone(width=8)
    >>> X = backbone.embed(torch.from_numpy(pixels)).numpy()
    >>> estimator = LogisticRegression().fit(X, ["benign", "malignant"] * 3)
    >>> head = ExplainedHead(backbone, estimator, ("benign", "malignant"))
    >>> one = class_activation_maps(head, pixels, "malignant")[0]
    >>> one.values.shape
    (7, 7)
    >>> bool(abs(one.values.mean() + one.intercept - one.decision) < 1e-5)
    True
    """
    if towards not in head.classes:
        raise unknown_name("class", towards, head.classes)
    if (obstacle := find_obstacle(head)) is not None:
        raise UsageError(
            f"an exact map needs a weighted sum of averaged features: {obstacle}. Use --maps "
            'occlusion (in Python: method="occlusion"), which takes any head'
        )
    linear = LinearDecision.of(head.estimator, head.classes)
    column = head.classes.index(towards)
    weights, intercept = linear.weights[column], float(linear.at_centre()[column])
    made: list[HeatMap] = []
    for batch in pixel_batches(head.backbone, pixels):
        (output,) = read_layers([head.backbone], batch)
        places = head.backbone.pool.places(output).cpu().numpy().astype(np.float64)
        features = head.backbone.pool(output).cpu().numpy()
        decisions = head.decide(features)[:, column]
        centred = places - linear.centre[:, np.newaxis, np.newaxis]
        values = np.einsum("c,bchw->bhw", weights, centred)
        apart = abs(values.mean(axis=(1, 2)) + intercept - decisions)
        terms = abs(features * weights).sum(axis=1) + abs(linear.intercepts[column])
        limit = np.maximum(_MOST_APART, _MOST_ROUNDINGS * np.finfo(np.float32).eps * terms)
        if (apart > limit).any():
            raise UsageError(
                f"the decision of this head is not the weighted sum that its coefficients state "
                f"(it differs by {apart.max():.2g}), so that it has no exact map. Use --maps "
                'occlusion (in Python: method="occlusion"), which takes any head'
            )
        made += [
            HeatMap(one.astype(np.float32), towards, "class activation", float(decision), intercept)
            for one, decision in zip(values, decisions, strict=True)
        ]
    return made


def find_obstacle(head: ExplainedHead) -> str | None:
    """Return why a head on a network has no exact map; None if it has one.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from bottleneck.testing import tiny_backbone
    >>> prior = DummyClassifier().fit([[0] * 8] * 2, ["a", "b"])
    >>> find_obstacle(ExplainedHead(tiny_backbone(pooling="max"), prior, ("a", "b")))
    "the pooling 'max' takes the largest value over all places"
    """
    backbone = head.backbone
    layer = f"layer '{backbone.layer}'" if backbone.layer else "the last layer"
    if backbone.pooling != "avg":
        return f"the pooling '{backbone.pooling}' takes {_WHY_NOT_POOLED[backbone.pooling]}"
    if len(backbone.shape) == 1:
        return (
            f"{layer} of {backbone.name} gives one vector per image, such as that of a class "
            "token, and no places"
        )
    if backbone.pool.grid(backbone.shape) is None:
        return (
            f"{layer} of {backbone.name} gives {backbone.shape[0]} tokens, which fill no known "
            "grid of places"
        )
    try:
        LinearDecision.of(head.estimator, head.classes)
    except UsageError as error:
        return str(error)
    return None
