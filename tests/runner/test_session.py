"""Driving a run: plan first, a record per trial as it ends, nothing lost, nothing done twice."""

import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_synthetic
from plugins import write_plugin
from rich.console import Console

from zslbench.configuration import parse_methods
from zslbench.datasets import Dataset
from zslbench.errors import InputError
from zslbench.metrics import harmonic_mean, per_class_accuracies
from zslbench.protocol import Outcome
from zslbench.records import Failure, Record, Run, Store
from zslbench.registry import Registry
from zslbench.runner.attempt import Attempt, attempt, limited_threads
from zslbench.runner.cluster import Where
from zslbench.runner.durations import clock
from zslbench.runner.estimates import Estimates, shared
from zslbench.runner.executors import Event, Finished, Started, Tick, run_serially, run_with_ray
from zslbench.runner.plan import Job, make_jobs
from zslbench.runner.progress import Progress
from zslbench.runner.session import Summary, run
from zslbench.splits import make_splits


class Bench:
    """A small SYNTHETIC benchmark with its store."""

    def __init__(self, folder: Path, dataset: Path) -> None:
        self.folder = folder
        self.data = Dataset(dataset)
        self.store = Store(folder / "store")
        self.registry = Registry()
        self.said: list[str] = []

    def jobs(self, methods: str = "eszsl,projection", splits: int = 1) -> list[Job]:
        drawn = make_splits(self.data, "6/2", splits)
        return make_jobs(self.registry, parse_methods(methods), self.data.view(), drawn, [0], ("test", "validation"))

    def serially(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        return run_serially(self.registry, self.data.view(), jobs)

    def run(self, jobs: Sequence[Job], events: Any = None) -> Summary:
        with open(os.devnull, "w") as nowhere:
            progress = Progress(Console(file=nowhere), workers=0)
            return run(jobs, self.store, "zslbench run", events or self.serially, progress)

    def plugin(self, **parts: str) -> None:
        self.registry = Registry([write_plugin(self.folder / "plugin.py", **parts)])


@pytest.fixture
def bench(tmp_path: Path, synthetic: Path) -> Bench:
    """A small SYNTHETIC benchmark with its store."""
    return Bench(tmp_path, synthetic)


def test_every_trial_leaves_one_record(bench):
    """After a run each planned trial is done, with its outcome, its cost, its provenance and its predictions."""
    jobs = bench.jobs()
    summary = bench.run(jobs)
    assert (summary.ran, summary.failed, summary.complete) == (4, 0, True)
    assert [record.key for record in bench.store.records()] == [job.trial.key for job in jobs]
    for record in bench.store.records():
        assert record.status == "done"
        assert record.run.executor == "serial"
        assert record.run.fit_seconds > 0
        assert {"zslbench", "numpy", "torch", "ray", "python"} <= set(record.run.versions)
        assert record.run.started < record.run.finished
        assert bench.store.predictions(record)
    assert summary.records == bench.store.latest()


def test_stored_predictions_give_the_stored_metrics(bench):
    """T1, OA, S, U, H computed from the predictions file are the record's last-epoch values exactly."""
    bench.run(bench.jobs())
    splits = {split.hash: split for split in make_splits(bench.data, "6/2", 1)}
    for record in bench.store.records():
        kept = bench.store.predictions(record)
        part = splits[record.trial.split_hash].partition(record.trial.stage)
        zsl = per_class_accuracies(kept["zsl_truth"], kept["zsl_predicted"], part.unseen).mean()
        predicted = np.where(kept["gzsl_margin"] >= 0, kept["gzsl_best_seen"], kept["gzsl_best_unseen"])
        seen, unseen = (
            per_class_accuracies(kept["gzsl_truth"], predicted, classes).mean() for classes in (part.seen, part.unseen)
        )
        assert record.outcome.zsl["T1"][-1] == zsl
        assert record.outcome.zsl["OA"][-1] == np.mean(kept["zsl_truth"] == kept["zsl_predicted"])
        assert [record.outcome.gzsl[name][-1] for name in "SUH"] == [seen, unseen, harmonic_mean(seen, unseen)]


def test_a_finished_run_does_nothing_again(bench):
    """Running the same jobs again asks no executor for anything and writes no record."""
    bench.run(bench.jobs())
    before = bench.store.records_path.read_bytes()

    def refuse(jobs):
        assert not jobs
        yield from ()

    summary = bench.run(bench.jobs(), refuse)
    assert (summary.ran, summary.complete) == (0, True)
    assert len(summary.records) == 4
    assert bench.store.records_path.read_bytes() == before


def test_only_what_is_missing_or_failed_runs(bench):
    """A further method or split runs its own trials; what is done stays as it is."""
    bench.run(bench.jobs("eszsl"))
    asked: list[Job] = []

    def watch(jobs):
        asked.extend(jobs)
        return bench.serially(jobs)

    bench.run(bench.jobs("eszsl,projection", splits=2), watch)
    done = {job.trial.key for job in bench.jobs("eszsl")}
    assert [job.trial.key for job in asked] == [
        job.trial.key for job in bench.jobs("eszsl,projection", splits=2) if job.trial.key not in done
    ]
    assert len(bench.store.latest()) == 8


def test_the_plan_is_stored_before_the_first_trial(bench):
    """What was asked for is on disk before anything runs, even if nothing ever does."""

    def interrupted(jobs):
        assert len(bench.store.plans()) == 1
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.jobs(), interrupted)
    (plan,) = bench.store.plans()
    assert {cell.key for row in plan.rows for cell in row.cells} == {job.trial.key for job in bench.jobs()}


