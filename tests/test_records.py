"""The store: nothing that was written is lost or changed, whatever happens to the writer."""

import contextlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from zslbench.errors import InputError
from zslbench.lines import sealed
from zslbench.protocol import GZSL_METRICS, ZSL_METRICS, Outcome
from zslbench.records import Cell, Failure, Plan, PlanRow, Record, Run, Store, Trial

pytestmark = pytest.mark.usefixtures("unsynced")
TORN = pytest.mark.filterwarnings("ignore:.*torn")


def trial(split: int = 0, **changes: Any) -> Trial:
    """A trial on a made-up data set."""
    fields: dict[str, Any] = {
        "method": "m", "method_version": 1, "config": {"a": 1.0, "b": 2}, "dataset": "toy", "features": "made",
        "semantics": "truth", "hashes": {"features": "f", "labels": "l", "semantics": "s"}, "family": "6/2",
        "split": split, "split_hash": f"split{split}", "seed": 0, "stage": "test", "protocol": 1,
    }  # fmt: skip
    return Trial(**(fields | changes))


def record(split: int = 0, status: str = "done", message: str = "broken", **changes: Any) -> Record:
    """A record of that trial; a failed one carries `message`."""
    asked = trial(split, **changes)
    outcome = Outcome({"T1": [0.5], "OA": [0.5]}, {"S": [1], "U": [1], "H": [1], "AUSUC": [1]}, {}, 1.0)
    return Record(
        key=asked.key,
        label="m",
        status=status,
        trial=asked,
        outcome=outcome if status == "done" else None,
        failure=None if status == "done" else Failure("ValueError", message),
        run=Run(host="ünï"),
    )


def fill(store: Store, *records: Record) -> None:
    """Append records the way a run does."""
    with store.writing():
        for item in records:
            store.append(item)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


def test_a_record_comes_back_as_it_was_written(store):
    """Every field of a done and of a failed record survives the file."""
    written = [record(0), record(1, "failed", 'naïve "message"\nin two lines')]
    fill(store, *written)
    assert list(store.records()) == written


def test_a_store_that_does_not_exist_is_empty_and_is_not_made_by_reading(store):
    """Reading a store that is not there gives nothing and leaves nothing behind."""
    assert (list(store.records()), store.latest(), store.plans()) == ([], {}, [])
    assert not store.folder.exists()


def test_plans_come_back_as_they_were_written(store):
    """A plan is one line of its own file, in order of writing."""
    asked = trial()
    plans = [Plan(f"time{i}", "zslbench run", [PlanRow("m", asked, [Cell(asked.key, 0, 0, "test")])]) for i in range(2)]
    with store.writing():
        for plan in plans:
            store.append_plan(plan)
    assert store.plans() == plans
    assert list(store.records()) == []


@pytest.mark.parametrize("order", [("done", "failed"), ("failed", "done"), ("failed", "done", "failed", "failed")])
def test_a_finished_record_counts_before_a_failed_one(store, order):
    """Whatever the order of writing, a trial that was done once is done."""
    fill(store, *(record(0, status) for status in order))
    assert store.latest()[trial().key].status == "done"


def test_the_newest_failure_counts(store):
    """Of a trial that only ever failed, the last failure is the one that is shown."""
    fill(store, record(0, "failed", "first"), record(0, "failed", "second"))
    assert store.latest()[trial().key].failure.message == "second"


def test_a_duplicated_line_counts_once(store):
    """A line that is in the file twice is one trial."""
    fill(store, record(0), record(1))
    content = store.records_path.read_bytes()
    store.records_path.write_bytes(content + content)
    assert len(list(store.records())) == 4
    assert list(store.latest()) == [trial(0).key, trial(1).key]


@TORN
def test_a_line_torn_anywhere_costs_its_own_trial_alone(store):
    """Cut at any byte, the last line is ignored when read, set aside when written, and all else stays as it was."""
    fill(store, record(0), record(1, "failed"), record(2))
    content = store.records_path.read_bytes()
    *whole, _ = content.splitlines(keepends=True)
    kept = b"".join(whole)
    torn = store.records_path.with_suffix(".torn")
    for length in range(len(kept) + 1, len(content)):
        store.records_path.write_bytes(content[:length])
        torn.unlink(missing_ok=True)
        assert set(store.latest()) == {trial(0).key, trial(1).key}
        assert store.records_path.read_bytes() == content[:length]
        fill(store, record(2))
        assert store.records_path.read_bytes() == content
        assert torn.read_bytes() == content[len(kept) : length] + b"\n"


