"""Trials side by side as one program: which go together, the same records as singly, and only that fails what must."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from conftest import write_synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from running import comparable
from stackable import sizes, write_stackable

import zslbench as zb
from zslbench.configuration import parse_methods
from zslbench.datasets import Dataset
from zslbench.errors import InputError
from zslbench.methods import Method
from zslbench.records import Record, Run, Store
from zslbench.registry import Registry
from zslbench.runner import apart
from zslbench.runner.apart import DiedError
from zslbench.runner.attempt import Attempt
from zslbench.runner.executors import Finished, Notice, Started, run_serially
from zslbench.runner.plan import Job, make_jobs
from zslbench.runner.progress import Progress
from zslbench.runner.session import run as run_jobs
from zslbench.runner.stacks import Stacks, has_stacks, stacking_of, unstacked
from zslbench.splits import make_splits

pytestmark = pytest.mark.usefixtures("unsynced")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a SYNTHETIC data set."""
    return write_synthetic(tmp_path_factory.mktemp("data") / "toy")


def run(folder: Path, data: Path, stack: object, store: str = "store", methods: str = "stacked", **options: Any) -> Any:
    """A run in this process, with the folder's plugin file."""
    options = {"splits": 4, "validation": False, "workers": 0, "quiet": True} | options
    return zb.run(methods, data, stack=stack, store=folder / store, plugins=[folder / "stacked.py"], **options)


def records(folder: Path, store: str = "store") -> list[Record]:
    """What is stored, in order."""
    return list(Store(folder / store).records())


def planned(data: Path, plugin: Path, methods: str = "stacked", splits: int = 4, **options: Any) -> tuple[Any, ...]:
    """A registry, a view and jobs of the test stage."""
    registry, dataset = Registry([plugin]), Dataset(data)
    view = dataset.view()
    drawn = make_splits(dataset, options.pop("family", "6/2"), splits)
    options = {"seeds": [0], "stages": ("test",)} | options
    return registry, view, make_jobs(registry, parse_methods(methods), view, drawn, **options)


def told(data: Path, plugin: Path, stack: int, methods: str = "stacked", splits: int = 4, **options: Any) -> list[Any]:
    """The events of a serial run."""
    registry, view, jobs = planned(data, plugin, methods, splits)
    return list(run_serially(registry, view, jobs, stacking=stack, **options))


def failures(events: Sequence[Any]) -> dict[str, str]:
    """Label and split of what failed -> its message."""
    ended = [event for event in events if isinstance(event, Finished)]
    return {
        f"{one.job.label} {one.job.split.index}": one.attempt.failure.message for one in ended if one.attempt.failure
    }


# What is stored


def test_a_stack_leaves_the_records_that_single_trials_leave(tmp_path, data):
    """Outcomes, predictions and labels are equal to the bit, of several splits, seeds and configurations at once, and
    of what is made of the method; each record says how it ran, with its share of the seconds."""
    write_stackable(tmp_path / "stacked.py")
    methods = "stacked,stacked[ridge=3.0],stacked+cal,stacked+gate,stacked+propagate"
    options: dict[str, Any] = {"methods": methods, "seeds": 2, "validation": True, "splits": 2}
    run(tmp_path, data, "off", "singly", **options)
    assert sizes(tmp_path) == []
    results = run(tmp_path, data, 3, "stacked", **options)
    found = sizes(tmp_path)  # +cal and +gate are fitted twice, for a rehearsal
    assert Counter(found) == {3: 4 + 2 + 2 * (2 + 2), 2: 2}
    singly, stacked = (comparable(tmp_path / name) for name in ("singly", "stacked"))
    assert len(singly) == 40
    assert stacked == singly
    said = Counter(record.run.execution for record in records(tmp_path, "stacked"))
    assert said == {"stack of 3": 12 + 18, "stack of 2": 4, msgspec.UNSET: 6}
    first = records(tmp_path, "stacked")[:3]
    assert len({record.run.fit_seconds for record in first}) == 1
    assert len({record.run.score_seconds for record in first}) == 3
    assert [record.run.execution for record in records(tmp_path, "singly")] == [msgspec.UNSET] * 40
    assert "execution" not in (tmp_path / "singly/records.jsonl").read_text()
    assert results.records()["execution"].value_counts().to_dict() == {"stack of 3": 30, "stack of 2": 4}


