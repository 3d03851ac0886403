"""Stores made one: no trial lost, none doubled, in whatever order; what contradicts is named, nothing is half done."""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import Files, contents, do, jobs, measured, table

import zslbench as zb
from zslbench.errors import InputError
from zslbench.lines import sealed
from zslbench.merging import merge, writing
from zslbench.records import Cell, Failure, Plan, PlanRow, Record, Run, Standings, Store, Trial
from zslbench.records.predictions import packed
from zslbench.terms import METRICS
from zslbench.verification import verify

pytestmark = pytest.mark.usefixtures("unsynced")
ASKED = jobs(("a", "b"), 2, ("test",))
LAB, SERVER = ASKED[:3], ASKED[2:]
MANY = settings(
    max_examples=15, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Command = Callable[..., tuple[object, str, str]]


def joined(folder: Path, *names: str, into: str = "all", **options: Any) -> Any:
    """Merge stores of a folder."""
    return merge([Store(folder / name) for name in names], Store(folder / into), **options)


def kept(store: Path) -> Files:
    """The files of a store, without the notes on where they came from."""
    return Files((name, content) for name, content in contents(store).items() if not name.startswith("merged"))


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    """Four trials: the first three done in `lab`, the last two in `server`."""
    do(LAB, tmp_path / "lab")
    do(SERVER, tmp_path / "server")
    return tmp_path


def rewritten(store: Path, change: Callable[[Record], Any], which: int = 0) -> None:
    """Change one record, with a check sum that fits."""
    path = store / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    record = msgspec.json.decode(lines[which], type=Record)
    change(record)
    lines[which] = sealed(record)
    path.write_bytes(b"".join(lines))


def test_two_machines_one_table(stores: Path) -> None:
    """What two stores have is in the merged one, once, with predictions that give its numbers; its leaderboard is that
    of one run of all; the stores are as they were."""
    before = contents(stores / "lab"), contents(stores / "server")
    found = joined(stores, "lab", "server")
    assert (found.done, found.failed, found.plans, found.agreeing) == (4, 0, 2, 1)
    assert found.taken == {str(stores / "lab"): 3, str(stores / "server"): 1}
    assert (contents(stores / "lab"), contents(stores / "server")) == before
    do(ASKED, stores / "once")
    assert table(stores / "all") == table(stores / "once")
    looked = verify(Store(stores / "all"))
    assert (looked.findings, looked.notes, looked.records, looked.recomputed) == ([], [], 4, 4)
    assert do(ASKED, stores / "all").ran == 0


def test_a_note_says_where_each_trial_came_from(stores: Path, in_process: Command) -> None:
    """The merge is a line with its command and the keys of each store; `show` says it, also after a second merge."""
    joined(stores, "lab", "server", command="zslbench merge lab server -o all")
    ((_, note),) = Store(stores / "all").merge_reader()
    assert note.command == "zslbench merge lab server -o all"
    assert [sorted(source.keys) for source in note.sources] == [
        sorted(job.trial.key for job in LAB), [ASKED[3].trial.key]
    ]  # fmt: skip
    joined(stores, "all", into="more")
    said = in_process("show", ASKED[3].trial.key, "--store", "more")[1]
    (line,) = [line for line in said.splitlines() if line.startswith("merged from")]
    assert line.index("server, 20") < line.index("all, 20")
    shown = json.loads(in_process("show", ASKED[0].trial.key, "--store", "more", "--json")[1])
    assert [each.split(",")[0] for each in shown["merged"]] == [str(stores / "lab"), str(stores / "all")]
    plans = {plan.created: plan.command for plan in Store(stores / "more").plans()}
    assert set(plans.values()) == {"zslbench run"}


HOURS = st.integers(0, 3)
EVENTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["done", "failed", "printed"]), HOURS), max_size=5)


