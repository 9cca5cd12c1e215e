"""Settings of the metrics: operating points, prevalence, margin, subgroups, human readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Gt, Len, Lt

from bottleneck.settings.ranges import Number
from bottleneck.settings.schema import Field, option, schema

__all__ = ["MEASURING", "READERS", "Measures"]

#: Headings of these options in ``--help``.
MEASURING = "Measuring"
READERS = "Human readers"


@schema
class Measures:
    """Settings of the metrics of every arm.

    Attributes
    ----------
    at_sensitivity, at_specificity : float
        Targets of the two operating points: the specificity is reported at a sensitivity of at
        least the first, and the sensitivity at a specificity of at least the second.
    prevalence : float or None
        Prevalence of the positive class for which PPV and NPV are reported too.
    act_at : float or None
        Probability of the positive class from which on you would act, such as by a biopsy: the
        threshold at which the net benefit is compared with acting on everyone and on nobody.
    subgroups : mapping of str to mapping of str to str
        Columns by name; each maps sample ids to a subgroup.
    margin : float or None
        The largest loss of AUROC that is accepted: every arm with images is tested for
        non-inferiority to the reference arm. State it before the results are seen.
    reference : str or None
        Name of the reference arm; by default the first arm.
    learning_curve : bool
        Whether every arm is also trained on smaller shares of the training patients.
    reader_threshold : float, str or None
        The rating from which on a human reader calls a sample positive, such as 4 or "TR4".
        Probabilities have 0.5 by default; ratings need one.
    reader_mean : bool
        Whether the mean score of all readers is one more arm.
    unread : {"stop", "drop"}
        What is done where a reader lacks a score of a test sample: refuse, or measure all arms on
        the samples that every reader scored.

    Raises
    ------
    UsageError
        If a target, the prevalence or the threshold for action is not between 0 and 1.

    Examples
    --------
    >>> Measures(at_sensitivity=0.95, prevalence=0.1).prevalence
    0.1
    """

    at_sensitivity: float = option(
        0.9, "Report the specificity at this sensitivity.", panel=MEASURING, gt=0, lt=1
    )
    at_specificity: float = option(
        0.9, "Report the sensitivity at this specificity.", panel=MEASURING, gt=0, lt=1
    )
    prevalence: Annotated[float, Gt(0), Lt(1)] | None = option(
        None, "Also report PPV and NPV at this prevalence of the positive class.", panel=MEASURING
    )
    act_at: Annotated[float, Gt(0), Lt(1)] | None = option(
        None,
        "Lowest probability at which you would act: report the net benefit there.",
        panel=MEASURING,
    )
    subgroups: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    margin: Annotated[float, Gt(0), Lt(1)] | None = option(
        None,
        "Test whether arms are non-inferior to the reference. The margin is the largest "
        "acceptable loss of AUROC, such as 0.05, stated before the results are known.",
        panel=MEASURING,
    )
    reference: Annotated[str, Len(1, 200)] | None = option(
        None,
        "With --margin: the reference arm for non-inferiority.",
        panel=MEASURING,
        shown="the first arm",
    )
    learning_curve: bool = option(
        False, "Also train on 1/8, 1/4 and 1/2 of the training patients.", panel=MEASURING
    )
    reader_threshold: Number | Annotated[str, Len(1, 80)] | None = option(
        None,
        "Lowest rating of a reader that counts as positive, such as 4 or TR4.",
        panel=READERS,
    )
    reader_mean: bool = option(
        False, "Add an arm with the mean score of all readers.", panel=READERS
    )
    unread: Literal["stop", "drop"] = option(
        "stop",
        "How to treat samples that not every reader scored: stop, or drop them from all figures.",
        panel=READERS,
    )
