"""The app as a server on this machine: :func:`start_app`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

from annotated_types import Ge, Le

from bottleneck.app.app_settings import AppSettings
from bottleneck.app.folders import Folders
from bottleneck.app.request_gate import RequestGate
from bottleneck.app.served_models import ServedModels
from bottleneck.app.session_files import SessionFiles, delete_uploads, uploads_folder
from bottleneck.backbones.licences import LicencePolicy
from bottleneck.deploy.models.model import Model
from bottleneck.errors import MissingExtraError, UsageError
from bottleneck.files.paths import as_path, as_paths
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.settings.schema import validate

if TYPE_CHECKING:
    import uvicorn

    from bottleneck.deploy.trained.trained_model import TrainedModel

__all__ = ["RunningApp", "start_app"]

_HOST = "127.0.0.1"
_FIRST_PORT, _N_PORTS = 7860, 100
# In seconds: what a page is given to end its connections, and between looks at the server.
_GRACE, _PAUSE = 1, 0.02
_Port = Annotated[int, Ge(1), Le(65535)]


class RunningApp:
    """An app that was started; leaving its ``with`` block stops it.

    Attributes
    ----------
    url : str
        Where a browser on this machine finds it.
    settings : AppSettings
        What it was started with.
    """

    def __init__(self, settings: AppSettings, port: int) -> None:
        self.settings = settings
        self._key = secrets.token_urlsafe(16)
        self.url = f"http://{_HOST}:{port}/{self._key}/"
        self._port = port
        self._server: uvicorn.Server | None = None
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<RunningApp {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def serve(self, listening: socket.socket) -> None:
        """Begin to answer in a thread of its own, and return when it answers."""
        thread = threading.Thread(target=self._run, args=(listening,), daemon=True)
        self._thread = thread
        thread.start()
        while self._server is None or not self._server.started:
            if not thread.is_alive():
                raise self._failure or UsageError("the app ended immediately after its start")
            time.sleep(_PAUSE)

    def _run(self, listening: socket.socket) -> None:
        try:
            asyncio.run(self._answer(listening))
        # It is raised in the thread that started this one.
        except BaseException as error:  # noqa: BLE001
            self._failure = error

    async def _answer(self, listening: socket.socket) -> None:
        import uvicorn

        from bottleneck.app.page.app_page import mount_page

        # Where no event loop runs, Gradio makes several and closes none of them.
        gate = RequestGate(mount_page(self.settings, f"/{self._key}"), self._port, self._key)
        config = uvicorn.Config(
            gate, log_level="warning", access_log=False, timeout_graceful_shutdown=_GRACE
        )
        self._server = uvicorn.Server(config)
        await self._server.serve(sockets=[listening])

    def wait(self) -> None:
        """Return when the app was stopped; Ctrl-C ends the wait."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """Stop the app, and delete all pictures and results of its pages."""
        self.settings.sessions.close_all()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_GRACE + 5)
        delete_uploads()


@shows_progress()
def start_app(
    models: str | Path | Model | TrainedModel | Iterable[str | Path | Model | TrainedModel] = (),
    *,
    folders: Iterable[str | Path] = (),
    weights: str | Path | None = None,
    features: str | Path | Iterable[str | Path] = "features",
    show_training_images: bool = False,
    work_folder: str | Path = ".",
    licence_policy: LicencePolicy = "any",
    port: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
) -> RunningApp:
    """Start the app at an address of this machine, and return at once.

    It answers at 127.0.0.1 only. The page asks no other host for anything, and the app reads no
    path outside ``folders``. Uploaded pictures are deleted with the page, after an hour without
    use, and when the app ends.

    Parameters
    ----------
    models : path, Model or TrainedModel, or iterable of these
        Models that predict: files of ``fit``, or folders of ``finetune``.
    folders : iterable of str or Path
        Folders that the app may read. Uploaded pictures need none.
    weights : str or Path, optional
        The weight file of the networks, in place of a search by their sha256.
    features : path or iterable of paths
        Where the features of the training sets are searched for, which the nearest training images
        need.
    show_training_images : bool
        Whether training images are shown, which are of patients.
    work_folder : str or Path
        The folder of feature files, reports and models that the app writes.
    licence_policy : {"any", "commercial"}
        "commercial" refuses models on weights whose licence does not allow commercial use.
    port : int, optional
        The port; by default the first free one from 7860.
    progress : callable or None
        Called with the number of steps done, their total, and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.

    Returns
    -------
    RunningApp
        Its ``url`` is the address. ``stop`` stops it, as does the end of a ``with`` block.

    Raises
    ------
    MissingExtraError
        If the extra ``app`` is not installed.
    UsageError
        If a folder does not exist, or the port is in use.
    ModelError
        If a model cannot be read, or takes no images.
    WeightsError
        If the weights of a network are not on this machine.
    LicenceError
        If the policy refuses the licence of a model's weights.

    Examples
    --------
    >>> from bottleneck import start_app
    >>> with start_app() as app:
    ...     app.url.rpartition(":")[0]
    'http://127.0.0.1'
    """
    validate(bool, show_training_images, "show_training_images")
    _refuse_missing()
    listening, number = _listen(None if port is None else validate(_Port, port, "the port"))
    with contextlib.ExitStack() as failing:
        failing.callback(listening.close)
        allowed = Folders(folders)
        named = as_paths(features, "the features", "features")
        file = None if weights is None else as_path(weights, "the weights", "resnet18.pth")
        served = ServedModels(file, named, licence_policy)
        is_many = isinstance(models, Iterable) and not isinstance(models, str)
        given = list(models) if is_many else [models]  # type: ignore[arg-type] # It is many.
        for one in given:
            served.add(one, progress=progress)  # type: ignore[arg-type] # It is one.
        settings = AppSettings(
            models=served,
            folders=allowed,
            sessions=SessionFiles(),
            weights=file,
            show_training_images=show_training_images,
            work_folder=as_path(work_folder, "the folder of results", "."),
        )
        failing.callback(settings.sessions.close_all)
        # Gradio reads its settings when it is imported, and later. It would ask its makers' server
        # for its newest version, and keep files in a folder that all users share.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["GRADIO_TEMP_DIR"] = str(uploads_folder())
        # Gradio counts its events with options of pandas that go in pandas 4.
        warnings.filterwarnings("ignore", module=r"gradio\.queueing")
        app = RunningApp(settings, number)
        app.serve(listening)
        failing.pop_all()
    return app


def _refuse_missing() -> None:
    if find_spec("gradio") is None:
        raise MissingExtraError(
            "the app needs gradio, which is not installed. Install it with",
            "  pip install 'bottleneck-features[app]'",
        )


def _listen(port: int | None) -> tuple[socket.socket, int]:
    """Return a socket that listens, and its port."""
    ports = range(_FIRST_PORT, _FIRST_PORT + _N_PORTS) if port is None else (port,)
    for number in ports:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name != "nt":  # There, it would share the port with another program.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((_HOST, number))
            made.listen()
        except OSError:
            made.close()
            continue
        return made, number
    if port is None:
        raise UsageError(
            f"no port from {ports[0]} to {ports[-1]} is free: choose another with --port"
        )
    raise UsageError(f"the port {port} is in use, or not allowed: choose another with --port")
