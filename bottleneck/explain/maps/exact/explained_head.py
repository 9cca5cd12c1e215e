"""A fitted head on a frozen network, as a function from pixels to values of the classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.inputs.network_inputs import require_image_preprocessing
from bottleneck.backbones.recipe import Precision
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.explain.maps.decision import refuse_other_pixels
from bottleneck.heads.estimators.scores import order_classes
from bottleneck.heads.estimators.suitability import has_method, last_step, walk
from bottleneck.heads.search import score_classes
from bottleneck.predictions import Kind
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_names, describe, shorten

__all__ = ["ExplainedHead", "pixel_batches"]

# Images of one forward pass.
_BATCH = 32
# A probability of 0, such as of a forest, would have no finite log-odds.
_LEAST = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class ExplainedHead:
    """A frozen network and a head that was fitted to its features.

    Attributes
    ----------
    backbone : Backbone
        The network. Features are computed on its device, in float32: where the head was fitted to
        features in bf16, decisions differ by the rounding of bf16.
    estimator : estimator
        The fitted scikit-learn estimator, such as ``Model.estimator``.
    classes : tuple of str
        All labels, in the order of the columns of ``decisions``.

    Raises
    ------
    UsageError
        If the estimator is not fitted, or was fitted to other classes or to another number of
        features than the network gives.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from bottleneck.testing import tiny_backbone
    >>> backbone = tiny_backbone(width=8)
    >>> pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    >>> X = backbone.embed(torch.from_numpy(pixels)).numpy()
    >>> estimator = LogisticRegression().fit(X, ["benign", "malignant"] * 3)
    >>> head = ExplainedHead(backbone, estimator, ("benign", "malignant"))
    >>> head
    <ExplainedHead LogisticRegression: on features from tiny (random); classes
        benign, malignant>
    >>> bool(np.allclose(head.decisions(pixels)[:, 1], estimator.decision_function(X)))
    True
    """

    backbone: Backbone
    estimator: Any
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, Backbone):
            raise UsageError(
                f"a network is needed, as load_backbone returns it, not {shorten(self.backbone)}"
            )
        if not hasattr(self.estimator, "classes_"):
            raise UsageError(
                "a fitted classifier is needed, such as model.estimator, and "
                f"{shorten(self.estimator)} is not fitted: it has no classes_"
            )
        if isinstance(self.classes, str):
            raise UsageError(f"classes needs a tuple of labels, not '{self.classes}'")
        object.__setattr__(self, "classes", tuple(self.classes))
        order_classes(self.estimator, self.classes)
        fitted_to = getattr(self.estimator, "n_features_in_", None)
        if fitted_to is not None and fitted_to != self.backbone.width:
            raise UsageError(
                f"the head was fitted to {counted(int(fitted_to), 'feature')}, and the network "
                f"{self.backbone.name} gives {self.backbone.width}: pass the network, the layer "
                "and the pooling that the features come from; features of several networks or "
                "layers that were joined have no maps"
            )
        within = walk(self.estimator) if has_method(self.estimator, "get_params") else ()
        for _, one in within:
            if one.get_params(deep=False).get("decision_function_shape") == "ovo":
                raise UsageError(
                    f"{type(one).__name__} has one score per pair of classes, but one per class "
                    "is needed: fit it with decision_function_shape='ovr'"
                )

    def __repr__(self) -> str:
        network = f"{self.backbone.name} ({self.backbone.weights.name})"
        return describe(
            self,
            type(last_step(self.estimator)).__name__,
            f"on features from {network}",
            f"classes {class_names(self.classes)}",
        )

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels reach the network."""
        return require_image_preprocessing(self.backbone.preprocessing, "a heat map")

    @property
    def has_decision_function(self) -> bool:
        """Whether ``decisions`` are values of a decision function, and not log-odds."""
        return has_method(self.estimator, "decision_function")

    def features(self, pixels: NDArray[Any], precision: Precision = "fp32") -> NDArray[np.float32]:
        """Return the features of preprocessed images, as ``Backbone.embed`` computes them.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
            As for ``decisions``.
        precision : {"fp32", "bf16", "fp16"}
            As for ``Backbone.embed``.

        Returns
        -------
        ndarray of float32, shape (n_images, width)
        """
        rows = [
            self.backbone.embed(batch, precision).cpu().numpy()
            for batch in pixel_batches(self.backbone, pixels)
        ]
        return np.concatenate(rows) if rows else np.empty((0, self.backbone.width), np.float32)

    def decisions(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the value of each class for preprocessed images, before any calibration.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
            As ``Preprocessing.pixels`` returns them; of float32 with the resizer "opencv".

        Returns
        -------
        ndarray of float64, shape (n_images, n_classes)
            Values of the decision function; with two classes -d and d. Of a head without one, the
            log-odds of each class, where a probability below 1e-6 counts as 1e-6.

        Raises
        ------
        UsageError
            If the pixels have another shape or type, or the estimator fails.
        """
        return self.decide(self.features(pixels))

    def decide(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the value of each class for features, in the form of ``decisions``.

        Parameters
        ----------
        X : ndarray of float, shape (n_images, width)
            Features.
        """
        if self.has_decision_function:
            return score_classes(_Scored("decision"), self.estimator, X, self.classes)
        p = score_classes(_Scored("probability"), self.estimator, X, self.classes)
        p = p.clip(_LEAST, 1 - _LEAST)
        return np.log(p) - np.log1p(-p)


@dataclasses.dataclass(frozen=True)
class _Scored:
    """Which scores of an estimator are read."""

    kind: Kind


def pixel_batches(backbone: Backbone, pixels: NDArray[Any]) -> Iterator[torch.Tensor]:
    """Yield preprocessed images in batches, as ``Backbone.embed`` takes them.

    Parameters
    ----------
    backbone : Backbone
        The network.
    pixels : ndarray of uint8 or float32, shape (n_images, crop, crop, n_channels)
        Values from 0 to 255.

    Raises
    ------
    UsageError
        If the pixels have another shape or type.
    """
    refuse_other_pixels(pixels, backbone.preprocessing)
    for start in range(0, len(pixels), _BATCH):
        yield torch.from_numpy(np.ascontiguousarray(pixels[start : start + _BATCH]))
