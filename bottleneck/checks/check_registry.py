"""The checks of data and results, each with a stable code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

__all__ = ["CHECKS", "RegisteredCheck", "Severity", "is_unchecked"]

Severity = Literal["leak", "warning", "note"]


@dataclasses.dataclass(frozen=True)
class RegisteredCheck:
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
    RegisteredCheck(
        "BF101",
        "shared patients",
        "leak",
        "A patient has samples in several folds, or on both sides of a split.",
    ),
    RegisteredCheck(
        "BF102",
        "examinations",
        "leak",
        "An examination has samples in several folds, or belongs to several patients.",
    ),
    RegisteredCheck(
        "BF103",
        "identical samples",
        "leak",
        "Two samples have the same pixels, voxels or features.",
    ),
    RegisteredCheck(
        "BF104",
        "near-duplicates",
        "leak",
        "Two images are nearly the same: altered copies, or neighbouring frames of one video.",
    ),
    RegisteredCheck(
        "BF105",
        "overlapping regions",
        "leak",
        "Two regions of one volume share voxels.",
    ),
    RegisteredCheck(
        "BF106",
        "large group",
        "warning",
        "Copies join so many patients that one group can determine the result of a fold.",
    ),
    RegisteredCheck(
        "BF107",
        "allowed leakage",
        "leak",
        "The protocol allows leaks, so results can be far too optimistic.",
    ),
    RegisteredCheck(
        "BF108",
        "pretraining data",
        "warning",
        "The weights were trained on images of this data set.",
    ),
    RegisteredCheck(
        "BF109",
        "unknown patients",
        "warning",
        "The patients of some samples are not known, so each of these samples counts as a patient.",
    ),
    RegisteredCheck(
        "BF201",
        "metadata",
        "warning",
        "Metadata, such as the size of an image, predict the label without the image.",
    ),
    RegisteredCheck(
        "BF202",
        "burned-in text",
        "warning",
        "Images contain text, which a network can learn to read.",
    ),
    RegisteredCheck(
        "BF203",
        "conflicting labels",
        "warning",
        "Copies of one image have different labels.",
    ),
    RegisteredCheck(
        "BF301",
        "few patients",
        "warning",
        "There are too few patients for a reliable interval.",
    ),
    RegisteredCheck(
        "BF302",
        "dominant patient",
        "warning",
        "One patient has more than a fifth of the test samples.",
    ),
    RegisteredCheck(
        "BF303",
        "random weights",
        "warning",
        "The weights of the network are random, so the figures are meaningless.",
    ),
    RegisteredCheck(
        "BF304",
        "missing samples",
        "warning",
        "Samples without features are missing from every figure.",
    ),
    RegisteredCheck(
        "BF305",
        "classifier warning",
        "warning",
        "A classifier did not converge, or warned while it was trained.",
    ),
    RegisteredCheck(
        "BF306",
        "own metric",
        "warning",
        "A metric of your own failed or warned on some of the samples.",
    ),
    RegisteredCheck(
        "BF307",
        "incomplete folds",
        "warning",
        "Some samples have no published fold, so folds were drawn at random.",
    ),
    RegisteredCheck(
        "BF308",
        "selected cases",
        "warning",
        "Figures are only for the cases that every reader scored.",
    ),
    RegisteredCheck(
        "BF309",
        "reader scores",
        "warning",
        "The scores of a reader do not fit their scale, or equal those of another reader.",
    ),
    RegisteredCheck(
        "BF401",
        "tested on training images",
        "leak",
        "New images, or an external cohort, include images that the model was trained on.",
    ),
    RegisteredCheck(
        "BF402",
        "shared names of patients",
        "warning",
        "Patients of an external cohort have the names of patients of the training set.",
    ),
    RegisteredCheck(
        "BF403",
        "missing class",
        "warning",
        "A test set has no sample of a class, so metrics over all classes are not defined.",
    ),
    RegisteredCheck(
        "BF404",
        "unlike the training images",
        "warning",
        "More new images are unlike the training images than chance explains.",
    ),
    RegisteredCheck(
        "BF405",
        "reversed scores",
        "warning",
        "The probabilities of a model fall as its scores rise.",
    ),
    RegisteredCheck(
        "BF406",
        "another training set",
        "warning",
        "A comparison trained on samples that the model was not trained on.",
    ),
    RegisteredCheck(
        "BF901",
        "patients not checked",
        "note",
        "No patients are known, so shared patients were not searched for.",
    ),
    RegisteredCheck(
        "BF902",
        "copies not checked",
        "note",
        "Some kinds of copies were not searched for, or not reliably.",
    ),
    RegisteredCheck(
        "BF903",
        "text not checked",
        "note",
        "Burned-in text was not searched for.",
    ),
    RegisteredCheck(
        "BF904",
        "metadata not checked",
        "note",
        "It was not tested whether metadata predict the label.",
    ),
    RegisteredCheck(
        "BF905",
        "images not checked",
        "note",
        "Images could not be read, or have changed since their features were extracted.",
    ),
    RegisteredCheck(
        "BF906",
        "not explained",
        "note",
        "The errors of an arm could not be explained.",
    ),
)

#: Every check, by its code.
CHECKS: Mapping[str, RegisteredCheck] = {check.code: check for check in _ALL}


def is_unchecked(code: str) -> bool:
    """Return whether findings under a code state what could not be checked.

    Examples
    --------
    >>> is_unchecked("BF902"), is_unchecked("BF201")
    (True, False)
    """
    return code.startswith("BF9")