def test_a_torn_line_is_reported_when_read_and_when_set_aside(store):
    """The user is told of a torn line, with the file it is in and the file it goes to."""
    fill(store, record(0))
    store.records_path.write_bytes(store.records_path.read_bytes() + b'{"key": "abc')
    with pytest.warns(UserWarning, match=r"records\.jsonl: the last line is torn and ignored"):
        assert len(store.latest()) == 1
    with pytest.warns(UserWarning, match=r"records\.jsonl: the last line is torn and was moved to records\.torn"):
        fill(store, record(1))


@TORN
def test_torn_lines_gather_beside_the_records(store):
    """A second torn line does not push out the first."""
    for tail in (b"first", b"second"):
        fill(store, record(0))
        store.records_path.write_bytes(store.records_path.read_bytes() + tail)
    fill(store)
    assert store.records_path.with_suffix(".torn").read_bytes() == b"first\nsecond\n"


@TORN
@pytest.mark.parametrize("content", [b"x" * 200_000, b"{", b"\n" + b"y" * 65536, b"\n" + b"y" * 65535])
def test_a_torn_line_may_be_long_or_the_only_one(store, content):
    """The end of the last whole line is found however far back it is."""
    store.folder.mkdir()
    store.records_path.write_bytes(content)
    fill(store)
    assert store.records_path.read_bytes() == content[: content.rfind(b"\n") + 1]


def corrupt_lines() -> dict[str, bytes]:
    """Lines that are no record."""
    line = msgspec.json.encode(record(1))
    future = msgspec.to_builtins(record(1))
    future["trial"]["schema"] = 2
    return {
        "cut": line[:100],
        "foreign": b'{"name": "something else", "values": [1, 2]}',
        "list": b"[]",
        "text": b"Traceback (most recent call last):",
        "binary": b"\xff\xfe\x00",
        "zeros": b"\x00" * 512,
        "two in one": line + line,
        "wrong type": line.replace(b'"seed":0', b'"seed":"zero"'),
        "another schema": json.dumps(future).encode(),
    }


@pytest.mark.parametrize("kind", corrupt_lines())
def test_a_line_that_is_no_record_is_named_left_out_and_set_aside(store, kind):
    """A damaged or foreign line is named with file and number and left out by a reader, and the file stays as it is;
    the next run moves it aside."""
    fill(store, record(0), record(2))
    first, last = store.records_path.read_bytes().splitlines(keepends=True)
    content = first + corrupt_lines()[kind] + b"\n" + last
    store.records_path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"records\.jsonl, line 2 (is not a record|does not fit)"):
        assert list(Store(store.folder).latest()) == [trial(0).key, trial(2).key]
    assert store.records_path.read_bytes() == content
    with store.writing():
        with pytest.warns(UserWarning, match=r"records\.jsonl, line 2 .*: moved to records\.bad"):
            found = store.latest()
        assert [found[key].trial.split for key in found] == [0, 2]
    assert store.records_path.read_bytes() == first + last
    assert store.records_path.with_suffix(".bad").read_bytes() == corrupt_lines()[kind] + b"\n"


def test_a_sound_line_of_another_version_is_refused(store):
    """A line that is as it was written, but that this version cannot read, is no damage: nothing is moved, and readers
    and writers stop with file and line."""
    fill(store, record(0))
    future = msgspec.to_builtins(record(1))
    future["trial"]["schema"] = 2
    line = sealed(msgspec.convert(future, msgspec.defstruct("Future", [(name, Any) for name in future])))
    content = store.records_path.read_bytes() + line
    store.records_path.write_bytes(content)
    with pytest.raises(InputError, match=r"records\.jsonl, line 2 is not a record of this version of zslbench"):
        store.latest()
    with store.writing(), pytest.raises(InputError, match="use another store; nothing was changed"):
        store.latest()
    assert store.records_path.read_bytes() == content


