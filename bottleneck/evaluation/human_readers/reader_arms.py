"""Arms of human readers: their scores as predictions of the samples that a comparison tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Folds
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.cross_validation.imported_predictions import ImportedArm
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.human_readers.human_reader import HumanReader
from bottleneck.evaluation.human_readers.reading_scale import threshold_of
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.results.arm_origin import READER
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import join_scores
from bottleneck.text.plurals import counted

__all__ = ["ReaderArms", "check_reader_options", "folds_of_readers", "make_reader_arms"]

# Sums of decimals miss a threshold such as 0.3 by less.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class ReaderArms:
    """Arms of human readers, and the samples that all of them scored.

    Attributes
    ----------
    arms : list of ArmPredictions
        The readers, and then their mean where there is one.
    n_tested : int
        Number of samples in test sets.
    ids : ndarray of str or None
        The samples that every reader scored; None if these are all in test sets.
    """

    arms: list[ArmPredictions]
    n_tested: int
    ids: NDArray[np.str_] | None

    def reduce(self, arms: Sequence[ArmPredictions]) -> list[ArmPredictions]:
        """Return arms with the test samples that every reader scored."""
        ids = self.ids
        if ids is None:
            return list(arms)
        return [
            dataclasses.replace(arm, test=arm.test.take(np.isin(arm.test.ids, ids))) for arm in arms
        ]


def check_reader_options(readers: Sequence[HumanReader], measures: Measures) -> None:
    """Refuse options of readers that have no effect.

    Raises
    ------
    UsageError
        If there are no readers, or too few for a mean.
    """
    given = {
        "--reader-threshold": measures.reader_threshold is not None,
        "--reader-mean": measures.reader_mean,
        "--unread drop": measures.unread == "drop",
    }
    idle = [option for option, is_given in given.items() if is_given]
    if idle and not readers:
        raise UsageError(f"{idle[0]} has no effect without --readers: name a table of scores")
    if measures.reader_mean and len(readers) < 2:
        raise UsageError("--reader-mean needs at least two readers: leave it out")
    if measures.reader_threshold is not None and all(
        reader.scale.kind in ("class", "binary") for reader in readers
    ):
        raise UsageError(
            "--reader-threshold has no effect, since the readers gave classes, not ratings: leave "
            "it out"
        )


def folds_of_readers(readers: Sequence[HumanReader], samples: FeatureSet) -> ImportedArm:
    """Return a stand-in for imported predictions, so that readers alone have a test set."""
    scores = (samples.y[:, None] == np.array(samples.classes)).astype(float)
    test = join_scores(
        scores, samples.classes, "decision", ids=samples.ids, labels=samples.y, groups=None
    )
    return ImportedArm(readers[0].name, test, None)


def make_reader_arms(
    readers: Sequence[HumanReader],
    folds: Folds,
    samples: LabelledSamples,
    positive: str | None,
    measures: Measures,
    *,
    mean: str | None = None,
) -> ReaderArms:
    """Return the arms of all readers, and their mean where it is asked for.

    A reader has no training set: all samples are in one fold, and each is there once.

    Parameters
    ----------
    readers : sequence of HumanReader
        The readers; there may be none.
    folds : Folds
        Folds in which the other arms are tested.
    samples : LabelledSamples
        Samples of the comparison.
    positive : str or None
        The positive class.
    measures : Measures
        Threshold of the ratings, and what is done with samples that not every reader scored.
    mean : str or None
        Name of the arm with the mean score of all readers; None for no such arm.

    Raises
    ------
    UsageError
        If numbers are given for several classes without a positive one, or the threshold does not
        fit, or readers of different scales are averaged.
    ProtocolError
        If a reader lacks a sample, and none is to be dropped, or a reader names a class that is
        left out.
    """
    first = folds.folds[0].repeat
    tested = np.concatenate([fold.test for fold in folds if fold.repeat == first])
    if not readers:
        return ReaderArms([], len(tested), None)
    rows = _read_by_all(readers, tested, samples, measures)
    _refuse_lacking(samples, folds, rows)
    stated = measures.reader_threshold
    rated = any(reader.scale.kind == "rating" for reader in readers)
    each = [
        # Next to ratings, probabilities keep their own threshold.
        _values(reader, rows, samples, positive, None if rated and reader.is_probable else stated)
        for reader in readers
    ]
    arms = [
        _arm(reader.name, *values, rows, samples)
        for reader, values in zip(readers, each, strict=True)
    ]
    if mean is not None:
        if len({(r.scale.kind, r.scale.name) for r in readers}) > 1:
            raise UsageError(
                "the readers use different scales, so their scores have no mean: leave out "
                "--reader-mean (in Python reader_mean=)"
            )
        scores = np.mean([values for values, _ in each], axis=0)
        known = [shares for _, shares in each if shares is not None]
        shares = np.mean(known, axis=0) if known else None
        arms.append(_arm(mean, scores, shares, rows, samples))
    whole = len(rows) == len(tested)
    return ReaderArms(arms, len(tested), None if whole else samples.ids[rows])


def _read_by_all(
    readers: Sequence[HumanReader],
    tested: NDArray[np.intp],
    samples: LabelledSamples,
    measures: Measures,
) -> NDArray[np.intp]:
    """Return the tested rows that every reader scored."""
    lacks = {
        reader.name: np.array([i not in reader.scores for i in samples.ids[tested].tolist()])
        for reader in readers
    }
    lacking = np.any(list(lacks.values()), axis=0)
    worst = max(lacks, key=lambda name: int(lacks[name].sum()))
    n = f"{lacks[worst].sum()} of the {len(tested)} test samples"
    if lacking.any() and measures.unread == "stop":
        raise ProtocolError(
            f"{worst} has no score of {n}, but arms are compared only on the same samples: add "
            f"the scores, or measure all arms on the {counted(int((~lacking).sum()), 'sample')} "
            "that "
            "every reader scored; a warning then states this (--unread drop, in Python "
            "Measures(unread='drop'))"
        )
    if lacking.all():
        raise ProtocolError(
            f"no test sample was scored by every reader ({worst} has no score of {n}): compare "
            "fewer readers at a time"
        )
    return tested[~lacking]


def _arm(
    name: str,
    scores: NDArray[np.float64],
    probabilities: NDArray[np.float64] | None,
    rows: NDArray[np.intp],
    samples: LabelledSamples,
) -> ArmPredictions:
    predictions = join_scores(
        scores,
        samples.classes,
        "decision",
        ids=samples.ids[rows],
        labels=samples.y[rows],
        groups=samples.groups_of(rows),
    )
    test = dataclasses.replace(predictions, probabilities=probabilities)
    return ArmPredictions(name=name, head=READER, test=test)


def _values(
    reader: HumanReader,
    rows: NDArray[np.intp],
    samples: LabelledSamples,
    positive: str | None,
    threshold: float | str | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return a column of scores per class, and probabilities where the scores are some.

    The score of the other class is just below the threshold, so that the larger one decides.
    """
    classes = samples.classes
    given = [reader.scores[i] for i in samples.ids[rows].tolist()]
    if reader.scale.kind == "class":
        if unknown := sorted({str(name) for name in given} - set(classes)):
            raise ProtocolError(
                f"{reader.name} calls samples '{unknown[0]}', and the comparison is of "
                f"{', '.join(classes)}: merge or leave out that class in both, or correct it"
            )
        if len(classes) > 2 or positive is None:
            return (np.array(given)[:, None] == np.array(classes)).astype(float), None
        given = [float(name == positive) for name in given]
    if len(classes) > 2 or positive is None:
        raise UsageError(
            f"{reader.name} gave numbers, which rank two classes, but there are {len(classes)} "
            f"({', '.join(classes)}): merge them into two (--merge), or give names of classes"
        )
    values = np.array(given, np.float64)
    limit = threshold_of(threshold, reader.scale, reader.source)
    least = limit - _ROUNDING * max(1.0, abs(limit))
    at = classes.index(positive)
    scores = np.full((len(values), 2), least)
    scores[:, at] = values
    if not reader.is_probable:
        return scores, None
    shares = np.stack([1 - values, 1 - values], axis=1)
    shares[:, at] = values
    return scores, shares


def _refuse_lacking(samples: LabelledSamples, folds: Folds, rows: NDArray[np.intp]) -> None:
    """Refuse test folds that have lost a class with the samples that were not read."""
    for fold in folds:
        left = samples.y[fold.test][np.isin(fold.test, rows)]
        if lacking := sorted(set(samples.y[fold.test].tolist()) - set(left.tolist())):
            raise ProtocolError(
                f"of the samples that every reader scored, a test fold has none of "
                f"'{lacking[0]}': ask for fewer folds (--folds), or add scores"
            )
