"""Runs on a real Ray cluster of several nodes: nodes and drivers die, GPUs are shared, and no trial is lost.

The cluster is on this machine and its GPUs are Ray's word for places: nothing here computes on one.
"""

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Cluster, Ended, comparable, complete, started, temporary_folder, write_folder

from zslbench.records import Record, Store

pytestmark = pytest.mark.slow  # clusters are started, filled and killed

HEAD = """
import fcntl, os, sys, time
from pathlib import Path

def node():
    # Slow on a cluster, so that something can happen to a trial meanwhile.
    if "ray" not in sys.modules:
        return "no node"
    import ray
    time.sleep(0.3)
    return ray.get_runtime_context().get_node_id()

def share(most):
    # Holds one of `most` places on this process's GPU for a while, the first two on GPU 0 for long; raises what torch
    # raises where there is none.
    folder, device = Path({places!r}), os.environ["CUDA_VISIBLE_DEVICES"]
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if len(list(folder.glob(device + ".*"))) >= most:
            import torch
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        mine = folder / (device + "." + str(os.getpid()))
        mine.touch()
        with open(folder / "held", "a") as held:
            held.write(device)
        long = device == "0" and (folder / "held").read_text().count("0") <= 2
    time.sleep(8 if long else 0.5)
    mine.unlink()

def meet(count):
    # Waits until so many processes are here.
    folder = Path({places!r}, "meeting")
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    end = time.monotonic() + 60
    while len(list(folder.iterdir())) < count and time.monotonic() < end:
        time.sleep(0.05)

def pair(mine, other):
    # Waits until a trial of the other kind has begun.
    Path({places!r}, mine).touch()
    end = time.monotonic() + 30
    while not Path({places!r}, other).exists() and time.monotonic() < end:
        time.sleep(0.05)
"""
GPUS = ("--trials-per-gpu", 4, "--no-validation", "--quiet")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head node and a worker node of one core each."""
    with temporary_folder() as folder:
        cluster = Cluster(folder, num_cpus=1)
        try:
            cluster.add_node(num_cpus=1)
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SYNTHETIC data set ``toy`` and a plugin ``plugin.py``."""
    folder = tmp_path_factory.mktemp("cluster")
    (places := folder / "places").mkdir()
    return write_folder(
        folder,
        HEAD.format(places=str(places)),
        on_gpu=("seeing", "aided", "crowded", "huge"),
        mine="print(node())",
        seeing="gpu = os.environ['CUDA_VISIBLE_DEVICES']; print(gpu, os.getpid()); gpu and meet(8)",
        aided="pair('aided', 'unaided')",
        unaided="pair('unaided', 'aided')",
        crowded="share(2)",
        huge="share(0)",
    )


TWENTY_FOUR = ("--methods", "mine,mine[ridge=2]", "--splits", 6)


@pytest.fixture(scope="module")
def serial(folder: Path) -> dict[str, Any]:
    """The records of 24 trials that were run one after the other, without a disturbance."""
    ended, _ = complete(folder, *TWENTY_FOUR, "--workers", 0, "--store", "serial")
    assert ended.code == 0
    return comparable(folder / "serial", logs=False)


def on(cluster: Cluster, folder: Path, *options: object) -> Ended:
    """Run on the cluster to the end; nothing of the run is left on the driver's side."""
    ended, left = complete(folder, *options, "--address", cluster.address, **cluster.env)
    assert left == {}
    return ended


def records(store: Path) -> list[Record]:
    """Every record in the store, in order of writing; each trial has one."""
    found = list(Store(store).records())
    assert len({record.key for record in found}) == len(found)
    return found


def printed(store: Path) -> list[list[str]]:
    """What each trial printed, in words."""
    return [(store / str(record.run.log)).read_text().split() for record in records(store)]


def test_a_driver_killed_anywhere_loses_nothing(cluster, folder, serial):
    """Killed five times after a few records each, and with its last line torn, a run on a cluster keeps every earlier
    byte, frees its workers for the next one, and ends with the records of an undisturbed run. While a run goes on, a
    second one on its store is refused."""
    store = folder / "killed"
    lines = store / "records.jsonl"
    kept = b""
    for further in random.Random(7).choices(range(1, 4), k=5):
        with started(folder, *TWENTY_FOUR, "--store", store, "--address", cluster.address, **cluster.env) as run:
            run.wait_for_records(kept.count(b"\n") + further, lines)
            if not kept:
                second = on(cluster, folder, *TWENTY_FOUR, "--store", store)
                assert second.code == 2
                assert second.stderr.startswith(f"zslbench: store {store} is in use by process {run.process.pid} on ")
            run.process.kill()
            assert run.end().code == -signal.SIGKILL
        assert lines.read_bytes().startswith(kept)
        kept = lines.read_bytes()
        kept = kept[: kept.rfind(b"\n") + 1]
    torn = kept + kept.splitlines()[0][:200]
    lines.write_bytes(torn)
    ended = on(cluster, folder, *TWENTY_FOUR, "--store", store)
    assert ended.code == 0
    assert "the last line is torn and was moved to records.torn" in ended.stderr
    assert lines.read_bytes().startswith(kept)
    assert len(records(store)) == 24
    assert comparable(store, logs=False) == serial


