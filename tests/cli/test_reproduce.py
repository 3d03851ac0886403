"""`zslbench reproduce`: published numbers beside stored ones."""

import csv
import io
import json
import shlex
from pathlib import Path

import pytest
from conftest import ROOT
from test_architecture import imported_by

from zslbench.hashing import digest
from zslbench.protocol import Outcome
from zslbench.records import Record, Store, Trial
from zslbench.results.published import load_published, published_names

STORED = ROOT / "results/ucm-16-5"


def store_of(folder: Path, values: dict[str, list[list[float]]], dataset: str = "rssdivcs", family: str = "60/10"):
    """A store whose trials measured, split by split, these T1 after each epoch; H is T1 - 0.1."""
    store = Store(folder)
    with store.writing():
        for label, splits in values.items():
            for split, curve in enumerate(splits):
                trial = Trial(
                    method=label, method_version=1, config={}, dataset=dataset, features="f", semantics="s",
                    hashes={"features": "1", "labels": "2", "semantics": "3"}, family=family, split=split,
                    split_hash=digest(split), seed=0, stage="test", protocol=1,
                )  # fmt: skip
                lower = [value - 0.1 for value in curve]
                outcome = Outcome(
                    zsl={"T1": curve, "OA": curve}, gzsl=dict.fromkeys(("S", "U", "H", "AUSUC"), lower),
                    per_class={}, best_calibrated_h=0.5,
                )  # fmt: skip
                store.append(Record(key=trial.key, label=label, status="done", trial=trial, outcome=outcome))


@pytest.fixture
def dsva(tmp_path: Path) -> None:
    """Six splits of dsva+cal on RSSDIVCS 60/10: T1 80 to 90 at best, 10 points lower in the end."""
    best = [0.80, 0.82, 0.84, 0.86, 0.88, 0.90]
    store_of(tmp_path / "results", {"dsva+cal": [[0.5, value, value - 0.1] for value in best]})


def test_tables_are_listed(in_process):
    """Without a name the tables are listed, in every format."""
    assert [row["name"] for row in json.loads(in_process("reproduce", "--json")[1])] == list(published_names())
    rows = list(csv.DictReader(io.StringIO(in_process("reproduce", "--format", "csv")[1])))
    assert [row["name"] for row in rows] == list(published_names())
    assert "| dsva-2023" in in_process("reproduce", "--format", "md")[1]
    assert "dsva-2023" in in_process("reproduce")[1]