def test_a_foreign_plan_is_named_and_set_aside(store):
    """The plan file is held to the same rule as the records."""
    store.folder.mkdir()
    store.plans_path.write_text('{"key": 1}\n')
    with pytest.warns(UserWarning, match=r"plan\.jsonl, line 1 is not a plan"):
        assert store.plans() == []
    plan = Plan("now", "zslbench run", [])
    with store.writing(), pytest.warns(UserWarning, match=r"plan\.jsonl, line 1 .*: moved to plan\.bad"):
        store.append_plan(plan)
    assert store.plans() == [plan]
    assert store.plans_path.with_suffix(".bad").read_text() == '{"key": 1}\n'


def test_empty_lines_are_passed_over(store):
    """A blank line, as an editor leaves one, is no error."""
    fill(store, record(0))
    store.records_path.write_bytes(b"\n" + store.records_path.read_bytes() + b"  \n")
    assert len(list(store.records())) == 1


def test_predictions_come_back_exactly(store):
    """Margins keep every bit and labels their values."""
    kept = record(0)
    margin = np.random.default_rng(0).normal(size=100)
    with store.writing():
        store.append(kept, {"margin": margin, "truth": np.arange(100)})
    read = store.predictions(next(store.records()))
    assert read["margin"].tobytes() == margin.tobytes()
    np.testing.assert_array_equal(read["truth"], np.arange(100))


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "foreign", "pickled"])
def test_predictions_that_cannot_be_read_are_named(store, damage):
    """A predictions file that is gone or damaged is an input error with its path; a pickle is never loaded."""
    with store.writing():
        store.append(record(0), {"margin": np.arange(1000.0)})
    kept = next(store.records())
    path = store.folder / kept.predictions
    match damage:
        case "missing":
            path.unlink()
        case "pickled":
            np.savez(path, margin=np.array([{}], dtype=object))
        case _:
            path.write_bytes({"empty": b"", "cut": path.read_bytes()[:300], "foreign": b"text"}[damage])
    with pytest.raises(InputError, match=rf"{path.name} cannot be read"):
        store.predictions(kept)


def test_a_failed_trial_has_no_predictions(store):
    """Asking for the predictions of a failed trial says that it failed."""
    with pytest.raises(InputError, match="has no predictions: its trial failed"):
        store.predictions(record(0, "failed"))


