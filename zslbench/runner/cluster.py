"""Reaching Ray: a private one on this machine, or a cluster that the user names."""

import importlib.metadata
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from zslbench.errors import InputError
from zslbench.machine import Device, cores, device_here, memory, shared_memory
from zslbench.runner.children import child_processes, end
from zslbench.runner.identity import search_path, sources
from zslbench.runner.scratch import scratch_folder
from zslbench.spelling import argument

LOCAL = "local"
"""The address that means: no cluster, whatever the environment names."""
_USERS_OWN = ("RAY_TMPDIR", "RAY_memory_usage_threshold", "RAY_memory_monitor_refresh_ms")
"""What the environment may tell a private Ray: where its files go, and when a worker takes too much memory."""
_STORE_SHARE = 0.3
"""Of the memory, for what workers share: as Ray has it."""
_STORE_BYTES = (80 << 20, 200 << 30)
"""Least and most: Ray needs 75 MiB."""
_KNOCK_SECONDS = 10
_LOOK_SECONDS = 1
_END_SECONDS = 3
"""What ends all processes of a run at once ends it by its own signal, given so long."""
_WATCH_SECONDS = 5
_GONE_SECONDS = 30
"""Less than the minute for which Ray waits. A head that is restarted within is found again."""
_GONE = """
zslbench: the Ray cluster at {address} is gone; what was finished is stored, run the same command again when there is \
one, or with {local}
"""
_DIED = """
zslbench: the private Ray of this run died ({process} ended); what was finished is stored, run the same command again
"""


@dataclass(frozen=True)
class Where:
    """What the user says about where trials run."""

    workers: int | None = None
    """Trials at a time; None for as many as there are cores, or GPU slots."""
    address: str | None = None
    """Of a Ray cluster; ``auto`` for the one on this machine; None or ``local`` for a private Ray."""
    device: Device = "auto"
    trials_per_gpu: int | None = None
    """Trials that share a GPU; None for as many as its memory holds, judged by the first one."""

    @property
    def local(self) -> bool:
        """Whether Ray is to be started for this run alone."""
        return self.address in (None, "", LOCAL)


@dataclass(frozen=True)
class Slots:
    """Room for trials. Every trial takes a core; those of methods that use a GPU take a share of one as well."""

    count: int
    """Trials at a time."""
    gpus: int
    """That trials may use; 0 where all run on cores."""
    per_gpu: int | None
    """Trials on each; None where that is judged by the first ones."""
    nodes: int
    local: bool

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """Where methods run that use a GPU."""
        return "cuda" if self.gpus else "cpu"

    def on_gpus(self, per_gpu: int) -> int:
        """Trials at a time on GPUs, so many on each."""
        return min(self.count, self.gpus * per_gpu)

    def resources(self, device: str, per_gpu: int = 1) -> dict[str, float]:
        """What one trial's worker asks Ray for."""
        return {"num_cpus": 1} if device == "cpu" else {"num_cpus": 1, "num_gpus": 1 / per_gpu}

    def __str__(self) -> str:
        where = "this machine" if self.local else f"a Ray cluster of {self.nodes} node(s)"
        if not self.gpus:
            return f"{self.count} trial(s) at a time on cores, on {where}"
        share = "one on each at first" if self.per_gpu is None else f"up to {self.per_gpu} on each"
        return f"{self.count} trial(s) at a time on {where}: on {self.gpus} GPU(s), {share}, else on cores"


@contextmanager
def ray_session(where: Where) -> Iterator[tuple[Any, Slots]]:
    """Ray, ready to use, and the slots it has.

    Raises:
        InputError: Ray is missing or of another version, cannot start, cannot be reached, or has no GPU that was
            asked for.
    """
    sources()  # what workers must have is what is here now, whatever is edited while Ray starts
    with _local_ray(where) if where.local else _cluster(where) as ray:
        yield ray, _slots(ray, where)


