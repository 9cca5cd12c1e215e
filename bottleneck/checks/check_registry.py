"""The checks of data and results, each with a stable code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

__all__ = ["CHECKS", "Check", "Severity", "is_unchecked"]

Severity = Literal["leak", "warning", "note"]


@dataclasses.dataclass(frozen=True)
class Check:
    """A check, under the code that its findings and warnings carry.

    Attributes
    ----------
    code : str
        "BF" and three digits: 1xx leaks between training and test, 2xx what gives the label away,
        3xx sizes and metrics, 4xx other cohorts and models in use, 9xx what could not be checked.
        A code is never used again for another check.
    name : str
        Its name in a few words.
    severity : {"leak", "warning", "note"}
        The highest severity that a finding of it can have.
    summary : str
        What it reports, in a sentence.
    """

    code: str
    name: str
    severity: Severity
    summary: str

    @property
    def page(self) -> str:
        """The page of the documentation that explains it, relative to ``docs/``."""
        return f"pitfalls/{self.code}.md"


_ALL = (
    Check(
        "BF101",
        "shared patients",
        "leak",
        "A patient has samples in several folds, or on both sides of a split.",
    ),
    Check(
        "BF102",
        "examinations",
        "leak",
        "An examination has samples in several folds, or belongs to several patients.",
    ),
    Check(
        "BF103",
        "identical samples",
        "leak",
        "Two samples have the same pixels, voxels or features.",
    ),
    Check(
        "BF104",
        "near-duplicates",
        "leak",
        "Two images are nearly the same: altered copies, or neighbouring frames of one video.",
    ),
    Check(
        "BF105",
        "overlapping regions",
        "leak",
        "Two regions of one volume share voxels.",
    ),
    Check(
        "BF106",
        "large group",
        "warning",
        "Copies join so many patients that one group can determine the result of a fold.",
    ),
    Check(
        "BF107",
        "allowed leakage",
        "leak",
        "The protocol allows leaks, so results can be far too optimistic.",
    ),
    Check(
        "BF108",
        "pretraining data",
        "warning",
        "The weights were trained on images of this data set.",
    ),
    Check(
        "BF109",
        "unknown patients",
        "warning",
        "The patients of some samples are not known, so each of these samples counts as a patient.",
    ),
    Check(
        "BF201",
        "metadata",
        "warning",
        "Metadata such as the size of an image predict the label without the image.",
    ),
    Check(
        "BF202",
        "burned-in text",
        "warning",
        "Images hold text, which a network can learn to read.",
    ),
    Check(
        "BF203",
        "conflicting labels",
        "warning",
        "Copies of one image have different labels.",
    ),
    Check(
        "BF301",
        "few patients",
        "warning",
        "There are too few patients for an interval to hold its level.",
    ),
    Check(
        "BF302",
        "dominant patient",
        "warning",
        "One patient has more than a fifth of the test samples.",
    ),
    Check(
        "BF303",
        "random weights",
        "warning",
        "The weights of the network are random, so the figures are meaningless.",
    ),
    Check(
        "BF304",
        "missing samples",
        "warning",
        "Samples without features are missing from every figure.",
    ),
    Check(
        "BF305",
        "classifier warning",
        "warning",
        "A classifier did not converge, or warned while it was trained.",
    ),
    Check(
        "BF306",
        "own metric",
        "warning",
        "A metric of your own failed, or warned, on a part of the samples.",
    ),
    Check(
        "BF307",
        "incomplete folds",
        "warning",
        "Some samples have no published fold, so folds were drawn at random.",
    ),
    Check(
        "BF308",
        "selected cases",
        "warning",
        "Figures are only for the cases that every reader scored.",
    ),
    Check(
        "BF309",
        "reader scores",
        "warning",
        "The scores of a reader do not fit their scale, or equal those of another reader.",
    ),
    Check(
        "BF401",
        "tested on training images",
        "leak",
        "New images, or an external cohort, hold images that the model was trained on.",
    ),
    Check(
        "BF402",
        "shared names of patients",
        "warning",
        "Patients of an external cohort have the names of patients of the training set.",
    ),
    Check(
        "BF403",
        "missing class",
        "warning",
        "A test set has no sample of a class, so metrics of all classes are not defined.",
    ),
    Check(
        "BF404",
        "unlike the training images",
        "warning",
        "More new images are unlike the training images than chance explains.",
    ),
    Check(
        "BF405",
        "reversed scores",
        "warning",
        "The probabilities of a model fall as its scores rise.",
    ),
    Check(
        "BF406",
        "another training set",
        "warning",
        "A comparison trained on samples that the model was not trained on.",
    ),
    Check(
        "BF901",
        "patients not checked",
        "note",
        "No patients are known, so shared patients were not searched for.",
    ),
    Check(
        "BF902",
        "copies not checked",
        "note",
        "Some kind of copies was not searched for, or not reliably.",
    ),
    Check(
        "BF903",
        "text not checked",
        "note",
        "Burned-in text was not searched for.",
    ),
    Check(
        "BF904",
        "metadata not checked",
        "note",
        "It was not tested whether metadata predict the label.",
    ),
    Check(
        "BF905",
        "images not checked",
        "note",
        "Images could not be read, or have changed since their features were extracted.",
    ),
    Check(
        "BF906",
        "not explained",
        "note",
        "The errors of an arm could not be explained.",
    ),
)

#: Every check, by its code.
CHECKS: Mapping[str, Check] = {check.code: check for check in _ALL}


def is_unchecked(code: str) -> bool:
    """Return whether findings under a code state what could not be checked.

    Examples
    --------
    >>> is_unchecked("BF902"), is_unchecked("BF201")
    (True, False)
    """
    return code.startswith("BF9")
