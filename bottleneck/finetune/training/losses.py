"""Loss functions: cross-entropy and focal loss, with or without class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bottleneck.errors import UsageError, unknown_name

__all__ = ["FocalLoss", "build_loss", "weigh_classes"]


class FocalLoss(nn.Module):
    """Focal loss of the softmax (Lin et al. 2017, eq. 5).

    The cross-entropy of a sample of class t is multiplied by w_t (1 − p_t)^γ. As in torch's
    cross-entropy, the mean divides by the sum of w_t, so that γ = 0 is the weighted cross-entropy.

    Parameters
    ----------
    gamma : float
        γ, 0 or more; the larger it is, the less confidently classified samples count.
    class_weights : Tensor of float, shape (n_classes,), or None
        w; None for weights of 1.
    """

    class_weights: Tensor | None

    def __init__(self, gamma: float, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss.

        Parameters
        ----------
        logits : Tensor of float, shape (batch, n_classes)
            Outputs before the softmax.
        labels : Tensor of int64, shape (batch,)
            Indices of the classes.
        """
        chosen = logits.float().log_softmax(1).gather(1, labels[:, None])[:, 0]
        # 1 − exp(x) loses all digits where p is near 1; and for γ < 1 the power has an infinite
        # slope at 0.
        missed = (-torch.expm1(chosen)).clamp(min=1e-12)
        loss = -missed.pow(self.gamma) * chosen
        if self.class_weights is None:
            return loss.mean()
        weights = self.class_weights[labels]
        return (weights * loss).sum() / weights.sum()


def build_loss(name: str, gamma: float, class_weights: NDArray[np.float32] | None) -> nn.Module:
    """Return the loss function "cross_entropy" or "focal"."""
    weights = None if class_weights is None else torch.from_numpy(class_weights)
    return FocalLoss(gamma if name == "focal" else 0.0, weights)


def weigh_classes(
    weights: str | Mapping[str, float], labels: NDArray[np.str_], classes: Sequence[str]
) -> NDArray[np.float32] | None:
    """Return the weight of every class.

    Parameters
    ----------
    weights : str or mapping of str to float
        "none"; "balanced" for n / (number of classes × n of the class), as in scikit-learn; or
        the weight of each label.
    labels : ndarray of str, shape (n_train,)
        Labels of the training samples.
    classes : sequence of str
        All labels, sorted.

    Returns
    -------
    ndarray of float32, shape (n_classes,), or None
        Weights in the order of ``classes``; None for equal weights.

    Raises
    ------
    UsageError
        If the labels of the weights are not those of the data set.
    """
    if weights == "none":
        return None
    if isinstance(weights, str):
        from sklearn.utils.class_weight import compute_class_weight

        balanced = compute_class_weight("balanced", classes=np.array(classes), y=labels)
        return balanced.astype(np.float32)
    for name in weights:
        if name not in classes:
            raise unknown_name("label of the class weights", name, classes)
    if missing := [name for name in classes if name not in weights]:
        raise UsageError(f"the class weights lack the label '{missing[0]}'")
    return np.array([weights[name] for name in classes], np.float32)
