"""`zslbench export`: every record flat, in three formats that say the same."""

import builtins
import csv
import io
import json
import sys
import warnings
from pathlib import Path

import pytest
from conftest import ROOT
from plugins import write_plugin

from zslbench.cli import main
from zslbench.records import Store
from zslbench.results.leaderboard import leaderboard

STORED = ROOT / "results/ucm-16-5"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The committed records, exported as Parquet and read back."""
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("export") / "x.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["zslbench", "export", "--store", str(STORED), "-o", str(path)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as end:  # `main` sets a handler of its own
            main()
    assert end.value.code == 0
    return pq.read_table(path).to_pylist()


def lines(store: Path) -> list[dict[str, object]]:
    """The stored records as plain JSON."""
    return [json.loads(line) for line in (store / "records.jsonl").open()]


def test_parquet_holds_every_record(exported):
    """Read back by pyarrow, each row says what its JSON line says, parameter by parameter and metric by metric."""
    records = lines(STORED)
    assert len(exported) == len(records)
    configs = [record["trial"]["config"] for record in records]
    words = {name for config in configs for name, value in config.items() if isinstance(value, str)}
    assert "head" in words  # a word of one method, a number of another: a column of text
    for row, record in zip(exported, records, strict=True):
        trial, run, zsl, gzsl = record["trial"], record["run"], record["outcome"]["zsl"], record["outcome"]["gzsl"]
        assert (row["key"], row["label"], row["status"]) == (record["key"], record["label"], record["status"])
        assert row["version"] == trial["method_version"]
        same = ("method", "dataset", "features", "semantics", "family", "split", "seed", "stage", "split_hash")
        assert {name: row[name] for name in same} == {name: trial[name] for name in same}
        assert json.loads(row["config"]) == trial["config"]
        parameters = {name: value for name, value in row.items() if name.startswith("param.") and value is not None}
        assert parameters == {
            f"param.{name}": json.dumps(value) if name in words and not isinstance(value, str) else value
            for name, value in trial["config"].items() if value is not None
        }  # fmt: skip
        assert {name: row[f"hash.{name}"] for name in trial["hashes"]} == trial["hashes"]
        assert {name: row[name] for name in (*zsl, *gzsl)} == {n: v[-1] for n, v in (zsl | gzsl).items()}
        assert (row["epochs.zsl"], row["epochs.gzsl"]) == (len(zsl["T1"]), len(gzsl["H"]))
        assert row["test_max.T1"] == max(zsl["T1"]) == zsl["T1"][row["test_max.epoch.zsl"] - 1]
        assert row["test_max.H"] == max(gzsl["H"]) == gzsl["H"][row["test_max.epoch.gzsl"] - 1]
        assert row["test_max.U"] == gzsl["U"][row["test_max.epoch.gzsl"] - 1]
        assert row["test_max.calibrated_H"] == record["outcome"]["best_calibrated_h"]
        kept = ("fit_seconds", "peak_mb", "device", "host", "started", "finished", "attempt")
        assert {name: row[name] for name in kept} == {name: run.get(name, 1) for name in kept}  # attempt 1 is left out
        assert json.loads(row["versions"]) == run["versions"]
        assert row["counts"] is True


def test_means_of_the_export_are_those_of_the_leaderboard(exported):
    """Averaged by hand over splits, the exported columns give the leaderboard's numbers, its oracle ones included."""
    store = Store(STORED)
    for selection, prefix in (("last", ""), ("test-max", "test_max.")):
        for table in leaderboard(store.records(), selection=selection):
            for row in table.rows:
                mine = [one for one in exported if one["stage"] == "test" and one["label"] == row.label
                        and one["hash.semantics"] == table.hashes["semantics"]]  # fmt: skip
                if len(mine) != row.done:  # a label that an older version or other defaults shared
                    continue
                for metric in ("T1", "U", "H", "AUSUC"):
                    mean = sum(one[prefix + metric] for one in mine) / len(mine)
                    assert mean == pytest.approx(row.metrics[metric].mean), (row.label, metric)


