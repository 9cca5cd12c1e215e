"""A head: a scikit-learn classifier with its search space."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from bottleneck.errors import UsageError, did_you_mean, first_line
from bottleneck.heads.estimators.description import (
    check_name,
    describe_estimator,
    find_balance,
    plain_value,
    record_estimator,
    safe_name,
    write_estimator,
)
from bottleneck.heads.estimators.suitability import (
    find_kind,
    has_method,
    last_step,
    refuse_drawing,
    refuse_object,
    waits_until,
    walk,
)
from bottleneck.predictions import Kind
from bottleneck.text.short_repr import folded, shorten, shortened

__all__ = ["LARGE", "Grid", "Head", "configure"]

Grid = Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Iterable[Any]]]

# With more training samples than this, solvers are used whose cost grows linearly, and features
# stay in float32: a kernel matrix of this size takes 3.2 GB (docs/decisions/0004-solvers.md).
LARGE = 20_000


class Head:
    """A scikit-learn classifier, or a pipeline that ends with one, with its search space.

    It is trained in every fold from a clone, so what the estimator has learned before has
    no effect. Random states that are None are set from the seed, also those of estimators within
    it, so that a run can be repeated.

    Parameters
    ----------
    estimator : estimator
        A classifier with ``predict_proba`` or ``decision_function``.
    grid : mapping, sequence of mapping, or None
        Hyperparameters to search, in the form that ``GridSearchCV`` takes for the estimator. Of
        several equally good candidates the first is chosen, so values that regularise more
        should come first. With None there is one candidate, the estimator as it is. An empty
        list also leaves out the inner folds, and with them thresholds and calibration.
    name : str or None
        Name in tables and file names; by default that of the class, for a pipeline that of its
        last step.

    Attributes
    ----------
    name, estimator : str, estimator
        Name, and the unfitted estimator.
    grid : tuple of mapping
        The search space; empty for a head without inner folds.
    kind : {"decision", "probability"}
        Whether its scores are values of a decision function or probabilities. Balanced class
        weights shift the probabilities towards a data set with equally frequent classes.
    balanced : bool or None
        Whether the classes are weighted equally, whatever their numbers of samples; None if
        this cannot be told.
    description : str
        Description for a methods section.
    record : mapping
        Classes, parameters, versions of packages and search space, in plain values.

    Raises
    ------
    UsageError
        If it is not a classifier, cannot score, draws validation rows at random inside (which
        divides the images of a patient), or the grid does not fit it.

    Examples
    --------
    >>> from sklearn.ensemble import ExtraTreesClassifier
    >>> head = Head(ExtraTreesClassifier(), {"min_samples_leaf": [10, 1]})
    >>> head.name, head.kind
    ('ExtraTreesClassifier', 'probability')
    """

    def __init__(
        self, estimator: Any, grid: Grid | None = None, *, name: str | None = None
    ) -> None:
        from sklearn.base import clone

        refuse_object(estimator)
        try:
            self.estimator: Any = clone(estimator)
        # An estimator of other code may raise anything.
        except Exception as error:
            raise UsageError(
                f"{type(estimator).__name__} cannot be copied with sklearn.base.clone "
                f"({first_line(error)}): its __init__ must store its arguments and do nothing else"
            ) from error
        self.is_named = name is not None
        self.import_path: str | None = None  # by which a command names it
        own = safe_name(type(last_step(self.estimator)).__name__)
        self.name = own if name is None else check_name(name)
        self.grid = _check_grid(self.estimator, grid)
        variants = list(self._variants()) or [self.estimator]
        for one in variants:
            refuse_drawing(one)
        kinds = {find_kind(one) for one in variants}
        self.kind: Kind = "decision" if "decision" in kinds else "probability"
        if len(kinds) > 1 and not all(has_method(one, "decision_function") for one in variants):
            raise UsageError(
                f"the candidates of {self.name} have no score in common: some have predict_proba "
                "only, and others decision_function only; use two heads"
            )
        limits = [most for one in variants if (most := waits_until(one)) is not None]
        self._most = min(limits, default=None)
        self.description = describe_estimator(self.estimator)
        # What a head of the catalogue adds:
        self.fixed: Mapping[str, Any] = {}  # settings that are reported with the chosen ones
        self.large: Head | None = None  # takes its place above LARGE samples
        self.warm_start = False  # a candidate starts from the coefficients of the one before

    def __repr__(self) -> str:
        written = shortened(write_estimator(self.estimator), 200)
        return folded(f"Head({written}, name={shortened(self.name)!r})")

    @property
    def balanced(self) -> bool | None:
        """Whether the classes are weighted equally; None if this cannot be told."""
        known = {find_balance(one) for one in list(self._variants()) or [self.estimator]}
        return known.pop() if len(known) == 1 else None

    @property
    def n_candidates(self) -> int:
        """Number of candidates of the grid; 0 for a head without inner folds."""
        return sum(math.prod(map(len, part.values())) for part in self.grid)

    @property
    def record(self) -> dict[str, Any]:
        """Classes, parameters, versions of packages and search space, in plain values."""
        return {
            **record_estimator(self.estimator),
            "grid": [
                {n: [plain_value(v) for v in values] for n, values in part.items()}
                for part in self.grid
                if part
            ],
            "class_weights": {True: "balanced", False: "none", None: "not known"}[self.balanced],
        }

    def named(self, name: str, *, by_user: bool = True) -> Self:
        """Return the same head under another name.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> Head(LogisticRegression()).named("mine").name
        'mine'
        """
        if name == self.name:
            return self
        other = copy.copy(self)
        other.name, other.is_named = check_name(name), by_user
        return other

    def build(self, seed: int, candidate: Mapping[str, Any] = {}) -> Any:
        """Return a new, unfitted estimator.

        Parameters
        ----------
        seed : int
            Random state of all estimators that have none.
        candidate : mapping
            Hyperparameters, by the names of ``grid``.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> Head(LogisticRegression(), {"C": [1, 10]}).build(0, {"C": 10}).C
        10
        """
        from sklearn.base import clone

        return configure(clone(self.estimator), candidate, seed)

    def for_samples(self, n_samples: int) -> Head:
        """Return the head to fit to a number of training samples: itself, or ``large``.

        Raises
        ------
        UsageError
            If an estimator would draw validation rows from so many.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> head = Head(LogisticRegression())
        >>> head.for_samples(1000) is head
        True
        """
        if self._most is not None and n_samples > self._most:
            raise UsageError(
                f"{self.name} has early_stopping='auto', which with more than {self._most:,} "
                f"samples (here {n_samples:,}) sets rows aside at random for validation and "
                "divides the images of a patient: set early_stopping=False, or use the head "
                "gradient_boosting"
            )
        return self.large if self.large is not None and n_samples > LARGE else self

    def shorten(self, parameter: str) -> str:
        """Return the name of a hyperparameter in reports: of the last step, without its prefix.

        Examples
        --------
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.svm import SVC
        >>> Head(make_pipeline(SVC())).shorten("svc__C")
        'C'
        """
        return parameter.removeprefix(self._prefix)

    def name_chosen(self, candidate: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyperparameters of a candidate as results state them, in plain values.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> Head(LogisticRegression(), {"C": [1.0]}).name_chosen({"C": 1.0})
        {'C': 1.0}
        """
        named = {self.shorten(name): plain_value(value) for name, value in candidate.items()}
        return {**self.fixed, **named}

    @property
    def _prefix(self) -> str:
        steps = getattr(self.estimator, "steps", None)
        return f"{steps[-1][0]}__" if isinstance(steps, list) else ""

    def _variants(self) -> Iterator[Any]:
        """Yield estimators that show each value of the grid at least once."""
        for part in self.grid:
            first = {name: values[0] for name, values in part.items()}
            for name, values in part.items():
                for value in values:
                    yield self.build(0, {**first, name: value})


