"""Contradictions of published epochs: with the figures of their set, and with early stopping."""

from __future__ import annotations

from collections.abc import Iterator

from bottleneck.studies.consistency.grim import explain, fitting_positives
from bottleneck.studies.published_figures import Figure, PublishedSet
from bottleneck.studies.published_training import PublishedTraining

__all__ = ["check_epochs"]


def check_epochs(
    training: PublishedTraining, published: PublishedSet, positive: str, patience: int = 0
) -> Iterator[str]:
    """Yield what the epochs of a published training contradict.

    Parameters
    ----------
    training : PublishedTraining
        The training.
    published : PublishedSet
        The set that its figures of validation are of.
    positive : str
        Name of the positive class.
    patience : int
        Epochs without a higher AUROC after which the training is said to stop; 0 if it is not.
    """
    row = published.find_row(training.model)
    count = _positives(published)
    for epoch in training.epochs:
        validated = epoch.validated(training.model)
        if epoch.epoch is None:
            # The best epoch is the one that the set's own figures are of.
            for name, figure in validated.figures.items():
                other = None if row is None else row.figures.get(name)
                if other is not None and not _agree(figure, other):
                    yield (
                        f"the {name} of '{training.model}' is {other.text} in one place and "
                        f"{figure.text} in another, and no number rounds to both"
                    )
        elif published.n is None or count is None:
            continue
        elif count not in fitting_positives(validated.figures, published.n):
            figures = ", ".join(f"{n} {f.text}" for n, f in validated.figures.items())
            yield (
                f"'{validated.model}' ({figures}) fits no whole numbers of {count} {positive} "
                f"among {published.n}: {explain(validated.figures, published.n, count)}"
            )
    if patience and training.stopped is not None:
        yield from _check_stopping(training, training.stopped - patience, patience)


def _positives(published: PublishedSet) -> int | None:
    """Return the number of positives: as stated, or as all confusion matrices have it."""
    if published.positives is not None:
        return published.positives
    counts = {row.matrix.positives for row in published.rows if row.matrix is not None}
    return counts.pop() if len(counts) == 1 else None


def _agree(one: Figure, other: Figure) -> bool:
    """Return whether some number rounds to both figures."""
    return one.low <= other.high and other.low <= one.high


def _check_stopping(training: PublishedTraining, best: int, patience: int) -> Iterator[str]:
    aurocs = {
        epoch.epoch: Figure(epoch.val_auroc)
        for epoch in training.epochs
        if epoch.epoch is not None and epoch.val_auroc is not None
    }
    if best not in aurocs:
        return
    for number, auroc in aurocs.items():
        if auroc.low > aurocs[best].high:
            yield (
                f"the training of '{training.model}' stopped after epoch {training.stopped} with a "
                f"patience of {patience}, so epoch {best} was the best, but epoch {number} "
                f"has the higher AUROC ({auroc.text} and {aurocs[best].text})"
            )