def test_records_are_stored_as_they_come(bench):
    """Each record is in the file before the next trial begins."""

    def watch(jobs):
        for number, job in enumerate(jobs):
            yield Started(job)
            assert len(list(bench.store.records())) == number
            yield Tick({job.trial.key: (1, 3)})
            yield Finished(job, Attempt(None, Failure("ValueError", "no"), Run(), ""))

    summary = bench.run(bench.jobs(), watch)
    assert (summary.ran, summary.failed, summary.complete) == (4, 4, False)


def test_whatever_happens_the_executor_is_closed_before_the_store_is_released(bench, monkeypatch):
    """An interrupt while a record is written ends the workers first, then frees the store."""
    closed = []

    def events(jobs):
        try:
            yield from bench.serially(jobs)
        finally:
            closed.append((bench.store.folder / "lock.owner").exists())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "append", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:  # which keeps the frames alive, as a command line does
        bench.run(bench.jobs(), events)
    assert closed == [True]
    monkeypatch.undo()
    assert bench.run(bench.jobs()).complete
    assert caught


FAILING: dict[str, tuple[dict[str, str], str, str]] = {
    "raises": ({"before": "raise ValueError('no such thing')"}, "ValueError", "no such thing"),
    "ends": ({"before": "raise SystemExit(3)"}, "SystemExit", "3"),
    "exits": ({"before": "sys.exit()"}, "SystemExit", ""),
    "lacks": ({"before": "import nothing_here"}, "ModuleNotFoundError", "No module named 'nothing_here'"),
    "fills": ({"before": "raise MemoryError"}, "MemoryError", ""),
    "writes": ({"before": "train.features[:] = 0"}, "ValueError", "assignment destination is read-only"),
    "mumbles": ({"before": "raise ValueError('bytes \\udcff of a file name')"}, "ValueError", "bytes ? of a file name"),
    "lies": (
        {"before": "raise type('Bad', (Exception,), {'__str__': lambda self: 1 / 0})"}, "Bad", "an error without",
    ),
    "returns": ({"scorers": "return"}, "TypeError", "'NoneType' object is not iterable"),
    "yields": ({"scorers": "yield from ()"}, "MethodError", "yields: scorers() yielded no scorer"),
    "echoes": ({"scorers": "yield lambda features: features"}, "MethodError", ": expected ("),
    "voids": (
        {"scorers": "yield lambda features: np.full((len(features), len(candidates)), np.nan)"}, "MethodError", "NaN",
    ),
    "spells": (
        {"scorers": "yield lambda features: [['a'] * len(candidates)] * len(features)"}, "MethodError", "<U1",
    ),
}  # fmt: skip
"""Method -> what it does, and of its failure the type and a part of the message."""


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The records of one run of all of `FAILING` and of a method that does not fail."""
    folder = tmp_path_factory.mktemp("failing")
    bench, path, text = Bench(folder, write_synthetic(folder / "toy")), folder / "plugin.py", ""
    for name, (parts, _, _) in FAILING.items():
        one = write_plugin(path, name=name, **parts).read_text().replace("class Mine", f"class {name.title()}")
        text += one if not text else one[one.index(f"class {name.title()}") :]
    path.write_text(text)
    bench.registry = Registry([path])
    summary = bench.run(bench.jobs(",".join([*FAILING, "eszsl"])))
    assert (summary.ran, summary.failed) == (2 * len(FAILING) + 2, 2 * len(FAILING))
    assert not summary.complete
    return list(bench.store.records())


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_method_is_a_record_and_not_the_end(failing: list[Record], name: str) -> None:
    """Whatever a method does, its trial is recorded as failed with type, message and traceback; the others run."""
    _, kind, message = FAILING[name]
    assert [record.status for record in failing if record.label == "eszsl"] == ["done"] * 2
    mine = [record for record in failing if record.label == name]
    assert len(mine) == 2
    for record in mine:
        assert (record.status, record.outcome, record.predictions) == ("failed", None, None)
        assert record.failure is not None
        assert record.failure.type == kind
        assert message in record.failure.message
        assert kind in record.failure.traceback
        assert record.run.started


def test_a_long_message_is_cut(bench):
    """A method that raises megabytes does not swell the store."""
    bench.plugin(before="raise ValueError('x' * 5_000_000)")
    bench.run(bench.jobs("mine"))
    record = next(bench.store.records())
    assert len(record.failure.message) == 2000
    assert bench.store.records_path.stat().st_size < 11_000_000


def test_ctrl_c_in_a_method_passes_through(bench):
    """An interrupt is not a failure of the method: it ends the run, and the trial stays to be done."""
    bench.plugin(before="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.jobs("eszsl,mine"))
    assert [record.label for record in bench.store.records()] == ["eszsl"]


def test_what_a_method_prints_is_kept_in_its_log(bench, capfd):
    """Prints, warnings and stderr go to the trial's log, named in the record; a failed trial keeps its log too."""
    bench.plugin(before="print('to stdout'); print('to stderr', file=sys.stderr); os.environ['no such variable']")
    bench.run(bench.jobs("mine,eszsl"))
    for record in bench.store.records():
        if record.label == "eszsl":
            assert record.run.log is None
        else:
            assert (bench.store.folder / record.run.log).read_text() == "to stdout\nto stderr\n"
    assert capfd.readouterr() == ("", "")


