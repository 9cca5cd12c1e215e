"""The result of an export."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.text.short_repr import describe

if TYPE_CHECKING:
    from bottleneck.export.parity.parity_check import Parity

__all__ = ["ModelExport"]


@dataclasses.dataclass(frozen=True, eq=False)
class ModelExport:
    """A model as a folder that other software runs.

    Attributes
    ----------
    path : Path
        The folder.
    target : str
        What it is for: "onnx", "hub" or "torch".
    parity : Parity
        The comparison of its probabilities with those of the model.
    record : mapping
        Content of its ``export.json``.
    sentences : tuple of str
        The comparison in words, and that of a quantised copy.
    notes : tuple of str
        Notes to the user.

    Examples
    --------
    >>> from bottleneck import export_model, extract, fit, load_dataset
    >>> from bottleneck.testing import tiny_backbone
    >>> scans, network = load_dataset("phantom", limit=12), tiny_backbone()
    >>> model = fit(extract(scans, network, precision="fp32").path, "logistic")
    >>> made = export_model(model, "torch", output="shared", images=scans, backbone=network)
    >>> made.target, made.record["classes"], made.parity.n
    ('torch', ['benign', 'malignant'], 40)
    """

    path: Path
    target: str
    parity: Parity
    record: Mapping[str, Any]
    sentences: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return describe(
            self,
            self.target,
            f"largest difference {self.parity.largest:.1e} on {self.parity.n} pictures",
        )
