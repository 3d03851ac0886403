"""Where trials run: what a cluster's address may be, and what is said when nothing answers there."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def silent() -> Iterator[str]:
    """An address on this machine at which nothing listens, and nothing else will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def run(zslbench: Callable[..., Any], synthetic: Path) -> Callable[..., Any]:
    """A run of two trials with further options."""
    return lambda *options, **env: zslbench(
        "run", "--dataset", synthetic, "--methods", "eszsl", "--splits", 1, "--store", "s", *options, **env
    )  # fmt: skip


@pytest.mark.parametrize("given", ["--address", "RAY_ADDRESS"])
def test_an_address_where_nothing_listens_is_said_at_once(run, silent, tmp_path, given):
    """Given as an option or by RAY_ADDRESS, a cluster that is not there ends the run with 2 and one line; no trial
    runs, and nothing waits for minutes."""
    done = run("--address", silent) if given == "--address" else run(RAY_ADDRESS=silent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"zslbench: no Ray cluster answers at {silent!r} ([Errno 111] Connection refused); expected HOST:PORT "
        f"of one that `ray start --head` has started, auto, or local.\n"
    )
    assert (tmp_path / "s/records.jsonl").read_bytes() == b""


@pytest.mark.parametrize("left", [False, True], ids=["never started", "ended"])
def test_no_cluster_on_this_machine_is_said(run, tmp_path, silent, left):
    """--address auto says so where no cluster was started, or one that has ended; the private Ray of another run on
    this machine is not taken for one."""
    (tmp_path / "t/ray").mkdir(parents=True)
    if left:
        (tmp_path / "t/ray/ray_current_cluster").write_text(silent)
    done = run("--address", "auto", RAY_TMPDIR=str(tmp_path / "t"))
    assert (done.returncode, done.stdout) == (2, "")
    why = "[Errno 111] Connection refused" if left else "`ray start` was not called on this machine"
    assert done.stderr.startswith(f"zslbench: no Ray cluster answers at 'auto' ({why});")
    assert len(done.stderr.splitlines()) == 1


def test_a_run_in_this_process_ignores_the_cluster_of_the_environment(run, silent):
    """With --workers 0 RAY_ADDRESS means nothing, while --address beside it is a contradiction."""
    assert run("--workers", 0, RAY_ADDRESS=silent).returncode == 0
    done = run("--workers", 0, "--address", silent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "zslbench: --workers 0 runs in this process and --address on a cluster: choose one.\n"


def test_a_cluster_that_is_gone_ends_the_run():
    """When the head of a cluster stops answering, the process ends with 2 and says what to do, however it waits."""
    code = """
import socket, sys, time
from zslbench.runner import cluster
cluster._WATCH_SECONDS, cluster._GONE_SECONDS = 0.05, 0.3
listening = socket.create_server(("127.0.0.1", 0))
with cluster._watching("127.0.0.1:%d" % listening.getsockname()[1]):
    time.sleep(0.6)
    print("still there", flush=True)
    listening.close()
    time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stdout) == (2, "still there\n")
    assert "is gone; what was finished is stored, run the same command again" in ended.stderr