def _slots(ray: Any, where: Where) -> Slots:
    total = ray.cluster_resources()
    gpus = int(total.get("GPU", 0))
    nodes = sum(node["Alive"] for node in ray.nodes())
    if where.device == "cuda" and not gpus:
        place = "on this machine" if where.local else f"in the cluster at {where.address}"
        raise InputError(f"{argument('device', 'cuda')}: Ray finds no GPU {place}; use {argument('device', 'cpu')}.")
    if gpus and where.local and where.device != "cpu" and device_here(where.device) == "cpu":
        gpus = 0  # for torch there is none, which is an error where one is asked for
    cores = max(1, int(total.get("CPU", 0)))
    count = min(cores, where.workers) if where.workers else cores
    return Slots(count, 0 if where.device == "cpu" else gpus, where.trials_per_gpu, nodes, where.local)


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InputError(
            f"ray cannot be imported ({error}); use {argument('workers', 0)} to run in this process."
        ) from error
    from packaging.requirements import Requirement

    wanted = map(Requirement, importlib.metadata.requires("zslbench") or ())
    needed = next(requirement for requirement in wanted if requirement.name == "ray")
    if ray.__version__ not in needed.specifier and not os.environ.get("ZSLBENCH_ANY_RAY"):
        raise InputError(
            f"ray {ray.__version__} is installed and zslbench was tested with {needed.specifier}: pip install "
            f"'{needed}', use {argument('workers', 0)}, or set ZSLBENCH_ANY_RAY=1 to try."
        )
    return ray


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray prints to stdout that a worker died, in colour; stdout is for results, and records say what died."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Ray's handler would end the process with a code of its own, while Ray starts and later."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:  # what that handler raises
        raise KeyboardInterrupt from None
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@cache
def _token() -> str:
    """Ray reads a token once per process, so there is one."""
    return secrets.token_hex(32)


@contextmanager
def private_environment(where: Where, *, load: bool = False) -> Iterator[None]:
    """Settings under which Ray can only be this run's own; afterwards all is as before.

    Ray reads some of them when it is imported and others when it starts. So nothing that begins with ``RAY_`` is left
    of the environment's but what cannot open a private Ray.

    Args:
        where: nothing changes unless it says that Ray is this run's own.
        load: whether to import Ray now, before a plugin can do so under settings of its own.
    """
    if not where.local or where.workers == 0:
        yield
        return
    before = _ray_variables()
    for name in before:
        if name not in _USERS_OWN:
            del os.environ[name]
    os.environ.update(
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=_token(),  # else Ray writes one to the home folder
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # Ray's name for: local only, as its default is on those systems
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",  # else `uv run` rebuilds the environment per worker
        # What a method starts as a process of its own ends with its worker.
        RAY_kill_child_processes_on_worker_exit_with_raylet_subreaper="true",
    )
    try:
        if load:
            with suppress(ImportError):  # which matters once it is needed
                import ray  # noqa: F401
        yield
    finally:
        for name in _ray_variables():
            del os.environ[name]
        os.environ.update(before)


def _ray_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_")}


@contextmanager
def _standing_in(folder: str, **variables: str) -> Iterator[None]:
    """Have another current folder and these variables for a moment: Ray hands both on to its processes.

    It also puts the current folder first on the search path of every worker, where a file called like a module would
    be imported in its place.
    """
    before = {name: os.environ.get(name) for name in variables}
    here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))  # it may be one that cannot be read
    os.chdir(folder)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def store_bytes(memory: int, shared: int) -> int | None:
    """How much of the memory workers may share; None for Ray's own choice where this machine does not say.

    Args:
        memory: what this process may use.
        shared: what is free where processes share memory; too little of that, and Ray uses a file.
    """
    least, most = _STORE_BYTES
    if not memory:
        return None
    wanted = int(memory * _STORE_SHARE)
    if shared >= least:
        wanted = min(wanted, int(shared * 0.9))
    return max(least, min(most, wanted))


@contextmanager
def _local_ray(where: Where) -> Iterator[Any]:
    """A private Ray on this machine, whatever cluster the environment or a stale file may name.

    It listens on the loopback interface alone and asks for a token that only its processes know. It writes
    to a folder of its own, which is removed, and neither to the home folder nor to the current one.
    """
    with ExitStack() as stack:
        stack.enter_context(private_environment(where))
        ray = _import_ray()
        try:
            temporary = stack.enter_context(scratch_folder())
            stack.enter_context(_quiet())
            stack.callback(ray.shutdown)
            ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # whatever was set when a plugin imported Ray
            others = child_processes()
            try:
                _start(ray, where, temporary)
            except Exception as error:
                if _TOO_SLOW not in str(error):
                    raise
                ray.shutdown()
                for child in child_processes() - others:
                    end(child)
                _start(ray, where, temporary)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"ray cannot start ({_first_line(error)}); use {argument('workers', 0)} to run in this process."
            ) from error
        stack.enter_context(_guarding(ray, Path(temporary).parent))
        yield ray


_TOO_SLOW = "timed out during startup"
"""What Ray says of a node that needed more than its 30 seconds, on a machine that is busy just then."""