@pytest.mark.parametrize("place", ["file/store", "file", "/proc/zslbench/store"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, place):
    """A store that cannot be made is an input error that names it; what is in the way stays as it is."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=f"store {tmp_path / place} (cannot be written: .|is a file; a folder)"):
        fill(Store(tmp_path / place))
    assert (tmp_path / "file").read_text() == "mine"


def test_reading_below_a_file_is_an_input_error(tmp_path):
    """Reading a store whose folder is a file names the path."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"file/records\.jsonl cannot be read"):
        Store(tmp_path / "file").latest()


@contextmanager
def holding(store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the store until the block ends."""
    code = (
        f"import sys; from zslbench.records import Store\nwith Store({str(store.folder)!r}).writing():\n"
        f"    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "held\n"
            yield other
        finally:
            other.kill()


def test_a_store_in_use_names_the_process_and_can_be_read(store):
    """A second writer is refused with the first one's process id; readers are let in; a dead holder holds nothing."""
    fill(store, record(0))
    with holding(store) as other:
        with pytest.raises(
            InputError, match=rf"in use by process {other.pid} on \S+; wait for it or use another store"
        ):
            fill(store)
        assert len(store.latest()) == 1
        other.kill()
        other.wait(timeout=10)
        fill(store, record(1))
    assert len(store.latest()) == 2
    assert not (store.folder / "lock.owner").exists()


def test_an_error_while_writing_releases_the_store(store):
    """Whatever ends a run, the next one can write."""
    with pytest.raises(KeyboardInterrupt), store.writing():
        raise KeyboardInterrupt
    fill(store, record(0))


def test_a_full_disk_loses_the_new_record_alone(store):
    """When a line does not fit, it is taken back whole, the error is readable, and later records are stored."""
    fill(store, record(0))
    before = store.records_path.read_bytes()
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_records import Store, record
store = Store({str(store.folder)!r})
with store.writing():
    resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 100}, resource.RLIM_INFINITY))
    try:
        store.append(record(1))
    except Exception as error:
        print(type(error).__name__, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(store.records_path.stat().st_size)
    store.append(record(2))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    said, size = done.stdout.splitlines()
    assert said.startswith(f"InputError store {store.folder} cannot be written: ")
    assert int(size) == len(before)
    assert store.records_path.read_bytes().startswith(before)
    assert [item.trial.split for item in store.records()] == [0, 2]


def test_a_full_disk_is_a_readable_error(store):
    """No space left is said in one sentence, for plans and logs as for records."""
    store.folder.mkdir()
    store.plans_path.write_bytes(b"\n" * 2000)
    (store.folder / "logs").mkdir()
    (store.folder / "logs/abc.log").write_bytes(b"\n" * 2000)
    code = f"""
import resource, signal
from zslbench.records import Failure, Plan, Record, Store, Trial
store = Store({str(store.folder)!r})
trial = Trial("m", 1, {{}}, "d", "f", "s", {{}}, "6/2", 0, "h", 0, "test", 1)
failed = Record(key=trial.key, label="m", status="failed", trial=trial, failure=Failure("E", "m"))

def log():
    store.write_log("abc", "text")
    store.append(failed)

with store.writing():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
    for work in (lambda: store.append_plan(Plan("", "", [])), log):
        try:
            work()
        except Exception as error:
            print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count(f"InputError store {store.folder} cannot be written: File too large") == 2


def test_half_written_predictions_are_no_predictions(store, monkeypatch):
    """Predictions appear under their name only when they are whole, and before the record that names them."""
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, os.strerror(28))))
    with store.writing(), pytest.raises(InputError, match="No space left"):
        store.append(record(0), {"margin": np.arange(3.0)})
    assert list((store.folder / "predictions").glob("*.npz")) == []
    assert store.latest() == {}


def test_the_key_hashes_everything_that_decides_the_outcome():
    """Changing any field of a trial changes its key."""
    keys = {
        trial(**change).key
        for change in (
            {}, {"method": "n"}, {"method_version": 2}, {"config": {"a": 1.5, "b": 2}}, {"dataset": "toys"},
            {"features": "x"}, {"semantics": "x"}, {"hashes": {"features": "g", "labels": "l", "semantics": "s"}},
            {"family": "5/3"}, {"split": 1}, {"split_hash": "x"}, {"seed": 1}, {"stage": "validation"},
            {"protocol": 2},
        )
    }  # fmt: skip
    assert len(keys) == 14
    assert all(len(key) == 32 for key in keys)


def test_the_key_is_the_same_in_every_process_and_order_of_parameters():
    """The key depends on values alone: not on the order of dictionaries, nor on a round trip through JSON."""
    asked = trial()
    again = msgspec.json.decode(msgspec.json.encode(asked), type=Trial)
    assert trial(config={"b": 2, "a": 1.0}).key == again.key == asked.key == "4e2390f03d172d0fdfbc26838c964c95"


def curves(**changes: list[float]) -> Outcome:
    """An outcome of two epochs, with some curves changed."""
    zsl, gzsl = ({name: changes.get(name, [0.5, 0.5]) for name in names} for names in (ZSL_METRICS, GZSL_METRICS))
    return Outcome(zsl, gzsl, {"zsl": [0.5], "gzsl": [0.5, 0.5]}, 0.5)


WRONG: dict[str, dict[str, Any]] = {
    "unequal curves": {"outcome": curves(H=[0.5])},
    "an empty curve": {"outcome": curves(T1=[], OA=[])},
    "a missing curve": {"outcome": Outcome({"T1": [0.5]}, curves().gzsl, {}, 0.5)},
    "a foreign curve": {"outcome": Outcome(curves().zsl | {"T2": [0.5, 0.5]}, curves().gzsl, {}, 0.5)},
    "too many unseen classes": {"outcome": Outcome(curves().zsl, curves().gzsl, {"zsl": [0.5], "gzsl": [0.5]}, 0.5)},
    "done without outcome": {"outcome": None},
    "failed with outcome": {"status": "failed"},
    "done and failed": {"failure": Failure("ValueError", "no")},
    "another key": {"key": "0" * 32},
    "a key that is a path": {"key": "../../x"},
    "predictions elsewhere": {"predictions": "/etc/passwd"},
    "predictions above": {"predictions": "predictions/../../secret.npz"},
    "predictions beside": {"predictions": "logs/x.npz"},
    "hidden predictions": {"predictions": "predictions/.."},
    "a null byte": {"predictions": "predictions/a\0b"},
    "a log elsewhere": {"run": Run(log="/etc/passwd")},
    "a log above": {"run": Run(log="../x.log")},
}
OUT_OF_RANGE: dict[str, tuple[bytes, bytes]] = {
    "above": (b'"T1":[0.5,0.5]', b'"T1":[0.5,1.5]'),
    "below": (b'"T1":[0.5,0.5]', b'"T1":[-0.1,0.5]'),
    "none": (b'"T1":[0.5,0.5]', b'"T1":[null,0.5]'),
    "text": (b'"T1":[0.5,0.5]', b'"T1":["0.5",0.5]'),
    "best": (b'"best_calibrated_h":0.5', b'"best_calibrated_h":7.5'),
    "class": (b'"zsl":[0.5]', b'"zsl":[55]'),
}


@pytest.mark.parametrize(
    ("kind", "marked"),
    [*((kind, marked) for kind in WRONG for marked in (True, False)), *((kind, False) for kind in OUT_OF_RANGE)],
)
def test_a_record_that_is_well_formed_and_wrong_is_named(store, kind, marked):
    """Whatever a record says that cannot be: one line, the other records are read, and the next run sets it aside; with
    a check sum as without one."""
    fill(store, record(1))
    asked = trial()
    sound = Record(key=asked.key, label="m", status="done", trial=asked, outcome=curves())
    wrong = msgspec.structs.replace(sound, **WRONG.get(kind, {}))
    line = msgspec.json.encode(wrong)
    if kind in OUT_OF_RANGE:  # no writer gives such a line a check sum
        assert OUT_OF_RANGE[kind][0] in line
        line = line.replace(*OUT_OF_RANGE[kind])
    whole = store.records_path.read_bytes()
    store.records_path.write_bytes(whole + (sealed(wrong) if marked else line + b"\n"))
    with pytest.warns(UserWarning, match=r"records\.jsonl, line 2 ") as said:
        assert [each.trial.split for each in Store(store.folder).records()] == [1]
    assert len(said) == 1
    with store.writing(), pytest.warns(UserWarning, match=r"line 2 .*: moved to records\.bad, to be run again"):
        assert list(store.latest()) == [trial(1).key]
    assert store.records_path.read_bytes() == whole


@pytest.mark.filterwarnings("ignore:.*done a second time")
def test_a_trial_that_is_done_twice_with_other_numbers_is_named(store):
    """Of two finished records the later one counts, as where the first one's predictions were lost; never silently."""
    first, second = record(), record()
    second.outcome = curves()
    fill(store, first, second, first)
    with pytest.warns(UserWarning, match=r"line 2: m, split 0, seed 0, test is done a second time, with other numbers"):
        assert store.latest()[first.key].outcome == first.outcome
    fill(store, record(1), record(1))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        list(store.records())
    assert all("split 1" not in str(each.message) for each in told)


def test_a_plan_whose_keys_are_not_those_of_its_trials_is_named(store):
    """The key of a row's first trial is derived anew."""
    asked = trial()
    good = Cell(asked.key, 0, 0, "test")
    fill(store)
    bad = msgspec.structs.replace(good, key="0" * 32)
    plans = [Plan("a", "zslbench run", [PlanRow("m", asked, [bad])]), Plan("b", "", [PlanRow("m", asked, [good])])]
    store.plans_path.write_bytes(b"".join(map(sealed, plans)))
    with pytest.warns(UserWarning, match=rf"plan\.jsonl, line 1 has the key '{'0' * 32}' for a trial of m that has "):
        assert [plan.created for plan in Store(store.folder).plans()] == ["b"]


@pytest.mark.parametrize("damage", ["gone", "empty", "half", "other", "folder", "link", "unreadable"])
@pytest.mark.parametrize("old", [True, False])
def test_a_record_whose_predictions_are_lost_is_not_done(store, tmp_path, damage, old):
    """Counting what is left to do, such a record does not count, and that is told; a leaderboard, which needs no
    predictions, still has its numbers. Records of old, without digest, are looked at too."""
    asked, kept = record(), record(1)
    with store.writing():
        for item in (asked, kept):
            store.append(item, {"margin": np.arange(100.0)})
    if old:
        for item in (asked, kept):
            item.predictions_bytes, item.predictions_digest = None, ""
        store.records_path.write_bytes(b"".join(msgspec.json.encode(item) + b"\n" for item in (asked, kept)))
    path = store.folder / str(asked.predictions)
    content = path.read_bytes()
    path.unlink()
    match damage:
        case "empty":
            path.touch()
        case "half":
            path.write_bytes(content[: len(content) // 2])
        case "other":
            path.write_bytes(b"x" * len(content))
        case "folder":
            path.mkdir()
        case "link":
            (tmp_path / "x.npz").write_bytes(content)
            path.symlink_to(tmp_path / "x.npz")
        case "unreadable":
            os.mkfifo(path)
    with pytest.warns(UserWarning, match=r"1 finished record\(s\) lost their predictions, the first predictions/"):
        assert list(store.latest(lasting=True)) == [kept.key]
    store._told.clear()
    with pytest.warns(UserWarning, match="not done, their trials run again"):
        assert [brief.key for brief in store.briefs(lasting=True)] == [kept.key]
    assert len(store.latest()) == 2


KINDS = ["pipe", "device", "folder", "dangling", "loop"]


def put(path: Path, kind: str) -> None:
    """Something that is no file."""
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to({"device": "/dev/zero", "dangling": "nowhere", "loop": path.name}[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["records.jsonl", "plan.jsonl", "lock"])
def test_a_store_holds_files_and_nothing_special(tmp_path, name, kind):
    """A pipe, a device, a folder or a link that leads nowhere in place of a file: one line, at once, nothing made."""
    folder = tmp_path / "s"
    folder.mkdir()
    put(folder / name, kind)
    with pytest.raises(InputError, match=rf"{name}(: expected a file, found| cannot be read)"):
        fill(Store(folder))
    assert not (folder / "nowhere").exists()
    if name != "lock":
        with pytest.raises(InputError, match=rf"{name}(: expected a file, found| cannot be read)"):
            list(Store(folder).records() if name == "records.jsonl" else Store(folder).each_plan())
    assert Store(folder).holder() is None


@pytest.mark.filterwarnings("ignore:.*(torn|moved)")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["lock.owner", "logs/abc.log", "predictions", "records.bad", "records.torn", f"predictions/{'0' * 32}.npz"]
)
def test_what_lies_where_a_run_writes_is_replaced_or_named(tmp_path, name, kind):
    """What somebody put in a run's way never makes it wait or write elsewhere."""
    folder = tmp_path / "s"
    (folder / "predictions").mkdir(parents=True)
    (folder / "logs").mkdir()
    (folder / "records.jsonl").write_bytes(b"no record\n" + b"torn")
    path = folder / name
    if path.is_dir():
        path.rmdir()
    elsewhere = tmp_path / "elsewhere"
    put(path, kind)
    store, asked = Store(folder), record()
    asked.key = "0" * 32
    with contextlib.suppress(InputError), store.writing():
        store.latest()
        store.write_log("abc", "text")
        store.append(asked, {"margin": np.arange(3.0)})
    assert not (folder / "nowhere").exists()
    assert not elsewhere.exists()


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000, "null\0byte"])
def test_a_store_that_cannot_be_named_is_one_line(name):
    """Names that are too long or hold a null byte end in one line, to read and to write."""
    store = Store(Path("/tmp") / name)
    for work in (lambda: fill(store), lambda: list(store.records()), store.plans):
        with pytest.raises(InputError, match=r"cannot be (read|written)"):
            work()
    assert store.holder() is None
    with pytest.raises(InputError, match="expected the name of a folder, found an empty one"):
        Store("")
