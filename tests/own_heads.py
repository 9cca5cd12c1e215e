"""Classifiers that are not scikit-learn's, as users write them."""

from __future__ import annotations

import random
import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class Centroid(ClassifierMixin, BaseEstimator):
    """Distances to the means of classes; ``fault`` spoils what it returns."""

    def __init__(self, power: float = 1.0, fault: str = "", random_state=None):
        self.power = power
        self.fault = fault
        self.random_state = random_state

    def fit(self, X, y):
        if self.fault == "fit":
            raise ValueError("matrix is singular\nin a second line")
        if self.fault == "labels" and y.dtype.kind not in "iu":
            raise ValueError("Expected: [0 1], got ['benign' 'malignant']")
        if self.fault == "writes":
            X *= 0.5
            y[:] = y[::-1].copy()
        self.classes_ = np.unique(y)
        if self.fault == "backwards":
            self.classes_ = self.classes_[::-1]
        if self.fault == "talks":
            print("hello from fit")
            warnings.warn("little data", stacklevel=2)
            warnings.warn(f"the mean is {X.mean()}", stacklevel=2)
        if self.fault == "draws":
            self.power = 0.5 + np.random.rand() + random.random()
        if self.fault == "classes":
            self.classes_ = np.array(["x", "y"])
        self.noise_ = np.random.default_rng(self.random_state).normal(size=X.shape[1]) * 1e-3
        self.means_ = np.stack([X[y == c].mean(axis=0) for c in np.unique(y)]) + self.noise_
        if self.fault == "backwards":
            self.means_ = self.means_[::-1]
        self.scale_ = self._distances(X).mean()
        return self

    def _distances(self, X):
        return ((X[:, None] - self.means_) ** 2).sum(axis=2) ** (self.power / 2)

    def predict_proba(self, X):
        far = self._distances(X)
        near = np.exp(-far / (far.mean() if self.fault == "company" else self.scale_))
        share = near / near.sum(axis=1, keepdims=True)
        if self.fault == "nan":
            share[0] = np.nan
        if self.fault == "odds":
            share = share / (1 - share) * 3
        if self.fault == "swapped":
            share = share[:, ::-1]
        if self.fault == "halves":
            share = share / 2
        return share[:, 1] if self.fault == "shape" else share

    def predict(self, X):
        far = ((X[:, None] - self.means_) ** 2).sum(axis=2)
        return self.classes_[far.argmin(axis=1)]


class WithGroups(Centroid):
    """A class that is fitted to more than features and labels."""

    def fit(self, X, y, groups):
        return super().fit(X, y)


class Needy(Centroid):
    """A class that cannot be made without an argument."""

    def __init__(self, depth):
        self.depth = depth


model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