def test_how_a_fit_is_computed_is_kept(tmp_path, data):
    """What a method says by `runs_as` stands in its own record, beside the stack."""
    write_stackable(tmp_path / "stacked.py", fit="train.runs_as('CUDA\\ngraph' if self.config.ridge == 3 else 'loop')")
    run(tmp_path, data, 2, methods="stacked,stacked[ridge=3.0]", splits=1)
    assert [record.run.execution for record in records(tmp_path)] == ["stack of 2, loop", "stack of 2, CUDA graph"]
    run(tmp_path, data, "off", "alone", splits=1)
    assert [record.run.execution for record in records(tmp_path, "alone")] == ["loop"]


def test_what_is_printed_is_kept_with_the_trial(tmp_path, data):
    """What is printed while all are fitted is in every log, what is printed while one is measured in that one's."""
    write_stackable(tmp_path / "stacked.py", fit_many="print('all')", scorers="print('ridge', self.config.ridge)")
    run(tmp_path, data, 2, methods="stacked,stacked[ridge=3.0]", splits=1)
    logs = [(tmp_path / "store" / str(record.run.log)).read_text() for record in records(tmp_path)]
    assert logs == [f"all\nridge {ridge}\nridge {ridge}\n" for ridge in (1.0, 3.0)]


def test_an_interrupted_stack_is_completed_by_the_next_run(tmp_path, data):
    """Records are written one by one: what was written stays, and what is missing runs in a smaller stack."""
    registry, view, jobs = planned(data, write_stackable(tmp_path / "stacked.py"))
    store, left = Store(tmp_path / "store"), [1, 1]

    def interrupt() -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()

    def go(check: Any = lambda: None) -> None:
        progress = Progress(Console(quiet=True), 1)
        run_jobs(jobs, store, "", lambda some: run_serially(registry, view, some, stacking=4), progress, check=check)

    with pytest.raises(KeyboardInterrupt):
        go(interrupt)
    go()
    assert sizes(tmp_path) == [4, 2]
    assert [record.key for record in store.records()] == [job.trial.key for job in jobs]
    assert [record.run.execution for record in store.records()] == ["stack of 4"] * 2 + ["stack of 2"] * 2


def test_what_budgets_draw_is_stacked(tmp_path, data):
    """Configurations that differ in numbers only, of several splits, and the tests that are chosen: the records of
    single trials."""
    write_stackable(tmp_path / "stacked.py")
    run(tmp_path, data, "off", "singly", budget=4, splits=2, validation=True)
    run(tmp_path, data, 8, "stacked", budget=4, splits=2, validation=True)
    found = sizes(tmp_path)
    assert max(found) == 8  # eight validation trials
    assert comparable(tmp_path / "stacked") == comparable(tmp_path / "singly")


# Failures


@pytest.mark.parametrize(
    "parts",
    [
        {"fit": "if self.config.ridge == 3: raise ValueError('it diverged')"},
        {"scorers": "if self.config.ridge == 3: raise SystemExit('it diverged')"},
    ],
    ids=["fitted", "measured"],
)
def test_a_member_fails_alone(tmp_path, data, parts):
    """Its error is its record's, with the author's line; the others of its stack are done, and come first."""
    write_stackable(tmp_path / "stacked.py", **parts)
    run(tmp_path, data, 3, methods="stacked,stacked[ridge=3.0],stacked[ridge=4.0]", splits=1)
    assert sizes(tmp_path) == [3]
    assert [record.status for record in records(tmp_path)] == ["done", "done", "failed"]
    failed = records(tmp_path)[-1]
    assert (failed.label, failed.failure.message) == ("stacked[ridge=3.0]", "it diverged")
    assert "stacked.py" in failed.failure.traceback