def test_a_node_that_dies_costs_no_trial(cluster, folder, serial):
    """Trials spread over both nodes; when one is gone without a word its trials run again on the other, and in the
    end there are the serial run's records, bit for bit, each once."""
    store = folder / "spread"
    args = (*TWENTY_FOUR, "--store", store, "--address", cluster.address)
    with started(folder, *args, **cluster.env) as run:
        run.wait_for_records(8, store / "records.jsonl")
        cluster.kill_node()
        ended = run.end()
    assert ended.code == 0, ended.stderr
    assert "2 trial(s) at a time on cores, on a Ray cluster of 2 node(s)." in ended.stderr
    again = [line for line in ended.stderr.splitlines() if "is tried again: its worker died" in line]
    assert len(again) == 1
    ran_on = [record_printed[-1] for record_printed in printed(store)]
    assert len(set(ran_on[:8])) == 2
    assert len(set(ran_on[-8:])) == 1
    assert len(records(store)) == 24
    assert comparable(store, logs=False) == serial


def test_a_gpu_that_is_not_there_is_said_at_once(cluster, folder):
    """A cluster without a GPU refuses --device cuda in one line, and no trial runs."""
    ended = on(cluster, folder, "--methods", "mine", "--device", "cuda", "--store", "none")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"zslbench: --device cuda: Ray finds no GPU in the cluster at {cluster.address}; use --device cpu.\n"
    )
    assert records(folder / "none") == []


@pytest.fixture(scope="module")
def gpus(cluster: Cluster) -> Cluster:
    """The cluster with a further node, which says that it has two GPUs."""
    cluster.add_node(num_cpus=8, num_gpus=2)
    return cluster


def test_trials_share_gpus_as_asked(gpus, folder):
    """With four trials per GPU eight run at once on two GPUs, each in its own process that sees one GPU."""
    ended = on(gpus, folder, "--methods", "seeing", "--splits", 8, *GPUS, "--store", "shared")
    assert ended.code == 0, ended.stderr
    seen = [(device, int(process)) for device, process in printed(folder / "shared")]
    assert len({process for _, process in seen}) == 8
    assert sorted(device for device, _ in seen) == ["0"] * 4 + ["1"] * 4
    assert {record.run.device for record in records(folder / "shared")} == {"cuda"}
    runs = [record.run for record in records(folder / "shared")]
    assert max(run.started for run in runs) < min(run.finished for run in runs)


def test_methods_that_use_no_gpu_take_cores_beside_those_that_do(gpus, folder):
    """Of two methods one declares that it uses a GPU: its trials run on GPUs, a core each, and those of the other on
    cores at the same time; their records say so, and neither waits for the other."""
    args = ("--methods", "aided,unaided", "--splits", 6, "--trials-per-gpu", 1, "--no-validation", "--store", "mixed")
    ended = on(gpus, folder, *args)
    assert ended.code == 0, ended.stderr
    assert "on cores, since they do not use a GPU: unaided." in ended.stderr
    assert "on 2 GPU(s), up to 1 on each, else on cores" in ended.stderr
    found = records(folder / "mixed")
    assert {(record.trial.method, record.run.device) for record in found} == {("aided", "cuda"), ("unaided", "cpu")}
    began = {
        method: min(one.run.started for one in found if one.trial.method == method) for method in ("aided", "unaided")
    }
    ended_at = {method: max(str(one.run.finished) for one in found if one.trial.method == method) for method in began}
    assert began["unaided"] < ended_at["aided"]
    assert began["aided"] < ended_at["unaided"]


def test_a_trial_on_the_cpu_sees_no_gpu(gpus, folder):
    """With --device cpu nothing on a node with GPUs sees one."""
    args = ("--methods", "seeing", "--splits", 2, "--no-validation", "--device", "cpu", "--store", "blind")
    assert on(gpus, folder, *args).code == 0
    assert len(printed(folder / "blind")) == 2
    assert {len(words) for words in printed(folder / "blind")} == {1}  # the process alone
    assert {record.run.device for record in records(folder / "blind")} == {"cpu"}


def test_too_many_trials_on_a_gpu_become_fewer(gpus, folder):
    """Where two trials fit on a GPU and four were asked for, the slots are halved once and every trial ends well."""
    ended = on(gpus, folder, "--methods", "crowded", "--splits", 10, "--workers", 8, *GPUS[:-1], "--store", "crowded")
    assert ended.code == 0, ended.stderr
    assert ended.stderr.count("ran out of GPU memory: from now on 2 at a time on each GPU.") == 1
    assert "is tried again: it ran out of GPU memory." in ended.stderr
    found = records(folder / "crowded")
    assert [record.status for record in found] == ["done"] * 10
    assert {record.run.attempt for record in found} == {1}  # a trial is not to blame for its neighbours


def test_a_trial_that_never_fits_fails(gpus, folder):
    """A trial that runs out of GPU memory with half as many beside it is recorded as failed; the run ends."""
    args = ("--methods", "huge", "--splits", 2, *GPUS[:-1], "--store", "huge", "--json")
    ended = on(gpus, folder, *args)
    assert ended.code == 1
    assert ended.stderr.count("from now on 2 at a time on each GPU.") == 1
    found = records(folder / "huge")
    assert [record.failure and record.failure.type for record in found] == ["OutOfMemoryError"] * 2
    assert {record.failure and record.failure.message for record in found} == {"CUDA out of memory."}
