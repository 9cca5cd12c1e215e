"""A map of the samples: principal components or UMAP of their features."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import MissingExtraError, UsageError, unknown_name
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.evaluation.results.result_parts import FeatureEmbedding
from bottleneck.report.figures.arm_styles import COLOURS, N_HUES
from bottleneck.report.figures.plots.drawing import NothingToDraw, finish, take_axes
from bottleneck.settings.schema import validate
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["N_NEIGHBOURS", "has_umap", "plot_embedding"]

_MARKERS = "os^DvPX*"
#: UMAP compares each sample with so many others by default.
N_NEIGHBOURS = 15


def plot_embedding(
    comparison: Comparison,
    features: str | None = None,
    *,
    method: Literal["pca", "umap"] = "pca",
    errors_of: str | None = None,
    legend: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a map of the samples by their features, in the colours of their classes.

    Up to 2,000 samples are shown, drawn at random; columns are standardised. The axes of a PCA
    give their share of the variance, and its distances are those of the features, as far as these
    two components hold them. UMAP (McInnes, Healy & Melville 2018, arXiv:1802.03426) keeps
    neighbours together: in it, distances between groups and their sizes mean little, and groups
    can appear that are none. It is computed from the first 50 principal components, with the seed
    of the protocol, and needs the extra ``umap``. Neither map is evidence of how well classes can
    be told apart: the AUROC is.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.
    features : str or None
        Name of the features, as in the names of their arms; None for the first ones.
    method : {"pca", "umap"}
        The map.
    errors_of : str or None
        Name of an arm: what it misclassified in the first repeat gets a cross.
    legend : bool
        Whether a legend below the axes names the classes, and says what the map is of.
    title : str or None
        Title of the axes; None for the name of the features, and "" for none.
    ax : Axes or None
        Axes to draw on; None for a new figure of pyplot.

    Returns
    -------
    Axes
        The axes.

    Raises
    ------
    UsageError
        If there are no such features or arm, or the comparison has no features.
    MissingExtraError
        If UMAP is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Protocol, compare, plot_embedding
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> quick = Protocol(n_splits=2, inner_splits=2)
    >>> made = compare(X, heads="logistic", y=y, protocol=quick)
    >>> plot_embedding(made, ax=Figure().add_subplot()).get_xlabel()
    'Principal component 1 (38 % of the variance)'
    """
    validate(str | None, features, "features")
    validate(str | None, errors_of, "errors_of")
    shown = _find_embedding(comparison, features)
    if errors_of is not None and errors_of not in shown.wrong:
        raise unknown_name("arm with a prediction of each image", errors_of, shown.wrong)
    points = _map(shown, method)
    classes = [c for c in comparison.classes if (shown.labels == c).any()]
    axes = take_axes(ax, (5.0, 4.6))
    entries = []
    # Smaller classes on top of larger ones; the legend keeps their order.
    for name in sorted(classes, key=lambda c: -int((shown.labels == c).sum())):
        n = comparison.classes.index(name)
        x, y = points[shown.labels == name].T
        marker = _MARKERS[n // N_HUES % len(_MARKERS)] if len(classes) > N_HUES else _MARKERS[0]
        style: dict[str, Any] = {"markeredgewidth": 0, "alpha": 0.7, "linestyle": "none"}
        (dots,) = axes.plot(
            x, y, marker=marker, color=COLOURS[f"arm-{n % N_HUES}"], markersize=3.5, **style
        )
        entries.append((n, dots, name))
    handles = [(dots, f"{name} (n = {_count(shown, name):,})") for _, dots, name in sorted(entries)]
    if errors_of is not None:
        x, y = points[shown.wrong[errors_of]].T
        (crosses,) = axes.plot(
            x, y, "x", color=COLOURS["ink"], markersize=5, markeredgewidth=0.8, linestyle="none"
        )
        handles.append((crosses, f"misclassified by {errors_of} (n = {len(x):,})"))
    if method == "pca":
        for axis, number in ((axes.xaxis, 1), (axes.yaxis, 2)):
            share = shown.explained[number - 1] if len(shown.explained) >= number else 0.0
            text = f"Principal component {number} ({100 * share:.0f} % of the variance)"
            axis.set_label_text(text)
    else:
        axes.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    title = shown.features if title is None else title
    heading = _describe(shown, method)
    return finish(axes, title, handles, heading, legend=legend, grow=ax is None)


def has_umap() -> bool:
    """Return whether UMAP is installed."""
    return find_spec("umap") is not None


def _find_embedding(comparison: Comparison, features: str | None) -> FeatureEmbedding:
    if not isinstance(comparison, Comparison):
        raise UsageError(
            f"plot_embedding needs a Comparison, which compare returns, not {shorten(comparison)}"
        )
    if not comparison.embeddings:
        raise NothingToDraw(
            "there is no map of the features: the comparison has no features, or none of their "
            "columns varies"
        )
    known = {one.features: one for one in reversed(comparison.embeddings)}
    if features is None:
        return comparison.embeddings[0]
    if features not in known:
        raise unknown_name("features", features, known)
    return known[features]


def _count(embedding: FeatureEmbedding, name: str) -> int:
    return int((embedding.labels == name).sum())


def _map(embedding: FeatureEmbedding, method: str) -> NDArray[np.floating]:
    """Return the positions of the samples, shape (n, 2)."""
    components = embedding.components
    if method == "pca":
        missing = max(0, 2 - components.shape[1])  # A single column has one component.
        return np.pad(components[:, :2], ((0, 0), (0, missing)))
    if method != "umap":
        raise unknown_name("method", method, ("pca", "umap"))
    if not has_umap():
        raise MissingExtraError(
            "this map needs UMAP, which is not installed. Install it with",
            "  pip install 'bottleneck-features[umap]'",
        )
    if len(components) <= N_NEIGHBOURS:
        raise NothingToDraw(
            f"UMAP compares each sample with {N_NEIGHBOURS} others, and there are only "
            f"{len(components)} samples: use method='pca'"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # On parts of UMAP that are not used.
        from umap import UMAP

        made: NDArray[np.float32] = UMAP(
            n_neighbors=N_NEIGHBOURS, random_state=embedding.seed, n_jobs=1
        ).fit_transform(components)
    return made


def _describe(embedding: FeatureEmbedding, method: str) -> str:
    """Return what the map is of, in a sentence."""
    n, everyone = len(embedding.labels), embedding.n_samples
    drawn = f"{n:,} of {everyone:,} samples, drawn at random" if n < everyone else f"{n:,} samples"
    if method == "pca":
        return f"PCA of {drawn}"
    return (
        f"UMAP (seed {embedding.seed}) of {embedding.components.shape[1]} principal components, "
        f"{drawn}. Distances between groups, and their sizes, have little meaning."
    )
