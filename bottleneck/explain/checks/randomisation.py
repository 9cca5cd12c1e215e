"""Two checks of heat maps: do they change with random weights, and with permuted labels?

Adebayo et al. 2018, Sanity Checks for Saliency Maps, NeurIPS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError
from bottleneck.explain.checks.map_checks import MapChecks, SimilarityCheck
from bottleneck.explain.checks.map_similarity import MEASURES, map_similarity
from bottleneck.explain.checks.random_weights import fit_again, permute_labels, with_random_weights
from bottleneck.explain.maps.decision import Explained
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.explain.maps.map_methods import choose_map_method, make_maps
from bottleneck.processes.progress_bar import Progress
from bottleneck.statistics.arguments import as_vector

__all__ = ["TrainingRows", "check_maps"]

_FITTED = "The head was fitted again to features of networks with random weights."
_KEPT = (
    "The head is the same, on features of networks with random weights that were scaled to the "
    "mean and deviation of the features that they replace."
)
_WHOLE = "All weights were drawn at random, including those of the classifier."
_PERMUTED = "Heads were fitted to labels that were permuted between the training patients."
_OTHERS = "Maps of images of other patients by the same model, towards the same class."
# Other images that each map is compared with.
_MOST_OTHERS = 50


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingRows:
    """What a head was fitted to.

    Attributes
    ----------
    X : ndarray of float, shape (n_samples, n_features)
        Features.
    labels : array-like, shape (n_samples,)
        Labels.
    groups : array-like, shape (n_samples,), or None
        Patients.
    pixels : ndarray of uint8, shape (n_samples, crop, crop, n_channels), or None
        The preprocessed images.
    """

    X: NDArray[Any]
    labels: ArrayLike
    groups: ArrayLike | None = None
    pixels: NDArray[Any] | None = None


def check_maps(
    explained: Explained,
    pixels: NDArray[Any],
    towards: str | Sequence[str],
    *,
    groups: ArrayLike | None = None,
    method: str = "auto",
    maps: Sequence[HeatMap] | None = None,
    training: TrainingRows | None = None,
    n_draws: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> MapChecks:
    """Return whether heat maps depend on the model that they are to explain.

    A map that stays the same for a network with random weights, or for a head that was fitted to
    permuted labels, shows something of the image or of the architecture, and nothing that the
    model has learnt. Random networks have the same architecture. A fitted head is kept, or fitted
    again where the training images are given. Labels are permuted between the training patients.

    Parameters
    ----------
    explained : ExplainedHead or ExplainedNetwork
        What decides.
    pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
        Preprocessed images; 10 patients at least, and more than that is better.
    towards : str or sequence of str
        The class, or that of each image.
    groups : array-like, shape (n_images,), optional
        Patient of each image; without it, each image counts as a patient.
    method : {"auto", "exact", "grad-cam", "occlusion"}
        Method of the maps, as for ``make_maps``.
    maps : sequence of HeatMap, optional
        The maps, if they were made before by this method.
    training : TrainingRows, optional
        What the head was fitted to, for the check with permuted labels. With its pixels, the head
        is also fitted again to the features of each random network.
    n_draws : int
        Number of random networks, and of permutations of the labels; at least 2.
    seed : int
        Seed of both.
    progress : callable or None
        Called with the number of rounds done, their total, and a text.

    Returns
    -------
    MapChecks
        Similarities with intervals over patients and draws, and what they mean in words.

    Raises
    ------
    UsageError
        If an argument has another shape or value, the method does not serve this decision, or a
        head cannot be fitted again.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from bottleneck.testing import tiny_backbone
    >>> backbone = tiny_backbone(width=8)
    >>> rng = np.random.default_rng(0)
    >>> pixels = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    >>> X = ExplainedHead(backbone, LogisticRegression().fit([[0] * 8, [1] * 8], ["a", "b"]),
    ...                   ("a", "b")).features(pixels)
    >>> labels = ["a", "b"] * 6
    >>> head = ExplainedHead(backbone, LogisticRegression().fit(X, labels), ("a", "b"))
    >>> checks = check_maps(head, pixels, "b", training=TrainingRows(X, labels), n_draws=2)
    >>> [check.name for check in checks.checks]
    ['random weights', 'permuted labels']
    """
    if n_draws < 2:
        raise UsageError(f"n_draws must be at least 2, not {n_draws}: one draw shows no spread")
    method = choose_map_method(explained, method).name
    has_heads = isinstance(explained, ExplainedHead) and training is not None
    total = 1 + n_draws * (1 + has_heads)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, total, "checking heat maps")

    report(0)
    original = list(make_maps(explained, pixels, towards, method) if maps is None else maps)
    n = len(pixels)
    if len(original) != n:
        raise UsageError(f"{len(original)} maps for {n} images: pass one map per image")
    patients = np.arange(n) if groups is None else as_vector("groups", groups, n).astype(str)
    report(1)

    def compare(other: Explained) -> NDArray[np.float64]:
        return _similarities(original, make_maps(other, pixels, towards, method))

    images = None if training is None else training.pixels
    fit_on = None if training is None or images is None else (images, training.labels)
    weights, labels = [], []
    for draw in range(n_draws):
        made = with_random_weights(explained, 1000 * seed + draw, pixels, fit_on)
        weights.append(compare(made))
        report(2 + draw)
    if isinstance(explained, ExplainedHead) and training is not None:
        for draw in range(n_draws):
            rng = np.random.default_rng([seed, draw])
            permuted = permute_labels(training.labels, training.groups, rng)
            labels.append(compare(fit_again(explained, training.X, permuted)))
            report(2 + n_draws + draw)
    kept = _KEPT if isinstance(explained, ExplainedHead) else _WHOLE

    def check(name: str, draws: list[NDArray[np.float64]], how: str) -> SimilarityCheck:
        return SimilarityCheck(name, np.stack(draws, axis=1), patients, how)

    return MapChecks(
        method=original[0].method if original else method,
        random_weights=check("random weights", weights, kept if fit_on is None else _FITTED),
        permuted_labels=check("permuted labels", labels, _PERMUTED) if labels else None,
        other_images=check("other images", [_between(original, patients, seed)], _OTHERS),
    )


def _similarities(maps: Sequence[HeatMap], others: Sequence[HeatMap]) -> NDArray[np.float64]:
    pairs = zip(maps, others, strict=True)
    made = [map_similarity(one.values, other.values) for one, other in pairs]
    return np.array(made, float).reshape(-1, len(MEASURES))


def _between(maps: Sequence[HeatMap], patients: NDArray[Any], seed: int) -> NDArray[np.float64]:
    """Return the mean similarity of each map with maps of other patients towards its class."""
    rng = np.random.default_rng(seed)
    towards = np.array([one.towards for one in maps], dtype=object)
    means = np.full((len(maps), len(MEASURES)), np.nan)
    for n, one in enumerate(maps):
        others = np.flatnonzero((patients != patients[n]) & (towards == one.towards))
        others = rng.permutation(others)[:_MOST_OTHERS]
        each = [map_similarity(one.values, maps[k].values) for k in others.tolist()]
        values = np.array(each, float).reshape(-1, len(MEASURES))
        kept = np.isfinite(values).any(0)
        means[n, kept] = np.nanmean(values[:, kept], axis=0)
    return means
