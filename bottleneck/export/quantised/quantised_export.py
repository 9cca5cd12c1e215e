"""A quantised copy of an exported ONNX file, with its measured loss."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.deploy.models.model import Model
from bottleneck.errors import UsageError
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.explain.recorded.feature_search import FeatureSource
from bottleneck.explain.recorded.recorded_cases import RecordedCases
from bottleneck.explain.recorded.recorded_comparison import (
    RecordedArm,
    RecordedComparison,
    read_comparison,
)
from bottleneck.export.quantised.quantisable_networks import refuse_quantise
from bottleneck.export.quantised.quantised_graph import (
    FeatureGraph,
    add_features,
    quantise_graph,
    remove_features,
)
from bottleneck.export.quantised.quantised_loss import (
    QuantisedLoss,
    draw_calibration,
    measure_loss,
)
from bottleneck.export.quantised.recorded_pictures import RecordedPictures
from bottleneck.files.hashes import hash_file
from bottleneck.processes.progress_bar import Progress
from bottleneck.text.short_repr import describe

__all__ = ["QUANTISED_FILE", "QuantisedExport", "quantise_export"]

#: Name of the quantised file, beside that of the export.
QUANTISED_FILE = "model-int8.onnx"
_EXPORTED_FILE = "model.onnx"

# Images on which the probabilities of both files are compared.
_N_COMPARED = 100


@dataclasses.dataclass(frozen=True)
class QuantisedExport:
    """A quantised copy of an exported ONNX file.

    Attributes
    ----------
    file, sha256 : str
        Name of the file, and its sha256.
    n_bytes, n_bytes_exported : int
        Size of this file, and of the exported one.
    n_calibration : int
        Number of training images that set the ranges of the values between layers.
    n_compared : int
        Number of images on which the probabilities of both files were compared.
    largest_change, mean_change : float
        Absolute change of a probability between the two files, on these images.
    loss : QuantisedLoss
        The loss on the test folds of the comparison.
    """

    file: str
    sha256: str
    n_bytes: int
    n_bytes_exported: int
    n_calibration: int
    n_compared: int
    largest_change: float
    mean_change: float
    loss: QuantisedLoss

    def __repr__(self) -> str:
        return describe(
            self,
            self.file,
            f"{self.n_bytes / 2**20:.1f} MiB",
            f"AUROC {self.loss.auroc_int8:.3f}, without quantisation {self.loss.auroc:.3f}",
            f"{self.loss.n_changed} of {self.loss.n} decisions changed",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain content, for ``export.json``."""
        return dataclasses.asdict(self)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The file and its loss in words."""
        return (
            f"{self.file}: {self.n_bytes / 2**20:.1f} MiB in place of "
            f"{self.n_bytes_exported / 2**20:.1f} MiB.",
            *self.loss.sentences,
            f"A probability of the model itself changes by at most {self.largest_change:.3f} "
            f"(mean {self.mean_change:.4f}) on {self.n_compared} of these images.",
        )


def quantise_export(
    model: Model,
    folder: Path,
    *,
    report: Comparison | str | os.PathLike[str],
    data: ImageDataset,
    features: FeatureSource = "features",
    heads: Sequence[Any] = (),
    progress: Progress | None = None,
) -> QuantisedExport:
    """Write a quantised copy of an exported ONNX file, and measure its loss on the test folds.

    Parameters
    ----------
    model : Model
        The model that was exported.
    folder : Path
        Folder of the export, with ``model.onnx``; ``model-int8.onnx`` is written there.
    report : Comparison or path
        The comparison that evaluated the model, or the folder of its report.
    data : ImageDataset
        The images of the comparison.
    features : FeatureSet, path, or sequence of these
        Where the feature files of the comparison are.
    heads : sequence of str, estimator or Head
        Heads that are not built in.
    progress : callable or None
        Called with the number of steps done, their total, and a text.

    Returns
    -------
    QuantisedExport

    Raises
    ------
    UsageError
        If the network is not quantised here, the comparison has no arm of the model, or its
        features are not there.
    DataError
        If an image cannot be read, or is another one than its features are of.
    MissingExtraError
        If the extra ``onnx`` is not installed.
    """
    refuse_quantise(model)
    comparison = read_comparison(report)
    arm = _find_arm(comparison, model)
    # Other arms need no features here.
    alone = dataclasses.replace(comparison, arms=(arm,))
    cases = RecordedCases(alone, features, heads=heads, progress=progress)
    every = cases.features_of(arm)
    pictures = RecordedPictures(data, every)
    target = folder / QUANTISED_FILE
    with tempfile.TemporaryDirectory(prefix="bottleneck-") as temporary:
        graph, quantised = Path(temporary, "exported.onnx"), Path(temporary, QUANTISED_FILE)
        add_features(folder / _EXPORTED_FILE, graph)
        loss = measure_loss(cases, arm, pictures, graph, heads, progress)
        training = draw_calibration(every.ids.tolist())
        quantise_graph(graph, quantised, pictures.read(training, progress, "quantised: ranges"))
        remove_features(quantised, target)
        compared = _draw_compared(every.ids.tolist(), training)
        networks = FeatureGraph(graph), FeatureGraph(target)
        changes = [
            np.abs(networks[0].probabilities(one) - networks[1].probabilities(one)).max()
            for one in pictures.read(compared, progress, "quantised: changes")
        ]
    return QuantisedExport(
        file=QUANTISED_FILE,
        sha256=hash_file(target, "quantised file"),
        n_bytes=target.stat().st_size,
        n_bytes_exported=(folder / _EXPORTED_FILE).stat().st_size,
        n_calibration=len(training),
        n_compared=len(compared),
        largest_change=float(np.max(changes)),
        mean_change=float(np.mean(changes)),
        loss=loss,
    )


def _draw_compared(ids: Sequence[str], calibration: Sequence[str]) -> list[str]:
    """Return images for the comparison of two files: others than those of the calibration.

    Of a data set that has no others, it is these.
    """
    used = set(calibration)
    others = [one for one in ids if one not in used] or list(ids)
    drawn = np.random.default_rng(0).permutation(len(others))[:_N_COMPARED]
    return [others[number] for number in drawn.tolist()]


def _find_arm(comparison: RecordedComparison, model: Model) -> RecordedArm:
    """Return the arm of a comparison that a model repeats."""
    fitting = [
        arm
        for arm in comparison.arms
        if arm.origin is not None
        and arm.origin.recipe_hash == model.recipe_hash
        and arm.head == model.head
    ]
    if model.comparison is not None:
        named = [arm for arm in fitting if arm.name == model.comparison.arm]
        fitting = named or fitting
    if not fitting:
        names = ", ".join(f"'{arm.name}'" for arm in comparison.arms)
        raise UsageError(
            f"this comparison evaluated {names}, but no {model.head} on the features of this "
            "model: name the report of the comparison that did, with --report (in Python: "
            "report=)"
        )
    return fitting[0]
