"""The heads by name: scikit-learn estimators with their search spaces."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bottleneck.errors import unknown_name
from bottleneck.predictions import Kind

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["HEADS", "LARGE", "Head", "get_head"]

Grid = Sequence[Mapping[str, Sequence[Any]]]

# With more training samples than this, solvers are used whose cost grows linearly, and features
# stay in float32: a kernel matrix of this size takes 3.2 GB (docs/decisions/0004-solvers.md).
LARGE = 20_000


@dataclasses.dataclass(frozen=True)
class Head:
    """A scikit-learn estimator with its search space.

    Attributes
    ----------
    name : str
        Name of the head, such as "svm".
    description : str
        One line for a list of heads or a methods section.
    build : callable
        Function of a seed that returns a new, unfitted pipeline. The last step of the
        pipeline has the name of the head.
    grid : sequence of mapping
        Hyperparameters to search, in the form that ``GridSearchCV`` takes. Values that
        regularise more come first, because the first of several equally good ones is chosen.
        Empty for a head without a search.
    kind : {"decision", "probability"}
        Whether its scores are values of a decision function or probabilities. Balanced class
        weights shift the probabilities towards a data set with equally frequent classes.
    fixed : mapping of str to value
        Settings that are reported together with the chosen hyperparameters.
    balanced : bool
        Whether the classes are weighted equally, whatever their numbers of samples.
    large : Head or None
        Head that is fitted in its place with more than ``LARGE`` samples, under the same name.
    """

    name: str
    description: str
    build: Callable[[int], Pipeline]
    grid: Grid
    kind: Kind
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    balanced: bool = False
    large: Head | None = None

    def for_samples(self, n_samples: int) -> Head:
        """Return the head to fit to a number of training samples: itself, or ``large``."""
        return self.large if self.large is not None and n_samples > LARGE else self


def get_head(name: str) -> Head:
    """Return the head with this name.

    Raises
    ------
    UsageError
        If there is no such head.

    Examples
    --------
    >>> get_head("logistic").description
    'logistic regression with an L2 penalty'
    """
    if name not in HEADS:
        raise unknown_name("head", name, HEADS)
    return HEADS[name]


def _build_svm(seed: int) -> Pipeline:
    from sklearn.svm import SVC

    return _standardised("svm", SVC(class_weight="balanced", random_state=seed))


def _build_linear_svm(seed: int) -> Pipeline:
    from sklearn.svm import LinearSVC

    # The hinge loss is that of SVC; liblinear needs no kernel matrix.
    classifier = LinearSVC(
        loss="hinge", dual=True, class_weight="balanced", tol=1e-2, random_state=seed
    )
    return _standardised("svm", classifier)


def _build_logistic(seed: int) -> Pipeline:
    from sklearn.linear_model import LogisticRegression

    return _standardised(
        "logistic",
        LogisticRegression(class_weight="balanced", max_iter=2000, random_state=seed),
    )


def _build_mlp(seed: int) -> Pipeline:
    from bottleneck.heads.estimators import BalancedMLPClassifier

    # No early stopping: its validation set is drawn by image, so patients would leak into it.
    # This learning rate reaches the loss of the default 0.001 in fewer epochs.
    classifier = BalancedMLPClassifier(
        hidden_layer_sizes=(64,), learning_rate_init=0.003, max_iter=1000, random_state=seed
    )
    return _standardised("mlp", classifier)


def _build_svm_2018(seed: int) -> Pipeline:
    from sklearn.svm import SVC

    return _unscaled("svm_2018", SVC(C=1.0, kernel="rbf", gamma="auto", random_state=seed))


def _build_linear_svc_2018(seed: int) -> Pipeline:
    from sklearn.svm import LinearSVC

    return _unscaled("linear_svc_2018", LinearSVC(C=1.0, dual=True, random_state=seed))


def _build_prior(seed: int) -> Pipeline:
    from sklearn.dummy import DummyClassifier
    from sklearn.pipeline import Pipeline

    return Pipeline([("prior", DummyClassifier(strategy="prior", random_state=seed))])


def _standardised(name: str, classifier: Any) -> Pipeline:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    return Pipeline([("standardise", StandardScaler()), (name, classifier)])


def _unscaled(name: str, classifier: Any) -> Pipeline:
    from sklearn.pipeline import Pipeline

    return Pipeline([("unscaled", "passthrough"), (name, classifier)])


# The loss is a sum over samples, so more samples need a smaller C for the same regularisation.
_LINEAR_SVM = Head(
    "svm",
    "support vector machine, linear kernel",
    _build_linear_svm,
    ({"svm__C": (1e-6, 1e-5, 1e-4, 1e-3)},),
    "decision",
    fixed={"kernel": "linear", "solver": "liblinear"},
    balanced=True,
)

# On n standardised features, gamma="scale" is 1 / n. At the usual 512 to 2048 features, the
# other two values give a wider and a narrower kernel.
HEADS: Mapping[str, Head] = MappingProxyType(
    {
        head.name: head
        for head in (
            Head(
                "svm",
                "support vector machine, linear or RBF kernel (linear above 20,000 samples)",
                _build_svm,
                (
                    {"svm__kernel": ("linear",), "svm__C": (1e-4, 1e-3, 1e-2, 1e-1)},
                    {
                        "svm__kernel": ("rbf",),
                        "svm__C": (0.1, 1.0, 10.0),
                        "svm__gamma": (1e-4, "scale", 2e-3),
                    },
                ),
                "decision",
                balanced=True,
                large=_LINEAR_SVM,
            ),
            Head(
                "logistic",
                "logistic regression with an L2 penalty",
                _build_logistic,
                ({"logistic__C": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)},),
                "probability",
                balanced=True,
            ),
            Head(
                "mlp",
                "multilayer perceptron with one hidden layer of 64 units",
                _build_mlp,
                ({"mlp__alpha": (100.0, 10.0, 1.0)},),
                "probability",
                balanced=True,
            ),
            # The "default parameters" of work published in 2018.
            Head(
                "svm_2018",
                "support vector machine at scikit-learn's defaults of 2018 (RBF kernel, C 1, gamma "
                "1 / features), on unscaled features and without class weights",
                _build_svm_2018,
                (),
                "decision",
            ),
            Head(
                "linear_svc_2018",
                "linear support vector machine at scikit-learn's defaults of 2018 (squared hinge "
                "loss, C 1), on unscaled features and without class weights",
                _build_linear_svc_2018,
                (),
                "decision",
            ),
            Head(
                "prior",
                "class frequencies of the training set; the features are ignored",
                _build_prior,
                (),
                "probability",
            ),
        )
    }
)
