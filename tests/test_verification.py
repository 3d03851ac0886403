"""`zslbench verify`: what a store says is what its predictions give, or the difference is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from conftest import ROOT
from stores import at_once, do, jobs, measured

from zslbench.lines import sealed
from zslbench.records import Plan, Record, Store
from zslbench.records.predictions import packed
from zslbench.verification import Verified, verify

pytestmark = pytest.mark.usefixtures("unsynced")
SHIPPED = ROOT / "results/ucm-16-5"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Eight finished trials."""
    do(jobs(), tmp_path / "s")
    return Store(tmp_path / "s")


def altered(store: Store, change: Callable[[Record], Any], *, with_sum: bool = True) -> Verified:
    """What is found where the first record was changed, with a check sum that fits or, as of old, without one."""
    first, *rest = store.records_path.read_bytes().splitlines(keepends=True)
    record = msgspec.json.decode(first, type=Record)
    change(record)
    line = sealed(record) if with_sum else msgspec.json.encode(record) + b"\n"
    store.records_path.write_bytes(line + b"".join(rest))
    return verify(Store(store.folder))


def test_what_was_just_run_is_found_to_be_right(store):
    """Every number of every trial is given again by its predictions, to the bit."""
    found = verify(store)
    assert (found.findings, found.notes) == ([], [])
    assert (found.records, found.done, found.recomputed, found.plans, found.unmarked, found.without_digest) == (
        8, 8, 8, 1, 0, 0,
    )  # fmt: skip


def test_the_shipped_results_are_what_their_predictions_give(in_process):
    """The records of this repository, which an earlier version wrote, are verified and counted as unmarked."""
    code, out, err = in_process("verify", SHIPPED, "--json")
    found = json.loads(out)
    assert (code, err, found["findings"], found["notes"]) == (0, "", [], [])
    assert found["done"] == found["recomputed"] == len((SHIPPED / "records.jsonl").read_bytes().splitlines())
    assert 0 < found["without_digest"] <= found["done"]
    assert found["unmarked"] == 0
    code, out, _ = in_process("verify", SHIPPED)
    assert code == 0
    assert (
        f"note: {found['unmarked']} line(s) without a check sum and {found['without_digest']} record(s) without" in out
    )
    assert out.splitlines()[-1] == "Nothing differs."


@pytest.mark.parametrize("with_sum", [True, False])
@pytest.mark.parametrize("metric", ["T1", "OA", "S", "U", "H", "AUSUC"])
def test_an_altered_accuracy_is_found(store, metric, with_sum):
    """Each metric of the last epoch, by a hundredth, in lines with and without a check sum."""

    def change(record: Record) -> None:
        assert record.outcome is not None
        curves = record.outcome.zsl if metric in record.outcome.zsl else record.outcome.gzsl
        curves[metric][-1] = abs(curves[metric][-1] - 0.01)

    said = [finding.what for finding in altered(store, change, with_sum=with_sum).findings]
    assert any(f"a, split 0, seed 0, test: {metric} is " in what and "the predictions give" in what for what in said)


def change_best(record: Record) -> None:
    """The oracle's H."""
    record.outcome.best_calibrated_h /= 2


def change_class(record: Record) -> None:
    """The accuracy of one class."""
    record.outcome.per_class["gzsl"][-1] = abs(record.outcome.per_class["gzsl"][-1] - 0.2)


def change_classes(record: Record) -> None:
    """One class less."""
    del record.outcome.per_class["gzsl"][0]


def change_earlier(record: Record) -> None:
    """H of the first epoch, which no prediction is kept of."""
    record.outcome.gzsl["H"][0] = abs(record.outcome.gzsl["H"][0] - 0.25)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_best, "best calibrated H is "),
        (change_class, "the gzsl accuracy of class 7 of 7 is "),
        (change_classes, "the record tells of 3 unseen classes among 6, and 3 among 7 were measured"),
        (change_earlier, "H of epoch 1 is "),
    ],
)
def test_other_altered_numbers_are_found(store, change, said):
    """The oracle's H, accuracies of classes, their number, and H of an earlier epoch by its S and U."""
    (finding,) = altered(store, change).findings
    assert (finding.file, finding.line) == ("records.jsonl", 1)
    assert said in finding.what