def make(folder: Path, name: str, events: Sequence[tuple[int, str, int]]) -> None:
    """A store in which trials ended so, in the order of their hours."""
    with Store(folder / name).writing() as store:
        for number, (at, kind, hour) in enumerate(sorted(events, key=lambda event: event[2])):
            trial, time = ASKED[at].trial, f"2026-01-01T0{hour}:00:00.000+00:00"
            row = PlanRow(trial.method, trial, [Cell(trial.key, trial.split, trial.seed, trial.stage)])
            store.append_plan(Plan(time, f"run {name}", [row]))
            log = store.write_log(trial.key, f"{name} {number}\n") if kind == "printed" else None
            run = Run(finished=time, host=name, log=log)
            if kind == "done":
                found = measured(trial)
                store.append(Record(key=trial.key, label=trial.method, status="done", trial=trial, run=run,
                                    outcome=found.outcome), found.predictions)  # fmt: skip
            else:
                store.append(Record(key=trial.key, label=trial.method, status="failed", trial=trial, run=run,
                                    failure=Failure("E", f"{name} {number}")))  # fmt: skip


@MANY
@given(st.tuples(EVENTS, EVENTS, EVENTS))
def test_merging_is_idempotent_and_associative(events: tuple[Any, Any, Any]) -> None:
    """Whatever three stores hold: merged at once, two first and then the third, or the last two first, gives the same
    bytes; merging any of them again changes none; each trial counts as in one store with all that happened; no record,
    plan or log is lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for store, happened in zip("abc", events, strict=True):
            make(folder, store, happened)
        joined(folder, *"abc", into="abc")
        joined(folder, *"ab", into="ab")
        joined(folder, "ab", "c", into="(ab)c")
        joined(folder, *"bc", into="bc")
        joined(folder, "a", "bc", into="a(bc)")
        joined(folder, "b", "c", into="ab")
        whole = kept(folder / "abc")
        assert kept(folder / "(ab)c") == whole
        assert kept(folder / "a(bc)") == whole
        assert kept(folder / "ab") == whole
        files = contents(folder / "abc")
        for store in ("a", "b", "c", "bc", "(ab)c"):
            joined(folder, store, into="abc")
            assert contents(folder / "abc") == files
        standings, records = Standings(), [list(Store(folder / store).records()) for store in "abc"]
        for record in sorted((record for each in records for record in each), key=lambda record: record.run.finished):
            standings.note(record)
        merged = list(Store(folder / "abc").records())
        assert Store(folder / "abc").latest().status == standings.status
        assert sum(record.status == "done" for record in merged) == [*standings.status.values()].count("done")
        failures = {record.failure.message for each in records for record in each if record.failure}
        assert {record.failure.message for record in merged if record.failure} == failures
        printed = {name: content for name, content in whole.items() if name.startswith("logs/")}
        for store in "abc":
            for name, content in contents(folder / store).items():
                assert not name.startswith("logs/") or content in printed.values()
        for record in merged:
            if record.run.log is not None:
                assert record.failure.message.encode() in printed[record.run.log]  # its own store's log, not another's
        assert {plan.command for plan in Store(folder / "abc").plans()} == {
            f"run {store}" for store, happened in zip("abc", events, strict=True) if happened
        }
        assert verify(Store(folder / "abc")).findings == []


def test_other_numbers_of_one_trial_are_refused(stores: Path) -> None:
    """Both sides are told with the largest difference, and how to choose; nothing is written."""
    other = measured(ASKED[0].trial)
    rewritten(stores / "server", lambda record: setattr(record, "outcome", other.outcome))
    with pytest.raises(InputError) as refused:
        joined(stores, "lab", "server")
    said = str(refused.value)
    one, two = measured(ASKED[2].trial).outcome, other.outcome
    worst = max(
        METRICS,
        key=lambda name: abs((one.zsl | one.gzsl)[name][-1] - (two.zsl | two.gzsl)[name][-1]),
    )
    assert (
        f"1 trial(s) are done in several stores with other numbers; most a, split 1, seed 0, test: {worst} is " in said
    )
    for name, outcome in (("lab", one), ("server", two)):
        assert f"{(outcome.zsl | outcome.gzsl)[worst][-1]:.6g} in {stores / name}" in said
    assert f"prefer='{stores / 'lab'}' or prefer='{stores / 'server'}'" in said
    assert not (stores / "all").exists()


@pytest.mark.parametrize("preferred", ["lab", "server"])
def test_one_chooses_whose_numbers_count(stores: Path, preferred: str) -> None:
    """With the store that is preferred, its record and its predictions are taken, whatever the order, and what was not
    taken is told; an existing store's own record is never replaced."""
    other = measured(ASKED[0].trial)
    path = stores / "server/predictions" / f"{ASKED[2].trial.key}.npz"
    path.write_bytes(packed(other.predictions))

    def change(record: Record) -> None:
        record.outcome, record.predictions_digest, record.predictions_bytes = other.outcome, "", None

    rewritten(stores / "server", change)
    found = joined(stores, "lab", "server", prefer=[Store(stores / preferred)])
    (conflict,) = found.conflicts
    assert (conflict.kept, conflict.trial) == (str(stores / preferred), "a, split 1, seed 0, test")
    kept_outcome = Store(stores / "all").latest()[ASKED[2].trial.key].outcome
    assert kept_outcome == (other if preferred == "server" else measured(ASKED[2].trial)).outcome
    assert verify(Store(stores / "all")).findings == []
    if preferred == "server":
        with pytest.raises(InputError, match=r"what a store has stays\. Merge both into a new one"):
            joined(stores, "server", into="lab", prefer=[Store(stores / "server")])
    else:
        assert joined(stores, "server", into="lab", prefer=[Store(stores / "lab")]).done == 4
    with pytest.raises(InputError, match="none of the stores that are merged"):
        joined(stores, "lab", "server", into="x", prefer=[Store(stores / "y")])


