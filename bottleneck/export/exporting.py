"""Export of a model, with proof that it gives the same probabilities: :func:`export_model`."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.licences import LicencePolicy, require_licence
from bottleneck.deploy.model_loading import load_given
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import UsageError, unknown_name
from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.export.folder.export_folder import RECORD, export_folder, refuse_folder
from bottleneck.export.folder.export_page import write_page
from bottleneck.export.folder.export_record import describe_export, list_files
from bottleneck.export.folder.model_export import ModelExport
from bottleneck.export.parity.parity_check import check_parity
from bottleneck.export.parity.parity_pictures import write_pictures
from bottleneck.export.targets.export_target import ExportTarget
from bottleneck.files.paths import as_path
from bottleneck.processes.progress_bar import Progress, show_nothing
from bottleneck.processes.work_steps import shows_progress
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.settings.ranges import PictureCount
from bottleneck.settings.schema import validate
from bottleneck.text.plain_text import json_text

if TYPE_CHECKING:
    from torch import nn

    from bottleneck.data.dataset import ImageDataset
    from bottleneck.deploy.inputs.new_inputs import NewInput
    from bottleneck.evaluation.results.comparison_results import Comparison
    from bottleneck.explain.recorded.feature_search import FeatureSource
    from bottleneck.export.quantised.quantised_export import QuantisedExport

__all__ = ["TARGETS", "export_model"]

#: Names of the targets.
TARGETS = ("onnx", "hub", "torch")

_SIMULATED = (
    "the export was compared with its model on simulated images only: name your own pictures with "
    "--images (in Python: images=)"
)


@shows_progress("steps")
def export_model(
    model: Model | TrainedModel | str | os.PathLike[str],
    target: str = "onnx",
    *,
    output: str | os.PathLike[str],
    images: NewInput | None = None,
    n_pictures: int = 100,
    weights: str | Path | None = None,
    backbone: Backbone | None = None,
    network: str | None = None,
    trust: str | Iterable[str] = (),
    quantise: bool = False,
    report: Comparison | str | os.PathLike[str] | None = None,
    data: ImageDataset | None = None,
    features: FeatureSource = "features",
    licence_policy: LicencePolicy = "any",
    overwrite: bool = False,
    progress: Progress | None = None,
    quiet: bool = False,
) -> ModelExport:
    """Write a model as a folder that other software runs, and check that it gives the same.

    The exported model takes the pixels of a picture and returns calibrated probabilities, in
    fp32. It is then read as its user would read it, and compared with the model on pictures, from
    the file on. If a probability differs by more than 1e-4, nothing is written.

    Parameters
    ----------
    model : Model, TrainedModel or path
        A model of ``fit`` or the networks of ``finetune``, or their file or folder.
    target : {"onnx", "hub", "torch"}
        "onnx", for onnxruntime; "hub", for transformers and timm; "torch", for torch alone.
    output : str or path
        Folder of the export.
    images : path, list of paths or ImageDataset, optional
        Pictures for the comparison; by default the data set that ``bottleneck.toml`` in the
        current folder names, or else the embedded simulated images.
    n_pictures : int
        Largest number of pictures that are compared; they are drawn with a fixed seed.
    weights, backbone
        As for ``Model.predict``.
    network : str, optional
        Which networks of a training, as for ``TrainedModel.predict``.
    trust : str or iterable of str
        As for ``load_model``, if the model is given as a file.
    quantise : bool
        Whether a copy of the ONNX file with 8-bit integers is written too, for phones. Its loss on
        the test folds of a comparison is measured.
    report, data, features
        For this: the comparison that evaluated the model, or the folder of its report; its images;
        and where its feature files are.
    licence_policy : {"any", "commercial"}
        "commercial" refuses a model of weights whose licence does not allow commercial use, or is
        not stated.
    overwrite : bool
        Whether an earlier export in the folder is replaced.
    progress : callable or None
        Called with the number of steps done, their total, and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.

    Returns
    -------
    ModelExport
        The folder, and the result of the comparison.

    Raises
    ------
    UsageError
        If the model cannot be exported to this target, or the folder holds something else.
    ExportError
        If the export gives other probabilities than the model.
    LicenceError
        If the policy refuses the licence of the weights.
    MissingExtraError
        If a package is not installed.
    WeightsError
        If the weights of the network are not on this machine.

    Examples
    --------
    >>> from bottleneck import extract, fit, load_dataset
    >>> from bottleneck.testing import tiny_backbone
    >>> scans, network = load_dataset("phantom", limit=12), tiny_backbone()
    >>> model = fit(extract(scans, network, precision="fp32").path, "logistic")
    >>> made = export_model(model, "torch", output="shared", images=scans, backbone=network)
    >>> made.parity.largest < 1e-4
    True
    """
    if isinstance(model, Model | TrainedModel):
        path = model.path if isinstance(model, TrainedModel) else None
    else:
        path = model = as_path(model, "a model", "svm.skops")
    writer = _find_target(validate(str, target, "the target"), path)
    validate(PictureCount, n_pictures, "the number of pictures")
    folder = as_path(output, "a folder", "exports/svm")
    refuse_folder(folder, overwrite=overwrite)
    model = load_given(model, trust=trust)
    require_licence(model.weights, licence_policy)
    _check_quantise(model, target, quantise=quantise, report=report, data=data)

    show = progress or show_nothing
    show(0, 1, "loading the network")
    how: dict[str, Any] = {"weights": weights, "backbone": backbone, "network": network}
    classifier = build_classifier(model, **how, other_heads=_other_heads(target))
    with (
        tempfile.TemporaryDirectory(prefix="bottleneck-") as temporary,
        export_folder(folder, overwrite=overwrite) as unfinished,
    ):
        pictures = write_pictures(images, Path(temporary), n_pictures, classifier.preprocessing)
        show(0, 1, f"writing for {target}")
        notes = writer.write(classifier, model, unfinished)
        parity = check_parity(writer.read(unfinished), model, pictures, progress=progress, **how)
        chosen = network or (model.networks[0] if isinstance(model, TrainedModel) else None)
        record = describe_export(model, classifier, target, path=path, network=chosen)
        record |= {"parity": parity.to_dict(), "quantised": None}
        texts = parity.sentences
        if quantise:
            copy = _quantise(model, unfinished, report, data, features, progress)
            record["quantised"] = copy.to_dict()
            texts = (*texts, *copy.sentences)
        write_page(unfinished, record, texts)
        record["files"] = list_files(unfinished, leave_out=(RECORD,))
        text = json_text(JsonRecord("export", record))
        (unfinished / RECORD).write_text(f"{text}\n", encoding="utf-8")
    notes = (*notes, _SIMULATED) if pictures.are_simulated else notes
    return ModelExport(folder, target, parity, json.loads(text), texts, notes)


def _check_quantise(
    model: Model | TrainedModel,
    target: str,
    *,
    quantise: bool,
    report: Comparison | str | os.PathLike[str] | None,
    data: ImageDataset | None,
) -> None:
    """Refuse what the quantisation would refuse before the model is exported."""
    if not quantise:
        if report is not None or data is not None:
            raise UsageError(
                "a report and its images are needed only for the loss of a quantised copy: add "
                "--quantise (in "
                "Python: quantise=True), or leave them out"
            )
        return
    if target != "onnx":
        raise UsageError(f"a quantised copy is an ONNX file: use --to onnx, not {target}")
    if report is None or data is None:
        raise UsageError(
            "the loss of a quantised copy is measured on the test folds of a comparison: name its "
            "folder with --report and its images with --data (in Python: report=, data=)"
        )
    from bottleneck.export.quantised.quantisable_networks import refuse_quantise

    refuse_quantise(model)


def _quantise(
    model: Model | TrainedModel,
    folder: Path,
    report: Comparison | str | os.PathLike[str] | None,
    data: ImageDataset | None,
    features: FeatureSource,
    progress: Progress | None,
) -> QuantisedExport:
    from bottleneck.export.quantised.quantised_export import quantise_export

    # As ``_check_quantise`` has found.
    assert isinstance(model, Model)
    assert report is not None
    assert data is not None
    return quantise_export(
        model, folder, report=report, data=data, features=features, progress=progress
    )


def _other_heads(target: str) -> Callable[[Model], nn.Module] | None:
    """Return what writes a head that is not known as a module of torch."""
    if target != "onnx":
        return None
    from bottleneck.export.onnx_graph.converted_head import convert_own_head

    return convert_own_head


def _find_target(name: str, path: Path | None) -> ExportTarget:
    if name == "onnx":
        from bottleneck.export.targets.onnx_file import OnnxFile

        return OnnxFile(path)
    if name == "hub":
        from bottleneck.export.targets.hub_folder import HubFolder

        return HubFolder()
    if name == "torch":
        from bottleneck.export.targets.torch_folder import TorchFolder

        return TorchFolder()
    raise unknown_name("target", name, TARGETS)
