"""The choice of a method for heat maps: exact where it exists, otherwise an approximation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from bottleneck.errors import unknown_name
from bottleneck.explain.maps.decision import Explained
from bottleneck.explain.maps.exact.class_activation import class_activation_maps, find_obstacle
from bottleneck.explain.maps.gradients.grad_cam import find_gradient_obstacle, grad_cam_maps
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.explain.maps.occlusion import occlusion_maps
from bottleneck.processes.progress_bar import Progress

__all__ = ["MethodChoice", "MethodName", "choose_map_method", "make_maps"]

MethodName = Literal["auto", "exact", "grad-cam", "occlusion"]


@dataclasses.dataclass(frozen=True)
class MethodChoice:
    """The method of heat maps, and why it is this one.

    Attributes
    ----------
    name : {"exact", "grad-cam", "occlusion"}
        The method.
    words : str
        What the maps are, and why the better methods do not serve.
    """

    name: MethodName
    words: str


_WORDS: dict[MethodName, str] = {
    "exact": "Class activation maps, which are exact: the mean over the places of a map, plus a "
    "constant, is the decision value",
    "grad-cam": "Grad-CAM, an approximation: how the decision value would change with the features "
    "of the last map",
    "occlusion": "Occlusion, an approximation: how far the decision value falls when a patch of "
    "the image is covered with its mean colour",
}


def choose_map_method(explained: Explained, method: str = "auto") -> MethodChoice:
    """Return the method of the heat maps of a decision, and why.

    Parameters
    ----------
    explained : Explained
        What decides.
    method : {"auto", "exact", "grad-cam", "occlusion"}
        "auto" is exact where an exact map exists, otherwise Grad-CAM where the decision has a
        known gradient and pytorch-grad-cam is installed, and otherwise occlusion.

    Raises
    ------
    UsageError
        If there is no such method.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from bottleneck.explain.maps.exact.explained_head import ExplainedHead
    >>> from bottleneck.testing import tiny_backbone
    >>> prior = DummyClassifier().fit([[0] * 8] * 2, ["a", "b"])
    >>> choose_map_method(ExplainedHead(tiny_backbone(), prior, ("a", "b"))).name
    'occlusion'
    """
    if not isinstance(method, str) or method not in get_args(MethodName):
        raise unknown_name("method of heat maps", method, get_args(MethodName))
    for name in _WORDS:
        if method == name:
            return MethodChoice(name, f"{_WORDS[name]}.")
    obstacle = find_obstacle(explained)
    if obstacle is None:
        return MethodChoice("exact", f"{_WORDS['exact']}.")
    words = f"There is no exact map: {obstacle}."
    obstacle = find_gradient_obstacle(explained)
    if obstacle is None:
        return MethodChoice("grad-cam", f"{_WORDS['grad-cam']}. {words}")
    words = f"{_WORDS['occlusion']}. {words} There is no Grad-CAM: {obstacle}."
    return MethodChoice("occlusion", words)


def make_maps(
    explained: Explained,
    pixels: NDArray[Any],
    towards: str | Sequence[str],
    method: str = "auto",
    *,
    progress: Progress | None = None,
) -> list[HeatMap]:
    """Return heat maps of preprocessed images.

    They explain the decision value, before any calibration and threshold. ``choose_map_method``
    says in words which method "auto" is, and why.

    Parameters
    ----------
    explained : Explained
        What decides: an ``ExplainedHead`` or an ``ExplainedNetwork``; for "occlusion" anything that
        has ``decisions``.
    pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
        Preprocessed images, as ``Preprocessing.pixels`` returns them.
    towards : str or sequence of str
        The class, or that of each image.
    method : {"auto", "exact", "grad-cam", "occlusion"}
        As for ``choose_map_method``.
    progress : callable or None
        Called with the number of steps done, their total, and a text, where a step is one patch of
        an occlusion.

    Returns
    -------
    list of HeatMap
        One per image; each states its method.

    Raises
    ------
    UsageError
        If there is no such method or class, the method does not serve this decision, or the
        pixels have another shape.
    MissingExtraError
        If "grad-cam" is asked for, and pytorch-grad-cam is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from bottleneck.explain.maps.exact.explained_head import ExplainedHead
    >>> from bottleneck.testing import tiny_backbone
    >>> prior = DummyClassifier().fit([[0] * 8] * 2, ["a", "b"])
    >>> head = ExplainedHead(tiny_backbone(), prior, ("a", "b"))
    >>> make_maps(head, np.zeros((1, 16, 16, 3), np.uint8), "a")
    [<HeatMap a: 16 × 16, occlusion, decision 0>]
    """
    name = choose_map_method(explained, method).name
    if name == "exact":
        return class_activation_maps(explained, pixels, towards)
    if name == "grad-cam":
        return grad_cam_maps(explained, pixels, towards)
    return occlusion_maps(explained, pixels, towards, progress=progress)