def test_the_last_digits_of_another_processor_are_no_conflict(stores: Path) -> None:
    """Numbers that differ by rounding are one result: the first store's record is taken, and it is counted."""

    def change(record: Record) -> None:
        assert record.outcome is not None
        record.outcome.gzsl["AUSUC"] = [value + 3e-13 for value in record.outcome.gzsl["AUSUC"]]

    rewritten(stores / "server", change)
    found = joined(stores, "server", "lab")
    assert (found.agreeing, found.conflicts) == (1, [])
    assert Store(stores / "all").latest()[ASKED[2].trial.key].outcome != measured(ASKED[2].trial).outcome


def test_what_is_done_once_more_in_its_own_store_counts_as_it_does_there(stores: Path) -> None:
    """Of two finished records of a trial in one store the later one is taken, and that is said."""
    lines = (stores / "lab/records.jsonl").read_bytes().splitlines(keepends=True)
    later = msgspec.json.decode(lines[0], type=Record)
    later.run.host = "later"
    (stores / "lab/records.jsonl").write_bytes(b"".join([*lines, sealed(later)]))
    with pytest.warns(UserWarning, match="1 record.s. were done again in their own store"):
        joined(stores, "lab", "server")
    merged = [record for record in Store(stores / "all").records() if record.key == later.key]
    assert [record.run.host for record in merged] == ["later"]


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"hashes": {"features": "other", "labels": "l", "semantics": "s"}}, "features made of toy (other and f)"),
    ({"hashes": {"features": "f", "labels": "other", "semantics": "s"}}, "labels of toy (other and l)"),
    ({"hashes": {"features": "f", "labels": "l", "semantics": "other"}}, "semantics truth of toy (other and s)"),
    ({"protocol": 2}, "protocol of toy (2 and 1)"),
    ({"split_hash": "edited"}, "split 1 of toy 4/3 (edited and split1)"),
]


