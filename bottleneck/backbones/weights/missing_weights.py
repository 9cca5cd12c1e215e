"""Errors for weights that are not on this machine, or that nobody publishes."""

from __future__ import annotations

from bottleneck.backbones.catalogue import ALL_ENCODERS
from bottleneck.backbones.encoder import Encoder, PublishedWeights
from bottleneck.backbones.volumetric.volume_encoders import VolumeEncoder
from bottleneck.backbones.weights import folder
from bottleneck.errors import UsageError, WeightsError

__all__ = ["never_published", "unavailable_weights"]


def unavailable_weights(encoder: Encoder, published: PublishedWeights, cause: str) -> WeightsError:
    """Return the error for published weights that are not available, with instructions."""
    revision = published.revision or "main"
    if published.repository:
        address = (
            f"https://huggingface.co/{published.repository}/resolve/{revision}/{published.file}"
        )
    else:
        address = f"{published.file} from the links on {published.home}"
    return WeightsError(
        f"the weights '{published.weights}' of {encoder.name} ({published.file} of "
        f"{published.repository or published.home}) are neither on this machine nor available "
        f"from the hub: {cause}.",
        f"On a machine with internet, download {address}",
        "Copy the file to this machine and import it once:",
        f"  bottleneck weights import {published.file} --backbone {encoder.name} "
        f"--as {published.weights}",
        "Then repeat the command. To use a file of your own: --weights FILE.",
    )


def never_published(encoder: Encoder, weights: str) -> WeightsError | UsageError:
    """Return the error for a name of weights that nobody publishes for an encoder."""
    known = sorted({p.weights for e in ALL_ENCODERS.values() for p in e.published})
    own = [r.weights for r in folder.read_records(folder.folder_path()).values()]
    if weights not in known:
        choices = ", ".join([*dict.fromkeys([*known, "random", *own]), "or the path of a file"])
        return UsageError(f"unknown weights '{weights}'. Known: {choices}")
    others = [e.name for e in ALL_ENCODERS.values() if e.find_published(weights)]
    advice = f"They exist for {', '.join(others)}: choose one of these with --backbone."
    if isinstance(encoder, VolumeEncoder) and encoder.published:
        advice = f"Choose --weights {' or '.join(p.weights for p in encoder.published)}."
    return WeightsError(
        f"no {weights} weights are published for {encoder.name}. {advice}",
        f"To use a file of your own: --weights FILE; or, once, "
        f"`bottleneck weights import FILE --backbone {encoder.name} --as NAME`, and then "
        "--weights NAME",
    )
