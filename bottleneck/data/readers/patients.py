"""Patients that are written in file names."""

from __future__ import annotations

import dataclasses
import re

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples import collect, values_of
from bottleneck.errors import UsageError

__all__ = ["find_patients"]


def find_patients(dataset: ImageDataset, pattern: str) -> ImageDataset:
    """Take every sample's patient from the path of its image.

    Parameters
    ----------
    dataset : ImageDataset
        A data set that names no patient.
    pattern : str
        Regular expression searched in ``Sample.source``. The patient is the group
        named ``patient``, else the first group, else the whole match.

    Returns
    -------
    ImageDataset
        The same samples, each with its patient.

    Raises
    ------
    UsageError
        If the pattern is no regular expression, if a path does not match it or gives
        an empty patient, or if the data set names patients already.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"the patient pattern '{pattern}' is not a regular expression: {error}"
        ) from error
    if dataset.n_groups is not None:
        raise UsageError(
            f"data set '{dataset.name}' names its patients already; leave the patient pattern out"
        )
    wanted: str | int = (
        "patient" if "patient" in expression.groupindex else min(expression.groups, 1)
    )

    def find(source: str) -> str | None:
        match = expression.search(source)
        return match.group(wanted) if match else None

    samples = dataset.samples
    unmatched = [s for s in values_of(samples, "source") if not find(s)]
    if unmatched:
        raise UsageError(
            f"the patient pattern '{pattern}' finds no patient in '{unmatched[0]}' "
            f"({len(unmatched)} of {len(dataset)} images do not match); every image needs one"
        )
    named = (dataclasses.replace(sample, group=find(sample.source)) for sample in samples)
    return dataclasses.replace(dataset, samples=collect(named))
