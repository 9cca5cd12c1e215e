"""Published folds that part a patient, with each such patient in one of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from bottleneck.data.samples.sample_table import collect
from bottleneck.errors import UsageError
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.data.dataset import ImageDataset

__all__ = ["merge_folds"]


def merge_folds(dataset: ImageDataset) -> ImageDataset:
    """Return a data set in which all samples of a patient are in one published fold.

    Parameters
    ----------
    dataset : ImageDataset
        A data set with patients and published folds.

    Returns
    -------
    ImageDataset
        A patient of several folds is in the one with most of their samples; of equal ones, in that
        of the first sample. A note counts the samples that are moved.

    Raises
    ------
    UsageError
        If the data set has no folds, or no patients.
    """
    for field, what in (("fold", "published folds"), ("group", "patients")):
        if not dataset.names(field):
            raise UsageError(
                f"merging folds needs patients in published folds, and '{dataset.name}' has no "
                f"{what}: leave --merge-folds out"
            )
    folds: dict[str, Counter[str]] = {}
    for sample in dataset.samples:
        if sample.group is not None and sample.fold is not None:
            folds.setdefault(sample.group, Counter())[sample.fold] += 1
    # The first of equal counts is the one counted first.
    chosen = {group: n.most_common(1)[0][0] for group, n in folds.items() if len(n) > 1}
    if not chosen:
        return dataset
    n_moved = sum(folds[group].total() - folds[group][fold] for group, fold in chosen.items())
    samples = collect(
        dataclasses.replace(sample, fold=chosen[sample.group])
        if sample.group in chosen and sample.fold is not None
        else sample
        for sample in dataset.samples
    )
    note = (
        f"folds: {counted(len(chosen), 'patient')} of several published folds in one, which moves "
        f"{counted(n_moved, 'sample')} of {len(dataset)}"
    )
    return dataclasses.replace(dataset, samples=samples, notes=(*dataset.notes, note))
