"""What follows from the predictions of a training: calibration, threshold and conformal sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Aggregate, Unit
from bottleneck.deploy.models.conformal import ConformalSets
from bottleneck.deploy.trained.network_choice import MEAN, NetworkChoice
from bottleneck.errors import ModelError
from bottleneck.evaluation.metrics.inference.row_groups import (
    independent_units,
    match_folds,
    split_folds,
)
from bottleneck.evaluation.metrics.operating_points import Held, OperatingThreshold, fit_threshold
from bottleneck.evaluation.metrics.patient_aggregation import aggregate_by_patient
from bottleneck.evaluation.metrics.probabilities.calibration import calibrate
from bottleneck.evaluation.metrics.probabilities.sigmoids import (
    Sigmoids,
    add_probabilities,
    fit_sigmoids,
)
from bottleneck.finetune.inputs.validation_split import REFIT
from bottleneck.finetune.training_folder.trained_folder import FoldFiles, TrainedFolder
from bottleneck.predictions import Kind, Predictions, predicted_classes

__all__ = ["DeployedNetworks", "deploy_networks"]


@dataclasses.dataclass(frozen=True, eq=False)
class DeployedNetworks:
    """Networks of a training, with what was fitted on their predictions; used like a ``Model``.

    Attributes
    ----------
    members : tuple of (FoldFiles, Sigmoids or None)
        The networks and the calibration of each.
    head, kind, classes, positive, fingerprint, trained_on, unit, aggregate, sigmoids, \
operating_point, conformal
        As in ``Model``. The score of several networks is the mean of their calibrated
        probabilities, so that ``sigmoids`` is None.
    has_patients : bool
        Whether the training patients are known.
    """

    members: tuple[tuple[FoldFiles, Sigmoids | None], ...]
    head: str
    classes: tuple[str, ...]
    positive: str | None
    fingerprint: str
    trained_on: str
    unit: Unit
    aggregate: Aggregate
    sigmoids: Sigmoids | None
    operating_point: OperatingThreshold | None
    conformal: ConformalSets
    has_patients: bool
    kind: Kind = "probability"

    def note_order(self) -> list[str]:
        """Return a note where probabilities fall as the scores of one of several networks rise."""
        slopes = [() if made is None else made.slopes for _, made in self.members]
        wrong = sum(any(slope <= 0 for slope in each) for each in slopes)
        if not wrong or len(slopes) == 1:  # That of one network is warned of as that of a head.
            return []
        return [
            f"the scores of {wrong} of {len(slopes)} networks order their validation set the "
            "wrong way, so a probability falls as its score rises: their training failed"
        ]

    def join(self, parts: Sequence[Predictions]) -> Predictions:
        """Return the predictions of all networks as one.

        Parameters
        ----------
        parts : sequence of Predictions
            Those of each member, of the same images.
        """
        if len(parts) == 1:
            return parts[0]
        each = [
            add_probabilities(part, sigmoids)
            for part, (_, sigmoids) in zip(parts, self.members, strict=True)
        ]
        return _scored(parts[0], np.mean([_probabilities(one) for one in each], axis=0))


def deploy_networks(
    folder: TrainedFolder,
    choice: NetworkChoice,
    positive: str | None,
    *,
    target: tuple[Held, float] | None = None,
    unit: Unit = "image",
    aggregate: Aggregate = "mean",
) -> DeployedNetworks:
    """Return networks with their calibration, threshold and conformal sets.

    As in a comparison, the scores of a network are calibrated by a sigmoid on the validation set
    of its fold, and its threshold is chosen there. The threshold of the mean is chosen on the test
    folds, each predicted by the network that was not trained on it. So are the conformal sets of
    the mean and of the network of all samples; those of a fold's network come from its test fold.

    Parameters
    ----------
    folder : TrainedFolder
        The training.
    choice : NetworkChoice
        The networks.
    positive : str or None
        The positive class.
    target : (str, float) or None
        "sensitivity" or "specificity", and the value that the threshold must reach.
    unit, aggregate
        As in ``Protocol``.

    Raises
    ------
    ModelError
        If a file of the training is missing or damaged.
    ProtocolError
        If patients are the unit and unknown, or have images of several classes.
    """

    def count(rows: Predictions) -> Predictions:
        if unit == "image":
            return rows
        return aggregate_by_patient(rows, aggregate, positive=positive)

    test, validation = folder.predictions()
    is_mean = choice.name == MEAN
    record = folder.record
    sizes = [len(rows) for rows in split_folds(test)]
    if test.classes != record.classes or sizes != [fold.n_test for fold in record.folds]:
        raise ModelError(
            f"{folder.path / 'predictions.csv'} has other folds or classes than training.json "
            "states: repeat the training with the same command"
        )
    chosen_on = match_folds(test, validation)
    if is_mean:
        # The mean is taken of images, and a patient's score follows from the means.
        whole = calibrate(test, chosen_on)
        out_of_fold = count(_scored(whole, _probabilities(whole)))
        held_out = out_of_fold
        members = [
            (fold, fit_sigmoids(part)) for fold, part in zip(choice.members, chosen_on, strict=True)
        ]
        sigmoids = None
    else:
        (fold,) = choice.members
        if choice.name == REFIT:
            held_out = count(folder.refit_validation())
            out_of_fold = calibrate(count(test), [count(part) for part in chosen_on])
            sigmoids = fit_sigmoids(held_out)
        else:
            place = next(n for n, one in enumerate(record.folds) if one is fold)
            held_out = count(chosen_on[place])
            sigmoids = fit_sigmoids(held_out)
            tested = count(test.take(split_folds(test)[place]))
            out_of_fold = add_probabilities(tested, sigmoids)
        members = [(fold, sigmoids)]
    point = None
    if target is not None and positive is not None:
        point = fit_threshold(held_out, positive, *target)
    return DeployedNetworks(
        members=tuple(members),
        head=f"{record.name}, {choice.name}",
        classes=record.classes,
        positive=positive,
        fingerprint=record.dataset.fingerprint or "",
        trained_on="all samples" if len(choice.members) > 1 or choice.name == REFIT else "a fold",
        unit=unit,
        aggregate=aggregate,
        sigmoids=sigmoids,
        operating_point=point,
        conformal=ConformalSets.fit(
            _join_patients(out_of_fold, folder.joined_patients()),
            has_patients=test.groups is not None,
        ),
        has_patients=test.groups is not None,
    )


def _join_patients(rows: Predictions, group_of: Mapping[str, str]) -> Predictions:
    """Return predictions with the groups of a fold plan: patients who share copies are one."""
    if not group_of:
        return rows
    groups = [group_of.get(one, one) for one in independent_units(rows).tolist()]
    return dataclasses.replace(rows, groups=np.array(groups, str))


def _probabilities(rows: Predictions) -> NDArray[np.float64]:
    assert rows.probabilities is not None
    return rows.probabilities


def _scored(rows: Predictions, probabilities: NDArray[np.float64]) -> Predictions:
    """Return predictions of which the calibrated probabilities are the scores."""
    return dataclasses.replace(
        rows,
        scores=probabilities,
        predicted=predicted_classes(probabilities, rows.classes),
        probabilities=probabilities,
    )
