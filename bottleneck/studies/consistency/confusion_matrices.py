"""Confusion matrices that rounded figures can come from."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

from bottleneck.studies.consistency.grim import figures_of, fitting_positives, hits, within
from bottleneck.studies.published_figures import ConfusionMatrix, Figure, PublishedSet

__all__ = ["Recovered", "fitting_matrices", "recover_matrices"]


@dataclasses.dataclass(frozen=True)
class Recovered:
    """The one confusion matrix that has the published figures of a model.

    Attributes
    ----------
    published : str
        Name of the published set.
    model : str
        Name of the model in the publication.
    matrix : ConfusionMatrix
        Its numbers of samples.
    """

    published: str
    model: str
    matrix: ConfusionMatrix

    @property
    def words(self) -> str:
        """The numbers of samples, as fractions."""
        m = self.matrix
        return (
            f"Only one confusion matrix has the figures of '{self.model}' on the {m.n} samples of "
            f"the {self.published} set: sensitivity {m.tp}/{m.positives}, specificity "
            f"{m.tn}/{m.n - m.positives}, accuracy {m.tp + m.tn}/{m.n}; prevalence "
            f"{m.positives}/{m.n}, {100 * m.positives / m.n:.1f} %."
        )


def fitting_matrices(figures: Mapping[str, Figure], n: int) -> Iterator[ConfusionMatrix]:
    """Yield the confusion matrices that have some figures.

    Parameters
    ----------
    figures : mapping of str to Figure
        By the names in ``published_figures.METRICS``; with sensitivity and specificity. The AUROC
        is ignored.
    n : int
        Number of samples.

    Examples
    --------
    >>> figures = {"sensitivity": Figure("0.667"), "specificity": Figure("0.750")}
    >>> [(m.tp, m.positives, m.tn) for m in fitting_matrices(figures, 7)]
    [(2, 3, 3)]
    """
    shares = {name: figure for name, figure in figures.items() if name != "auroc"}
    for positives in fitting_positives(figures, n):
        negatives = n - positives
        pairs = itertools.product(
            within(figures["sensitivity"], positives), within(figures["specificity"], negatives)
        )
        for tp, tn in pairs:
            matrix = ConfusionMatrix(tn=tn, fp=negatives - tn, fn=positives - tp, tp=tp)
            computed = figures_of(matrix)
            if all(
                name in computed and hits(computed[name], figure) for name, figure in shares.items()
            ):
                yield matrix


def recover_matrices(published: Sequence[PublishedSet]) -> tuple[Recovered, ...]:
    """Return the confusion matrices that follow from published figures.

    A row is left out if it states its matrix, if sensitivity or specificity is missing, or if
    several matrices have its figures.
    """
    recovered = []
    for one in published:
        for row in one.rows:
            states_both = {"sensitivity", "specificity"} <= set(row.figures)
            if one.n is None or row.matrix is not None or not states_both:
                continue
            first = list(itertools.islice(fitting_matrices(row.figures, one.n), 2))
            if len(first) == 1 and one.positives in (None, first[0].positives):
                recovered.append(Recovered(one.name, row.model, first[0]))
    return tuple(recovered)
