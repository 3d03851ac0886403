"""Whole runs with the real Ray: the same numbers everywhere, and nothing lost, leaked or left behind."""

import json
import os
import signal
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import timeless
from running import RAY_AGENTS, Ended, Started, comparable, complete, started, temporary_folder, write_folder

from zslbench.records import Store
from zslbench.runner.scratch import _short_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SYNTHETIC data set ``toy`` and a plugin ``plugin.py``."""
    folder = tmp_path_factory.mktemp("runs")
    return write_folder(
        folder,
        head="import os\nif 'IMPORT_RAY' in os.environ:\n    import ray\n",
        mine="print('seed', train.seed); time.sleep(float(os.environ.get('NAP', 0)))",
        fails="raise ValueError('on purpose')",
        dies="os._exit(1)",
    )


@pytest.fixture(scope="module")
def serial(folder: Path) -> Ended:
    """A serial run of four methods, one of which fails."""
    ended, left = complete(
        folder, "--methods", "eszsl,projection,mine,fails", "--splits", 1, "--workers", 0, "--store", "serial", "--json"
    )
    assert left == {}
    return ended


@pytest.fixture(scope="module")
def parallel(folder: Path, serial: Ended) -> Ended:
    """The same run on two workers, with a method that kills its worker besides."""
    with temporary_folder() as temporary:
        ended, left = complete(
            folder, "--methods", "eszsl,projection,mine,fails,dies", "--splits", 1, "--workers", 2,
            "--store", "parallel", "--json", RAY_TMPDIR=str(temporary),
        )  # fmt: skip
        assert (left, list(temporary.iterdir())) == ({}, [])
    return ended


def test_serial_and_parallel_runs_give_the_same_records(folder, serial, parallel):
    """On two workers every record is the serial run's, bit for bit: trial, outcome, failure, predictions, log."""
    assert (serial.code, parallel.code) == (1, 1)
    one, many = comparable(folder / "serial"), comparable(folder / "parallel")
    assert len(one) == 8
    assert {key: value for key, value in many.items() if value[0] != "dies"} == one
    assert {value[0] for value in one.values() if value[1] == "failed"} == {"fails"}
    assert {value[5].startswith("seed ") for value in one.values() if value[0] == "mine"} == {True}
    runs = [record.run for record in Store(folder / "parallel").records()]
    assert {run.executor for run in runs} == {"ray"}
    assert {run.threads for run in runs} == {1}


def test_a_method_that_kills_its_worker_costs_its_own_trials(folder, parallel):
    """A worker that dies is replaced; after a bounded number of attempts the trial is recorded as WorkerDied."""
    records = [record for record in Store(folder / "parallel").records() if record.label == "dies"]
    assert len(records) == 2
    for record in records:
        assert (record.status, record.run.attempt) == ("failed", 3)
        assert record.failure.type == "WorkerDied"
        assert record.failure.message.startswith("the worker died 3 times while running this trial")
        assert "actor died" in record.failure.traceback
        assert record.run.started < record.run.finished
        assert record.run.versions["zslbench"]
    rows = {row["label"]: row for row in json.loads(parallel.stdout)[0]["rows"]}
    assert {label for label, row in rows.items() if row["rank"] is None} == {"fails", "dies"}
    assert len(rows) == 5


def test_a_parallel_run_keeps_its_streams_apart(parallel):
    """Whatever happens to workers, stdout is one JSON document and stderr one line per trial and per return of a
    trial to the queue, without colour."""
    assert isinstance(json.loads(parallel.stdout), list)
    lines = parallel.stderr.splitlines()
    again = [line for line in lines if "is tried again: its worker died, attempt" in line]
    assert len(again) == 4
    lines = [line for line in lines if line not in again]
    assert [line.split("/10 ")[0].strip() for line in lines] == [str(number) for number in range(1, 11)]
    assert "\x1b" not in parallel.stderr


@pytest.mark.slow  # the run once more, on Ray
def test_a_hostile_environment_changes_nothing(folder, serial):
    """With no home folder, a wrong RAY_ADDRESS that --address overrides, a stale cluster file, a huge current folder
    and a plugin that imports Ray itself, a second parallel run gives the same records; it writes to its store alone
    and leaves nothing behind."""
    nowhere = folder / "huge"
    nowhere.mkdir()
    with open(nowhere / "huge.bin", "wb") as file:
        file.truncate(50 * 2**30)  # takes no room, but would take for ever to be packed
    with temporary_folder() as temporary:
        (temporary / "ray").mkdir()
        (temporary / "ray/ray_current_cluster").write_text("192.0.2.1:6379")
        args = [
            "--dataset",
            folder / "toy",
            "--plugin",
            folder / "plugin.py",
            "--methods",
            "eszsl,projection,mine,fails",
        ]
        args += ["--splits", 1, "--workers", 2, "--address", "local", "--store", folder / "hostile", "--json"]
        run = Started(
            ["run", *map(str, args)], nowhere,
            {"HOME": "/proc/nonexistent", "RAY_ADDRESS": "ray://nonsense.invalid:1", "RAY_TMPDIR": str(temporary),
             "IMPORT_RAY": "1"},
        )  # fmt: skip
        try:
            ended = run.end()
            assert run.left_after(5) == {}
        finally:
            run.clean_up()
        left = [str(path.relative_to(temporary)) for path in temporary.rglob("*")]
        assert sorted(left) == ["ray", "ray/ray_current_cluster"]
    assert ended.code == 1
    assert comparable(folder / "hostile") == comparable(folder / "serial")
    assert timeless(ended.stdout) == timeless(serial.stdout)
    assert [path.name for path in nowhere.iterdir()] == ["huge.bin"]


