"""Runs of the real command as a user starts them, a Ray cluster for them, and what they left behind."""

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from conftest import write_synthetic
from plugins import write_plugin

from zslbench.records import Record, Store

RAY_AGENTS = ("ray::DashboardA", "ray::RuntimeEnv")
"""Ray's agents see that Ray was killed, but take a minute to end because they first try to report it."""


def processes_of(session: int) -> dict[int, str]:
    """The names of all living processes of a session, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, _, _, its_session, *_ = rest.split()
        if state not in "ZX" and int(its_session) == session:
            found[int(folder.name)] = name
    return found


def kill_session(leader: subprocess.Popen[str]) -> None:
    """End what is left of a session that was started for this process, one by one."""
    for process in processes_of(leader.pid):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    leader.communicate(timeout=30)


@dataclass
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


class Started:
    """A command in a session of its own, by which all of its descendants can be found."""

    def __init__(self, args: list[str], folder: Path, env: dict[str, str], command: Sequence[str] = ()) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*(command or (sys.executable, "-m", "zslbench")), *args], cwd=folder, env=os.environ | env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def wait_for_records(self, count: int, store: Path) -> None:
        """Return once so many records are stored."""
        end = time.monotonic() + 90
        while not store.exists() or store.read_bytes().count(b"\n") < count:
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.01)

    def end(self) -> Ended:
        """Wait for the end."""
        stdout, stderr = self.process.communicate(timeout=300)
        return Ended(self.process.returncode, stdout, stderr)

    def processes(self) -> dict[int, str]:
        """The names of all living processes that this command started, itself included."""
        return processes_of(self.process.pid)

    def left_after(self, seconds: float, besides: Sequence[str] = ()) -> dict[int, str]:
        """Processes that are still there after so long, besides those that may be."""
        end = time.monotonic() + seconds
        while True:
            left = {process: name for process, name in self.processes().items() if name not in besides}
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.05)

    def clean_up(self) -> None:
        """End what is left."""
        kill_session(self.process)


@contextmanager
def started(folder: Path, *options: object, **env: str) -> Iterator[Started]:
    """A run of the plugin file's methods, in the middle of which something may happen; cleaned up afterwards."""
    args = ["run", "--dataset", folder / "toy", "--plugin", folder / "plugin.py", *options]
    run = Started(list(map(str, args)), folder, env)
    try:
        yield run
    finally:
        run.clean_up()


def complete(folder: Path, *options: object, **env: str) -> tuple[Ended, dict[int, str]]:
    """Run to the end; returns how it ended and which processes it left behind."""
    with started(folder, *options, **env) as run:
        ended = run.end()
        return ended, run.left_after(5)


def comparable(store: Path, *, logs: bool = True) -> dict[str, tuple[Any, ...]]:
    """Everything about each record but how, where and when it ran; with its predictions, bit for bit.

    Args:
        store: its folder.
        logs: whether what the methods printed is compared too.
    """

    def of(record: Record) -> tuple[Any, ...]:
        kept = Store(store).predictions(record) if record.status == "done" else {}
        arrays = {name: (array.dtype.str, array.tobytes()) for name, array in kept.items()}
        failure = (record.failure.type, record.failure.message) if record.failure else None
        log = (store / record.run.log).read_text() if record.run.log and logs else None
        return record.label, record.status, msgspec.to_builtins([record.trial, record.outcome]), failure, arrays, log

    return {record.key: of(record) for record in Store(store).records()}


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder with a path short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="zt", ignore_cleanup_errors=True) as name:
        yield Path(name)


def write_methods(path: Path, head: str = "", on_gpu: Collection[str] = (), **befores: str) -> None:
    """Write a plugin file of several methods, each a ridge regression that runs a statement before it is fitted.

    Args:
        path: where to.
        head: code at the top of the file, for instance functions that the statements call.
        on_gpu: those that say that they use a GPU.
        befores: the statement of each method by the method's name.
    """
    text = ""
    for name, before in befores.items():
        one = write_plugin(path, name=name, before=before).read_text().replace("class Mine", f"class {name.title()}")
        if name in on_gpu:
            one = one.replace('citation=""', 'citation="", uses_gpu=True')
        text += one if not text else one[one.index(f"class {name.title()}") :]
    path.write_text(f"{head}\n{text}")


def write_folder(folder: Path, head: str = "", on_gpu: Collection[str] = (), **befores: str) -> Path:
    """Put a SYNTHETIC data set ``toy`` and a plugin ``plugin.py``, as `write_methods` makes it, into a folder."""
    write_synthetic(folder / "toy")
    write_methods(folder / "plugin.py", head, on_gpu, **befores)
    return folder


_CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster

def node(**room):
    unneeded = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    return {"node_ip_address": "127.0.0.1", **unneeded, **room}

cluster = Cluster(initialize_head=True, head_node_args=node(**json.loads(sys.argv[1])))
workers = []
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "remove\\n":
        cluster.remove_node(workers.pop(), allow_graceful=False)
    else:
        workers.append(cluster.add_node(**node(**json.loads(line))))
    print("done", flush=True)
cluster.shutdown()
"""


class Cluster:
    """A Ray cluster of several nodes on this machine, on the loopback interface, in processes of its own.

    Args:
        folder: for Ray's files; its path is short.
        head: what the head node has, such as ``num_cpus=1``.
    """

    def __init__(self, folder: Path, **head: int) -> None:
        self.env = {
            "RAY_TMPDIR": str(folder),
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray takes 127.0.0.1 for this machine's other address
        }
        """What a command needs to find the cluster and to be let in; that a token is asked for it finds out itself."""
        env = os.environ | self.env | {"RAY_AUTH_MODE": "token"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CLUSTER, json.dumps(head)], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.address = self._answer()

    def add_node(self, **room: int) -> None:
        """Let a node join."""
        self._ask(json.dumps(room))

    def kill_node(self) -> None:
        """Kill all processes of the node that joined last, without a warning."""
        self._ask("remove")

    def _ask(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        assert ready, "the cluster does not answer"
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        """End all of its nodes."""
        try:
            self.process.communicate(timeout=30)
        finally:
            kill_session(self.process)