@pytest.mark.parametrize(("changes", "said"), OTHERS, ids=[said.split(" of")[0] for _, said in OTHERS])
def test_other_data_of_the_same_name_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """One line names the stores and what differs; nothing is written; on request all is merged, and read as such."""
    do(ASKED[2:], tmp_path / "lab")
    trials = [msgspec.structs.replace(job.trial, **changes) for job in ASKED[2:]]
    with Store(tmp_path / "server").writing() as store:
        for trial in trials:
            found = measured(trial)
            store.append(Record(key=trial.key, label=trial.method, status="done", trial=trial, outcome=found.outcome),
                         found.predictions)  # fmt: skip
    with pytest.raises(InputError) as refused:
        joined(tmp_path, "lab", "server")
    assert f"{tmp_path / 'server'} and {tmp_path / 'lab'} differ in the {said}; nothing was merged" in str(
        refused.value
    )
    assert "mixed=True" in str(refused.value)
    assert not (tmp_path / "all").exists()
    assert joined(tmp_path, "lab", "server", mixed=True).done == 4
    assert joined(tmp_path, "server", into="all").agreeing == 2  # it has both already
    assert len(table(tmp_path / "all")) == (1 if "split_hash" in changes else 2)


def test_an_edited_plugin_is_told(tmp_path: Path) -> None:
    """Two texts of one plugin are merged with a word: of drafts, the one that was asked for last counts alone."""
    for name, text in (("lab", "old"), ("server", "new")):
        with Store(tmp_path / name).writing() as store:
            trial = msgspec.structs.replace(ASKED[0].trial, source=text)
            store.append(Record(key=trial.key, label="a", status="failed", trial=trial, failure=Failure("E", "no")))
    with pytest.warns(UserWarning, match="the plugin of a has another text in .*server than in .*lab"):
        joined(tmp_path, "lab", "server")


@pytest.mark.parametrize("with_digest", [True, False])
def test_altered_predictions_are_refused_unless_another_store_has_them(stores: Path, with_digest: bool) -> None:
    """By their digest, or where an earlier version kept none by the numbers that they give: the trial is named, and
    nothing is written; where another store has the same trial whole, that one is taken."""
    path = stores / "lab/predictions" / f"{ASKED[2].trial.key}.npz"
    path.write_bytes(packed(measured(ASKED[0].trial).predictions))
    if not with_digest:
        rewritten(stores / "lab", lambda record: (setattr(record, "predictions_digest", ""),
                                                  setattr(record, "predictions_bytes", None)), 2)  # fmt: skip
    shutil.copytree(stores / "lab", stores / "lone")
    with pytest.raises(InputError, match=r"a, split 1, seed 0, test: .*(another file|predictions give)"):
        joined(stores, "lone")
    assert not (stores / "all").exists()
    found = joined(stores, "lab", "server")
    assert found.taken == {str(stores / "lab"): 2, str(stores / "server"): 2}
    assert verify(Store(stores / "all")).findings == []


def test_predictions_that_are_gone_are_told(stores: Path) -> None:
    """The record is merged without them, which every later reader tells too; another store's copy is taken instead."""
    (stores / "lab/predictions" / f"{ASKED[2].trial.key}.npz").unlink()
    with pytest.warns(UserWarning, match="1 finished trial.s. are merged without their predictions"):
        assert joined(stores, "lab", into="x").done == 3
    assert do(LAB, stores / "x").ran == 1
    joined(stores, "lab", "server")
    assert do(ASKED, stores / "all").ran == 0


def test_a_damaged_line_is_named_and_the_rest_merged(stores: Path, in_process: Command) -> None:
    """A flipped bit costs its trial alone, and so does a torn end: both are named, exit code 1; the store they are in
    keeps them; what is missing runs again."""
    path = stores / "lab/records.jsonl"
    content = path.read_bytes().replace(b'"seed":0', b'"seed":1', 1)[:-20]
    path.write_bytes(content)
    code, out, err = in_process("merge", "lab", "server", "-o", "all")
    assert code == 1
    assert "zslbench: warning: lab/records.jsonl, line 1 does not fit its check sum: not merged.\n" in err
    assert "zslbench: warning: lab/records.jsonl: the last line is torn: not merged.\n" in err
    assert "all: 3 trial(s) done, 0 failed, 2 plan(s).\n" in out
    assert path.read_bytes() == content
    assert do(ASKED, stores / "all").ran == 1
    assert in_process("merge", "lab", "-o", "all", "--json")[0] == 1


