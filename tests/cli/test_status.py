"""`zslbench status`: how far a run is, told by its store alone."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from plugins import write_plugin

from zslbench.configuration import parse_methods
from zslbench.datasets import Dataset
from zslbench.records import Failure, Plan, Record, Run, Store
from zslbench.registry import Registry
from zslbench.runner.plan import Job, as_plan, make_jobs
from zslbench.splits import make_splits

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The store of this folder, empty."""
    return Store(tmp_path / "results")


def jobs_of(folder: Path, methods: str = "eszsl,projection", splits: int = 4) -> list[Job]:
    """Test trials of both families, one seed."""
    data = Dataset(folder)
    drawn = [*make_splits(data, "6/2", splits), *make_splits(data, "5/3", 1)]
    return make_jobs(Registry(), parse_methods(methods), data.view(), drawn, [0], ["test"])


def plan_of(jobs: list[Job], command: str = "zslbench run x", minutes: float = 0) -> Plan:
    """A plan made so many minutes after the start."""
    created = (START + timedelta(minutes=minutes)).isoformat()
    return msgspec.structs.replace(as_plan(jobs, command), created=created)


def record(job: Job, minutes: float, seconds: float | None, **run: str) -> Record:
    """A trial that ended so long after the start and took so long; None for one that failed."""
    when = Run(finished=(START + timedelta(minutes=minutes)).isoformat(), **run)
    if seconds is not None:
        when.fit_seconds, when.score_seconds = seconds, 0.0
    failure = None if seconds is not None else Failure("ValueError", f"no [bold]{job.label}[/]\nsecond line")
    status = "failed" if failure else "done"
    return Record(key=job.trial.key, label=job.label, status=status, trial=job.trial, failure=failure, run=when)


def write(store: Store, *items: Plan | Record) -> None:
    """Append plans and records."""
    with store.writing():
        for item in items:
            (store.append_plan if isinstance(item, Plan) else store.append)(item)


def contents(store: Store) -> dict[str, bytes]:
    """Every file of the store."""
    return {path.name: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}


def test_an_interrupted_run_is_counted_by_hand(in_process, synthetic, store):
    """Of 4 + 1 splits per method: counts per row, the pace since the plan, the time left, failures, what to do next."""
    jobs = jobs_of(synthetic)
    eszsl, projection = ([job for job in jobs if job.label == name] for name in ("eszsl", "projection"))
    write(
        store,
        record(projection[0], -60, 300),  # from an earlier run: done, and no part of the pace
        plan_of(jobs),
        record(eszsl[0], 1, 60), record(eszsl[1], 2, 120), record(eszsl[2], 3, None, log="logs/x.log"),
        record(projection[1], 4, 300),
    )  # fmt: skip
    before = contents(store)
    code, out, err = in_process("status", "--json")
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert [(row["label"], row["family"], row["done"], row["failed"], row["to_do"]) for row in found["rows"]] == [
        ("eszsl", "6/2", 2, 1, 1), ("projection", "6/2", 2, 0, 2), ("eszsl", "5/3", 0, 0, 1),
        ("projection", "5/3", 0, 0, 1),
    ]  # fmt: skip
    assert (found["running"], found["holder"], found["command"]) == (False, None, "zslbench run x")
    # Four trials in four minutes, with 60 + 120 + 300 = 480 s of work in 240 s: two side by side.
    assert found["pace"] == {"trials": 4, "trials_per_hour": 60.0, "side_by_side": 2.0}
    # To do: two eszsl of 90 s (median of 60 and 120) and three projections of 300 s, two side by side.
    assert found["seconds_left"] == (2 * 90 + 3 * 300) / 2
    (failure,) = found["failures"]
    assert (failure["label"], failure["split"], failure["seed"], failure["type"]) == ("eszsl", "6/2#2", 0, "ValueError")
    assert (failure["message"], failure["log"]) == ("no [bold]eszsl[/]", "results/logs/x.log")
    assert found["again"] == ["zslbench run x"]

    code, out, err = in_process("status")
    assert (code, err) == (1, "")
    for line in (
        "the newest plan of results, of 2026-01-01T12:00:00+00:00: zslbench run x",
        "not running: nobody writes to the store.",
        "4 of 10 trials done, 1 failed, 5 to do.",
        "The last 4 trial(s): 60 per hour, 2.0 side by side.",
        "About 9 min 00 s for what is to do.",
        "failed: eszsl 6/2#2 seed 0: ValueError: no [bold]eszsl[/]",
        f"  zslbench show {eszsl[2].trial.key[:8]} --store results",
        "  zslbench run x",
    ):
        assert line in out.splitlines()
    assert contents(store) == before


