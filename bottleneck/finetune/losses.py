"""What is minimised: cross-entropy or focal loss, with or without class weights."""

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

    A sample of class t weighs w_t (1 − p_t)^γ in its cross-entropy. As torch's cross-entropy
    does, the mean divides by the sum of w_t, so that γ = 0 is the weighted cross-entropy.

    Parameters
    ----------
    gamma : float
        0 or more; the larger, the less do samples count that are already told apart.
    class_weights : Tensor of float, shape (n_classes,), or None
        w; None for 1.
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
            Before the softmax.
        labels : Tensor of int64, shape (batch,)
            Numbers of the classes.
        """
        chosen = logits.float().log_softmax(1).gather(1, labels[:, None])[:, 0]
        # 1 − exp(x) loses all digits where p is near 1; and below a γ of 1 the power has no
        # finite slope at 0.
        missed = (-torch.expm1(chosen)).clamp(min=1e-12)
        loss = -missed.pow(self.gamma) * chosen
        if self.class_weights is None:
            return loss.mean()
        weights = self.class_weights[labels]
        return (weights * loss).sum() / weights.sum()


def build_loss(name: str, gamma: float, class_weights: NDArray[np.float32] | None) -> nn.Module:
    """Make the loss of a name, "cross_entropy" or "focal"."""
    weights = None if class_weights is None else torch.from_numpy(class_weights)
    return FocalLoss(gamma if name == "focal" else 0.0, weights)


def weigh_classes(
    asked: str | Mapping[str, float], labels: NDArray[np.str_], classes: Sequence[str]
) -> NDArray[np.float32] | None:
    """Return the weight of every class.

    Parameters
    ----------
    asked : str or mapping of str to float
        "none"; "balanced" for n / (classes × n of the class), as in scikit-learn; or the
        weights themselves.
    labels : ndarray of str, shape (n_train,)
        Of the samples to train on.
    classes : sequence of str
        All labels, sorted.

    Returns
    -------
    ndarray of float32, shape (n_classes,), or None
        None where all weigh the same.

    Raises
    ------
    UsageError
        If the labels named are not those of the data set.
    """
    if asked == "none":
        return None
    if isinstance(asked, str):
        from sklearn.utils.class_weight import compute_class_weight

        balanced = compute_class_weight("balanced", classes=np.array(classes), y=labels)
        return balanced.astype(np.float32)
    for name in asked:
        if name not in classes:
            raise unknown_name("label of the class weights", name, classes)
    if lacking := [name for name in classes if name not in asked]:
        raise UsageError(f"the class weights lack the label '{lacking[0]}'")
    return np.array([asked[name] for name in classes], np.float32)
