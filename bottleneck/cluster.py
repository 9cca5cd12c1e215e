"""Ray, as far as it is used here: a connection, its machines, a stream of work, and joblib.

The only module that imports Ray, which it does when it is asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import logging
import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
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

__all__ = ["Machine", "call", "choose", "connect", "get", "machines", "share_out", "stream"]

_ENGINES = ("local", "ray")
# In seconds: for a connection; for an answer, before which a machine may have to be started and
# torch loaded on it; and for anything at all to be finished.
_CONNECTION, _PATIENCE, _NO_PROGRESS = 10, 600, 1800
# Rows that are sent before actors are made anew, which takes seconds; some 17 kB each in memory.
_WAVE = 4096


def choose(engine: str, address: str | None) -> bool:
    """Return whether an engine is Ray.

    Raises
    ------
    UsageError
        If there is no such engine, or an address for one that has none.
    """
    if engine not in _ENGINES:
        raise unknown_name("engine", engine, _ENGINES)
    if engine == "local" and address is not None:
        raise UsageError("--address is that of a Ray cluster: say --engine ray too")
    return engine == "ray"


@contextlib.contextmanager
def share_out(engine: str = "local", address: str | None = None) -> Iterator[None]:
    """Share out what joblib runs in parallel inside the block: here, or over a Ray cluster.

    Parameters
    ----------
    engine : {"local", "ray"}
        Where to compute.
    address : str, optional
        Of the Ray cluster, as ``connect`` takes it.

    Raises
    ------
    As ``connect``, and as ``choose``.
    """
    if not choose(engine, address):
        yield
        return
    import joblib

    with connect(address):
        from ray.util.joblib.ray_backend import RayBackend

        class StreamingBackend(RayBackend):
            # joblib's own pool of processes, of which Ray's is a kind, cannot; Ray's can.
            supports_return_generator = True

        joblib.register_parallel_backend("ray", StreamingBackend)
        with joblib.parallel_config(backend="ray"):
            yield


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a machine of the cluster offers to Ray."""

    cores: int
    gpus: int


@contextlib.contextmanager
def connect(address: str | None = None, *, cores: int | None = None) -> Iterator[None]:
    """Be connected to a Ray cluster inside the block.

    A connection that the process has already is used, and left as it is.

    Parameters
    ----------
    address : str, optional
        ``HOST:PORT`` of the head; by default what ``RAY_ADDRESS`` says, else Ray is started on
        this machine and ended with the block.
    cores : int, optional
        What a Ray that is started here may use; all that there are by default.

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
    try:
        # Ray would try for minutes.
        host, colon, port = wanted.rpartition(":")
        if colon and port.isdecimal():
            socket.create_connection((host.strip("[]"), int(port)), _CONNECTION).close()
        _start(ray, wanted, cores)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"the Ray cluster '{wanted}' cannot be reached ({first_line(error)}). Expected "
            "HOST:PORT of a head that `ray start --head` started, from a machine that takes part; "
            "`ray status` says whether it runs"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


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


def _start(ray: Any, address: str, cores: int | None) -> None:
    # A checkout that is not installed is found by workers as well, where they see its folder.
    folders = [str(Path(bottleneck.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(folder for folder in folders if folder)
    options: dict[str, Any] = {"runtime_env": {"env_vars": {"PYTHONPATH": path}}}
    surroundings = {"RAY_BACKEND_LOG_LEVEL": "fatal"}
    if address == "local":
        # Workers of this machine inherit it, and can be started before they are asked for.
        surroundings["PYTHONPATH"] = path
        # Of what runs here nobody outside needs to hear, and no web page need be served.
        surroundings["RAY_USAGE_STATS_ENABLED"] = "0"
        options = {"include_dashboard": False, "num_cpus": cores}
    # Its daemons speak through stdout, log_to_driver or not, where results go.
    ray._private.worker._worker_logs_enabled = False
    with _environment(surroundings), _silence():
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    # Ray's native part says on stderr that it will say nothing on stderr. What goes wrong comes
    # as an exception.
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
    """Return the object that a reference stands for; for actors."""
    import ray

    return ray.get(reference)


def call(function: Callable[..., Any], *arguments: Any, num_cpus: int, num_gpus: int) -> Any:
    """Call a function of this package on a machine of the cluster.

    Raises
    ------
    ClusterError
        If that machine has not got the package, or none is free for it in ten minutes.
    """
    import ray

    with _clean_errors():
        task = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus)(function)
        try:
            return ray.get(task.remote(*arguments), timeout=_PATIENCE)
        except ray.exceptions.GetTimeoutError:
            raise ClusterError(
                f"no worker of the Ray cluster answered in {_PATIENCE // 60} minutes: {num_cpus} "
                f"cores and {num_gpus} GPUs were asked for. `ray status` says what is in use; wait "
                "for it, or name another --device"
            ) from None


def stream(
    actor: type,
    errand: Any,
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
        Made with a reference to the errand; called with a table whose column ``chunk`` holds
        rows, it returns one whose column ``outcome`` holds as many.
    errand : object
        Sent to every machine once.
    rows : iterable of bytes
        What to send; not asked for more than some thousands ahead.
    actors : int
        How many there are from the start; more are made where machines join.
    num_cpus, num_gpus : int
        What each sets aside.

    Yields
    ------
    bytes
        Of every row the outcome, as soon as it is there.

    Raises
    ------
    ClusterError
        If actors cannot be made, or die with the same row again and again.
    """
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = _NO_PROGRESS
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with _clean_errors():
        told, waiting = ray.put(errand), iter(rows)
        # Ray Data keeps what it knows of every row until the last one is through.
        while wave := [{"chunk": row} for row in itertools.islice(waiting, _WAVE)]:
            outcomes = ray.data.from_items(wave, override_num_blocks=len(wave)).map_batches(
                actor,
                fn_constructor_args=(told,),
                batch_size=1,
                batch_format="pyarrow",
                # Two rows at once: one is read and decoded while the network has the other.
                compute=ray.data.ActorPoolStrategy(
                    min_size=1,
                    initial_size=actors,
                    max_concurrent_calls_per_actor=2,
                    enable_true_multi_threading=True,
                ),
                num_cpus=num_cpus,
                num_gpus=num_gpus,
            )
            for block in outcomes.iter_batches(batch_size=None, batch_format="pyarrow"):
                for cell in block["outcome"]:
                    yield cell.as_py()
            gc.collect()  # What ran it holds on to itself, and to all rows.


@contextlib.contextmanager
def _clean_errors() -> Iterator[None]:
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except ExecutionTimeoutError:
        raise ClusterError(
            "the Ray cluster finished nothing for half an hour. Its actors cannot be placed, or "
            "an image ends them again and again; `ray status` and the logs of Ray say which. What "
            "was finished is kept; --engine local computes the rest on this machine"
        ) from None
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else None
        if isinstance(cause, BottleneckError):
            raise cause from None
        if cause is not None and not isinstance(cause, ImportError):
            raise  # A mistake of this package, which its whole traceback helps to find.
        said = str(cause or error).strip().splitlines()
        raise ClusterError(
            "the workers of the Ray cluster cannot do the work "
            f"({type(cause or error).__name__}: {said[0] if said else 'no reason given'}). Every "
            f"machine needs bottleneck-features {bottleneck.__version__} and memory for its "
            "actors; what was finished is kept, mend the cause and repeat the command"
        ) from None
