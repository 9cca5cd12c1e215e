"""Inputs of a comparison after a selection: features, external cohorts, imported predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.labels.choice import Choice
from bottleneck.data.labels.selection import Selection, check_selection
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.cross_validation.imported_predictions import ImportedArm, adopt_names
from bottleneck.features.sets.chosen_rows import selectable, take_choice
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions, predicted_classes

__all__ = ["choose_features", "choose_predictions"]


def choose_features(
    sets: Sequence[FeatureSet],
    external: Sequence[FeatureSet],
    selection: Selection,
    positive: str | None,
    note: Callable[[str], None] | None,
) -> tuple[list[FeatureSet], list[FeatureSet], Choice]:
    """Apply a selection to the features of a comparison.

    Parameters
    ----------
    sets : sequence of FeatureSet
        Features of the same samples.
    external : sequence of FeatureSet
        Features of external cohorts. The same classes are merged and left out; an entry of the
        list excludes their samples only where it names none of the first data set.
    selection : Selection
        What is chosen.
    positive : str or None
        The positive class, as it is called before or after merging.
    note : callable or None
        Called with what was chosen, in words.

    Returns
    -------
    sets, external : list of FeatureSet
        What is kept.
    choice : Choice
        What the selection means for the first feature set.

    Raises
    ------
    UsageError
        If the selection does not fit, or an entry of the list names no sample at all.
    """
    first = sets[0]
    choice = check_selection(selection).resolve(selectable(first), positive=positive)
    lost = first.ids[~choice.rows]
    chosen = [
        take_choice(one, dataclasses.replace(choice, rows=~np.isin(one.ids, lost))) for one in sets
    ]
    theirs = [selection.resolve_for_cohort(choice, selectable(one)) for one in external]
    cohorts = [take_choice(one, own) for one, own in zip(external, theirs, strict=True)]
    if not set(choice.unknown) - {
        u for own in theirs for u in set(choice.unknown) - {*own.unknown}
    }:
        choice = dataclasses.replace(choice, problem="")
    choice.refuse_unknown()
    for one, own in ((chosen[0], choice), *zip(cohorts, theirs, strict=True)):
        words = one.selection.get("words")
        for text in (*own.notes, *([f"{one.dataset}: {words}"] if words else [])):
            if note is not None:
                note(text)
    return chosen, cohorts, choice


def choose_predictions(arm: ImportedArm, before: FeatureSet, choice: Choice) -> ImportedArm:
    """Apply a selection to imported predictions.

    Predictions of samples that are left out are left out. If the model was trained on the classes
    before merging, the probability of a merged class is the sum of those of its classes, and where
    classes are left out, the rest is divided by its sum: the probability given that it is one of
    the classes that are kept.

    Parameters
    ----------
    arm : ImportedArm
        Imported predictions.
    before : FeatureSet
        All samples.
    choice : Choice
        What is chosen of them.

    Raises
    ------
    ProtocolError
        If classes are to be merged or left out, and the scores are not probabilities, or are 0 for
        all classes that are kept.
    """
    arm = adopt_names(arm, before.ids.tolist(), before.classes)
    lost = np.union1d(before.ids[~choice.rows], choice.excluded)
    own = match_names(arm.test.classes, choice.kept)
    is_ready = len(own) == len(arm.test.classes) == len(choice.kept)
    changes = arm.test.classes == before.classes and not is_ready

    def reduce(predictions: Predictions) -> Predictions:
        labels = choice.rename(predictions.labels.tolist()) if changes else predictions.labels
        kept = ~np.isin(predictions.ids, lost)
        if changes:
            kept &= np.isin(labels, choice.kept)
        part = predictions if kept.all() else predictions.take(kept)
        return _merge(part, choice, arm.name) if changes else part

    validation = None if arm.validation is None else reduce(arm.validation)
    # Trained networks predict the classes before merging.
    origin = None if changes else arm.origin
    return dataclasses.replace(arm, test=reduce(arm.test), validation=validation, origin=origin)


def _merge(predictions: Predictions, choice: Choice, name: str) -> Predictions:
    """Return predictions of the classes that are kept."""
    is_probability = predictions.kind == "probability"
    probabilities = predictions.probabilities
    if probabilities is None and not is_probability:
        raise ProtocolError(
            f"the predictions '{name}' are of the classes {', '.join(predictions.classes)}, and "
            f"their scores are not probabilities, so they cannot be added up for the classes "
            f"{', '.join(choice.kept)}: add columns probability_<class>, or train on the same "
            f"selection (bottleneck finetune takes --classes, --merge and --exclude too)"
        )

    def sum_up(values: NDArray[np.float64]) -> NDArray[np.float64]:
        names = choice.rename(predictions.classes)
        summed = np.stack(
            [values[:, [n == c for n in names]].sum(axis=1) for c in choice.kept], axis=1
        )
        if set(names) == set(choice.kept):
            return np.clip(summed, 0, 1)
        total = summed.sum(axis=1, keepdims=True)
        if n := int((total <= 0).sum()):
            raise ProtocolError(
                f"the predictions '{name}' give no probability to the classes "
                f"{', '.join(choice.kept)} for {n} samples, so these cannot be ranked: train on "
                f"the same selection (bottleneck finetune takes --classes too)"
            )
        return np.clip(summed / total, 0, 1)

    calibrated = None if probabilities is None else sum_up(probabilities)
    scores = sum_up(predictions.scores) if is_probability or calibrated is None else calibrated
    return dataclasses.replace(
        predictions,
        labels=np.array(choice.rename(predictions.labels.tolist())),
        predicted=predicted_classes(scores, choice.kept),
        scores=scores,
        classes=choice.kept,
        kind="probability",
        probabilities=calibrated,
        jackknife=None,
    )