@pytest.mark.parametrize("error", ["MemoryError", "type('OutOfMemoryError', (RuntimeError,), {})"])
@pytest.mark.parametrize("place", ["fit_many", "scorers"])
def test_a_stack_too_large_for_memory_is_halved(tmp_path, data, error, place):
    """Once for all later ones of the method, which is said once for each size; nothing fails."""
    statement = f"if len(ridges) > 2: raise {error}('too much')"
    if place == "scorers":
        statement = (
            f"last = open({str(tmp_path / 'sizes.log')!r}).read().splitlines()[-1].split()[0]\n"
            f"        if int(last) > 2: raise {error}('too much')"
        )
    plugin = write_stackable(tmp_path / "stacked.py", **{place: statement})
    events = told(data, plugin, 8, "stacked,stacked[ridge=3.0]", 8)
    assert sizes(tmp_path) == [8, 4] + [2] * 8
    said = [event.text for event in events if isinstance(event, Notice)]
    assert said == [
        "stacked: a stack of 8 ran out of memory; from now on its trials run in stacks of 4.",
        "stacked: a stack of 4 ran out of memory; from now on its trials run in stacks of 2.",
    ]
    assert len([event for event in events if isinstance(event, Finished)]) == 16
    assert failures(events) == {}


def test_what_concerns_all_of_a_stack_costs_one_trial_alone(tmp_path, data):
    """An error of `fit_many` itself runs the halves, down to the one trial that is to blame, or to none."""
    plugin = write_stackable(
        tmp_path / "stacked.py", fit="if self.config.ridge == 3: raise ValueError('bad')",
        fit_many="if 3 in ridges: raise ValueError('some of them')",
    )  # fmt: skip
    methods = ",".join(f"stacked[ridge={ridge}.0]" for ridge in (1, 2, 3, 4))
    events = told(data, plugin, 4, methods, 1)
    assert sizes(tmp_path) == [4, 2, 2]
    assert failures(events) == {"stacked[ridge=3.0] 0": "bad"}
    assert [event.text for event in events if isinstance(event, Notice)] == [
        f"stacked: a stack of {size} failed (ValueError: some of them); its trials run again {then}."
        for size, then in ((4, "in stacks of 2"), (2, "singly"))
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("return []", "MethodError: fit_many() returned 0 of them: a list of 2 is expected"),
        ("return [None, None]", "MethodError: fit_many() returned NoneType: fitted methods or errors are expected."),
        ("return 5", "MethodError: fit_many() returned int: a list of 2 is expected"),
    ],
)
def test_an_answer_that_is_none_is_told_and_the_trials_run_singly(tmp_path, data, answer, said):
    """A broken `fit_many` costs no trial."""
    events = told(data, write_stackable(tmp_path / "stacked.py", fit_many=answer), 2, splits=2)
    assert said in next(event.text for event in events if isinstance(event, Notice))
    assert failures(events) == {}
    assert len([event for event in events if isinstance(event, Finished)]) == 2


def test_a_stack_that_replaces_what_it_is_measured_with_is_worth_nothing(tmp_path, data):
    """The numbers of all of its trials are refused."""
    tamper = "import zslbench.metrics; zslbench.metrics.harmonic_mean = lambda S, U: S * 0 + 1"
    events = told(data, write_stackable(tmp_path / "stacked.py", fit_many=tamper), 2, splits=2)
    assert len(failures(events)) == 2
    assert set(failures(events).values()) == {
        "it replaced zslbench.metrics.harmonic_mean, which it is measured with: its numbers are worth nothing."
    }


