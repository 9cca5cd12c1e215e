"""The arm of a comparison that a model repeats, in the ``results.json`` of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bottleneck.errors import UsageError
from bottleneck.model_card.quoted_fields import QuotedField
from bottleneck.model_card.sources.model_facts import training_digest

__all__ = ["BASELINES", "find_card_arm", "find_point"]

#: Heads of the arms that use no image.
BASELINES = ("prior", "metadata")


def find_card_arm(results: Mapping[str, Any], facts: Mapping[str, Any], sha256: str) -> int:
    """Return the number of the arm that a model repeats.

    Parameters
    ----------
    results : mapping
        Content of ``results.json``.
    facts : mapping
        From ``describe_for_card``.
    sha256 : str
        That of ``results.json``.

    Raises
    ------
    UsageError
        If this comparison did not evaluate the model.
    """
    arms = results["arms"]
    if facts["kind"] == "networks":
        wanted = facts["training_digest"]
        same = [n for n, arm in enumerate(arms) if training_digest(arm["cost"]) == wanted]
        if not same:
            raise UsageError(
                f"this report has no arm of the training '{facts['name']}': compare its folder "
                "(compare --predictions FOLDER), and name that report"
            )
        return same[0]
    evaluated = facts["comparison"]
    named = [n for n, arm in enumerate(arms) if arm["name"] == evaluated["arm"]]
    if not named:
        raise UsageError(
            f"this report has no arm '{evaluated['arm']}', which the model repeats: name the "
            "report that `bottleneck fit` was given with --comparison"
        )
    pairs = [*_compared(results, arms[named[0]], facts)]
    # A model of a comparison in memory knows no file, and an older one neither.
    if (known := evaluated.get("results_sha256")) is not None:
        pairs.append(("the sha256 of results.json", sha256, known))
    for what, here, there in pairs:
        if here != there:
            raise UsageError(
                f"this is not the report of the comparison that evaluated the model: {what} is "
                f"{here} in the report, and {there} in the model. Name the report that "
                "`bottleneck fit` was given with --comparison, or fit the model again with this one"
            )
    return named[0]


def find_point(arm: QuotedField, facts: Mapping[str, Any]) -> QuotedField | None:
    """Return the operating point that was measured at the threshold of a model.

    Parameters
    ----------
    arm : QuotedField
        The arm that the model repeats, in the comparison or in an external cohort.
    facts : mapping
        From ``describe_for_card``.

    Returns
    -------
    QuotedField or None
        None if the model has no threshold, the comparison did not measure it, or it has moved
        since.
    """
    stated = facts["operating_point"]
    if stated is None or facts["threshold_moved"]:
        return None
    target = (stated["held"], stated["target"])
    points = (one for one in arm["operating_points"] if (one["held"], one["target"]) == target)
    return next(points, None)


def _compared(
    results: Mapping[str, Any], arm: Mapping[str, Any], facts: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield what a report and a model both keep: its name, that of the report, and the model's."""
    evaluated, dataset, origin = facts["comparison"], results["dataset"], arm["origin"] or {}
    yield "the data set", dataset["name"], evaluated["dataset"]
    yield "the fingerprint of the data set", dataset["fingerprint"], facts["fingerprint"]
    yield "the number of samples", dataset["n_samples"], evaluated["n_samples"]
    yield "the number of patients", dataset["n_patients"], evaluated["n_patients"]
    yield "the positive class", results["positive"], evaluated["positive"]
    yield "the recipe of the features", origin.get("recipe_hash"), facts["recipe_hash"]
    yield "the digest of the head", origin.get("head"), facts["head_digest"]
    yield "the protocol", results["protocol"]["words"], evaluated["protocol"]
    yield from _figures("the AUROC", arm["metrics"]["auroc"], evaluated["auroc"])
    if (point := evaluated["operating_point"]) is not None:
        for here in arm["operating_points"]:
            if (here["held"], here["target"]) == (point["held"], point["target"]):
                for name, figure in point["metrics"].items():
                    yield from _figures(f"the {name}", here["metrics"][name], figure)
    there = {cohort["dataset"]: cohort["auroc"] for cohort in evaluated["external"]}
    cohorts = {
        one["dataset"]["name"]: theirs["metrics"]["auroc"]
        for one in results["external"]
        for theirs in one["arms"]
        if theirs["name"] == arm["name"] and "auroc" in theirs["metrics"]
    }
    yield "the list of external cohorts", sorted(cohorts), sorted(there)
    for name, figure in cohorts.items():
        yield from _figures(f"the AUROC on {name}", figure, there[name])


def _figures(
    what: str, here: Mapping[str, Any], there: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    yield what, here["value"], there["value"]
    yield f"the lower bound of {what}", here["low"], there["low"]
    yield f"the upper bound of {what}", here["high"], there["high"]