def test_what_native_code_prints_never_reaches_stdout(bench, capfd):
    """File descriptor 1 belongs to the results: what a subprocess or C code writes to it goes to stderr."""
    bench.plugin(before="os.write(1, b'from C '); os.system('echo from a shell')")
    bench.run(bench.jobs("mine"))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("from C from a shell\n") == 2
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_a_log_grows_by_retries_and_not_without_bounds(bench):
    """A retried trial adds to its log; a method that prints megabytes keeps the end."""
    bench.plugin(before="print('x' * 3_000_000 + 'end'); 1 / 0")
    jobs = bench.jobs("mine")[:1]
    bench.run(jobs)
    path = bench.store.folder / next(bench.store.records()).run.log
    assert path.stat().st_size == 1_000_000
    assert path.read_text().endswith("end\n")
    bench.run(jobs)
    assert path.stat().st_size == 2_000_000


def test_a_full_store_ends_the_run_readably(bench, monkeypatch):
    """If a record cannot be written, the run ends with one sentence and the earlier records are intact."""
    append = Store.append
    left = [2]

    def full(self, record, predictions=None, model=None):
        left[0] -= 1
        if left[0] < 0:
            (self.folder / "predictions").rename(self.folder / "elsewhere")
            (self.folder / "predictions").symlink_to("/dev/null/nothing")
        append(self, record, predictions, model)

    monkeypatch.setattr(Store, "append", full)
    with pytest.raises(InputError, match="cannot be written"):
        bench.run(bench.jobs())
    assert [record.status for record in bench.store.records()] == ["done", "done"]


def test_a_store_in_use_is_not_run_into(bench):
    """While one run holds the store, another is refused before any trial."""
    with bench.store.writing(), pytest.raises(InputError, match=f"in use by process {os.getpid()} on"):
        Bench(bench.folder, bench.data.folder).run(bench.jobs(), lambda jobs: pytest.fail("ran"))


