"""The licence of weights that are given by name, known before any of them is loaded."""

from __future__ import annotations

from pathlib import Path

from bottleneck.backbones import networks
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.encoder import Encoder, PublishedWeights
from bottleneck.backbones.licences import LicencePolicy, require_licence
from bottleneck.backbones.weights import folder

__all__ = ["licence_of", "require_named_licence"]


def licence_of(encoder: Encoder, published: PublishedWeights) -> str | None:
    """Return the licence that the publisher states; for timm's weights, timm states it."""
    if published.licence or published.weights != "imagenet":
        return published.licence
    return networks.config_of(encoder).license


def require_named_licence(backbone: str, weights: str, policy: LicencePolicy) -> None:
    """Raise an error if a policy refuses the licence of weights, before they are downloaded.

    Parameters
    ----------
    backbone, weights : str
        As for ``load_backbone``. A name that does not exist is left to it.
    policy : {"any", "commercial"}
        As for ``require_licence``.

    Raises
    ------
    LicenceError
        If the policy refuses the licence, or none is stated.
    WeightsError
        If a weight file cannot be read.
    UsageError
        If there is no such backbone or policy.
    """
    record: dict[str, str | None] = {"name": weights}
    if policy == "commercial" and weights not in ("random", "none"):
        encoder = find_encoder(backbone)
        published = encoder.find_published(weights)
        if folder.names_file(weights):
            path = Path(weights)
            if not folder.is_file(path):
                return
            record = {"name": folder.name_of_file(path), "source": path.name}
            record["sha256"] = folder.sha256_of(path)
        elif stored := folder.find_record(
            encoder.name, published.weights if published else weights
        ):
            record |= {"source": stored[1].source, "licence": stored[1].licence}
        elif published:
            record |= {"source": published.source, "licence": licence_of(encoder, published)}
        else:
            return
    require_licence(record, policy)