def test_records_that_are_wrong_are_named(store):
    """A foreign key, a doubled trial with other numbers, a line of another make, a cut plan."""
    lines = store.records_path.read_bytes().splitlines(keepends=True)
    first = msgspec.json.decode(lines[0], type=Record)
    other = measured(jobs()[1].trial).outcome
    foreign = msgspec.structs.replace(first, key="0" * 32)
    again = msgspec.structs.replace(first, outcome=other)
    store.records_path.write_bytes(b"".join(lines) + sealed(foreign) + sealed(again) + b"nothing\n")
    store.plans_path.write_bytes(store.plans_path.read_bytes()[:-20])
    said = {(finding.file, finding.line): finding.what for finding in verify(store).findings}
    assert said.pop(("plan.jsonl", None)) == "the last line is torn"
    assert said.pop(("records.jsonl", 9)) == f"the line has the key '{'0' * 32}', and its trial has {first.key}"
    assert "split 0, seed 0, test: " in said.pop(("records.jsonl", 10))
    assert said.pop(("records.jsonl", 11)).startswith("the line is not a record (")
    assert said == {}


@pytest.mark.parametrize("kind", ["gone", "empty", "swapped", "bomb", "pickle", "folder", "link", "text"])
def test_predictions_that_are_not_the_record_s_are_named(store, tmp_path, kind):
    """Whatever lies there in place of them: one finding, and the others are looked at all the same."""
    first, second, *_ = store.records()
    path, other = (store.folder / each.predictions for each in (first, second))
    content = path.read_bytes()
    path.unlink()
    match kind:
        case "empty":
            path.touch()
        case "swapped":
            shutil.copy(other, path)
        case "bomb":
            np.savez_compressed(path, margin=np.zeros(40_000_000))
        case "pickle":
            np.savez(path, margin=np.array([{}], dtype=object))
        case "folder":
            path.mkdir()
        case "link":
            (tmp_path / "elsewhere.npz").write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere.npz")
        case "text":
            path.write_text("text")
    (finding,) = verify(store).findings
    assert finding.line == 1
    assert f"{path.name} cannot be read: " in finding.what


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"zsl_truth": np.arange(3)},
        {"zsl_predicted": np.zeros(3)},
        {"zsl_predicted": np.zeros((15, 1), int)},
        {"gzsl_margin": np.full(35, np.nan)},
        {"gzsl_margin": np.zeros(34)},
        {"gzsl_truth": np.full(35, 9)},
        {"zsl_truth": np.zeros(0, int), "zsl_predicted": np.zeros(0, int)},
    ],
)
def test_arrays_that_are_no_predictions_are_named(store, arrays):
    """Arrays that lack, of other lengths, kinds or classes, in a file of a record without a digest: one finding."""
    first = next(store.records())
    kept = measured(first.trial).predictions | arrays if arrays else {}
    (store.folder / str(first.predictions)).write_bytes(packed(kept))

    def forget(record: Record) -> None:
        record.predictions_digest, record.predictions_bytes = "", None

    (finding,) = altered(store, forget, with_sum=False).findings
    assert finding.line == 1


def test_what_belongs_to_no_record_is_noted(store):
    """Predictions without a record, as a run that was killed leaves them, and lines set aside are no error."""
    (store.folder / "predictions/0.npz").touch()
    store.records_path.with_suffix(".bad").touch()
    found = verify(store)
    assert found.findings == []
    assert found.notes[0].startswith("1 file(s) in predictions belong to no record, the first 0.npz")
    assert found.notes[1:] == ["records.bad holds lines that were set aside before."]


def test_the_command_tells_findings_by_its_exit_code(store, in_process):
    """0 where nothing differs, 1 with a list where something does, 2 where there is no store; nothing is changed."""
    assert in_process("verify", "s")[0] == 0
    path = store.folder / str(next(store.records()).predictions)
    path.write_bytes(path.read_bytes()[:-1])
    before = store.records_path.read_bytes()
    code, out, err = in_process("verify", "s")
    assert (code, err) == (1, "")
    assert "records.jsonl, line 1: a, split 0, seed 0, test: predictions s/predictions/" in out
    assert out.splitlines()[-1] == "1 finding(s)."
    code, out, _ = in_process("verify", "s", "--json")
    assert (code, len(json.loads(out)["findings"])) == (1, 1)
    assert store.records_path.read_bytes() == before
    code, out, err = in_process("verify", "nowhere")
    assert (code, out) == (2, "")
    assert err.startswith("zslbench: no records in nowhere: expected nowhere/records.jsonl")


def test_a_failed_trial_has_nothing_to_compute(tmp_path):
    """Failed records are counted, and looked at no further."""
    from zslbench.records import Failure

    asked = jobs()[:2]
    with Store(tmp_path / "s").writing() as store:
        store.append_plan(Plan("now", "zslbench run", []))
        trial = asked[0].trial
        store.append(Record(key=trial.key, label="a", status="failed", trial=trial, failure=Failure("E", "no")))
    do(asked[1:], tmp_path / "s", at_once)
    found = verify(Store(tmp_path / "s"))
    assert (found.findings, found.failed, found.done) == ([], 1, 1)
