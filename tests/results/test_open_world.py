"""AUROC and OpenworldAUC: with new trials, added to old records, and in each form where they are asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from stores import do, jobs

import zslbench as zb
from zslbench.errors import InputError
from zslbench.lines import sealed
from zslbench.metrics import GzslDecisions, open_world
from zslbench.protocol import Outcome
from zslbench.records import Record, Store
from zslbench.results import Results
from zslbench.terms import OPEN_METRICS
from zslbench.verification import update, verify

Command = Callable[..., tuple[object, str, str]]


def changed(store: Store, change: Callable[[Outcome], Outcome]) -> Store:
    """The store with other outcomes."""
    lines = []
    for record in store.records():
        outcome = change(record.outcome)  # type: ignore[arg-type]  all are done
        lines.append(sealed(msgspec.structs.replace(record, outcome=outcome)))
    store.records_path.write_bytes(b"".join(lines))
    return Store(store.folder)


def older(outcome: Outcome) -> Outcome:
    """As an earlier version wrote it."""
    return msgspec.structs.replace(outcome, open_world={})


@pytest.fixture
def store(tmp_path: Path, unsynced: None) -> Store:
    """Twenty-four finished trials of two methods on six splits, in both stages."""
    do(jobs(splits=6), tmp_path / "s")
    return Store(tmp_path / "s")


def of_predictions(store: Store, record: Record) -> dict[str, float]:
    """Both numbers from what is stored."""
    kept = store.predictions(record)
    decisions = GzslDecisions(kept["gzsl_best_seen"], kept["gzsl_best_unseen"], kept["gzsl_margin"])
    return open_world(kept["gzsl_truth"], decisions, np.setdiff1d(kept["gzsl_truth"], kept["zsl_truth"]))


def test_a_trial_tells_them_after_every_epoch() -> None:
    """A new trial has both beside its curves, as many as epochs, and the last one is what the predictions give."""
    data = zb.load("ucm")
    found = zb.evaluate("eszsl", data, data.splits("16/5", 1)[0])
    curves = found.outcome.open_world
    assert set(curves) == set(OPEN_METRICS)
    assert {*map(len, curves.values())} == {len(found.outcome.gzsl["H"])}
    assert found.AUROC == curves["AUROC"][-1] > found.OpenworldAUC > 0


def test_old_records_gain_them_from_their_predictions(store: Store, in_process: Command) -> None:
    """`verify --update` adds what the predictions give to records that lack it, after the last epoch; every other
    number, key and line stays, and a second time nothing is left to do."""
    before = list(changed(store, older).records())
    code, out, err = in_process("verify", store.folder)
    assert (code, "note: 24 record(s) do not tell AUROC and OpenworldAUC; --update adds them." in out + err) == (
        0,
        True,
    )
    code, out, err = in_process("verify", store.folder, "--update", "--json")
    found = json.loads(out)
    assert (code, found["updated"], found["findings"], found["without_open_world"]) == (0, 24, [], 0)
    for old, new in zip(before, Store(store.folder).records(), strict=True):
        assert {name: curve[-1] for name, curve in new.outcome.open_world.items()} == of_predictions(store, new)
        assert {*map(len, new.outcome.open_world.values())} == {1}
        assert msgspec.structs.replace(new, outcome=older(new.outcome)) == old
    content = store.records_path.read_bytes()
    assert update(Store(store.folder)) == 0
    assert store.records_path.read_bytes() == content


def test_altered_and_damaged_records_are_left_alone(store: Store) -> None:
    """A record that its predictions contradict gains nothing and is named; so is a line that is no record."""
    first, second, *rest = changed(store, older).records_path.read_bytes().splitlines(keepends=True)
    record = msgspec.json.decode(first, type=Record)
    record.outcome.gzsl["S"][-1] = abs(record.outcome.gzsl["S"][-1] - 0.3)  # type: ignore[union-attr]
    damaged = second.replace(b'"split":', b'"split" :', 1)
    store.records_path.write_bytes(b"".join([sealed(record), damaged, *rest]))
    assert update(Store(store.folder)) == 22
    content = store.records_path.read_bytes().splitlines(keepends=True)
    assert content[:2] == [sealed(record), damaged]
    said = [finding.what for finding in verify(Store(store.folder)).findings]
    assert any("S is " in what for what in said)
    assert any("does not fit its check sum" in what for what in said)


def test_an_altered_value_is_found(store: Store) -> None:
    """`verify` computes both anew."""

    def shifted(outcome: Outcome) -> Outcome:
        further = outcome.open_world | {"AUROC": [*outcome.open_world["AUROC"][:-1], 0.123]}
        return msgspec.structs.replace(outcome, open_world=further)

    found = verify(changed(store, shifted))
    assert len(found.findings) == 24
    assert "AUROC is 0.123; the predictions give" in found.findings[0].what


@pytest.mark.parametrize(
    "wrong", [{"AUROC": [0.5]}, {"AUROC": [0.5], "OpenworldAUC": [0.5] * 2}, dict.fromkeys(OPEN_METRICS, [0.5] * 7)]
)
@pytest.mark.filterwarnings("ignore:.*more lines are damaged")
def test_ill_formed_curves_are_refused(store: Store, wrong: dict[str, list[float]]) -> None:
    """One metric alone, unequal lengths, or another number of epochs make a line that is no record."""
    with pytest.warns(UserWarning, match="AUROC, OpenworldAUC of all epochs or the last are expected"):
        assert not list(changed(store, lambda outcome: msgspec.structs.replace(outcome, open_world=wrong)).records())


def test_with_and_without_are_the_same_trial(store: Store) -> None:
    """A trial that an older version ran, run again with the same numbers, is no contradiction."""
    content = store.records_path.read_bytes()
    changed(store, older)
    store.records_path.write_bytes(store.records_path.read_bytes() + content)
    assert verify(Store(store.folder)).findings == []
    assert len(list(Store(store.folder).records())) == 48


def test_they_are_shown_where_they_are_asked_for(store: Store, in_process: Command) -> None:
    """The usual tables have no such column; --columns shows it in every form for people, --wide too; JSON, CSV, frames,
    the export and the report have it where it is known."""
    table = ("leaderboard", "--store", store.folder, "--dataset", "toy")
    for form in ("table", "md", "html", "latex"):
        assert "AUROC" not in in_process(*table, "--format", form)[1]
        said = in_process(*table, "--format", form, "--columns", "h,auroc")[1]
        assert "AUROC" in said
        assert "AUSUC: area" in said or form == "table"
    assert "OpenworldAUC" in in_process(*table, "--wide")[1]
    rows = json.loads(in_process(*table, "--json")[1])[0]["rows"]
    of_a = [
        of_predictions(store, record)["AUROC"] for record in store.records()
        if record.label == "a" and record.trial.stage == "test"
    ]  # fmt: skip
    (mean,) = [row["metrics"]["AUROC"]["mean"] for row in rows if row["method"] == "a"]
    assert mean == pytest.approx(np.mean(of_a))
    assert "OpenworldAUC_mean" in in_process(*table, "--format", "csv")[1].splitlines()[0]
    results = Results(store)
    frame = results.leaderboard().to_frame()
    assert frame["AUROC %"][frame["label"] == "a"].item() == pytest.approx(100 * np.mean(of_a))
    assert results.records()["OpenworldAUC"].notna().all()
    assert results.curves()["AUROC"].notna().all()
    code, _, _ = in_process("report", "--store", store.folder, "-o", store.folder.parent / "r.html")
    assert (code, "OpenworldAUC" in (store.folder.parent / "r.html").read_text()) == (0, True)


def test_records_without_them_show_nothing(store: Store, in_process: Command) -> None:
    """A row of which one trial does not tell shows a dash; epochs that validation chose are not told after an update;
    comparing by it says what to do."""
    of_a_split = [True]

    def one_older(outcome: Outcome) -> Outcome:
        return older(outcome) if of_a_split and of_a_split.pop() else outcome

    results = Results(changed(store, one_older))
    (rows,) = [table.rows for table in results.leaderboard()]
    assert [("AUROC" in row.metrics) for row in rows if row.label == "a"] == [False]
    assert [("AUROC" in row.metrics) for row in rows if row.label == "b"] == [True]
    said = in_process("leaderboard", "--store", store.folder, "--columns", "AUROC", "--format", "md")[1]
    assert any(
        line.startswith("|") and "| a " in line and line.rstrip("| ").endswith("-") for line in said.splitlines()
    )
    with pytest.raises(InputError, match=r"AUROC is not known of every trial of a: .* can add that from stored .*\.$"):
        results.compare("a", "b", metric="AUROC")
    assert results.compare("a", "b").comparison.metric == "H"
    update(Store(store.folder))
    compared = Results(store).compare("a", "b", metric="AUROC").comparison
    assert set(compared.values) == {"a", "b"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--columns", "H,AUROK"), "there is no column 'AUROK'. Did you mean 'AUROC'?"),
        (("--columns", "H", "--json"), "--columns is about tables for people, and json has every column"),
    ],
)
def test_columns_that_do_not_do(store: Store, in_process: Command, options: tuple[Any, ...], said: str) -> None:
    """An unknown column, and columns of a form that has all, are one line."""
    code, out, err = in_process("leaderboard", "--store", store.folder, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
