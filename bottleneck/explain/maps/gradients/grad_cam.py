"""Grad-CAM: the last map of a network, weighted by the gradient of a decision."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bottleneck.errors import MissingExtraError, UsageError, one_line
from bottleneck.explain.maps.decision import Explained, class_columns
from bottleneck.explain.maps.exact.explained_head import ExplainedHead, pixel_batches
from bottleneck.explain.maps.gradients.differentiable import differentiable_decision
from bottleneck.explain.maps.gradients.explained_network import ExplainedNetwork
from bottleneck.explain.maps.gradients.gradient_path import GradientPath
from bottleneck.explain.maps.heat_map import HeatMap

__all__ = ["find_gradient_obstacle", "grad_cam_maps"]

Array = NDArray[np.float64]

# The most that decisions may differ by, as a share of the largest one.
_MOST_APART = 1e-3
_MOST_LOG_ODDS = 12.0
_INSTALL = "  pip install 'bottleneck-features[explain]'"


# The caller may have turned gradients off.
@torch.inference_mode(False)
@torch.enable_grad()
def grad_cam_maps(
    explained: Explained, pixels: NDArray[Any], towards: str | Sequence[str]
) -> list[HeatMap]:
    """Return the Grad-CAM of each image, signed.

    Each channel of the last map is weighted by the mean over places of the gradient of the
    decision value (Selvaraju et al. 2017, eq. 1 and 2), by the library pytorch-grad-cam. Two things
    differ from that paper. The sum is shown before its ReLU, so that places that speak against the
    class are negative; the positive places are those of the paper. And it is multiplied by the
    number of places. Of a linear decision on an averaged map, which needs no approximation, the
    values then are those of the class activation map, up to its constant. With three classes or
    more, a support vector machine counts votes, which have no gradient: its map is of the sum of
    values that decides between equal votes.

    Parameters
    ----------
    explained : ExplainedHead or ExplainedNetwork
        A head on a network, with a decision function that has a gradient, or a trained network. Of
        the mean of several networks, the map is the mean of their maps.
    pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
        Preprocessed images, as ``Preprocessing.pixels`` returns them.
    towards : str or sequence of str
        The class, or that of each image.

    Returns
    -------
    list of HeatMap
        One per image, on the grid of the map.

    Raises
    ------
    MissingExtraError
        If pytorch-grad-cam is not installed.
    UsageError
        If the decision has no known gradient, the network gives no map, or the class is unknown.

    Examples
    --------
    >>> import torch
    >>> from sklearn.svm import SVC
    >>> from bottleneck.testing import tiny_backbone
    >>> pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    >>> backbone = tiny_backbone()
    >>> X = backbone.embed(torch.from_numpy(pixels)).numpy()
    >>> estimator = SVC().fit(X, ["benign", "malignant"] * 3)
    >>> head = ExplainedHead(backbone, estimator, ("benign", "malignant"))
    >>> grad_cam_maps(head, pixels[:1], "malignant")[0].values.shape
    (7, 7)
    """
    columns = class_columns(explained, pixels, towards)
    try:
        paths = _paths(explained)
    except UsageError as error:
        raise UsageError(
            f"Grad-CAM needs the gradient of a decision on a map: {error}. Use --maps occlusion "
            '(in Python: method="occlusion"), which takes any head'
        ) from None
    _refuse_without_library()
    each = [_follow(path, pixels, columns) for path in paths]
    maps = np.mean([maps for maps, _ in each], axis=0)
    decisions = explained.decisions(pixels)
    # Log-odds of probabilities near 0 and 1 are rounded, and limited.
    rounded = isinstance(explained, ExplainedHead) and not explained.has_decision_function
    most = _MOST_LOG_ODDS if rounded else np.inf
    differentiated = np.mean([values for _, values in each], axis=0).reshape(decisions.shape)
    _refuse_other_function(differentiated.clip(-most, most), decisions.clip(-most, most))
    return [
        HeatMap(
            one.astype(np.float32), explained.classes[column], "grad-cam", float(values[column])
        )
        for one, column, values in zip(maps, columns, decisions, strict=True)
    ]


def find_gradient_obstacle(explained: Explained) -> str | None:
    """Return why there is no Grad-CAM of a decision here; None if there is one.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from bottleneck.testing import tiny_backbone
    >>> prior = DummyClassifier().fit([[0] * 8] * 2, ["a", "b"])
    >>> find_gradient_obstacle(ExplainedHead(tiny_backbone(), prior, ("a", "b")))
    'no gradient of DummyClassifier is known'
    """
    try:
        _paths(explained)
    except UsageError as error:
        return str(error)
    if not _is_installed():
        return f"pytorch-grad-cam is not installed ({_INSTALL.strip()})"
    return None


def _is_installed() -> bool:
    return find_spec("pytorch_grad_cam") is not None


def _refuse_without_library() -> None:
    """Raise ``MissingExtraError`` if pytorch-grad-cam is not installed, or does not load."""
    why = "is not installed"
    if _is_installed():
        try:
            import pytorch_grad_cam  # noqa: F401  # Only whether it loads.
        except (ImportError, OSError) as error:  # Of OpenCV, parts of the system may be missing.
            why = f"does not load here ({one_line(error)})"
        else:
            return
    raise MissingExtraError(
        f"Grad-CAM needs pytorch-grad-cam, which {why}. Install it with",
        _INSTALL,
        "or use --maps occlusion, which needs no further package",
    )


def _paths(explained: Explained) -> list[GradientPath]:
    """Return the network that Grad-CAM takes a map from, or the networks of a mean."""
    if isinstance(explained, ExplainedHead):
        decide = differentiable_decision(explained.estimator, explained.classes)
        return [GradientPath.of(explained.backbone, decide)]
    if isinstance(explained, ExplainedNetwork):
        return [GradientPath.of(one.backbone, one.differentiable) for one in explained.members]
    raise UsageError(f"{type(explained).__name__} is neither ExplainedHead nor ExplainedNetwork")


def _follow(
    path: GradientPath, pixels: NDArray[Any], columns: Sequence[int]
) -> tuple[list[Array], list[Array]]:
    """Return the map of each image, and its values of the classes."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = GradCAM(path.network, [path.layer])
    maps: list[Array] = []
    decisions: list[Array] = []
    try:
        for batch in pixel_batches(path.backbone, pixels):
            at = columns[len(maps) : len(maps) + len(batch)]
            targets = [ClassifierOutputTarget(column) for column in at]
            inputs = path.maps(batch)
            cam(inputs, targets)  # Its result has no negative values, and a scale of 0 to 1.
            kept = cam.activations_and_grads
            activations, gradients = kept.activations[0].numpy(), kept.gradients[0].numpy()
            signed = cam.get_cam_image(inputs, path.layer, targets, activations, gradients)
            maps += [*(signed.astype(np.float64) * signed[0].size)]
            decisions += [*cam.outputs.detach().numpy()]
    finally:
        cam.activations_and_grads.release()
    return maps, decisions


def _refuse_other_function(differentiated: NDArray[Any], decisions: NDArray[Any]) -> None:
    """Raise ``UsageError`` if what was differentiated is not what decides.

    An estimator of the user's own may inherit from a known class, and score in another way.
    """
    apart = np.abs(differentiated - decisions).max(initial=0.0)
    if apart > _MOST_APART * max(1.0, np.abs(decisions).max(initial=0.0)):
        raise UsageError(
            "the known gradient of this head belongs to decisions that differ from its own by up "
            f"to {apart:.3g}, for example because your class inherits from one of scikit-learn "
            "and scores differently. Use --maps occlusion (in Python: "
            'method="occlusion"), which takes any head'
        )