def _start(ray: Any, where: Where, temporary: str) -> None:
    store = store_bytes(memory(), shared_memory())
    path = os.pathsep.join(entry for entry in search_path() if os.pathsep not in entry)
    with _keeping_sigterm(), _standing_in(temporary, PYTHONPATH=path, PYTHONSAFEPATH="1"):
        ray.init(
            address=LOCAL,
            num_cpus=where.workers or cores(),
            num_gpus=0 if where.device == "cpu" else None,  # None: Ray looks for them
            object_store_memory=store,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
            _memory=None if store is None else max(memory() - store, 1 << 20),
            _temp_dir=temporary,
        )


@contextmanager
def _cluster(where: Where) -> Iterator[Any]:
    """A cluster that somebody else started and that goes on when this run ends."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    with ExitStack() as stack:
        try:
            address = _started_here() if where.address == "auto" else str(where.address)
            _knock(address)
            if "RAY_AUTH_MODE" not in os.environ:
                os.environ["RAY_AUTH_MODE"] = _auth_mode(address)
            ray = _import_ray()
            stack.enter_context(_quiet())
            stack.callback(ray.shutdown)
            nowhere = stack.enter_context(tempfile.TemporaryDirectory(prefix="zslbench-"))
            with _keeping_sigterm(), _standing_in(nowhere):
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"no Ray cluster answers at {where.address!r} ({_first_line(error)}); expected HOST:PORT of one that "
                f"`ray start --head` has started, auto, or {LOCAL}."
            ) from error
        stack.enter_context(_watching(ray.get_runtime_context().gcs_address))
        yield ray


@contextmanager
def _watching(address: str) -> Iterator[None]:
    """End this process with a clear line if the cluster's head is gone.

    Calls into Ray then block, and after a minute Ray would abort the process with a message of its own. What is
    stored is on disk already.
    """
    seen = time.monotonic()

    def gone() -> str:
        nonlocal seen
        try:
            _knock(address)
            seen = time.monotonic()
        except OSError:
            if time.monotonic() - seen > _GONE_SECONDS:
                return _GONE.format(address=address, local=argument("address", LOCAL))
        return ""

    with _looking(gone, _WATCH_SECONDS):
        yield


@contextmanager
def _guarding(ray: Any, folder: Path) -> Iterator[None]:
    """End this process with a clear line, and remove its folder, if one of the two died without which Ray does nothing.

    Its processes are children of this one, and end with it.
    """
    node = ray._private.worker._global_node
    needed = {
        name: info.process
        for kind, name in (("raylet", "its raylet"), ("gcs_server", "its control service"))
        for info in node.all_processes.get(kind, ())
    }

    def died() -> str:
        for name, process in needed.items():
            if process.poll() is not None:
                return _DIED.format(process=name)
        return ""

    with _looking(died, _LOOK_SECONDS, lambda: shutil.rmtree(folder, ignore_errors=True)):
        yield


@contextmanager
def _looking(why_end: Callable[[], str], seconds: float, tidy: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Ask every so many seconds why this process should end; if there is a reason, say it, tidy up and end with 2."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(seconds):
            if (reason := why_end()) and not over.wait(_END_SECONDS):
                os.write(2, reason.encode())
                tidy()
                os._exit(2)

    threading.Thread(target=look, name="watch Ray", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _first_line(error: Exception) -> str:
    """Of what Ray says, which may be a page."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _started_here() -> str:
    """The address that `ray start` leaves on a node.

    Ray's own ``auto`` also takes the private Ray of another run on this machine for a cluster, and then waits for it to
    let a stranger in.
    """
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    try:
        return Path(folder, "ray", "ray_current_cluster").read_text(encoding="utf-8").strip()
    except OSError:
        raise ConnectionError("`ray start` was not called on this machine") from None


def _auth_mode(address: str) -> str:
    """``token`` if the cluster asks for one, which Ray then takes from where it always does.

    A driver has to know before it loads Ray: without a token it tries in vain for half a minute, and with one it cannot
    start workers on a cluster that asks for none. Hence another process asks.
    """
    # Not by -m, which would import from the current folder.
    ask = "from ray.scripts.scripts import main; main()"
    command = [sys.executable, "-P", "-c", ask, "health-check", "--address", address]
    asked = subprocess.run(
        command, env=os.environ | {"RAY_AUTH_MODE": "disabled"}, capture_output=True, text=True, timeout=60, check=False
    )
    return "token" if "AuthenticationError" in asked.stderr else "disabled"


def _knock(address: str) -> None:
    """Raise OSError at once where nothing listens; Ray would try for two minutes and print as it goes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()