def test_differences_by_hand(in_process, dsva):
    """Ours minus published, at the last epoch and, for a row chosen on the test set, at our best test epoch, marked."""
    code, out, err = in_process("reproduce", "dsva-2023", "--dataset", "60-10", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    pairs = {pair["method"]: pair for pair in found["pairs"]}
    last, oracle = pairs["DSVA (paper)"]["stored"]
    assert (last["selection"], last["oracle"], last["splits"]) == ("last", False, 6)
    assert (oracle["selection"], oracle["oracle"]) == ("test-max", True)
    assert last["metrics"]["T1"]["mean"] == pytest.approx(75)
    assert last["metrics"]["T1"]["difference"] == pytest.approx(75 - 84.0)
    assert last["metrics"]["T1"]["inside"] is False
    assert oracle["metrics"]["T1"]["difference"] == pytest.approx(85 - 84.0)
    assert oracle["metrics"]["T1"]["inside"] is True
    assert oracle["metrics"]["T1"]["low"] < 84 < oracle["metrics"]["T1"]["high"]
    assert oracle["metrics"]["H"]["difference"] == pytest.approx(75 - 67.7)
    (only,) = pairs["DSVA (authors' log 1, last epoch)"]["stored"]  # chosen without the test set: no oracle beside it
    assert only["selection"] == "last"
    assert only["metrics"]["T1"]["difference"] == pytest.approx(75 - 79.7)
    assert set(only["metrics"]) == {"T1", "H"}
    assert found["commands"] == []
    assert found["like_for_like"] is False
    assert found["verdict"].startswith("Not like for like")
    assert found["differs"] == load_published("dsva-2023").differs


def test_what_a_reader_sees(in_process, dsva):
    """Shown are both numbers, our interval, the difference, the oracle's mark and every known difference."""
    for form in ("table", "md"):
        out = in_process("reproduce", "dsva-2023", "--dataset", "60-10", "--format", form)[1]
        text = " ".join(out.split())
        assert "-9.0 outside" in text
        assert "+1.0 inside" in text
        assert "75.0 [" in text
        assert "by the TEST set: oracle" in text
        assert "Not like for like" in text
        assert all(difference in out for difference in load_published("dsva-2023").differs)


def test_one_split_has_no_interval(in_process, tmp_path):
    """With one split there is a difference and no statement about an interval."""
    store_of(tmp_path / "results", {"dsva+cal": [[0.8]]})
    found = json.loads(in_process("reproduce", "dsva-2023", "--dataset", "60-10", "--json")[1])
    t1 = found["pairs"][0]["stored"][0]["metrics"]["T1"]
    assert (t1["low"], t1["high"], t1["inside"]) == (None, None, None)
    assert t1["difference"] == pytest.approx(-4)
    assert "-4.0 " in in_process("reproduce", "dsva-2023", "--dataset", "60-10", "--format", "md")[1]


def test_a_gap_has_the_command_that_fills_it(in_process, dsva):
    """What is not stored is left empty, and one command per data set and family names the methods that lack."""
    found = json.loads(in_process("reproduce", "dsva-2023", "--store", "results", "--json")[1])
    missing = [pair for pair in found["pairs"] if not pair["stored"]]
    assert {pair["dataset"] for pair in missing} == {"50-20", "40-30"}
    assert [shlex.split(command) for command in found["commands"]] == [
        ["zslbench", "run", "--methods", "dsva+cal", "--dataset", "rssdivcs", "--split-family", family,
         "--store", "results"] for family in ("50/20", "40/30")
    ]  # fmt: skip
    rows = csv.DictReader(io.StringIO(in_process("reproduce", "dsva-2023", "--format", "csv")[1]))
    gaps = [row for row in rows if row["dataset"] == "50-20"]
    assert {(row["selection"], row["mean"], row["difference"]) for row in gaps} == {("", "", "")}


def test_the_command_runs_once_the_data_set_is_there(in_process, synthetic, tmp_path):
    """The printed command is one that zslbench takes: with the data set's folder it plans the missing methods."""
    out = in_process("reproduce", "gbu-2019", "--dataset", f"cub={synthetic}", "--split-family", "6/2", "--json")[1]
    (command,) = json.loads(out)["commands"]
    program, *arguments = shlex.split(command)
    assert program == "zslbench"
    drop = arguments.index("--methods") + 1
    arguments[drop] = arguments[drop].replace("dap,", "").replace("conse,", "")  # no attributes in this data set
    code, out, _ = in_process(*arguments, "--splits", "1", "--dry-run")
    assert code == 0
    assert "eszsl" in out


def test_other_data_stands_in_only_at_request(in_process):
    """UC Merced's records fill no RSSDIVCS table by themselves; if they are to, that is the first difference said."""
    found = json.loads(in_process("reproduce", "dsva-2023", "--store", STORED, "--json")[1])
    assert not any(pair["stored"] for pair in found["pairs"])
    asked = ("--dataset", "60-10=ucm", "--split-family", "16/5", "--json")
    found = json.loads(in_process("reproduce", "dsva-2023", "--store", STORED, *asked)[1])
    assert all(pair["stored"] for pair in found["pairs"])
    assert found["differs"][0].startswith("Data: ucm 16/5 is taken to stand for RSSDIVCS 60/10")


def test_a_method_s_name_gives_its_rows_of_every_table(in_process):
    """`reproduce cada` is an array of every table with a row of CADA-VAE, and holds no other method's rows."""
    code, out, _ = in_process("reproduce", "cada", "--json")
    assert code == 0
    found = json.loads(out)
    tables = map(load_published, published_names())
    expected = {table.id: [row.method for row in table.rows if row.ours == "cada"] for table in tables}
    assert {each["id"]: list(dict.fromkeys(pair["method"] for pair in each["pairs"])) for each in found} == {
        id: methods for id, methods in expected.items() if methods
    }
    assert len(found) > 1
    assert {pair["ours"].partition("[")[0] for each in found for pair in each["pairs"]} == {"cada"}
    for name, said in (("dsva", "dsva-2023"), ("dsva+cal", "dsva-2023"), ("clip", "rs-transclip-2024"),
                       ("mcfa", "No number of this table is known here")):  # fmt: skip
        code, out, _ = in_process("reproduce", name)
        assert code == 0
        assert said in out
    only = json.loads(in_process("reproduce", "cada", "--dataset", "flo", "--json")[1])
    assert [(each["id"], list(each["datasets"])) for each in only] == [("gasl-2023", ["flo"])]
    csv_rows = list(csv.DictReader(io.StringIO(in_process("reproduce", "cada", "--format", "csv")[1])))
    assert {row["table"] for row in csv_rows} == {each["id"] for each in found}


def test_a_stand_in_is_compared_where_it_is_stored(in_process):
    """UC Merced is stored as 16/5: that stands for CUB's 150/50, which it cannot have, and no command asks for it."""
    found = json.loads(in_process("reproduce", "gbu-2019", "--dataset", "cub=ucm", "--store", STORED, "--json")[1])
    assert all(pair["stored"] for pair in found["pairs"] if pair["ours"])
    assert found["differs"][0].startswith("Data: ucm 16/5 is taken to stand for CUB")
    assert (found["commands"], found["gaps"]) == ([], [])


@pytest.mark.parametrize("family", [[], ["--split-family", "150/50"]])
def test_what_a_data_set_cannot_have_is_not_recommended(in_process, family):
    """With nothing stored, 150/50 of 21 classes is said to be impossible, in place of a command that would fail."""
    asked = ("reproduce", "gbu-2019", "--dataset", "cub=ucm", *family)
    found = json.loads(in_process(*asked, "--json")[1])
    assert found["commands"] == []
    (gap,) = found["gaps"]
    assert "nothing can fill it from ucm" in gap
    assert "S + U = 21" in gap
    out = in_process(*asked)[1]
    assert gap in out
    assert "zslbench run" not in out


def test_a_stand_in_with_several_families_is_asked_for(in_process, tmp_path):
    """Stored with two split families, a stand-in needs --split-family: one line that names both."""
    for family in ("4/3", "5/2"):
        store_of(tmp_path / "results", {"eszsl": [[0.5]]}, dataset="mine", family=family)
    code, out, err = in_process("reproduce", "gbu-2019", "--dataset", "cub=mine")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "4/3, 5/2" in err
    assert "--split-family" in err
    assert in_process("reproduce", "gbu-2019", "--dataset", "cub=mine", "--split-family", "5/2")[0] == 0


def test_each_row_has_its_own_source(in_process):
    """DEM and GAZSL say where they come from; the other rows are of Xian et al."""
    asked = ("reproduce", "gbu-2019", "--dataset", "cub")
    found = json.loads(in_process(*asked, "--json")[1])
    sources = {pair["method"]: pair["source"] for pair in found["pairs"]}
    assert {method for method, source in sources.items() if source != found["source"]} == {"DEM", "GAZSL"}
    assert "Learning a Deep Embedding Model" in sources["DEM"]
    assert "Noisy Texts" in sources["GAZSL"]
    out = in_process(*asked, "--format", "md")[1]
    assert "| DEM [1] " in out
    assert f"- [1]: {sources['DEM']}." in out
    assert "| ALE  " in out
    rows = csv.DictReader(io.StringIO(in_process(*asked, "--format", "csv")[1]))
    assert {row["method"]: row["source"] for row in rows} == sources


def test_numbers_that_no_trial_measures(in_process):
    """CLIP over all classes is shown with where it is checked, and no command pretends to repeat it."""
    out = in_process("reproduce", "rs-transclip-whurs19", "--format", "md")[1]
    assert "81.29" in out
    assert "95.22" in out
    assert "no trial measures this" in out
    assert "No comparison" in out
    assert "zslbench run" not in out
    assert Path(ROOT, "tests/methods/test_clip.py").is_file()  # which the note names
    assert "tests/methods/test_clip.py" in out


def test_uncertain_numbers_are_marked(in_process):
    """A number read off an image has a question mark and its reason below; a certain one has neither."""
    out = in_process("reproduce", "tfvaegan-2020", "--dataset", "cub", "--format", "md")[1]
    assert "64.9?" in out
    assert "Read off an image" in out
    assert "53.9 " in (certain := in_process("reproduce", "gbu-2019", "--dataset", "cub", "--format", "md")[1])
    assert "53.9?" not in certain


def test_mcfa_says_that_its_numbers_are_unknown(in_process):
    """The table of MCFA has no numbers and says so."""
    code, out, _ = in_process("reproduce", "mcfa-2023")
    assert code == 0
    assert "No number of this table is known here" in out


def test_bad_input(in_process):
    """An unknown table, data set or half a mapping is one line with close matches, exit code 2."""
    for arguments, message in (
        (("dsva-2032",), "Did you mean 'dsva-2023'"),
        (("dsv",), "Did you mean 'dsva'"),
        (("dsva", "--dataset", "cub"), "no such data set in dsva-2023"),
        (("gbu-2019", "--dataset", "cup"), "Did you mean 'cub'"),
        (("gbu-2019", "--dataset", "cub="), "ID=STORED"),
    ):
        code, out, err = in_process("reproduce", *arguments)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1


def test_without_a_store_the_published_numbers_are_shown(in_process):
    """Nothing stored is no error: the published numbers come, with a remark on stderr."""
    code, out, err = in_process("reproduce", "cada-vae-2019", "--json")
    assert (code, len(json.loads(out)["pairs"])) == (0, 9)
    assert "no records in results" in err


def test_reproducing_imports_neither_torch_nor_ray():
    """Reading tables and records takes no heavy import."""
    imported = imported_by("-m", "zslbench", "reproduce", "gbu-2019", "--store", str(STORED))
    assert {"torch", "ray"} & imported == set()