def test_no_work_starts_no_ray(bench, monkeypatch):
    """An executor without jobs ends at once and imports nothing."""
    monkeypatch.setitem(sys.modules, "ray", None)
    assert list(run_with_ray(bench.registry, bench.data.view(), [], Where(2))) == []


def test_a_missing_ray_names_the_way_out(bench, monkeypatch):
    """Where Ray cannot be imported, the message says how to run without it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"ray cannot be imported .*; use workers=0 to run in this process"):
        list(run_with_ray(bench.registry, bench.data.view(), bench.jobs(), Where(2)))


def test_a_ray_that_cannot_start_names_the_way_out(bench, monkeypatch, tmp_path):
    """Where Ray has no place for its files, the message is one sentence and says how to run without it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAY_TMPDIR", "/dev/null/x")
    with pytest.raises(InputError, match=r"ray cannot start \(.*/dev/null/x.*\); use workers=0 to run in this process"):
        list(run_with_ray(bench.registry, bench.data.view(), bench.jobs(), Where(2)))


def test_a_ray_that_was_too_slow_to_start_is_started_once_more(bench, monkeypatch):
    """What the first attempt has started is ended before; a second failure is told."""
    ray, left = pytest.importorskip("ray"), []

    def slow(**_):
        if not left:
            left.append(subprocess.Popen(["sleep", "60"]))
            raise RuntimeError("The current node timed out during startup. This could happen because ...")
        assert left[0].poll() is not None
        raise RuntimeError("no place")

    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(InputError, match=r"ray cannot start \(no place\); use workers=0"):
        list(run_with_ray(bench.registry, bench.data.view(), bench.jobs(), Where(2)))
    assert len(left) == 1


def thread_counts(code: str) -> list[str]:
    """What a fresh process prints after it ran `code` with two threads allowed."""
    head = "from zslbench.runner.attempt import limited_threads\nfrom threadpoolctl import threadpool_info\n"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", head + code], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    return done.stdout.split()


def test_libraries_loaded_inside_a_trial_are_held_to_its_threads_too():
    """NumPy, SciPy and torch run on the trial's thread wherever they are first imported, and the limit is lifted."""
    inside = thread_counts(
        "with limited_threads(1):\n    import numpy, scipy.linalg, torch\n"
        "    print(torch.get_num_threads(), *(pool['num_threads'] for pool in threadpool_info()))"
    )
    assert len(inside) >= 3
    assert set(inside) == {"1"}
    before, within, after = thread_counts(
        "import torch, os\ntorch.set_num_threads(2)\nprint(torch.get_num_threads())\n"
        "with limited_threads(1):\n    print(torch.get_num_threads())\n"
        "print(torch.get_num_threads() if 'OMP_NUM_THREADS' not in os.environ else 'variable left')"
    )
    assert (before, within, after) == ("2", "1", "2")


