"""Samples without a row of features: what their data set states of them."""

from __future__ import annotations

import dataclasses

__all__ = ["FailedSample"]


@dataclasses.dataclass(frozen=True)
class FailedSample:
    """A sample whose image could not be read, with what its data set states of it.

    Attributes
    ----------
    id : str
        Id of the sample, which is one of ``FeatureSet.failures``.
    label, patient, split : str
        Label, patient and fixed split ("train", "val" or "test"); "" where there is none.

    Examples
    --------
    >>> FailedSample("case7_2.png", "malignant", "case7").split
    ''
    """

    id: str
    label: str = ""
    patient: str = ""
    split: str = ""
