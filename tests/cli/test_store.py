"""The store at the command line: results of old as ever, damage named by whatever reads it, names that are none."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import ROOT, write_synthetic
from stores import do, jobs

from zslbench.lines import sealed
from zslbench.records import Plan, Record, Store
from zslbench.report.tables import as_csv
from zslbench.results.leaderboard import leaderboard

pytestmark = pytest.mark.usefixtures("unsynced")
SHIPPED = ROOT / "results/ucm-16-5"
Command = Callable[..., tuple[object, str, str]]


def test_lines_of_an_earlier_version_give_the_same_leaderboard(in_process: Command, tmp_path: Path) -> None:
    """The shipped records give byte for byte the table of what their lines say, taken as they are; and the same with
    check sums, and without."""
    whole = [msgspec.json.decode(line, type=Record) for line in (SHIPPED / "records.jsonl").open("rb")]
    plans = [msgspec.json.decode(line, type=Plan) for line in (SHIPPED / "plan.jsonl").open("rb")]
    expected = as_csv(leaderboard(whole, plans))
    for write in (sealed, lambda record: msgspec.json.encode(record) + b"\n"):
        (tmp_path / "records.jsonl").write_bytes(b"".join(map(write, whole)))
        (tmp_path / "plan.jsonl").write_bytes(b"".join(map(write, plans)))
        assert in_process("leaderboard", "--store", tmp_path, "--format", "csv") == (0, expected, "")
    assert in_process("leaderboard", "--store", SHIPPED, "--format", "csv") == (0, expected, "")


@pytest.mark.parametrize(
    "args", [("leaderboard", "--json"), ("export", "--format", "json"), ("compare", "a", "b", "--json")]
)
def test_whatever_reads_a_store_names_what_is_damaged(in_process: Command, tmp_path: Path, args: Any) -> None:
    """A flipped bit costs its record alone: it is named on stderr with file and line, the result is one document that
    lacks it, and the row no longer looks complete."""
    do(jobs(splits=3), tmp_path / "s")
    path = tmp_path / "s/records.jsonl"
    content = bytearray(path.read_bytes())
    content[content.index(b'"T1":[0.') + 8] ^= 1
    path.write_bytes(content)
    code, out, err = in_process(*args, "--store", "s")
    assert code == 0
    assert err == (
        "zslbench: warning: s/records.jsonl, line 1 does not fit its check sum: left out; `zslbench run` moves it "
        "aside and runs its trial again.\n"
    )
    document = json.loads(out)
    if args[0] == "leaderboard":
        rows = {row["label"]: row for row in document[0]["rows"]}
        assert (rows["a"]["done"], rows["a"]["planned"], rows["a"]["why"]) == (2, 3, "lacks split 0")
        assert (rows["b"]["done"], rows["b"]["planned"]) == (3, 3)
    elif args[0] == "export":
        assert len(document) == 11
    assert path.read_bytes() == content


def test_status_tells_of_damage_while_a_run_goes_on_and_after(in_process: Command, tmp_path: Path) -> None:
    """A damaged record is to do again, and named, also while somebody writes to the store."""
    do(jobs(), tmp_path / "s")
    path = tmp_path / "s/records.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"seed":0', b'"seed":1', 1))
    (tmp_path / "s/predictions" / os.listdir(tmp_path / "s/predictions")[0]).write_bytes(b"")
    code, out, err = in_process("status", "--store", "s", "--json")
    assert code == 1
    assert json.loads(out)["to_do"] in (1, 2)
    assert "s/records.jsonl, line 1 does not fit its check sum" in err
    with Store(tmp_path / "s").writing():
        code, out, err = in_process("status", "--store", "s", "--json")
        assert json.loads(out)["running"] is True
        assert "s/records.jsonl, line 1 does not fit its check sum" in err


def test_a_hundred_damaged_lines_are_not_a_hundred_warnings(in_process: Command, tmp_path: Path) -> None:
    """The first few are named one by one, the others counted."""
    do(jobs(splits=30), tmp_path / "s")
    path = tmp_path / "s/records.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"seed":0', b'"seed":1', 100))
    code, _, err = in_process("leaderboard", "--store", "s")
    assert code == 0
    assert len(err.splitlines()) == 6
    assert err.endswith("s/records.jsonl: 95 more lines are damaged; `zslbench verify` lists them.\n")


COMMANDS = [
    ("leaderboard",), ("status",), ("export",), ("compare",), ("report",), ("cite",), ("reproduce", "mcfa"),
    ("run", "--methods", "eszsl", "--dataset", "toy", "--splits", 1, "--workers", 0),
    ("run", "--methods", "eszsl", "--dataset", "toy", "--splits", 1, "--workers", 0, "--dry-run"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(map(str, command)))
def test_a_store_without_a_name_is_refused(in_process: Command, tmp_path: Path, command: Any) -> None:
    """An empty name is not the current folder, and one that is too long is one line; nothing is written."""
    write_synthetic(tmp_path / "toy")
    before = sorted(os.listdir(tmp_path))
    for name in ("", "x" * 300, "x/" * 3000):
        code, out, err = in_process(*command, "--store", name)
        if command[:1] == ("reproduce",) and name:
            assert "no records in" in err  # the published numbers alone are shown
            continue
        if command[-1] == "--dry-run" and name:
            assert code == 2
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert err.startswith("zslbench: ")
        if not name:
            assert "expected the name of a folder, found an empty one" in err
    assert sorted(os.listdir(tmp_path)) == before


def test_an_empty_variable_names_no_store(in_process: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """ZSLBENCH_STORE without a value is as if it were not set."""
    monkeypatch.setenv("ZSLBENCH_STORE", "")
    assert "no records in results: " in in_process("leaderboard")[2]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "dangling"])
@pytest.mark.parametrize("name", ["records.jsonl", "plan.jsonl"])
@pytest.mark.parametrize("command", [*COMMANDS[:2], COMMANDS[-2], ("verify",)], ids=lambda command: str(command[0]))
def test_what_is_no_file_is_one_line(in_process: Command, tmp_path: Path, name: str, kind: str, command: Any) -> None:
    """A pipe, a device, a folder or a dangling link in place of records or plan: exit code 2 and one line, at once."""
    write_synthetic(tmp_path / "toy")
    do(jobs(), tmp_path / "s")
    path = tmp_path / "s" / name
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to({"device": "/dev/zero", "dangling": "nowhere"}[kind])
    store = ["s"] if command == ("verify",) else ["--store", "s"]
    code, out, err = in_process(*command, *store)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"{name}: expected a file, found " in err