def test_everything_done_is_exit_code_0(in_process, synthetic, store):
    """A complete plan, with a failure that was mended, leaves nothing to do and points to the leaderboard."""
    jobs = jobs_of(synthetic, "eszsl", splits=1)
    write(store, plan_of(jobs), record(jobs[0], 1, None), *(record(job, 2, 1.0) for job in jobs))
    code, out, _ = in_process("status")
    assert code == 0
    assert "2 of 2 trials done, 0 failed, 0 to do." in out
    assert "failed:" not in out
    assert out.splitlines()[-1] == "Next: zslbench leaderboard --store results"


def test_the_newest_plan_or_all_of_them(in_process, synthetic, store):
    """By default the newest plan counts; --all merges plans, the same trial counted once."""
    few, many = jobs_of(synthetic, "eszsl", splits=2), jobs_of(synthetic, "eszsl,projection", splits=1)
    write(
        store, plan_of(few, "zslbench run few"), plan_of(many, "zslbench run many", 1),
        *(record(job, 2, 1.0) for job in many),
    )  # fmt: skip
    code, out, _ = in_process("status", "--json")
    assert (code, json.loads(out)["done"], json.loads(out)["to_do"]) == (0, 4, 0)
    code, out, _ = in_process("status", "--all", "--json")
    found = json.loads(out)
    assert (code, found["plans"], found["done"], found["to_do"]) == (1, 2, 4, 1)
    assert [(row["label"], row["family"], row["done"], row["to_do"]) for row in found["rows"]] == [
        ("eszsl", "6/2", 1, 1), ("eszsl", "5/3", 1, 0), ("projection", "6/2", 1, 0), ("projection", "5/3", 1, 0),
    ]  # fmt: skip
    assert "2 plans of results, the newest" in in_process("status", "--all")[1]


def test_the_time_left_without_a_pace_and_without_a_known_trial(in_process, synthetic, store):
    """Before the first trial of a plan ends, earlier trials of the methods tell; without any, the shipped ones do; of a
    method that nobody has run, nothing is claimed."""
    jobs = jobs_of(synthetic, "eszsl", splits=2)
    unknown = [replace(job, trial=msgspec.structs.replace(job.trial, method="unheard-of")) for job in jobs]
    write(store, plan_of(unknown))
    assert json.loads(in_process("status", "--json")[1])["seconds_left"] is None
    assert "No earlier trial tells how long the rest takes." in in_process("status")[1]
    write(store, plan_of(jobs))
    assert 0 < json.loads(in_process("status", "--json")[1])["seconds_left"] < 60
    write(store, record(jobs[0], -5, 30.0))
    found = json.loads(in_process("status", "--json")[1])
    assert (found["pace"], found["seconds_left"]) == (None, 60.0)
    assert "About 1 min 00 s for what is to do, one after the other." in in_process("status")[1]


def test_the_pace_is_that_of_the_last_trials(in_process, synthetic, store):
    """Of 54 trials that ended, the last 50 set the pace, counted from the end of the one before them."""
    data = Dataset(synthetic)
    splits = make_splits(data, "6/2", 28)
    jobs = make_jobs(Registry(), parse_methods("eszsl,chance"), data.view(), splits, [0], ["test"])
    slow, quick = jobs[:4], jobs[4:54]
    write(store, plan_of(jobs), *(record(job, 10 * number, 600) for number, job in enumerate(slow, 1)),
          *(record(job, 40 + number / 2, 15) for number, job in enumerate(quick, 1)))  # fmt: skip
    found = json.loads(in_process("status", "--json")[1])
    assert found["pace"] == {"trials": 50, "trials_per_hour": 120.0, "side_by_side": 0.5}
    assert found["seconds_left"] == 2 * 15  # never less than one at a time