class Process:
    """Stands in for a process of its own: one ridge hangs, another takes it along."""

    def __init__(self, *_: object) -> None:
        self.made.append(self)

    made: ClassVar[list["Process"]] = []
    asked: ClassVar[list[tuple[list[float], float]]] = []

    def run(self, stack: Sequence[Job], place: Path, timeout: float) -> list[Attempt]:
        ridges = [job.trial.config["ridge"] for job in stack]
        self.asked.append((ridges, timeout))
        if 3.0 in ridges:
            raise TimeoutError
        if 4.0 in ridges:
            raise DiedError("ended by SIGSEGV")
        measured: Any = object()
        return [Attempt(measured, None, Run(), "") for _ in stack]

    def end(self) -> None: ...


def test_one_that_hangs_or_dies_is_found_in_its_stack(tmp_path, data, monkeypatch):
    """N trials have N times the limit. Those of a stack that took longer run singly, those of one that died in halves,
    each time in a new process, and only the one that hangs, or takes its process along, fails."""
    monkeypatch.setattr(apart, "_Process", Process)
    plugin = write_stackable(tmp_path / "stacked.py")
    methods = ",".join(
        f"stacked[ridge={ridge}.0,power={power}]"
        for power, ridges in ((1, (1, 3, 2)), (2, (1, 4, 5)))
        for ridge in ridges
    )
    events = told(data, plugin, 3, methods, 1, timeout=10)
    assert Process.asked == [
        ([1, 3, 2], 30), ([1], 10), ([3], 10), ([2], 10),
        ([1, 4, 5], 30), ([1, 4], 20), ([1], 10), *[([4], 10)] * 3, ([5], 10),
    ]  # fmt: skip
    assert len(Process.made) == 8
    assert failures(events) == {
        "stacked[ridge=3.0] 0": "stopped after 10 s, as the timeout says.",
        "stacked[ridge=4.0,power=2] 0": "its process died 3 times while it ran this trial.",
    }
    assert len([event for event in events if isinstance(event, Finished)]) == 6
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "stacked: a stack of 3 took longer than 3 times 10 s; its trials run again singly.",
        "stacked: a stack of 3 ended with its process (ended by SIGSEGV); its trials run again in stacks of 2.",
        "stacked: a stack of 2 ended with its process (ended by SIGSEGV); its trials run again singly.",
    ]


# What goes together


OTHER = """

class Other(Method):
    info = MethodInfo(name="other", title="Other", family="linear", citation="")
    Config, fit, scorers = Stacked.Config, Stacked.fit, Stacked.scorers
"""
STACKED = ("stacked", "stacked+cal")
METHODS = "stacked,stacked[ridge=2.0],stacked[shift=1.0],stacked[shift=2.0],stacked[power=2],other,stacked+cal"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """A registry, a view and jobs of several methods, families, stages and shots, of classes of unequal size."""
    folder = tmp_path_factory.mktemp("many")
    uneven = write_synthetic(folder / "uneven", per_class=[12, 12, 12, 12, 12, 12, 14, 16])
    plugin = write_stackable(folder / "stacked.py", extra=OTHER)
    found: list[Job] = []
    for family in ("6/2", "5/3"):
        registry, view, jobs = planned(
            uneven, plugin, METHODS, 3, family=family, seeds=[0, 1], stages=("test", "validation"), shots=(0, 2)
        )
        found += jobs
    return registry, view, found


def alike(registry: Registry, job: Job) -> tuple[Any, ...]:
    """What a stack's jobs must have in common, worked out anew."""
    part, config = job.split.partition(job.stage, job.trial.shots, job.trial.seed), job.trial.config
    lengths = [len(part.train), len(part.few), len(part.seen), len(part.unseen)]
    if job.info.uses_rehearsal and (below := job.split.rehearsal(job.stage, job.trial.shots, job.trial.seed)):
        lengths += [len(below.train), len(below.held_out_seen), len(below.held_out_unseen)]
    return job.trial.method, job.stage, job.trial.shots, *lengths, config["power"], config["shift"] == 0


