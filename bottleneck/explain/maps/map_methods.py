"""The choice of a method for heat maps: exact where it exists, otherwise an approximation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from bottleneck.errors import MissingExtraError, UsageError, unknown_name
from bottleneck.explain.maps.class_activation import class_activation_maps, find_obstacle
from bottleneck.explain.maps.decision import Explained, class_columns
from bottleneck.explain.maps.grad_cam import grad_cam_maps, gradient_paths, refuse_without_grad_cam
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.explain.maps.occlusion import occlusion_maps
from bottleneck.processes.progress_bar import Progress

__all__ = ["MethodChoice", "MethodName", "choose_map_method", "make_maps"]

MethodName = Literal["auto", "exact", "grad-cam", "occlusion"]


@dataclasses.dataclass(frozen=True)
class MethodChoice:
    """The method of heat maps, and why it is this one.

    Attributes
    ----------
    name : {"exact", "grad-cam", "occlusion"}
        The method.
    words : str
        What the maps are, in sentences.
    """

    name: MethodName
    words: str
