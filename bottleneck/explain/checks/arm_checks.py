"""What checks of the heat maps of an arm show: do they depend on the model, and on what place?"""

from __future__ import annotations

import dataclasses

from bottleneck.explain.checks.map_checks import MapChecks, Verdict
from bottleneck.explain.checks.mean_maps import MeanMaps
from bottleneck.explain.checks.region_shares import RegionShares
from bottleneck.text.short_repr import show_fields

__all__ = ["ArmChecks"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ArmChecks:
    """Checks of the heat maps of an arm, over images that were chosen without regard to errors.

    Attributes
    ----------
    checks : tuple of MapChecks
        Similarity with the maps of random weights and of permuted labels, by method: the heads of
        several folds can have maps of different methods.
    means : tuple of MeanMaps
        The mean map of each true class, by method and by the class that the maps are towards.
    regions : RegionShares or None
        Share of the maps inside known regions; None where no region is known.
    notes : tuple of str
        What could not be used.
    """

    checks: tuple[MapChecks, ...]
    means: tuple[MeanMaps, ...]
    regions: RegionShares | None = None
    notes: tuple[str, ...] = ()

    __repr__ = show_fields

    @property
    def words(self) -> tuple[str, ...]:
        """Sentences on all checks."""
        texts = [one.words for one in self.checks]
        texts += [one.words for one in self.means]
        if self.regions is not None:
            texts.append(self.regions.words)
        return (*(text for words in texts for text in words), *self.notes)

    @property
    def verdict(self) -> Verdict:
        """ "failed" if a check failed; "passed" if all passed; otherwise "not decided"."""
        verdicts = {one.verdict for one in self.checks}
        if "failed" in verdicts:
            return "failed"
        return "passed" if verdicts == {"passed"} else "not decided"
