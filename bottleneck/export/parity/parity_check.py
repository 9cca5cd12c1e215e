"""The comparison of an export with its model, on pictures."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bottleneck.backbones.backbone import Backbone
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import DecodeError, ExportError
from bottleneck.export.parity.full_precision import in_full_precision, precision_words
from bottleneck.export.parity.parity_pictures import ParityPictures
from bottleneck.export.targets.export_target import PictureReader
from bottleneck.processes.progress_bar import Progress
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

__all__ = ["LIMIT", "Parity", "PrecisionChange", "check_parity"]

#: Largest absolute difference of a probability between an export and its model.
LIMIT = 1e-4

_ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class PrecisionChange:
    """What full precision changes of a model whose features were computed in less.

    Attributes
    ----------
    precision : str
        The arithmetic of the model's features: "bf16, pictures resized by torchvision".
    largest : float
        Largest absolute change of a probability.
    n_changed : int
        Number of pictures with another decision.
    """

    precision: str
    largest: float
    n_changed: int


@dataclasses.dataclass(frozen=True)
class Parity:
    """The comparison of an export with its model in fp32, from the picture file on.

    Attributes
    ----------
    pictures : str
        Which pictures were compared, in words: of those drawn, the ones that both predict.
    n : int
        Number of pictures that both predict.
    largest, mean : float
        Largest and mean absolute difference of a probability.
    limit : float
        The largest difference that is accepted.
    refused : mapping of str to int
        Reasons why the export refuses pictures that the model predicts, with their number.
    n_unread : int
        Number of pictures that the model itself cannot read.
    change : PrecisionChange or None
        What fp32 changes of the model; None for a model that was fitted on such features.
    """

    pictures: str
    n: int
    largest: float
    mean: float
    limit: float
    refused: dict[str, int]
    n_unread: int
    change: PrecisionChange | None

    def __repr__(self) -> str:
        return describe(self, counted(self.n, "picture"), f"largest difference {self.largest:.1e}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain content, for ``export.json``."""
        return dataclasses.asdict(self)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The comparison in words."""
        texts = [
            f"Parity: the probabilities of the export differ from those of the model in fp32 by at "
            f"most {self.largest:.1e} (limit {self.limit:.0e}), on {self.pictures}."
        ]
        if n := sum(self.refused.values()):
            reasons = "; ".join(self.refused)
            texts.append(
                f"The export refuses {n} of these pictures, which the model predicts: {reasons}."
            )
        if self.n_unread:
            texts.append(f"The model cannot read {self.n_unread} of these pictures.")
        if (change := self.change) is not None:
            texts.append(
                f"The model was fitted on features in {change.precision}, but the export computes "
                f"in fp32. This changes a probability by at most {change.largest:.4f}, and "
                f"{change.n_changed} of {self.n} decisions."
            )
        return tuple(texts)


def check_parity(
    read: PictureReader,
    model: Model | TrainedModel,
    pictures: ParityPictures,
    *,
    weights: str | Path | None = None,
    backbone: Backbone | None = None,
    network: str | None = None,
    progress: Progress | None = None,
) -> Parity:
    """Compare an export with its model on pictures.

    Parameters
    ----------
    read : callable
        From ``ExportTarget.read``.
    model : Model or TrainedModel
        The model.
    pictures : ParityPictures
        The pictures.
    weights, backbone, network
        As for ``export_model``.
    progress : callable or None
        Called with the number of steps done, their total, and a text.

    Raises
    ------
    ExportError
        If a probability differs by more than ``LIMIT``, or no picture could be compared.
    """
    words = precision_words(model)
    models = [in_full_precision(model), *([model] if words else [])]
    n, total = len(pictures.paths), (len(models) + 1) * len(pictures.paths)

    def steps(before: int) -> Progress | None:
        if progress is None:
            return None
        show = progress
        return lambda done, of, text: show(before + min(done, n), total, text)

    made = [
        _predict(one, pictures, weights, backbone, network, steps(number * n))
        for number, one in enumerate(models)
    ]
    expected = dict(zip(made[0].predictions.ids.tolist(), _probabilities(made[0]), strict=True))
    show = steps(len(models) * n)
    differences: dict[str, float] = {}
    refused: Counter[str] = Counter()
    for number, (path, identity) in enumerate(zip(pictures.paths, pictures.ids, strict=True)):
        if show is not None:
            show(number, n, "reading the export")
        if identity not in expected:
            continue
        try:
            probabilities = read(path)
        except DecodeError as error:
            refused[" ".join(str(error).replace(str(path), "").strip(": ").split())] += 1
            continue
        differences[identity] = float(np.abs(probabilities - expected[identity]).max())
    if show is not None:
        show(n, n, "reading the export")
    if not differences:
        why = next(iter(refused), "the model can read none of them")
        raise ExportError(
            f"the export cannot be compared with its model: of {pictures.words}, none is "
            f"predicted by both ({why}). Name other pictures with --images (in Python: images=)"
        )
    worst = max(differences, key=lambda one: _order(differences[one]))
    if not differences[worst] <= LIMIT:
        path = pictures.paths[pictures.ids.index(worst)]
        raise ExportError(
            f"the export differs from its model by {differences[worst]:.2g} in the probability of "
            f"the picture {worst}{_describe(path)}, and {LIMIT:.0e} is accepted. "
            f"{_count(differences)} of {counted(len(differences), 'picture')} differ by more. "
            "Nothing was written"
        )
    change = None
    if words:
        change = PrecisionChange(words, *_change(made[0], made[1], list(differences)))
    return Parity(
        pictures=pictures.words
        if len(differences) == n
        else f"{len(differences)} of {pictures.words}",
        n=len(differences),
        largest=differences[worst],
        mean=float(np.mean(list(differences.values()))),
        limit=LIMIT,
        refused=dict(refused),
        n_unread=n - len(expected),
        change=change,
    )


def _predict(
    model: Model | TrainedModel,
    pictures: ParityPictures,
    weights: str | Path | None,
    backbone: Backbone | None,
    network: str | None,
    progress: Progress | None,
) -> ModelPredictions:
    device: Literal["cpu"] = "cpu"
    with tempfile.TemporaryDirectory(prefix="bottleneck-") as features:
        how: dict[str, Any] = {
            "ids": list(pictures.ids) if pictures.regions is None else None,
            "weights": weights,
            "backbone": backbone,
            "features": features,
            "progress": progress,
            "quiet": True,
            "device": device,
        }
        if isinstance(model, TrainedModel):
            how["network"] = network
        return model.predict(pictures.given, **how)


def _probabilities(made: ModelPredictions) -> NDArray[np.float64]:
    probabilities = made.predictions.probabilities
    # ``build_classifier`` refuses a model without any.
    assert probabilities is not None
    return probabilities


def _order(difference: float) -> float:
    return np.inf if np.isnan(difference) else difference


def _count(differences: dict[str, float]) -> int:
    return sum(not one <= LIMIT for one in differences.values())


def _change(full: ModelPredictions, own: ModelPredictions, ids: Sequence[str]) -> tuple[float, int]:
    """Return the largest change of a probability, and the number of changed decisions."""
    rows = [
        {name: row for row, name in enumerate(one.predictions.ids.tolist())} for one in (full, own)
    ]
    here, there = ([one[name] for name in ids] for one in rows)
    largest = np.abs(_probabilities(full)[here] - _probabilities(own)[there]).max()
    changed = full.decided.decisions[here] != own.decided.decisions[there]
    return float(largest), int(changed.sum())


def _describe(path: Path) -> str:
    """Return what is unusual of a picture, in brackets; "" if nothing is."""
    try:
        with Image.open(path) as image:
            facts = [
                f"mode {image.mode}" if image.mode not in ("L", "RGB") else "",
                "rotated by EXIF" if image.getexif().get(_ORIENTATION, 1) != 1 else "",
                f"{image.width} × {image.height} pixels",
            ]
    except (OSError, UnidentifiedImageError):
        return ""
    return f" ({', '.join(filter(None, facts))})"
