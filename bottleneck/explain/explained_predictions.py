"""Why predictions are what they are: cases with their nearest training images and heat maps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, Union, Unpack

from annotated_types import Ge, Le

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.licences import LicencePolicy, require_licence, weights_record
from bottleneck.checks.ignored_checks import Ignore, leave_out, read_codes
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.selection import Selection
from bottleneck.data.readers import load_dataset
from bottleneck.deploy.inputs.image_features import refuse_other_options
from bottleneck.deploy.inputs.new_inputs import NewInput
from bottleneck.deploy.model_loading import load_model
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import UsageError
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.explain.explained_comparison import explain_comparison
from bottleneck.explain.explained_images import explain_images
from bottleneck.explain.explained_training import explain_new_by_networks, explain_training
from bottleneck.explain.explanation import Explanation
from bottleneck.explain.recorded.feature_search import FeatureSource
from bottleneck.explain.recorded.recorded_comparison import read_comparison
from bottleneck.explain.shown_cases.case_maps import MapChoice
from bottleneck.features.arrays.feature_inputs import Column, SampleFields
from bottleneck.features.options import MachineKeywords
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.settings.schema import validate
from bottleneck.text.short_repr import shorten

__all__ = ["explain_predictions", "require_licences"]

#: What is explained.
Explainable: TypeAlias = Union[Comparison, Model, TrainedModel, str, "os.PathLike[str]"]
_OPTIONS = {
    "arms": "--arm",
    "heads": "--head",
    "selection": "a selection (--exclude, --merge, --classes)",
}
_Most = Annotated[int, Ge(1), Le(1000)]


@shows_progress("images")
def explain_predictions(
    source: Explainable,
    images: NewInput | None = None,
    *,
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    data: ImageDataset | str | os.PathLike[str] | None = None,
    features: FeatureSource = "features",
    arms: str | Sequence[str] = (),
    heads: Sequence[Any] = (),
    selection: Selection | None = None,
    maps: MapChoice = "auto",
    checks: bool | None = None,
    regions: str | Path | None = None,
    most: int = 12,
    network: str | None = None,
    weights: str | Path | None = None,
    backbone: Backbone | None = None,
    ignore: Ignore = (),
    licence_policy: LicencePolicy = "any",
    progress: Progress | None = None,
    quiet: bool = False,
    **machine: Unpack[MachineKeywords],
) -> Explanation:
    """Return the images that are wrong, why they may be, and the training images nearest to them.

    Of a comparison, the misclassified images of each arm are shown, the most confident first. A
    heat map is of the head of the fold that made the prediction: it is fitted again, and must give
    the recorded scores. Of a model, the images that it is given are predicted: the misclassified
    ones are shown, or, where no label is known, the most confident ones of each class and those
    that are most unlike the training images.

    Parameters
    ----------
    source : Comparison, Model, TrainedModel or path
        What ``compare`` returned, or the folder of its report; or a model, or its file or folder.
    images : path, list of paths, ImageDataset, array, FeatureSet or data frame, or None
        For a model: the images, as for ``Model.predict``. Of a training without images, its test
        folds are explained, each by its own network.
    y, groups, ids : array-like of shape (n_images,) or None
        Labels, patients and ids of a list of images or of an array, as for ``Model.predict``.
    data : ImageDataset or path, or None
        For a comparison or a training: the data set that was compared or trained on. Without it,
        there are no heat maps.
    features : FeatureSet, path, or sequence of these
        The features of the comparison, or of the training set of the model: feature sets, files,
        or a folder that is searched.
    arms : str or sequence of str
        Names of arms of the comparison; by default all that use images.
    heads : sequence of str, estimator or Head
        Heads of the comparison that are not built in.
    selection : Selection or None
        What the comparison, or the training of the model, chose of its data set.
    maps : {"auto", "exact", "grad-cam", "occlusion", "none"}
        How heat maps are made, as in ``make_maps``.
    checks : bool or None
        Whether maps of up to 40 images are compared with those of random weights and of permuted
        labels; None where this is quick, as it is not by occlusion.
    regions : str or Path, optional
        Known regions of the images, in a table or a folder of masks, as for ``known_regions``.
        Those in the files of DDTI and Pascal VOC are recognised.
    most : int
        Largest number of images of an arm.
    network : str, optional
        Of a training, which network predicts new images, as for ``TrainedModel.predict``.
    weights, backbone
        As for ``Model.predict``.
    ignore : str or sequence of str
        Codes of checks whose warnings are not shown, such as "BF401". They are counted in
        ``ignored``.
    licence_policy : {"any", "commercial"}
        "commercial" refuses features and models of weights whose licence does not allow commercial
        use, or is not stated.
    progress : callable or None
        Called with the number of steps done, their total, and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
    **machine
        Options of ``extract`` that change no row.

    Returns
    -------
    Explanation
        ``write_explanation`` writes it as a page with tables.

    Raises
    ------
    UsageError
        If an option does not fit, there are no features of the comparison, or a head that is
        fitted again gives other scores than the recorded ones.
    ModelError
        If the model cannot be read, or an image has a label that it does not have.
    DataError
        If images or predictions cannot be read.
    WeightsError
        If the weights of the network are not on this machine.
    LicenceError
        If the policy refuses the licence of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, Protocol, compare, explain_predictions
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> features = FeatureSet.from_arrays(X, y)
    >>> quick = Protocol(n_splits=2, inner_splits=2)
    >>> comparison = compare(features, heads=("logistic",), protocol=quick)
    >>> made = explain_predictions(comparison, features=features, most=3)
    >>> [case.label != case.predicted for case in made.arms[0].cases]
    [True, True, True]
    """
    refuse_other_options(machine)
    codes = read_codes(ignore)
    validate(_Most, most, "the number of images")
    validate(MapChoice, maps, "the method of maps")
    validate(bool | None, checks, "checks")
    names = tuple(arms) if isinstance(arms, Iterable) and not isinstance(arms, str) else (arms,)
    for name in names:
        validate(str, name, "the name of an arm")
    found = _load(source, backbone)
    require_licences(found, licence_policy)
    if isinstance(found, Model):
        _refuse_of_report(data=data, arms=names, heads=heads)
        if network is not None:
            raise UsageError("network is for the networks of a training: leave it out")
        if images is None:
            raise UsageError(
                "a model explains images: name them after it (in Python: images=). The report of "
                "a comparison shows which images of its data set were wrong: `bottleneck "
                "explain REPORT`"
            )
        return leave_out(
            explain_images(
                found,
                images,
                SampleFields(y, groups, ids),
                features=features,
                selection=selection,
                maps=maps,
                checks=checks,
                regions=regions,
                most=most,
                weights=weights,
                backbone=backbone,
                progress=progress,
                **machine,
            ),
            codes,
        )
    if isinstance(found, TrainedModel):
        _refuse_of_report(arms=names, heads=heads, selection=selection)
        if images is None:
            return leave_out(
                explain_training(
                    found,
                    _read_data(data),
                    maps=maps,
                    checks=checks,
                    regions=regions,
                    most=most,
                    weights=weights,
                    progress=progress,
                ),
                codes,
            )
        _refuse_of_report(data=data)
        return leave_out(
            explain_new_by_networks(
                found,
                images,
                SampleFields(y, groups, ids),
                network=network,
                maps=maps,
                checks=checks,
                regions=regions,
                most=most,
                weights=weights,
                backbone=None,
                features=features if isinstance(features, str | Path) else "features",
                progress=progress,
                **machine,
            ),
            codes,
        )
    if network is not None:
        raise UsageError("network is for the networks of a training: leave it out")
    if images is not None:
        raise UsageError(
            "the report of a comparison explains only the images that it tested: leave the others "
            "out, and name the data set with --data for heat maps (in Python: data=)"
        )
    return leave_out(
        explain_comparison(
            read_comparison(found),
            data=_read_data(data),
            features=features,
            arms=names,
            heads=heads,
            selection=selection,
            maps=maps,
            checks=checks,
            regions=regions,
            most=most,
            weights=weights,
            backbone=backbone,
            progress=progress,
        ),
        codes,
    )


def require_licences(
    source: Comparison | Model | TrainedModel | Path, policy: LicencePolicy | str
) -> None:
    """Raise ``LicenceError`` if a policy refuses weights of a model, or of a comparison's features.

    Parameters
    ----------
    source : Comparison, Model, TrainedModel or Path
        What is explained; of a report, its path.
    policy : {"any", "commercial"}
        As for ``require_licence``.
    """
    if validate(LicencePolicy, policy, "the licence policy") == "any":
        return
    if isinstance(source, Model | TrainedModel):
        records = [source.weights]
    else:
        records = [weights_record(one) for one in read_comparison(source).features]
    for record in records:
        require_licence(record, policy)


def _read_data(data: ImageDataset | str | os.PathLike[str] | None) -> ImageDataset | None:
    return load_dataset(os.fspath(data)) if isinstance(data, str | os.PathLike) else data


def _load(
    source: Explainable, backbone: Backbone | None
) -> Comparison | Model | TrainedModel | Path:
    """Return what is explained; of a report, its path."""
    if isinstance(source, Comparison | Model | TrainedModel):
        return source
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            "an explanation needs a comparison, a model, or the path of a report or a model, not "
            f"{shorten(source)}"
        )
    path = Path(source)
    if path.name == "results.json" or (path / "results.json").exists():
        return path
    if path.is_dir() and not (path / "training.json").exists():
        raise UsageError(
            f"{path} holds neither a report (results.json) nor trained networks (training.json): "
            "name the folder that compare or finetune wrote, or the file of a model"
        )
    return load_model(path, backbone=backbone if path.is_dir() else None)


def _refuse_of_report(**given: Any) -> None:
    """Refuse options that only a comparison has."""
    for name, value in given.items():
        if value is not None and not (isinstance(value, tuple | list) and not value):
            option = _OPTIONS.get(name, f"--{name}")
            raise UsageError(
                f"{option} is for the report of a comparison, but this is a model: leave it out"
            )
