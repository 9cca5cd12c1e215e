"""A frozen network as a transformer of scikit-learn, over paths or arrays of images."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from bottleneck.data.readers.new_images.given_images import VOLUME_ADVICE, read_inputs
from bottleneck.errors import UsageError
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from bottleneck.backbones.backbone import Backbone
    from bottleneck.backbones.recipe import Recipe
    from bottleneck.features.compute.engine import BatchPlan
    from bottleneck.features.options import ExtractionOptions

__all__ = ["FrozenBackbone"]

# torch takes seconds to load: it is imported where a network is needed, so that estimators can be
# made, cloned and unpickled without it.

# Networks that are kept in memory.
_NETWORKS = 3
# Threads that need one network at the same time load it once.
_LOADING = threading.Lock()


class FrozenBackbone(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A frozen network that turns images into rows of features, as a step of a pipeline.

    ``fit`` learns nothing from the images: it looks up the network and notes its recipe. A row
    depends on its image alone. The step may therefore stand inside or outside of a
    cross-validation: no information passes between folds. The splits themselves must still keep
    the images of a patient together (``GroupKFold`` and ``groups``).

    Rows are those of :func:`bottleneck.extract`. Each is computed once in a process, for all folds,
    clones and copies of an image; with ``store`` also once for all processes.

    Parameters
    ----------
    backbone : str or Backbone
        A name for ``load_backbone``, or a backbone such as that of ``Backbone.from_module``. Of a
        name, a pickle holds the name and not the network.
    weights : str or Path
        "imagenet", "radimagenet", "random", a name in the weights folder, or a file; for a
        backbone given by name.
    layer : str, optional
        Name of the layer whose output is pooled; by default the last feature map, or the layer of
        a given backbone.
    pooling : {"avg", "max", "gem", "flatten"}, optional
        How the output of the layer becomes one row; by default "avg", or that of a given backbone.
    preprocessing : str or Path, optional
        As for ``load_backbone``; for a backbone given by name.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Arithmetic. "auto" is bf16 where the hardware computes in it, else fp32; ``fit`` chooses,
        and ``transform`` keeps to it on any machine.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    batch_size : int or "auto"
        Images per batch.
    store : str or Path, optional
        Folder of feature files that keeps the rows, and has the rows of earlier calls and of
        ``extract``. They hold small thumbnails and paths of the images. By default no row is
        written to the disk.

    Attributes
    ----------
    n_features_out_ : int
        Length of a row.
    recipe_ : dict
        Everything that determines a row; ``transform`` refuses a network with another recipe.

    Raises
    ------
    UsageError
        By ``fit`` and ``transform``: if a parameter has no such value, X is neither paths nor
        images of uint8, or the recipe is no longer that of ``fit``.
    WeightsError
        If the weights are not available or do not fit.
    DataError
        By ``transform``: if an image cannot be read. The message names it.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 40, 40), dtype=np.uint8)
    >>> FrozenBackbone("resnet18", weights="random").fit_transform(images).shape
    (4, 512)
    """

    def __init__(
        self,
        backbone: str | Backbone = "resnet18",
        *,
        weights: str | Path = "imagenet",
        layer: str | None = None,
        pooling: str | None = None,
        preprocessing: str | Path | None = None,
        precision: str = "auto",
        device: str = "auto",
        batch_size: int | str = "auto",
        store: str | Path | None = None,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.pooling = pooling
        self.preprocessing = preprocessing
        self.precision = precision
        self.device = device
        self.batch_size = batch_size
        self.store = store

    def fit(self, X: Any, y: Any = None) -> Self:
        """Look up the network; nothing is learned from the images.

        Parameters
        ----------
        X : sequence of str or Path, Series, DataFrame of one column, or ndarray
            Paths of images; or images of uint8, of shape (n, height, width) or (n, height, width,
            3), or a list of such images. They are not read here.
        y : object
            Ignored.

        Returns
        -------
        FrozenBackbone

        Examples
        --------
        >>> from bottleneck.testing import tiny_backbone
        >>> images = np.zeros((4, 40, 40), dtype=np.uint8)
        >>> FrozenBackbone(tiny_backbone(width=8)).fit(images).n_features_out_
        8
        """
        del y
        read_inputs(X)
        backbone, recipe, _, _ = self._choose()
        self.recipe_ = recipe.to_dict()
        self._recipe_hash = recipe.hash
        self.n_features_out_ = backbone.width
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the features of images.

        Parameters
        ----------
        X : sequence of str or Path, Series, DataFrame of one column, or ndarray
            As ``fit`` takes it.

        Returns
        -------
        ndarray of float32, shape (n, width)

        Examples
        --------
        >>> from bottleneck.testing import tiny_backbone
        >>> images = np.zeros((4, 40, 40), dtype=np.uint8)
        >>> FrozenBackbone(tiny_backbone(width=8)).fit(images).transform(images).shape
        (4, 8)
        """
        from bottleneck.features.estimator.row_cache import compute_rows

        inputs = read_inputs(X)
        backbone, recipe, plan, options = self._choose(fitted=True)
        self._refuse_another(recipe)
        store = None if self.store is None else Path(self.store)
        return compute_rows(inputs, backbone, recipe, plan, options, store)

    def _choose(
        self, *, fitted: bool = False
    ) -> tuple[Backbone, Recipe, BatchPlan, ExtractionOptions]:
        """Return the network, and how it is computed."""
        from bottleneck.backbones.inputs.network_inputs import size_in_words
        from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
        from bottleneck.features.compute.local_engine import LocalEngine
        from bottleneck.features.options import ExtractionOptions
        from bottleneck.features.run_settings import choose_plan, choose_recipe

        store = self.store
        is_path = isinstance(store, str | Path) and store != ""
        if store is not None and (not is_path or Path(store).is_file()):
            raise UsageError(f"store must be a folder or None, not {shorten(self.store)}")
        chosen: dict[str, Any] = {"precision": self.precision}
        if fitted and self.precision == "auto" and hasattr(self, "recipe_"):
            chosen["precision"] = self.recipe_["precision"]
        chosen |= {"device": self.device, "batch_size": self.batch_size}
        options = ExtractionOptions(**chosen, compile="never")
        backbone = self._find_backbone()
        if isinstance(backbone.preprocessing, VolumePreprocessing):
            takes = size_in_words(backbone.preprocessing)
            raise UsageError(f"{backbone.name} takes {takes}: {VOLUME_ADVICE}")
        engine = LocalEngine(options.device, options.workers)
        # No run has this name, so none is continued.
        precision, decoding, _ = choose_recipe(options, "", [backbone], engine.native_precision)
        plan = choose_plan(options, [backbone], engine, 0)
        return backbone, backbone.recipe(precision, decoding), plan, options

    def _find_backbone(self) -> Backbone:
        from bottleneck.backbones.backbone import Backbone

        weights, preprocessing = self.weights, self.preprocessing
        weights = str(weights) if isinstance(weights, Path) else weights
        preprocessing = str(preprocessing) if isinstance(preprocessing, Path) else preprocessing
        stated = {"layer": self.layer, "pooling": self.pooling, "preprocessing": preprocessing}
        for name, value in {"weights": weights, **stated}.items():
            if not isinstance(value, str) and not (value is None and name != "weights"):
                raise UsageError(f"{name} must be text, not {shorten(value)}")
        if isinstance(self.backbone, str):
            stamp = _stamp(self.backbone, weights, preprocessing)
            tap = self.layer, self.pooling or "avg"
            with _LOADING:
                network, taps = _loaded(self.backbone, weights, preprocessing, stamp)
                if tap not in taps:
                    taps[tap] = network.at(*tap)
                return taps[tap]
        if not isinstance(self.backbone, Backbone):
            raise UsageError(
                f"backbone must be a name or a Backbone, not {shorten(self.backbone)}; of a "
                "torch.nn.Module, Backbone.from_module makes one"
            )
        if self.weights != "imagenet" or self.preprocessing is not None:
            raise UsageError("a Backbone already has weights and preprocessing: leave them out")
        if self.layer is None and self.pooling is None:
            return self.backbone
        layer = self.backbone.layer if self.layer is None else self.layer
        return self.backbone.at(layer, self.pooling)

    def _refuse_another(self, recipe: Recipe) -> None:
        if not hasattr(self, "recipe_") or recipe.hash == self._recipe_hash:
            return
        from bottleneck.backbones.recipe import name_differences

        differing = "; ".join(name_differences(self.recipe_, recipe.to_dict())[:3])
        raise UsageError(
            f"these rows would differ from those of fit, on which later steps were trained: "
            f"{differing}. Fit again, or restore the network and the parameters"
        )

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.requires_fit = False
        tags.no_validation = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _stamp(backbone: str, weights: str, preprocessing: str | None) -> tuple[Any, ...]:
    """Return size and time of the files of a network, which may change between two calls."""
    from bottleneck.backbones.catalogue import find_encoder
    from bottleneck.backbones.weights.loading import locate

    encoder = find_encoder(backbone)
    files = [] if weights == "random" else [locate(encoder, weights).path]
    if preprocessing is not None and preprocessing.endswith(".toml"):
        files.append(Path(preprocessing))
    stamps = [path.stat() if path.is_file() else None for path in files]
    return tuple(stamp and (stamp.st_size, stamp.st_mtime_ns, stamp.st_ino) for stamp in stamps)


@functools.lru_cache(maxsize=_NETWORKS)
def _loaded(
    backbone: str, weights: str, preprocessing: str | None, stamp: object
) -> tuple[Backbone, dict[tuple[str | None, str], Backbone]]:
    """Return a network, and the layers of it that were used."""
    from bottleneck.backbones.backbone import load_backbone

    del stamp
    return load_backbone(backbone, weights=weights, preprocessing=preprocessing), {}
