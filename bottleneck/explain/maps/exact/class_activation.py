"""Exact maps: the decision of a linear head on averaged features, divided among the places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.layers.embedding import read_layers
from bottleneck.errors import UsageError
from bottleneck.explain.maps.decision import Explained, class_columns
from bottleneck.explain.maps.exact.explained_head import ExplainedHead, pixel_batches
from bottleneck.explain.maps.exact.linear_decision import LinearDecision
from bottleneck.explain.maps.gradients.explained_network import ExplainedNetwork
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.text.plurals import counted

__all__ = ["class_activation_maps", "find_obstacle"]

_Part = tuple[Backbone, Callable[[NDArray[Any]], NDArray[np.float64]], LinearDecision]

# What the mean of a map and its decision may differ by: this, or as many roundings of the sum of
# the terms in float32, if that is more.
_MOST_APART, _MOST_ROUNDINGS = 1e-5, 8
_WHY_NOT_POOLED = {
    "max": "the largest value over all places",
    "gem": "a generalised mean over all places",
    "flatten": "separate features for each place",
}


def class_activation_maps(
    explained: Explained, pixels: NDArray[Any], towards: str | Sequence[str]
) -> list[HeatMap]:
    """Return how much each place adds to the decision of a linear head, without approximation.

    The features are averages over the places of a layer, and the head takes a weighted sum of
    them. So its decision is the mean over the places of the same weighted sum (Zhou et al. 2016,
    eq. 2). As the head does, the map measures from the mean of the training images: its intercept
    is the decision for that mean, and a value of 0 is a place like the average of these.

    Parameters
    ----------
    explained : ExplainedHead or ExplainedNetwork
        A network whose features are averaged (pooling "avg"), and a linear head; or a trained
        network that ends in an average and one linear layer, which standardises nothing, so that
        its map measures from 0. Of the mean of several networks, the map is the mean of their
        maps. Everything is computed in float32 on the device of the network, whatever precision
        the features had that the head was fitted to.
    pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
        As for ``ExplainedHead.decisions``.
    towards : str or sequence of str
        The class, or that of each image. With three classes or more, the map is of the value of
        this class alone; what decides between two classes is the difference of their maps.

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
    columns = class_columns(explained, pixels, towards)
    if (obstacle := find_obstacle(explained)) is not None:
        raise UsageError(
            f"an exact map needs a weighted sum of averaged features: {obstacle}. Use --maps "
            'occlusion (in Python: method="occlusion"), which takes any head'
        )
    each = [_weigh(part, pixels, np.array(columns, int)) for part in _parts(explained)]
    names = [explained.classes[column] for column in columns]
    return [
        HeatMap(one.astype(np.float32), name, "class activation", float(decision), float(intercept))
        for name, one, decision, intercept in zip(
            names, *(np.mean(values, axis=0) for values in zip(*each, strict=True)), strict=True
        )
    ]


def _parts(explained: Explained) -> list[_Part]:
    """Return each network, what decides on its features, and the weights of these."""
    if isinstance(explained, ExplainedHead):
        linear = LinearDecision.of(explained.estimator, explained.classes)
        return [(explained.backbone, explained.decide, linear)]
    if isinstance(explained, ExplainedNetwork):
        return [(one.backbone, one.decide, one.linear()) for one in explained.members]
    raise UsageError(f"{type(explained).__name__} is neither ExplainedHead nor ExplainedNetwork")


def _weigh(
    part: _Part, pixels: NDArray[Any], columns: NDArray[np.int64]
) -> tuple[list[NDArray[np.float64]], list[float], list[float]]:
    """Return the map, the decision value and the intercept of each image."""
    backbone, decide, linear = part
    maps: list[NDArray[np.float64]] = []
    known: list[float] = []
    for batch in pixel_batches(backbone, pixels):
        at = columns[len(maps) : len(maps) + len(batch)]
        (output,) = read_layers([backbone], batch)
        places = backbone.pool.places(output).cpu().numpy().astype(np.float64)
        features = backbone.pool(output).cpu().numpy()
        decisions = decide(features)[np.arange(len(at)), at]
        weights = linear.weights[at]
        centred = places - linear.centre[:, np.newaxis, np.newaxis]
        values = np.einsum("bc,bchw->bhw", weights, centred)
        apart = abs(values.mean(axis=(1, 2)) + linear.at_centre()[at] - decisions)
        terms = abs(features * weights).sum(axis=1) + abs(linear.intercepts[at])
        limit = np.maximum(_MOST_APART, _MOST_ROUNDINGS * np.finfo(np.float32).eps * terms)
        if (apart > limit).any():
            raise UsageError(
                f"the decision of this head is not the weighted sum that its coefficients state "
                f"(it differs by {apart.max():.2g}), so it has no exact map. Use --maps "
                'occlusion (in Python: method="occlusion"), which takes any head'
            )
        maps += [*values]
        known += decisions.tolist()
    return maps, known, linear.at_centre()[columns].tolist()


def find_obstacle(explained: Explained) -> str | None:
    """Return why a head on a network, or a trained network, has no exact map; None if it has one.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from bottleneck.testing import tiny_backbone
    >>> prior = DummyClassifier().fit([[0] * 8] * 2, ["a", "b"])
    >>> find_obstacle(ExplainedHead(tiny_backbone(pooling="max"), prior, ("a", "b")))
    "the pooling 'max' takes the largest value over all places"
    """
    # Of a mean, all networks are alike.
    networks = explained.members if isinstance(explained, ExplainedNetwork) else [explained]
    backbone = getattr(networks[0], "backbone", None)
    if backbone is None:
        return f"{type(explained).__name__} is neither ExplainedHead nor ExplainedNetwork"
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
            f"{layer} of {backbone.name} gives {counted(backbone.shape[0], 'token')}, for which no "
            "grid of places is known"
        )
    try:
        _parts(explained)
    except UsageError as error:
        return str(error)
    return None