def test_csv_and_json_say_the_same_as_parquet(in_process, exported):
    """The three formats have the same columns and values; CSV writes nothing for what is missing."""
    code, out, err = in_process("export", "--store", STORED, "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out) == exported
    code, out, err = in_process("export", "--store", STORED)
    assert (code, err) == (0, "")
    header, *body = csv.reader(io.StringIO(out))
    assert header == list(exported[0])
    assert body == [[_cell(value) for value in row.values()] for row in exported]


def _cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_curves_have_a_row_per_epoch(in_process, synthetic, tmp_path):
    """Each finished record gives as many rows as it has epochs, numbered from 1, with the stored values."""
    plugin = write_plugin(tmp_path / "mine.py")
    run = ("run", "--methods", "mine,eszsl", "--plugin", plugin, "--dataset", synthetic, "--splits", "2")
    assert in_process(*run, "--workers", "0")[0] == 0
    rows = json.loads(in_process("export", "--curves", "--format", "json")[1])
    expected = [
        (record["key"], epoch + 1, record["outcome"]["zsl"]["T1"][epoch], record["outcome"]["gzsl"]["H"][epoch])
        for record in lines(tmp_path / "results") for epoch in range(3 if record["trial"]["method"] == "mine" else 1)
    ]  # fmt: skip
    assert [(row["key"], row["epoch"], row["T1"], row["H"]) for row in rows] == expected
    assert {row["method"] for row in rows} == {"mine", "eszsl"}


def test_curves_of_different_lengths(in_process):
    """Where ZSL has more epochs than GZSL, the later rows have no GZSL value."""
    rows = json.loads(in_process("export", "--store", STORED, "--curves", "--format", "json")[1])
    first = [row for row in rows if row["key"] == rows[0]["key"]]  # mcfa: 50 epochs and 23
    assert [row["epoch"] for row in first] == list(range(1, 51))
    assert [row["H"] is None for row in first] == [False] * 23 + [True] * 27
    assert not any(row["T1"] is None for row in first)


def test_failures_and_repeats_are_rows_too(in_process, synthetic, tmp_path):
    """A failed trial is exported with its message; once it has run again only the finished record counts."""
    plugin = write_plugin(tmp_path / "mine.py", before="assert os.path.exists('ready'), 'not, \"ready\"'")
    run = ("run", "--methods", "mine", "--plugin", plugin, "--dataset", synthetic, "--splits", "1", "--no-validation")
    assert in_process(*run, "--workers", "0")[0] == 1
    (tmp_path / "ready").touch()
    assert in_process(*run, "--workers", "0")[0] == 0
    failed, done = csv.DictReader(io.StringIO(in_process("export")[1]))
    assert [(row["status"], row["counts"]) for row in (failed, done)] == [("failed", "false"), ("done", "true")]
    assert (failed["failure.type"], failed["T1"], done["failure.type"]) == ("AssertionError", "", "")
    assert 'not, "ready"' in failed["failure.message"]
    assert float(done["T1"]) >= 0
    assert done["source"] == failed["source"] != ""


def test_a_parameter_that_methods_declare_differently(in_process, tmp_path, synthetic):
    """One column holds a number here and text there: as text in Parquet, numbers stay numbers where all are."""
    import pyarrow.parquet as pq

    for name, declared in (("one", "ridge: float = param(1.0"), ("two", 'ridge: str = param("big"')):
        path = write_plugin(tmp_path / f"{name}.py", name=name)
        text = path.read_text().replace("ridge: float = param(1.0", declared).replace("self.config.ridge *", "1.0 *")
        path.write_text(text if name == "one" else text.replace(', "penalty", gt=0', ', "penalty"'))
    run = ("run", "--methods", "one,two,eszsl", "--dataset", synthetic, "--splits", "1", "--no-validation")
    plugins = ("--plugin", tmp_path / "one.py", "--plugin", tmp_path / "two.py")
    assert in_process(*run, *plugins, "--workers", "0")[0] == 0
    assert in_process("export", "-o", "x.parquet")[0] == 0
    rows = {row["method"]: row for row in pq.read_table("x.parquet").to_pylist()}
    assert (rows["one"]["param.ridge"], rows["two"]["param.ridge"], rows["eszsl"]["param.ridge"]) == (
        "1.0",
        "big",
        None,
    )
    assert rows["eszsl"]["param.log10_gamma"] == 3.0


def test_parquet_without_pyarrow(in_process, monkeypatch, tmp_path):
    """One line says what to install; a file that was there before stays."""
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **options)

    (tmp_path / "x.parquet").write_text("before")
    monkeypatch.setattr(builtins, "__import__", without)
    code, out, err = in_process("export", "--store", STORED, "-o", "x.parquet")
    assert (code, out) == (2, "")
    assert err == (
        "zslbench: Parquet needs pyarrow, which is installed with zslbench and cannot be imported here (pyarrow): "
        "install zslbench again.\n"
    )
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.parquet", "before")]


def test_bad_input(in_process, tmp_path):
    """Parquet needs a file; no store, a folder that is not there and the store's own files are refused in a line."""
    assert "name it by -o" in in_process("export", "--store", STORED, "--format", "parquet")[2]
    assert "no records in results" in in_process("export")[2]
    assert "cannot be written" in in_process("export", "--store", STORED, "-o", "no/where.csv")[2]
    own = tmp_path / "results"
    own.mkdir()
    (own / "records.jsonl").write_bytes((STORED / "records.jsonl").read_bytes())
    before = (own / "records.jsonl").read_bytes()
    code, _, err = in_process("export", "-o", "results/records.jsonl", "--format", "json")
    assert (code, (own / "records.jsonl").read_bytes()) == (2, before)
    assert "part of the store" in err


def test_an_empty_store(in_process, tmp_path):
    """A store in which nothing has ended yet gives a header, an empty array or an empty table."""
    import pyarrow.parquet as pq

    (tmp_path / "results").mkdir()
    (tmp_path / "results/records.jsonl").touch()
    assert in_process("export")[1].startswith("key,label,method")
    assert json.loads(in_process("export", "--format", "json")[1]) == []
    assert in_process("export", "-o", "x.parquet")[0] == 0
    assert pq.read_table("x.parquet").num_rows == 0
