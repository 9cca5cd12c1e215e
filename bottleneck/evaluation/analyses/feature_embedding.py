"""Principal components of the features, for a map of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.evaluation.results.result_parts import FeatureEmbedding

__all__ = ["embed_features"]

# Samples and components that are kept: a map of more points shows no more, and UMAP is usually
# computed from about so many components.
_MOST_SAMPLES, _MOST_COMPONENTS = 2000, 50
_LEAST_SAMPLES = 3


def embed_features(
    arms: Sequence[Arm],
    rows: NDArray[np.intp],
    ids: NDArray[np.str_],
    labels: NDArray[np.str_],
    evaluations: Sequence[Evaluation],
    *,
    seed: int,
) -> tuple[FeatureEmbedding, ...]:
    """Compute the principal components of each feature set.

    Columns are standardised, as heads see them. Of more than 2,000 samples, as many are drawn at
    random. All samples are used, also those of test sets: the components serve a figure only.

    Parameters
    ----------
    arms : sequence of Arm
        Arms on all samples; the first one of each feature set is used.
    rows : ndarray of int, shape (n_used,)
        Rows of the samples that the comparison uses.
    ids, labels : ndarray of str, shape (n_used,)
        Ids and labels of these samples.
    evaluations : sequence of Evaluation
        Results of the arms; errors are those of the first repeat.
    seed : int
        Seed of the draw and of the decomposition.

    Returns
    -------
    tuple of FeatureEmbedding
        One per feature set with a column that varies, in the order of the arms.
    """
    if len(rows) < _LEAST_SAMPLES:
        return ()
    chosen = np.arange(len(rows))
    if len(rows) > _MOST_SAMPLES:
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(len(rows), _MOST_SAMPLES, replace=False))
    wrong = _find_wrong(evaluations, ids[chosen])
    made = []
    for first in {id(arm.features): arm for arm in reversed(arms) if arm.features}.values():
        components = _principal_components(first.X[rows[chosen]], seed)
        if components is not None:
            name = _name_features([arm for arm in arms if arm.features is first.features])
            made.append(FeatureEmbedding(name, labels[chosen], *components, len(rows), seed, wrong))
    return tuple(reversed(made))


def _principal_components(
    X: NDArray[np.floating], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]] | None:
    """Return components and their shares of the variance; None if no column varies."""
    from sklearn.decomposition import PCA

    spread = X.std(axis=0, dtype=np.float64)
    varies = np.isfinite(spread) & (spread > 1e-9 * np.abs(X).max(axis=0))
    if not varies.any():
        return None
    mean = X[:, varies].mean(axis=0, dtype=np.float64)
    standard = ((X[:, varies] - mean) / spread[varies]).astype(np.float32)
    n = min(_MOST_COMPONENTS, *standard.shape)
    pca = PCA(n, random_state=seed)
    return pca.fit_transform(standard), pca.explained_variance_ratio_.astype(np.float64)


def _find_wrong(
    evaluations: Sequence[Evaluation], ids: NDArray[np.str_]
) -> Mapping[str, NDArray[np.bool_]]:
    """Return which samples each arm misclassified, for arms that predicted any of them."""
    wrong = {}
    for e in evaluations:
        p = e.predictions
        first = p.repeats == p.repeats.min()
        missed = p.ids[first & (p.labels != p.predicted)]
        if np.isin(ids, p.ids[first]).any():
            wrong[e.name] = np.isin(ids, missed)
    return wrong


def _name_features(arms: Sequence[Arm]) -> str:
    """Return the name of features: as in the names of their arms, unless all have others."""
    stems = {arm.name.removesuffix(f" + {arm.head.name}") for arm in arms} - {a.name for a in arms}
    features = arms[0].features
    assert features is not None
    return stems.pop() if len(stems) == 1 else features.title