def configure(estimator: Any, candidate: Mapping[str, Any], seed: int) -> Any:
    """Set the hyperparameters of an estimator, and the random states that are None, in place.

    Parameters
    ----------
    estimator : estimator
        Unfitted estimator.
    candidate : mapping
        Hyperparameters; estimators among them are cloned.
    seed : int
        The random state.

    Returns
    -------
    estimator
        The same.
    """
    from sklearn.base import clone

    estimator.set_params(**{name: clone(v, safe=False) for name, v in candidate.items()})
    for _, one in walk(estimator):
        if one.get_params(deep=False).get("random_state", 0) is None:
            one.set_params(random_state=seed)
    return estimator


def _check_grid(estimator: Any, grid: Grid | None) -> tuple[Mapping[str, Sequence[Any]], ...]:
    """Return a grid as a tuple of mappings, with a list of values for each parameter."""
    if grid is None:
        return ({},)
    parts = [grid] if isinstance(grid, Mapping) else grid
    if isinstance(parts, str) or not isinstance(parts, Sequence):
        raise UsageError(
            "the grid of a head must be a mapping of parameters to lists of values, such as "
            f"{{'C': [0.1, 1]}}, or a list of mappings, not {shorten(grid)}"
        )
    checked = []
    for part in parts:
        if not isinstance(part, Mapping):
            raise UsageError(
                f"a grid lists mappings such as {{'C': [0.1, 1]}}, not {shorten(part)}"
            )
        checked.append({name: _check_values(name, values) for name, values in part.items()})
        _check_names(estimator, checked[-1])
    return tuple(checked)