SLOW = ("--methods", "mine,mine[ridge=2]", "--splits", 6, "--no-validation", "--json")
"""Twelve trials."""


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Any:
    """The leaderboard of twelve trials, run without a disturbance."""
    ended, _ = complete(folder, *SLOW, "--workers", 0, "--store", "undisturbed")
    assert ended.code == 0
    return timeless(ended.stdout)


def test_a_killed_serial_run_goes_on_where_it_was(folder, undisturbed):
    """Killed after one and again after six records, a serial run keeps them byte for byte and ends with the same
    leaderboard as an undisturbed one."""
    records = folder / "killed/records.jsonl"
    kept = b""
    for count in (1, 6):
        with started(folder, *SLOW, "--workers", 0, "--store", "killed", NAP="0.3") as run:
            run.wait_for_records(count, records)
            run.process.kill()
            assert run.end().code == -signal.SIGKILL
            assert run.left_after(5) == {}
        assert records.read_bytes().startswith(kept)
        kept = records.read_bytes()
        assert count <= kept.count(b"\n") <= count + 1
    ended, _ = complete(folder, *SLOW, "--workers", 0, "--store", "killed")
    assert ended.code == 0
    assert timeless(ended.stdout) == undisturbed
    assert records.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert comparable(folder / "killed") == comparable(folder / "undisturbed")


def listening(processes: Iterable[int]) -> set[str]:
    """The addresses, in hex, on which these processes listen for TCP connections."""
    sockets = set()
    for process in processes:
        for link in Path(f"/proc/{process}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in sockets:
                found.add(local.split(":")[0])
    return found


def check_that_ray_is_private(processes: dict[int, str]) -> None:
    """Assert that these processes listen on the loopback interface alone, behind a token that nobody else can read."""
    assert listening(processes)
    assert listening(processes) <= {"0100007F", "0000000000000000FFFF00000100007F"}
    (raylet,) = (process for process, name in processes.items() if name == "raylet")
    variables = Path(f"/proc/{raylet}/environ").read_text().split("\0")
    assert "RAY_AUTH_MODE=token" in variables
    (token,) = (item.partition("=")[2] for item in variables if item.startswith("RAY_AUTH_TOKEN="))
    assert len(token) == 64
    assert not any(token in Path(f"/proc/{process}/cmdline").read_text() for process in processes)


@pytest.mark.slow  # four runs, each stopped in another way
def test_an_interrupted_and_a_killed_parallel_run_go_on_where_they_were(folder, undisturbed):
    """Ctrl-C and SIGTERM end a parallel run with 130, kill -9 without a word; what was finished is kept, no work goes
    on, and the same command then ends with the same leaderboard. While Ray runs, it is this machine's alone."""
    records = folder / "stopped/records.jsonl"
    args = (*SLOW, "--workers", 2, "--store", "stopped")
    kept = b""
    with temporary_folder() as temporary:
        for number in (signal.SIGINT, signal.SIGTERM):
            with started(folder, *args, NAP="0.3", RAY_TMPDIR=str(temporary)) as run:
                run.wait_for_records(kept.count(b"\n") + 1, records)
                if number == signal.SIGINT:
                    check_that_ray_is_private(run.processes())
                    os.killpg(run.process.pid, number)  # to all of them, as a terminal does
                else:
                    run.process.send_signal(number)
                ended = run.end()
                assert (ended.code, ended.stdout) == (130, "")
                assert ended.stderr.splitlines()[-1].startswith("zslbench: interrupted; what was finished is stored")
                assert all(" mine" in line for line in ended.stderr.splitlines()[:-1] if line and "already" not in line)
                assert run.left_after(5) == {}
                assert list(temporary.iterdir()) == []
            assert records.read_bytes().startswith(kept)
            kept = records.read_bytes()
            assert kept.endswith(b"\n")
        with started(folder, *args, NAP="0.3", RAY_TMPDIR=str(temporary)) as run:
            run.wait_for_records(kept.count(b"\n") + 1, records)
            run.process.kill()
            assert run.end().code == -signal.SIGKILL
            assert run.left_after(20, besides=RAY_AGENTS) == {}
        assert records.read_bytes().startswith(kept)
        kept = records.read_bytes()
        assert 3 <= kept.count(b"\n") < 12
        ended, left = complete(folder, *args, RAY_TMPDIR=str(temporary))
        assert (ended.code, left) == (0, {})
    assert timeless(ended.stdout) == undisturbed
    assert records.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert comparable(folder / "stopped") == comparable(folder / "undisturbed")


def test_nobody_is_kept_waiting_by_a_held_store(folder, serial):
    """While one run holds a store, a second one is refused at once with the first one's process id."""
    with started(folder, *SLOW, "--workers", 0, "--store", "held", NAP="0.5") as run:
        run.wait_for_records(1, folder / "held/records.jsonl")
        second, _ = complete(folder, *SLOW, "--workers", 0, "--store", "held")
    assert (second.code, second.stdout) == (2, "")
    assert second.stderr.startswith(f"zslbench: store held is in use by process {run.process.pid} on ")
    assert len(second.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("variables", "folder_for_sockets"),
    [
        ({"TMPDIR": "/short"}, "/short"),
        ({"TMPDIR": "/a/long/path/of/a/cluster/job"}, "/tmp"),
        ({"TMPDIR": "/a/long/path/of/a/cluster/job", "RAY_TMPDIR": "/ray"}, "/ray"),
    ],
)
def test_sockets_lie_where_their_paths_are_short_enough(monkeypatch, variables, folder_for_sockets):
    """Ray's files go where temporary files go, unless the paths of its sockets would be too long."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: variables["TMPDIR"])
    assert _short_folder() == folder_for_sockets