def test_a_run_in_progress_is_told_from_one_that_was_cut_off(in_process, synthetic, store):
    """While another process holds the store its name is given and a line half written is no warning; once it is
    killed nobody holds it, whatever it left behind; looking never takes the lock away or changes a file."""
    jobs = jobs_of(synthetic, "eszsl", splits=1)
    write(store, plan_of(jobs), record(jobs[0], 1, 1.0))
    code = (
        f"import sys; from zslbench.records import Store\nwith Store({str(store.folder)!r}).writing() as store:\n"
        "    open(store.records_path, 'ab').write(b'{\"key\": \"torn')\n    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "held\n"
            before = contents(store)
            for _ in range(2):
                exit_code, out, err = in_process("status", "--json")
                found = json.loads(out)
                assert (exit_code, err, found["running"]) == (1, "", True)
                assert found["holder"].startswith(f"process {other.pid} on ")
            assert "Next: nothing; the run goes on." in in_process("status")[1]
            assert contents(store) == before
        finally:
            other.kill()
    assert (store.folder / "lock.owner").exists()
    _, out, err = in_process("status", "--json")
    assert json.loads(out)["running"] is False
    assert err.count("torn") == 1  # what nobody goes on writing is worth a word
    assert contents(store) == before


def test_a_store_whose_lock_cannot_be_tried_is_taken_at_its_word(in_process, synthetic, store):
    """Where the lock may not be opened, as in somebody else's store, the owner that the store names is believed."""
    jobs = jobs_of(synthetic, "eszsl", splits=1)
    write(store, plan_of(jobs))
    (store.folder / "lock").unlink()
    assert json.loads(in_process("status", "--json")[1])["running"] is False
    (store.folder / "lock").mkdir()  # what nobody can open for writing, the system's administrator included
    assert json.loads(in_process("status", "--json")[1])["holder"] is None
    (store.folder / "lock.owner").write_text("process 7 on elsewhere\n")
    assert json.loads(in_process("status", "--json")[1])["holder"] == "process 7 on elsewhere"


def test_a_store_without_a_plan_is_one_clear_line(in_process, tmp_path):
    """No folder, or one in which nothing was planned, is named with what was expected; nothing is made."""
    code, out, err = in_process("status", "--store", "nowhere")
    assert (code, out) == (2, "")
    assert err == (
        "zslbench: no plan in nowhere: expected nowhere/plan.jsonl, which `zslbench run` writes; run it or use "
        "--store.\n"
    )
    assert not (tmp_path / "nowhere").exists()


def test_a_real_run_with_a_failing_method(in_process, zslbench, synthetic, tmp_path):
    """After a run in which one method fails, status says so with the command that was given; once mended, all is
    done, and --all asks for the trials of the mended plugin alone."""
    path = write_plugin(tmp_path / "mine.py", before="raise ValueError('not yet')")
    command = ("run", "--methods", "mine,eszsl", "--dataset", synthetic, "--plugin", path, "--splits", "2",
               "--no-validation", "--workers", "0", "--quiet")  # fmt: skip
    assert in_process(*command)[0] == 1
    code, out, _ = in_process("status", "--json")
    found = json.loads(out)
    assert (code, found["done"], found["failed"], found["to_do"]) == (1, 2, 2, 0)
    assert {failure["message"] for failure in found["failures"]} == {"not yet"}
    assert found["again"] == [" ".join(["zslbench", *map(str, command)])]
    write_plugin(path)
    assert zslbench(*command).returncode == 0  # in a process of its own, since this one has imported the old text
    for options in ([], ["--all"]):
        assert in_process("status", *options)[0] == 0