@settings(max_examples=60, deadline=None)
@given(data=st.data(), most=st.sampled_from([1, 2, 3, 5, 100, "auto"]), places=st.integers(1, 3))
def test_stacks_are_a_partition_of_the_jobs(many, data, most, places):
    """Each job is in one stack, with others of its kind alone, no more than may be; stacks come in the order of their
    first jobs, and jobs of a stack in theirs; methods that have no stacks run singly."""
    registry, view, jobs = many
    some = data.draw(st.lists(st.sampled_from(range(len(jobs))), unique=True, max_size=60))
    chosen = [jobs[place] for place in some]
    stacks = Stacks(registry, view, most, places={"cpu": places}).of(chosen)
    order = {id(job): place for place, job in enumerate(chosen)}
    found = [[order[id(job)] for job in stack] for stack in stacks]
    assert sorted(place for stack in found for place in stack) == list(range(len(chosen)))
    assert all(stack == sorted(stack) for stack in found)
    assert [stack[0] for stack in found] == sorted(stack[0] for stack in found)
    for stack in stacks:
        assert len({alike(registry, job) for job in stack}) == 1
        assert len(stack) <= (4 if most == "auto" else most)
        assert len(stack) == 1 or stack[0].trial.method in STACKED
    if isinstance(most, int):  # no more stacks than must be
        kinds = Counter(alike(registry, job) for job in chosen)
        needed = sum(math.ceil(count / most) if kind[0] in STACKED else count for kind, count in kinds.items())
        assert len(stacks) == needed


def test_unequal_shapes_and_configurations_are_not_mixed(many):
    """Splits with as many training images go together, others do not; nor do whole numbers or weights of zero."""
    registry, view, jobs = many
    stacks = Stacks(registry, view, 100).of(jobs)
    kinds = {alike(registry, job) for job in jobs if job.trial.method in STACKED}
    assert len([stack for stack in stacks if len(stack) > 1]) <= len(kinds)
    assert len({kind[3] for kind in kinds}) > 4  # numbers of training images
    labels = [{job.label for job in stack} for stack in stacks if len(stack) > 1]
    assert {"stacked", "stacked[ridge=2.0]"} in labels
    assert {"stacked[shift=1.0]", "stacked[shift=2.0]"} in labels
    assert not [found for found in labels if {"stacked", "stacked[power=2]"} <= found]


def test_auto_fills_all_places_and_begins_each_method_early(tmp_path, data):
    """On cores a method's first trial runs alone, and the others are shared out evenly; on GPUs there is no such
    first one; so many trials share a GPU as somebody said, however large a stack may be."""
    registry, view, jobs = planned(data, write_stackable(tmp_path / "stacked.py"), splits=9)

    def lengths(*, using_gpu: bool = False, **options: Any) -> list[int]:
        some = [replace(job, info=replace(job.info, uses_gpu=using_gpu)) for job in jobs]
        return [*map(len, Stacks(registry, view, "auto", **options).of(some))]

    assert lengths() == [1, 3, 3, 2]
    assert lengths(places={"cpu": 5}) == [1, 2, 2, 2, 2]
    assert lengths(using_gpu=True, device="cuda") == [3, 3, 3]
    assert lengths(using_gpu=True, device="cuda", per_gpu=2) == [2, 2, 2, 2, 1]