def test_a_damaged_line_of_the_store_that_is_merged_into(stores: Path) -> None:
    """It is set aside, as whatever writes to a store does, and another store's record of that trial takes its place."""
    path = stores / "lab/records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b'"seed":0', b'"seed":1', 1)]))
    with pytest.warns(UserWarning, match="line 3 does not fit its check sum: moved to records.bad"):
        assert joined(stores, "server", into="lab").done == 4
    assert path.with_suffix(".bad").read_bytes().count(b"\n") == 1
    assert verify(Store(stores / "lab")).findings == []


def test_logs_of_two_stores_stand_side_by_side(stores: Path) -> None:
    """Where both printed something for one trial, the second one's gets a name of its own; one that is gone, none."""
    make(stores, "x", [(0, "printed", 1)])
    make(stores, "y", [(0, "printed", 2), (1, "printed", 2)])
    (stores / "y/logs" / f"{ASKED[1].trial.key}.log").unlink()
    joined(stores, "x", "y")
    found = [(record.run.host, record.run.log) for record in Store(stores / "all").records()]
    texts = {host: (stores / "all" / log).read_text() for host, log in found if log is not None}
    assert texts == {"x": "x 0\n", "y": "y 0\n"}
    assert [log for _, log in found].count(None) == 1


def test_a_store_is_not_merged_with_itself_or_while_it_is_written_to(stores: Path, in_process: Command) -> None:
    """One line each: into itself, also by another name; twice; in use, whether it is read or written; no store."""
    (stores / "link").symlink_to("lab")
    for args, said in (
        (("lab", "server", "-o", "lab"), "lab is to be merged into itself: name the others alone"),
        (("link", "-o", "lab"), "lab is to be merged into itself"),
        (("lab", "link", "-o", "all"), "link is named twice"),
        (("lab", "nowhere", "-o", "all"), "no records in nowhere"),
        (("lab", "server"), "Missing option '-o'"),
        (("lab", "", "-o", "all"), "expected the name of a folder, found an empty one"),
        (("lab", "server", "-o", "all", "--prefer", "other"), "--prefer other is none of the stores"),
    ):
        code, out, err = in_process("merge", *args)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
    for held in ("lab", "server"):
        with Store(stores / held).writing():
            code, out, err = in_process("merge", "server", "-o", "lab")
        assert (code, out) == (2, "")
        assert f"store {held} is in use by process {os.getpid()} on " in err
    assert not (stores / "all").exists()


class Killed(BaseException):
    """As if the process had ended there."""


@pytest.mark.parametrize("into", ["new", "lab"])
def test_a_merge_that_is_killed_is_whole_or_nothing(stores: Path, monkeypatch: pytest.MonkeyPatch, into: str) -> None:
    """Killed at any replacement or start of a file: what is read has none of the other trials or all of them, each with
    its predictions; merging again ends as if nothing had been."""
    shutil.rmtree(stores / "server")
    make(stores, "server", [(3, "done", 3), (0, "printed", 2)])
    others = ["server", "lab"] if into == "new" else ["server"]

    def start(name: str) -> None:
        shutil.rmtree(stores / name, ignore_errors=True)
        if into == "lab":
            shutil.copytree(stores / "lab", stores / name)

    start("undisturbed")
    joined(stores, *others, into="undisturbed")
    whole = kept(stores / "undisturbed")
    steps, seen = 0, set[int]()
    while True:
        start("run")
        left = [steps]

        def replace(self: Path, target: Path, real: Any = Path.replace, left: list[int] = left) -> Path:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(self, target)  # type: ignore[no-any-return]

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            try:
                joined(stores, *others, into="run")
            except Killed:
                pass
            else:
                break
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            records = list(Store(stores / "run").records()) if (stores / "run/records.jsonl").exists() else []
        seen.add(len(records))
        for record in records:
            if record.predictions:
                Store(stores / "run").predictions(record)
        if (stores / "run/records.jsonl").exists():
            assert verify(Store(stores / "run")).findings == []
        joined(stores, *others, into="run")
        assert kept(stores / "run") == whole
        steps += 1
    assert steps > 4
    assert seen == ({0, 5} if into == "new" else {3, 5})


