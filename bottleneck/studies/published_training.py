"""Published courses of a training: losses and metrics of epochs, as they were printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated

from annotated_types import Ge, Le, MinLen

from bottleneck.errors import UsageError
from bottleneck.settings.ranges import Expected
from bottleneck.settings.schema import schema
from bottleneck.studies.published_figures import Figure, PublishedRow

__all__ = ["EPOCH_FIGURES", "PublishedEpoch", "PublishedTraining"]

#: Figures of an epoch, in the order of the tables: those that are not losses are shares of 1.
EPOCH_FIGURES = (
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_auroc",
    "val_sensitivity",
    "val_specificity",
)

_LOSS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_Printed = Annotated[str, Expected('written as printed, in quotes, such as "0.356" or "71.70 %"')]
_Epoch = Annotated[int, Ge(1), Le(1_000_000)]


@schema
class PublishedEpoch:
    """Published figures of one epoch.

    Attributes
    ----------
    epoch : int or None
        Number of the epoch, from 1; None for the best one, of which the number is not stated.
    train_loss, val_loss : str or None
        Losses as printed.
    train_accuracy, val_accuracy, val_auroc, val_sensitivity, val_specificity : str or None
        Shares of 1 as printed.
    """

    epoch: _Epoch | None = None
    train_loss: _Printed | None = None
    train_accuracy: _Printed | None = None
    val_loss: _Printed | None = None
    val_accuracy: _Printed | None = None
    val_auroc: _Printed | None = None
    val_sensitivity: _Printed | None = None
    val_specificity: _Printed | None = None

    def __post_init__(self) -> None:
        if not self.texts:
            raise UsageError("a published epoch needs a figure, such as train_loss or val_auroc")
        for name, text in self.texts.items():
            if not name.endswith("_loss"):
                Figure(text)  # Raises where a text is not a share.
            elif not _LOSS.fullmatch(text):
                raise UsageError(
                    f'{name} must be written as printed, such as "0.356", not {text!r}'
                )

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The published figures, by the names in ``EPOCH_FIGURES``."""
        texts = {name: getattr(self, name) for name in EPOCH_FIGURES}
        return {name: text for name, text in texts.items() if text is not None}

    @property
    def title(self) -> str:
        """What the epoch is called in a table."""
        return "best" if self.epoch is None else f"epoch {self.epoch}"

    def validated(self, model: str) -> PublishedRow:
        """Return the figures of the validation set as a row of that set.

        Parameters
        ----------
        model : str
            The model.
        """
        return PublishedRow(
            model=f"{model}, {self.title}",
            accuracy=self.val_accuracy,
            auroc=self.val_auroc,
            sensitivity=self.val_sensitivity,
            specificity=self.val_specificity,
        )


@schema
class PublishedTraining:
    """The published course of the training of a model.

    Attributes
    ----------
    model : str
        Name of the model in the publication.
    epochs : tuple of PublishedEpoch
        The epochs that figures were published of.
    validation : str or None
        Name of the published set that the figures of validation are of.
    stopped : int or None
        The epoch after which the training stopped, where it is stated.
    """

    model: str
    epochs: Annotated[tuple[PublishedEpoch, ...], MinLen(1)]
    validation: str | None = None
    stopped: _Epoch | None = None

    def __post_init__(self) -> None:
        numbers = [one.epoch for one in self.epochs]
        if twice := [number for number in numbers if numbers.count(number) > 1]:
            title = "the best epoch" if twice[0] is None else f"epoch {twice[0]}"
            raise UsageError(f"the published training of '{self.model}' has {title} twice")
        last = max((number for number in numbers if number is not None), default=0)
        if self.stopped is not None and last > self.stopped:
            raise UsageError(
                f"the published training of '{self.model}' stopped after epoch {self.stopped}, "
                f"and has figures of epoch {last}"
            )

    @property
    def name(self) -> str:
        """The model, of which there is one training."""
        return self.model

    @property
    def names(self) -> list[str]:
        """The figures that some epoch has, by the names in ``EPOCH_FIGURES``."""
        known = {name for epoch in self.epochs for name in epoch.texts}
        return [name for name in EPOCH_FIGURES if name in known]
