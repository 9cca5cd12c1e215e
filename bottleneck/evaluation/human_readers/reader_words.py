"""What a comparison says about its human readers: methods, warnings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bottleneck.checks.check_warnings import CheckWarning, warn
from bottleneck.evaluation.human_readers.human_reader import HumanReader
from bottleneck.evaluation.human_readers.reader_arms import ReaderArms
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.results.comparison_results import Evaluation

__all__ = ["describe_readers", "warn_of_readers"]

_LEAST = 10


def describe_readers(
    evaluations: Sequence[Evaluation], readers: Sequence[HumanReader], measures: Measures
) -> str:
    """Return how readers were compared, in words for a methods section; "" without readers.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        All arms.
    readers : sequence of HumanReader
        The readers.
    measures : Measures
        Threshold of ratings.
    """
    if not readers:
        return ""
    single, mean = _arms_of(evaluations, readers)
    n = len(single)
    who = f"'{single[0].name}'" if n == 1 else f"'{single[0].name}' to '{single[-1].name}'"
    words = (
        f" {n} human reader{'s' if n > 1 else ''} ({who}) scored the test samples. Readers need "
        "no training: their scores are ranked over all folds together, and their intervals have "
        "no factor for overlapping training sets. The interval of a difference has the factor of "
        "the other arm."
    )
    if any(reader.scale.kind == "rating" for reader in readers):
        least = measures.reader_threshold
        shown = f"{least:g}" if isinstance(least, float) else least
        words += f" A rating of {shown} or more counts as positive."
    words += (
        " The readers are fixed: intervals and p values apply to these readers and other "
        "patients. They do not apply to other readers, as those of a multi-reader multi-case "
        "analysis would."
    )
    if mean is not None:
        aurocs = [e.metrics["auroc"].value for e in single if "auroc" in e.metrics]
        words += (
            f" The arm '{mean.name}' ranks by the mean score of all readers, as a panel would; the "
            f"mean of their own AUROCs is {np.mean(aurocs):.3f}."
        )
    return words


def _arms_of(
    evaluations: Sequence[Evaluation], readers: Sequence[HumanReader]
) -> tuple[list[Evaluation], Evaluation | None]:
    """Return the arms of single readers, and that of their mean."""
    names = [reader.name for reader in readers]
    arms = [e for e in evaluations if e.is_reader]
    mean = next((e for e in arms if e.name not in names), None)
    return [e for e in arms if e.name in names], mean


def warn_of_readers(
    readers: Sequence[HumanReader], evaluations: Sequence[Evaluation], made: ReaderArms
) -> tuple[CheckWarning, ...]:
    """Return warnings about readers.

    Parameters
    ----------
    readers : sequence of HumanReader
        The readers.
    evaluations : sequence of Evaluation
        All arms.
    made : ReaderArms
        The arms of the readers, and the samples that they scored.
    """
    selected, warnings = [], []
    if made.ids is not None:
        selected.append(
            f"all figures are of the {len(made.ids)} of {made.n_tested} test samples that every "
            "reader scored (--unread drop): if readers leave out difficult samples, every arm "
            "looks better than it is"
        )
    arms = {e.name: e for e in evaluations}
    for reader in readers:
        arm = arms[reader.name]
        auroc, decided = arm.metrics.get("auroc"), set(arm.predictions.predicted.tolist())
        if auroc is not None and auroc.high is not None and auroc.high < 0.5:
            warnings.append(
                f"{reader.name} ranks worse than chance: do larger scores mean more of the "
                "positive class?"
            )
        if len(decided) == 1:
            warnings.append(
                f"{reader.name} calls every sample '{decided.pop()}': does the threshold fit this "
                "reader's scale?"
            )
    if flat := [r.name for r in readers if r.scale.kind in ("class", "binary")]:
        one = len(flat) == 1
        warnings.append(
            f"{', '.join(flat)} gave classes, so {'its' if one else 'their'} AUROC is that of one "
            "operating point, the mean of sensitivity and specificity, which is lower than that of "
            "a graded score: compare sensitivity and specificity"
        )
    for n, reader in enumerate(readers):
        for other in readers[n + 1 :]:
            if len(reader.scores) >= _LEAST and reader.scores == other.scores:
                warnings.append(
                    f"{reader.name} and {other.name} gave every sample the same score: are they "
                    "one reader?"
                )
    return (*warn("BF308", selected), *warn("BF309", warnings))