def _check_values(name: Any, values: Any) -> tuple[Any, ...]:
    if not isinstance(name, str):
        raise UsageError(f"the parameters of a grid are texts such as 'C', not {shorten(name)}")
    if hasattr(values, "rvs"):
        raise UsageError(
            f"the grid has a distribution for '{name}', but every candidate is tried: list values"
        )
    single = isinstance(values, str | Mapping) or hasattr(values, "get_params")
    if single or not hasattr(values, "__iter__"):
        raise UsageError(f"the grid needs a list of values for '{name}': write [{shorten(values)}]")
    try:
        listed = tuple(values)
    except TypeError:  # An array without a dimension.
        raise UsageError(
            f"the grid needs a list of values for '{name}': write [{values}]"
        ) from None
    if not listed:
        raise UsageError(f"the grid has no value for '{name}': list at least one, or leave it out")
    return listed


def _check_names(estimator: Any, part: Mapping[str, Sequence[Any]]) -> None:
    from sklearn.base import clone

    known = estimator.get_params()
    # A candidate may replace an estimator, whose parameters are then those of the new one.
    replaced = [name for name in part if any(other.startswith(f"{name}__") for other in part)]
    for name in part:
        if name in known or any(name.startswith(f"{one}__") for one in replaced):
            continue
        ends = [other for other in known if other.endswith(f"__{name}")]
        hint = f"; did you mean '{ends[0]}'?" if ends else did_you_mean(name, known) or "."
        raise UsageError(
            f"the grid has '{name}', which is not a parameter of {type(estimator).__name__}{hint} "
            f"Known: {', '.join(sorted(known))}"
        )
    for name, values in part.items():
        for value in values:
            try:
                clone(estimator).set_params(
                    **{n: clone(v[0], safe=False) for n, v in part.items() if n in replaced}
                ).set_params(**{name: clone(value, safe=False)})
            # Estimators check values in ways of their own.
            except Exception as error:
                raise UsageError(
                    f"{type(estimator).__name__} does not take {name}={plain_value(value)!r} "
                    f"({first_line(error)}): change the grid"
                ) from error
