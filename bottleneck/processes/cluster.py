"""Ray: a connection to a cluster, its machines, a stream of work, and joblib.

No other module imports Ray, and this one does so only on use.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import bottleneck
from bottleneck.errors import (
    BottleneckError,
    ClusterError,
    MissingExtraError,
    UsageError,
    first_line,
    unknown_name,
)
from bottleneck.files.temporary import own_folder
from bottleneck.processes import local_ray
from bottleneck.processes.worker_processes import without_signals

__all__ = ["Machine", "call", "choose", "connect", "get", "machines", "share_out", "stream"]

_ENGINES = ("local", "ray")
# Seconds to wait: for a connection; for an answer, which may need a machine to start and torch to
# load; and for any row at all to be finished.
_CONNECTION, _PATIENCE, _NO_PROGRESS = 10, 600, 1800
# Rows that are sent before new actors replace the old ones, which takes seconds. Ray keeps some
# 17 kB of memory per row.
_WAVE = 4096


def choose(engine: str, address: str | None) -> bool:
    """Return whether an engine is Ray, after checking its name and address.

    Raises
    ------
    UsageError
        If there is no such engine, or an address is given for an engine that has none.
    """
    if engine not in _ENGINES:
        raise unknown_name("engine", engine, _ENGINES)
    if engine == "local" and address is not None:
        raise UsageError("--address names a Ray cluster: add --engine ray")
    return engine == "ray"


@contextlib.contextmanager
def share_out(engine: str = "local", address: str | None = None) -> Iterator[None]:
    """Let joblib run its parallel work on this machine or on a Ray cluster during the block.

    Parameters
    ----------
    engine : {"local", "ray"}
        Where to compute.
    address : str, optional
        Address of the Ray cluster, as ``connect`` takes it.

    Raises what ``connect`` and ``choose`` raise.
    """
    if not choose(engine, address):
        yield
        return
    import joblib

    with connect(address):
        from ray.util.joblib.ray_backend import RayBackend

        class StreamingBackend(RayBackend):
            # Ray's backend inherits False from joblib's pool of processes, but supports it.
            supports_return_generator = True

        joblib.register_parallel_backend("ray", StreamingBackend)
        with joblib.parallel_config(backend="ray"):
            yield


@dataclasses.dataclass(frozen=True)
class Machine:
    """Cores and GPUs that a machine of the cluster offers to Ray."""

    cores: int
    gpus: int


@contextlib.contextmanager
def connect(address: str | None = None, *, cores: int | None = None) -> Iterator[None]:
    """Connect to a Ray cluster for the block.

    If the process has a connection already, it is used and kept.

    Parameters
    ----------
    address : str, optional
        ``HOST:PORT`` of the head. By default the environment variable ``RAY_ADDRESS``, else Ray is
        started on this machine and stopped after the block.
    cores : int, optional
        Cores that Ray may use if it is started here; by default all of them.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    ClusterError
        If the cluster cannot be reached.
    UsageError
        If the process is connected to another cluster already.
    """
    ray = _import()
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", here):
            raise UsageError(
                f"this process is connected to the Ray cluster {here}, not {address}; end that "
                "with ray.shutdown() first"
            )
        yield
        return
    wanted = address or os.environ.get("RAY_ADDRESS") or "local"
    if wanted.startswith("ray://"):
        raise UsageError(
            f"the address {wanted} is that of a Ray client, through which features cannot be "
            "streamed; run the command on a machine of the cluster, with --address HOST:PORT or "
            "through `ray job submit`"
        )
    with contextlib.ExitStack() as stack:
        try:
            # Ray itself would try for minutes.
            host, colon, port = wanted.rpartition(":")
            if colon and port.isdecimal():
                socket.create_connection((host.strip("[]"), int(port)), _CONNECTION).close()
            if wanted == "local":
                # Ray lets everybody write into its folder, so it is in one that nobody can enter.
                folder = own_folder(short=True) / "ray"
                stack.enter_context(local_ray.guarded(folder))
                stack.callback(local_ray.read_token, ray)  # Later connections have another one.
                stack.callback(ray.shutdown)
                _start_here(ray, folder, cores)
            else:
                stack.callback(ray.shutdown)
                _join(ray, wanted)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"the Ray cluster '{wanted}' cannot be reached ({first_line(error)}). Expected "
                "HOST:PORT of a head that `ray start --head` started: run the command on a machine "
                "of that cluster; `ray status` shows whether it runs"
            ) from None
        yield


def _import() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f"--engine ray needs Ray, which is not installed ({error}): "
            "pip install 'bottleneck-features[ray]'"
        ) from None
    return ray


def _start_here(ray: Any, folder: Path, cores: int | None) -> None:
    # Workers on this machine inherit it, also those that Ray starts in advance.
    path = {"PYTHONPATH": _python_path()}
    # A signal to all processes of the command is for this one, which ends the others.
    with local_ray.private(ray), local_ray.environment(path), without_signals():
        # No web page for a Ray that runs only on this machine.
        _init(ray, "local", num_cpus=cores, include_dashboard=False, _temp_dir=str(folder))


def _join(ray: Any, address: str) -> None:
    _init(ray, address, runtime_env={"env_vars": {"PYTHONPATH": _python_path()}})


def _python_path() -> str:
    # Workers that see the folder of a checkout find the package there, if it is not installed.
    folders = [str(Path(bottleneck.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(folder for folder in folders if folder)


def _init(ray: Any, address: str, **options: Any) -> None:
    # Ray's daemons print to stdout, where results go, even with log_to_driver=False.
    ray._private.worker._worker_logs_enabled = False
    quiet = {"RAY_BACKEND_LOG_LEVEL": "fatal"}
    with local_ray.environment(quiet), _silence(), _own_sigterm():
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM: Ray replaces it in the main thread."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    # Ray's native part announces on stderr that it will not write to stderr. Errors come as
    # exceptions.
    saved = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def machines() -> list[Machine]:
    """Return the machines of the cluster that are alive."""
    import ray

    return [
        Machine(int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


def get(reference: Any) -> Any:
    """Return the object of a reference, inside an actor."""
    import ray

    return ray.get(reference)


def call(function: Callable[..., Any], *arguments: Any, num_cpus: int, num_gpus: int) -> Any:
    """Call a function of this package on a machine of the cluster, and return its result.

    Raises
    ------
    ClusterError
        If the machine does not have the package, or no machine is free within ten minutes.
    """
    import ray

    with _clean_errors():
        task = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus)(function)
        try:
            return ray.get(task.remote(*arguments), timeout=_PATIENCE)
        except ray.exceptions.GetTimeoutError:
            raise ClusterError(
                f"no worker of the Ray cluster answered in {_PATIENCE // 60} minutes; it needs "
                f"{num_cpus} cores and {num_gpus} GPUs. `ray status` shows what is in use: wait "
                "for it, or choose another --device"
            ) from None


def stream(
    actor: type,
    settings: Any,
    rows: Iterable[bytes],
    *,
    actors: int,
    num_cpus: int,
    num_gpus: int,
) -> Generator[bytes]:
    """Send rows through a pool of actors.

    Parameters
    ----------
    actor : type
        Created with a reference to the settings. Called with a table of rows in the column
        ``chunk``, it returns a table with one result per row in the column ``result``.
    settings : object
        Sent to every machine once.
    rows : iterable of bytes
        What to send; read at most some thousands ahead.
    actors : int
        Number of actors at the start; more are created when machines join.
    num_cpus, num_gpus : int
        Resources of each actor.

    Yields
    ------
    bytes
        The result of each row, as soon as it is finished.

    Raises
    ------
    ClusterError
        If actors cannot be created, or die on the same row again and again.
    """
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = _NO_PROGRESS
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with _clean_errors():
        reference, waiting = ray.put(settings), iter(rows)
        # Ray Data keeps a record of every row until the last one is finished.
        while wave := [{"chunk": row} for row in itertools.islice(waiting, _WAVE)]:
            results = ray.data.from_items(wave, override_num_blocks=len(wave)).map_batches(
                actor,
                fn_constructor_args=(reference,),
                batch_size=1,
                batch_format="pyarrow",
                # Two rows at once: one is loaded while the network computes the other.
                compute=ray.data.ActorPoolStrategy(
                    min_size=1,
                    initial_size=actors,
                    max_concurrent_calls_per_actor=2,
                    enable_true_multi_threading=True,
                ),
                num_cpus=num_cpus,
                num_gpus=num_gpus,
            )
            for block in results.iter_batches(batch_size=None, batch_format="pyarrow"):
                for cell in block["result"]:
                    yield cell.as_py()
            gc.collect()  # The executor is in a reference cycle that holds all rows.


@contextlib.contextmanager
def _clean_errors() -> Iterator[None]:
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except ExecutionTimeoutError:
        raise ClusterError(
            "the Ray cluster finished nothing for half an hour: it has no room for the actors, or "
            "an image crashes them repeatedly; `ray status` and the logs of Ray show which. "
            "Finished work is kept; --engine local computes the rest on this machine"
        ) from None
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else None
        if isinstance(cause, BottleneckError):
            raise cause from None
        if cause is not None and not isinstance(cause, ImportError):
            raise  # A bug of this package: the whole traceback helps to find it.
        lines = str(cause or error).strip().splitlines()
        raise ClusterError(
            "the workers of the Ray cluster cannot do the work "
            f"({type(cause or error).__name__}: {lines[0] if lines else 'no reason given'}). Every "
            f"machine needs bottleneck-features {bottleneck.__version__} and memory for its "
            "actors; finished work is kept: fix the cause and repeat the command"
        ) from None