def test_a_kept_model_goes_with_its_record(stores: Path) -> None:
    """Of a trial that is taken the model is copied too; one of a trial that is not taken stays behind."""
    for store, job in (("lab", LAB[0]), ("server", SERVER[0]), ("server", SERVER[1])):
        path = Store(stores / store).model_path(job.trial.key)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"{store} {job.trial.key}".encode())
    with pytest.warns(UserWarning, match=r"1 kept model\(s\), .*server, stay behind.* name .*server first"):
        joined(stores, "lab", "server")
    assert set(Store(stores / "all").models()) == {LAB[0].trial.key, SERVER[1].trial.key}
    assert Store(stores / "all").model_path(LAB[0].trial.key).read_bytes().startswith(b"lab")


def test_status_says_how_to_go_on_in_the_merged_store(stores: Path, in_process: Command) -> None:
    """A command that was given in another store is told with this one, which comes last and counts."""
    path = stores / "server/records.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    joined(stores, "lab", "server")
    said = in_process("status", "--store", "all", "--all")[1]
    assert "3 of 4 trials done, 0 failed, 1 to do." in said
    assert "  zslbench run --store all\n" in said
    assert "  zslbench run\n" in in_process("status", "--store", "server")[1]


def test_merging_copies_no_more_than_it_must(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second merge writes nothing at all: not even a note."""
    joined(stores, "lab", "server")
    before = {path: path.stat().st_mtime_ns for path in (stores / "all").rglob("*.jsonl")}
    monkeypatch.setattr("zslbench.merging.write", lambda *_: pytest.fail("written"))
    joined(stores, "server", into="all")
    assert {path: path.stat().st_mtime_ns for path in (stores / "all").rglob("*.jsonl")} == before


def test_the_function_and_the_command_say_the_same(stores: Path, in_process: Command) -> None:
    """`zslbench.merge` gives the results of the merged store; the command prints what was taken of each."""
    results = zb.merge([stores / "lab", stores / "server"], stores / "all")
    assert results.leaderboard()[0].rows[0].done == 2
    code, out, err = in_process("merge", "lab", "server", "-o", "other")
    assert (code, err) == (0, "")
    assert out == (
        "lab: 3 record(s) taken.\n"
        "server: 1 record(s) taken.\n"
        "1 trial(s) are done in several stores, with the same numbers: taken of the first.\n"
        "other: 4 trial(s) done, 0 failed, 2 plan(s).\n"
        "Next: zslbench leaderboard --store other\n"
    )
    assert kept(stores / "other") == kept(stores / "all")
    found = json.loads(in_process("merge", "lab", "-o", "third", "--json")[1])
    assert (found["done"], found["taken"], found["conflicts"], found["left_out"]) == (3, {"lab": 3}, [], [])
    with pytest.raises(InputError, match="stores: a list of paths is expected"):
        zb.merge(3, stores / "all")  # type: ignore[arg-type]


def test_many_files_are_synced_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More trials than files may be open at once."""
    monkeypatch.setattr(writing, "_AT_ONCE", 8)
    do(jobs(splits=10), tmp_path / "lab")
    assert joined(tmp_path, "lab").done == 40
    assert verify(Store(tmp_path / "all")).recomputed == 40


def test_a_trial_s_key_decides() -> None:
    """What the tests above build on: these trials have keys of their own."""
    assert len({job.trial.key for job in ASKED}) == 4
    assert isinstance(ASKED[0].trial, Trial)
