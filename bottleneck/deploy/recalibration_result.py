"""What a recalibration changed of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from bottleneck.deploy.models.model import Model
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.text.short_repr import describe, show_html

__all__ = ["Recalibration", "What"]

What = Literal["probabilities", "threshold"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Recalibration:
    """A model that was fitted to the cases of another hospital, and what that changed.

    Attributes
    ----------
    model : Model
        The recalibrated model. ``model.recalibrations`` records what was done, for ever.
    what : {"probabilities", "threshold"}
        What was moved.
    before, after : mapping of str to Metric
        Figures of the old model on all cases, and cross-validated figures of the new one: each
        case is measured with numbers that were estimated on the cases of other patients.
    change : Metric or None
        Difference of the log loss, after less before; None for a threshold.
    helps : bool
        Whether the figures after are better: a lower log loss, or a value nearer to the target.
    words : str
        The same in sentences.
    notes : tuple of str
        Notes to the user.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import fit, recalibrate
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["benign", "malignant"], 50)
    >>> X = rng.normal(size=(100, 4)) + (y == "malignant")[:, None]
    >>> model = fit(X, "logistic", y=y)
    >>> new = rng.normal(size=(100, 4)) + (y == "malignant")[:, None] + 1
    >>> made = recalibrate(model, new, y=y, ids=[f"case {number}" for number in range(100)])
    >>> made.helps, len(made.model.recalibrations)
    (True, 1)
    """

    model: Model
    what: What
    before: Mapping[str, Metric]
    after: Mapping[str, Metric]
    change: Metric | None
    helps: bool
    words: str
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return describe(self, self.what, "helps" if self.helps else "does not help")

    _repr_html_ = show_html
