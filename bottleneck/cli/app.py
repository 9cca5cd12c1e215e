"""``bottleneck app``: predictions in a browser, on this machine alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bottleneck.cli.console import (
    LicencePolicyOption,
    Quiet,
    announce_weights_folder,
    progress,
    say,
    say_paragraph,
    show,
)


def app(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="MODEL",
            help="Models of `fit` (.skops), or folders of `finetune`.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder that the app may read. May be given several times. Dropped pictures do "
            "not need it.",
            show_default="no folder",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="The weight file of the network.", show_default="searched by its sha256"),
    ] = None,
    features: Annotated[
        list[Path] | None,
        typer.Option(
            help="Feature file of a training set, or a folder of such files, for the nearest "
            "training images. May be given several times.",
            show_default="features",
        ),
    ] = None,
    show_training_images: Annotated[
        bool,
        typer.Option(
            "--show-training-images",
            help="Show the nearest training images. They are images of patients.",
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(help="Port of the app's address.", show_default="first free from 7860"),
    ] = None,
    licence_policy: LicencePolicyOption = "any",
    quiet: Quiet = False,
) -> None:
    """Predict pictures on a page in the browser, on this machine alone.

    Drop pictures or DICOM files onto the page: it shows probability, decision, heat map and nearest
    training images. The page answers only at 127.0.0.1 and requests nothing from other hosts.
    Pictures are deleted when the page is closed.

    Example: `bottleneck app models/scans--svm.skops`
    """
    from bottleneck.app.running_app import start_app

    announce_weights_folder(None if weights is None else str(weights), quiet=quiet)
    with progress(quiet=quiet, unit="") as move:
        running = start_app(
            models or [],
            folders=folder or [],
            weights=weights,
            features=features or ["features"],
            show_training_images=show_training_images,
            licence_policy=licence_policy,  # type: ignore[arg-type] # It is checked.
            port=port,
            progress=move,
        )
    try:
        with running:
            show(running.url)
            sys.stdout.flush()  # A program that reads it waits for the address.
            if not quiet:
                say_paragraph(
                    "Open this address in a browser on this machine. Ctrl-C ends the app."
                )
            running.wait()
    finally:
        if not quiet:
            say("The pictures of all pages were deleted.")
