"""The models that an app predicts with."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Sequence
from pathlib import Path

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.licences import LicencePolicy, require_licence
from bottleneck.deploy.inputs.image_features import load_network
from bottleneck.deploy.model_loading import load_model
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import ModelError, unknown_name
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.gradients.explained_network import ExplainedNetwork
from bottleneck.explain.recorded.feature_search import FeatureSource
from bottleneck.explain.shown_cases.nearest_training import TrainingImages, find_training
from bottleneck.processes.progress_bar import Progress
from bottleneck.settings.schema import validate
from bottleneck.text.short_repr import show_fields

__all__ = ["ServedModel", "ServedModels"]


@dataclasses.dataclass(frozen=True, eq=False)
class ServedModel:
    """A model with its network, ready to predict and to explain images.

    Attributes
    ----------
    name : str
        Its name on the page.
    model : Model or TrainedModel
        The model.
    backbone : Backbone or None
        The network of the features of a fitted head; None for trained networks.
    weights : path or None
        The weight file of the network, where trained networks take features.
    training : TrainingImages or None
        The training images of a fitted head; None if their features are not here.
    """

    name: str
    model: Model | TrainedModel
    backbone: Backbone | None
    weights: str | Path | None = None
    training: TrainingImages | None = None

    __repr__ = show_fields

    @property
    def predicts_patients(self) -> bool:
        """Whether it predicts patients, and not images."""
        return isinstance(self.model, Model) and self.model.unit == "patient"

    @functools.cached_property
    def explained(self) -> ExplainedHead | ExplainedNetwork:
        """What decides, as a function from pixels to values of the classes."""
        if isinstance(self.model, TrainedModel):
            return ExplainedNetwork.load(self.model.path, weights=self.weights)
        assert self.backbone is not None
        return ExplainedHead(self.backbone, self.model.estimator, self.model.classes)


class ServedModels:
    """The models of an app, by name.

    Parameters
    ----------
    weights : str or Path, optional
        The weight file of the networks, in place of a search by their sha256.
    features : path or sequence of paths
        Where the features of the training sets are searched for.
    licence_policy : {"any", "commercial"}
        Which licences of weights are accepted.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        features: FeatureSource = "features",
        licence_policy: LicencePolicy = "any",
    ) -> None:
        validate(LicencePolicy, licence_policy, "the licence policy")
        self.licence_policy = licence_policy
        self._weights = weights
        self._features = features
        self._models: dict[str, ServedModel] = {}
        self._networks: dict[str, Backbone] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<ServedModels {', '.join(self.names) or 'none'}>"

    def __getitem__(self, name: str) -> ServedModel:
        with self._lock:
            if name not in self._models:
                raise unknown_name("model", name, self._models)
            return self._models[name]

    @property
    def names(self) -> Sequence[str]:
        """Names of the models, in the order in which they were added."""
        with self._lock:
            return tuple(self._models)

    def add(
        self,
        source: str | Path | Model | TrainedModel,
        name: str | None = None,
        progress: Progress | None = None,
    ) -> str:
        """Load a model with its network and its training images, and return its name on the page.

        Parameters
        ----------
        source : path, Model or TrainedModel
            A file of ``fit``, a folder of ``finetune``, or what ``load_model`` returned.
        name : str, optional
            Its name; by default that of its file, or of its head. A name that exists gets a number.
        progress : callable or None
            Called with the number of steps done, their total, and a text.

        Raises
        ------
        ModelError
            If it cannot be read, or takes no images.
        WeightsError
            If the weights of its network are not on this machine.
        LicenceError
            If the policy refuses the licence of its weights.
        """
        model = source if isinstance(source, Model | TrainedModel) else load_model(source)
        if name is None and not isinstance(source, Model | TrainedModel):
            name = Path(source).stem
        if name is None:
            name = model.head if isinstance(model, Model) else model.name
        require_licence(model.weights, self.licence_policy)
        if "columns" in model.recipe:
            raise ModelError(
                f"the model {name} was trained on numbers without a known network, but the app "
                "predicts images: choose a model of image features"
            )
        if model.noun == "volume":
            raise ModelError(
                f"the model {name} takes volumes, but the app predicts pictures: use `bottleneck "
                "predict` for it"
            )
        backbone, weights, training = None, None, None
        if isinstance(model, Model):
            backbone = self._load(model)
            # Now, since the first picture would wait for it.
            training = find_training(model, self._features, progress=progress)
        elif model.recipe:
            weights = self._weights
        with self._lock:
            chosen, number = name, 1
            while chosen in self._models:
                number += 1
                chosen = f"{name} ({number})"
            self._models[chosen] = ServedModel(chosen, model, backbone, weights, training)
        return chosen

    def _load(self, model: Model) -> Backbone:
        """Return the network of a model; models of one recipe share it."""
        key = model.recipe_hash
        if key not in self._networks:
            self._networks[key] = load_network(model.recipe, model.weights, weights=self._weights)
        return self._networks[key]
