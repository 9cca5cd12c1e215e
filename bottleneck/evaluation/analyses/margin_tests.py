"""Tests of the arms of a comparison for non-inferiority to one of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import UsageError, unknown_name
from bottleneck.evaluation.cross_validation.evaluate_arm import in_same_rows
from bottleneck.evaluation.inputs.comparison_inputs import ComparisonInputs
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.inference.paired_tests import is_primary, pair_test
from bottleneck.evaluation.metrics.inference.reliability import caveat
from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.evaluation.results.arm_results import Evaluation
from bottleneck.evaluation.results.result_parts import MarginResults, MarginTest
from bottleneck.statistics.inference.corrections import holm
from bottleneck.statistics.roc.noninferiority import Verdict, judge_margin, one_sided_p
from bottleneck.text.plurals import counted

__all__ = ["choose_reference", "find_margin_results"]

# Of the one-sided tests. It is half of that of two-sided tests, so that the 95 % interval decides.
_LEVEL = 0.025


def choose_reference(measures: Measures, inputs: ComparisonInputs) -> Measures:
    """Return the settings with the name of the reference arm, before anything is trained.

    Parameters
    ----------
    measures : Measures
        Settings of the metrics.
    inputs : ComparisonInputs
        The arms.

    Raises
    ------
    UsageError
        If there is no such arm, or none to compare it with, or a reference without a margin.
    """
    if measures.margin is None:
        if measures.reference is not None:
            raise UsageError(
                "a reference arm has no effect without a margin: add --margin, such as "
                "--margin 0.05 (in Python: Measures(margin=0.05))"
            )
        return measures
    names = [arm.name for arm in inputs.arms if arm.features is not None]
    names += [arm.name for arm in inputs.imported]
    names += [name for name in (inputs.ensemble,) if name is not None]
    readers = [reader.name for reader in inputs.readers]
    readers += [name for name in (inputs.reader_mean,) if name is not None]
    every = [*names, *readers]
    given = measures.reference
    reference = every[0] if given is None else match_names([given], every).get(given)
    if reference is None:
        raise unknown_name("reference arm", str(given), every)
    if not any(is_primary(name, reference, every, readers) for name in every if name != reference):
        raise UsageError(
            f"non-inferiority to '{reference}' needs another arm that is not a baseline"
            f"{' or human reader' if reference in readers else ''}: add a head, features or "
            "predictions, or leave out the margin"
        )
    return dataclasses.replace(measures, reference=reference)


def find_margin_results(
    evaluations: Sequence[Evaluation],
    differences: Sequence[Difference],
    positive: str | None,
    measures: Measures,
) -> MarginResults | None:
    """Test every arm with images for non-inferiority to the reference arm.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Arms on the same samples in the same folds.
    differences : sequence of Difference
        Their differences, whose adjusted p values say whether two AUROCs differ at all.
    positive : str or None
        The positive class.
    measures : Measures
        Settings with the margin and the name of the reference, from ``choose_reference``.

    Returns
    -------
    MarginResults or None
        None without a margin, or where the reference or all others are not among the arms.
        Human readers are not compared with each other. The difference has the interval of the
        primary comparison, and p inverts it.
    """
    margin, reference = measures.margin, measures.reference
    family = [e.name for e in evaluations if e.uses_images]
    if margin is None or reference not in family:
        return None
    readers = {e.name for e in evaluations if e.is_reader}
    names = [
        name
        for name in family
        if name != reference and is_primary(name, reference, family, readers)
    ]
    if not names:
        return None
    test = pair_test(in_same_rows(evaluations), positive, readers, null=-margin)
    results = [test(name, reference) for name in names]
    p = [one_sided_p(one, margin) for one in results]
    adjusted, of_loss = holm(p).tolist(), holm([1 - each for each in p]).tolist()
    caution = caveat(evaluations[0].predictions, positive=positive)
    different = {
        frozenset((d.a, d.b))
        for d in differences
        if d.metric == "auroc" and d.p_adjusted is not None and d.p_adjusted < 2 * _LEVEL
    }
    return MarginResults(
        margin=margin,
        reference=reference,
        tests=tuple(
            MarginTest(
                arm=name,
                value=one.difference,
                low=one.low,
                high=one.high,
                p=own,
                p_adjusted=mine,
                verdict=_judge(
                    judge_margin(one.low, one.high, margin),
                    holds=(loss if one.high < -margin else mine) < _LEVEL,
                    differs=frozenset((name, reference)) in different,
                ),
                method=f"{one.method}{caution}, {one.level:.0%}",
            )
            for name, one, own, mine, loss in zip(names, results, p, adjusted, of_loss, strict=True)
        ),
        words=_describe(margin, reference, len(names)),
        reference_auroc=next(e.metrics.get("auroc") for e in evaluations if e.name == reference),
    )


def _judge(verdict: Verdict, *, holds: bool, differs: bool) -> Verdict:
    """Return the verdict that is left after adjustment for the number of arms."""
    if not holds:
        return "inconclusive"
    if verdict in ("superior", "lower within the margin") and not differs:
        return "non-inferior"
    return verdict


def _describe(margin: float, reference: str, n: int) -> str:
    adjusted = f", after Holm's adjustment over {counted(n, 'arm')}" if n > 1 else ""
    return (
        f"Non-inferiority to {reference} was tested with a margin of {margin:g}: an arm is "
        f"non-inferior if the 95 % confidence interval of its AUROC minus that of {reference} "
        f"lies above −{margin:g} (one-sided test at the level 0.025{adjusted})"
    )