def test_thread_variables_come_back_as_they_were(monkeypatch):
    """The limit leaves the environment as it found it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with limited_threads(1):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_numpy_method_does_not_pay_for_torch():
    """Running a method that needs NumPy alone imports neither torch nor ray."""
    code = (
        "import sys; from zslbench.runner.executors import run_serially; from zslbench.runner.session import run\n"
        "with limited_threads(1): pass\nprint('torch' in sys.modules, 'ray' in sys.modules)"
    )
    assert thread_counts(code) == ["False", "False"]


def test_an_attempt_reports_its_epochs(bench):
    """The progress that a method reports while it is fitted reaches the caller."""
    bench.plugin(before="[train.progress(epoch, 3) for epoch in range(4)]")
    (job, *_), heard = bench.jobs("mine"), []
    attempt(bench.registry, bench.data.view(), job.trial, job.split, executor="serial",
            progress=lambda done, total: heard.append((done, total)))  # fmt: skip
    assert heard == [(0, 3), (1, 3), (2, 3), (3, 3)]


def lines_of(bench: Bench, jobs: Sequence[Job], quiet: bool = False) -> list[str]:
    """What a run says on a stream that is no terminal."""
    path = bench.folder / "said"
    with open(path, "w") as file:
        progress = Progress(Console(file=file, width=40), workers=1, quiet=quiet)
        run(jobs, bench.store, "zslbench run", bench.serially, progress)
    return path.read_text().splitlines()


def test_each_trial_says_one_line(bench):
    """Without a terminal a trial is one line, however narrow, with its count; markup in messages is not obeyed."""
    bench.plugin(before="raise ValueError('[red]bad[/red] [/nothing]\\nsecond line')")
    said = lines_of(bench, bench.jobs("mine[ridge=2],eszsl"))
    assert len(said) == 4
    where = f"({bench.folder / 'plugin.py'}, line 14)"
    assert said[0] == f"1/4 mine[ridge=2.0] 6/2#0 seed 0: failed ValueError: [red]bad[/red] [/nothing] {where}"
    assert said[1].startswith("2/4 eszsl 6/2#0 seed 0: T1 ")
    assert said[2].startswith("3/4 mine[ridge=2.0] 6/2#0 seed 0 (validation classes): failed")
    again = lines_of(bench, bench.jobs("mine[ridge=2],eszsl"))
    assert again[0] == "2 of 4 trials are done already."
    assert again[1].startswith("3/4 mine[ridge=2.0]")


def test_quiet_says_nothing(bench):
    """With --quiet no line is printed."""
    assert lines_of(bench, bench.jobs(), quiet=True) == []


@pytest.fixture
def nothing_shipped(monkeypatch):
    """What stored trials alone tell."""
    nothing = Estimates()
    monkeypatch.setattr("zslbench.runner.estimates._shipped", lambda: nothing)


def test_the_time_left_is_judged_by_epochs_and_by_finished_trials(bench, monkeypatch, nothing_shipped):
    """Nothing is claimed before anything tells; then the epochs of the running trial do, and what finished ones took,
    shared among the workers."""
    now = [0.0]
    monkeypatch.setattr("zslbench.runner.progress.time.monotonic", lambda: now[0])
    with open(os.devnull, "w") as nowhere:
        progress = Progress(Console(file=nowhere), workers=2)
        jobs = bench.jobs("eszsl", splits=3)
        with progress.showing(jobs, {}):
            first = jobs[0]
            progress.started(first)
            now[0] = 10.0
            assert progress._time_left() == "10 s elapsed, not known yet how much is left"
            outcome = Outcome({"T1": [0.5]}, {"H": [0.5]}, {}, 1.0)
            took = Run(fit_seconds=8.0, score_seconds=2.0, device="cpu")
            record = Record(
                key=first.trial.key, label="eszsl", status="done", trial=first.trial, outcome=outcome, run=took
            )
            progress.finished(first, record)
            progress.started(jobs[1])
            now[0] = 14.0
            # five are missing at 10 s each, 4 s of the running one have passed, two run at a time
            assert progress._time_left() == "14 s elapsed, about 23 s left, 257 trials per hour"
            progress.tick({jobs[1].trial.key: (2, 7)})  # 2 s each: 10 s are left of this one
            # and 14 s each of the other two of its stage, more than the trials of the other stage tell; 20 for those
            assert progress._time_left() == "14 s elapsed, about 29 s left, 257 trials per hour"
            console = Console(width=80, record=True, file=nowhere)
            console.print(progress._screen())
            screen = console.export_text()
    assert "eszsl      1        1       0   6" in screen
    assert "eszsl 6/2#0: epoch 2/7, 4 s" in screen


def test_time_left_is_never_0_s_while_trials_are_missing(bench):
    """Before the first trial of an empty store the shipped ones tell; a trial that runs longer than expected is not at
    its end."""
    with open(os.devnull, "w") as nowhere:
        progress = Progress(Console(file=nowhere), workers=64)
        jobs = bench.jobs("eszsl")
        with progress.showing(jobs, {}):
            assert progress._time_left().endswith("about 1 s left")
            for job in jobs:
                progress.started(job)
            progress.began -= 1000
            progress.running = {key: (job, since - 1000) for key, (job, since) in progress.running.items()}
            assert progress._time_left() == "16 min 40 s elapsed, about 1 s left"


def test_the_longest_trial_bounds_the_time_left():
    """Many workers end no sooner than the longest trial does."""
    assert shared([60.0, 1.0, 1.0], 64) == 60.0
    assert shared([60.0, 30.0], 1) == shared([60.0, 30.0], 0.5) == 90.0
    assert shared([], 2) == 0.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.01, "under 0.1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    """Seconds, minutes with seconds, hours with minutes."""
    assert clock(seconds) == said