def test_only_what_fits_like_fit_many_is_stacked():
    """A method that overrides `fit` alone does not inherit a `fit_many` that knows nothing of it."""

    class Plain(Method):
        def fit(self, train): ...
        def scorers(self, candidates): ...

    class Many(Plain):
        @classmethod
        def fit_many(cls, trains, configs): ...

    class Both(Many):
        def scorers(self, candidates): ...

    class Changed(Many):
        def fit(self, train): ...

    assert [has_stacks(method) for method in (Plain, Many, Both, Changed)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("extra", "stack", "expected"),
    [
        ("Stacked.stackable = classmethod(lambda cls, config: 1 / 0)", 2,
         "method 'stacked' cannot say which of its trials go together: stackable() raised ZeroDivisionError: division "
         "by zero; choose stack='off'."),
        ("Stacked.stackable = classmethod(lambda cls, config: [])", 2,
         "method 'stacked' cannot say which of its trials go together: stackable() raised TypeError: unhashable type: "
         "'list'; choose stack='off'."),
        ("Stacked.stack = classmethod(lambda cls, device: 'many')", "auto",
         "method 'stacked' cannot say how many of its trials go side by side: stack('cpu') raised TypeError: 'str' "
         "object cannot be interpreted as an integer; choose stack='off'."),
    ],
)  # fmt: skip
def test_a_method_that_cannot_say_what_goes_together_is_named(tmp_path, data, extra, stack, expected):
    """In one line, before any trial."""
    write_stackable(tmp_path / "stacked.py", extra=extra)
    with pytest.raises(InputError) as error:
        run(tmp_path, data, stack)
    assert str(error.value) == expected


# What is asked for and said


@pytest.mark.parametrize(
    ("text", "expected"), [("off", 1), ("auto", "auto"), ("16", 16), (" Auto ", "auto"), (1, 1), (7, 7)]
)
def test_what_may_be_asked_for(text, expected):
    """A word, or a number from 1 on."""
    assert stacking_of(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "all", "8x", "٣", 0, -2, True, 2.0, None, "9999999"])
def test_anything_else_is_one_line(text):
    """Which says what is expected and what was found."""
    with pytest.raises(InputError, match="off, auto or a whole number from 1 on is expected") as error:
        stacking_of(text)
    assert repr(str(text))[1:-1] in str(error.value)


def test_the_command_says_it_too(tmp_path, data, in_process):
    """Exit code 2 and the option's name; trials that run side by side and singly are told before a run, and each method
    that has no stacks once; a debugger looks at one trial at a time."""
    plugin = write_stackable(tmp_path / "stacked.py", extra=OTHER)
    command: list[Any] = ["run", "--dataset", data, "--plugin", plugin, "--methods", "stacked,other", "--splits", 3,
                          "--no-validation", "--workers", 0, "--store", "store"]  # fmt: skip
    code, out, err = in_process(*command, "--stack", "0")
    assert (code, out) == (2, "")
    assert err == "zslbench: --stack: off, auto or a whole number from 1 on is expected, found '0'.\n"
    code, out, err = in_process(*command, "--stack", 2, "--dry-run")
    alone = "run singly, since they have no way to be fitted side by side: other."
    assert (code, err.splitlines()) == (
        0, [alone, "side by side: stacked 3 trials in 2 stacks of up to 2; all else singly."]
    )  # fmt: skip
    code, out, err = in_process(*command, "--stack", 2, "--pdb", "--store", "looked-at")
    assert code == 0, err
    assert sizes(tmp_path) == []
    code, out, err = in_process(*command, "--stack", 2)
    assert code == 0
    assert err.splitlines().count(alone) == 1
    assert sizes(tmp_path) == [2]
    key = next(record.key for record in records(tmp_path) if record.run.execution)
    assert "execution     stack of 2" in in_process("show", key, "--store", "store")[1]


def test_trials_are_counted_not_stacks(tmp_path, data):
    """Each trial starts and ends by itself; the time left takes each one's share of a stack's time."""
    plugin = write_stackable(tmp_path / "stacked.py")
    events = told(data, plugin, 4)
    assert [event.beside for event in events if isinstance(event, Started)] == [4] * 4
    registry, _, jobs = planned(data, plugin)
    progress = Progress(Console(quiet=True), 1)
    with progress.showing(jobs, {}):
        for job in jobs:
            progress.started(job, 4)
        progress.running = {key: (job, since - 400) for key, (job, since) in progress.running.items()}
        progress.epochs = {job.trial.key: (1, 2) for job in jobs}
        assert "about 6 min 40 s left" in progress._time_left()
    assert unstacked(registry, jobs, 4) == unstacked(registry, jobs, "auto") == ""
