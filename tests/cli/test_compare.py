"""`zslbench compare` and the leaderboard's forms, on the shipped results and on stores with what must not be mixed."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from conftest import ROOT
from scipy import stats

from zslbench.records import Record, Store

SHIPPED = ROOT / "results" / "ucm-16-5"
Command = Callable[..., tuple[object, str, str]]


def records() -> list[Record]:
    """The shipped records."""
    return list(Store(SHIPPED).records())


def strict_rows(in_process: Command) -> list[Any]:
    """The rows of the strict table, as JSON."""
    tables = json.loads(in_process("leaderboard", "--store", SHIPPED, "--json")[1])
    (table,) = [table for table in tables if table["track"] == "strict"]
    return list(table["rows"])


def store_of(folder: Path, made: list[Record]) -> Path:
    """A store of these records alone."""
    folder.mkdir()
    (folder / "records.jsonl").write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in made))
    return folder


def last_h(label: str) -> dict[int, float]:
    """H after the last epoch, split by split, read from the lines of the file."""
    found = {}
    for line in (SHIPPED / "records.jsonl").read_text(encoding="utf-8").splitlines():
        plain = json.loads(line)
        if plain["label"] == label and plain["trial"]["stage"] == "test":
            found[plain["trial"]["split"]] = plain["outcome"]["gzsl"]["H"][-1]
    return found


def test_a_pair_is_what_scipy_says_of_the_records(in_process: Command) -> None:
    """Difference, counts and p of the shipped results are recomputed from the lines of records.jsonl."""
    code, out, err = in_process("compare", "mcfa+cal", "cada", "--store", SHIPPED, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    a, b = last_h("mcfa+cal"), last_h("cada")
    differences = np.array([a[split] - b[split] for split in sorted(a)])
    (pair,) = found["pairs"]
    assert (pair["a"], pair["b"], pair["splits"]) == ("mcfa+cal", "cada", len(a))
    assert pair["difference"] == pytest.approx(differences.mean())
    assert pair["p"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert (pair["wins"], pair["losses"]) == ((differences > 0).sum(), (differences < 0).sum())
    assert pair["effect"] == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert found["values"]["cada"] == pytest.approx({str(split): value for split, value in b.items()})
    assert found["ranking"] is None
    (sentence,) = found["conclusions"]
    assert f"{abs(100 * pair['difference']):.1f} points of H" in sentence
    assert f"p = {pair['p']:.2g}" in sentence


def test_every_form_says_the_same(in_process: Command) -> None:
    """The terminal, Markdown and CSV hold the numbers of the JSON, and people read the sentence and the caution."""
    command = ("compare", "dem", "sae", "--store", SHIPPED, "--metric", "T1", "--splits", 7)
    found = json.loads(in_process(*command, "--json")[1])
    assert found["metric"] == "T1"
    assert len(found["splits"]) == 7
    for form in ("table", "md"):
        code, out, _ = in_process(*command, "--format", form)
        assert code == 0
        text = " ".join(out.split())
        assert found["conclusions"][0] in text
        assert "they are optimistic" in text
        pair = found["pairs"][0]
        assert f"{pair['effect_low']:+.2f} to {pair['effect_high']:+.2f}" in text
        assert f"{pair['better']:.2f}" in text
        for split in found["splits"]:
            for label in ("dem", "sae"):
                assert f"{100 * found['values'][label][str(split)]:.1f}" in text
    (line,) = csv.DictReader(io.StringIO(in_process(*command, "--format", "csv")[1]))
    for name in ("difference", "low", "high", "p", "p_holm", "effect", "effect_low", "effect_high", "better"):
        assert float(line[name]) == found["pairs"][0][name]


def test_all_ranked_methods_are_compared(in_process: Command) -> None:
    """With --all every ranked row is compared with every other, and Friedman's test is SciPy's."""
    rows = strict_rows(in_process)
    ranked = [row["label"] for row in rows if row["rank"] is not None]
    found = json.loads(in_process("compare", "--all", "--store", SHIPPED, "--format", "json")[1])
    assert len(found["pairs"]) == len(ranked) * (len(ranked) - 1) / 2
    assert set(found["ranking"]["labels"]) == set(ranked)
    table = [list(last_h(label).values()) for label in ranked]
    assert found["ranking"]["friedman_p"] == pytest.approx(stats.friedmanchisquare(*table).pvalue)
    said = in_process("compare", "--all", "--store", SHIPPED)[1]
    assert "mean rank" in said
    assert "compare fewer methods" in " ".join(said.split())


def test_without_names_the_best_row_is_the_reference(in_process: Command) -> None:
    """It is compared with each other ranked row, by the numbers of --all; p is corrected for these pairs alone, and the
    output says so, in each form."""
    rows = strict_rows(in_process)
    best, *others = [row["label"] for row in rows if row["rank"] is not None]
    found = json.loads(in_process("compare", "--store", SHIPPED, "--json")[1])
    assert found["reference"] == best
    assert [(pair["a"], pair["b"]) for pair in found["pairs"]] == [(best, other) for other in others]
    every = json.loads(in_process("compare", "--all", "--store", SHIPPED, "--json")[1])
    by_labels = {(pair["a"], pair["b"]): pair for pair in every["pairs"]}
    for pair in found["pairs"]:
        assert {**pair, "p_holm": 0} == {**by_labels[pair["a"], pair["b"]], "p_holm": 0}
    by_hand = holm_by_hand([pair["p"] for pair in found["pairs"]])
    assert [pair["p_holm"] for pair in found["pairs"]] == pytest.approx(by_hand)
    for form in ("table", "md"):
        said = " ".join(in_process("compare", "--store", SHIPPED, "--format", form)[1].split())
        assert f"{best}, the best here, is compared with each other row, and p is corrected for these " in said
        assert "mean rank" not in said
    code, _, err = in_process("compare", "dem", "sae", "--all", "--store", SHIPPED)
    assert (code, err) == (2, "zslbench: --all is about all ranked rows, and rows are named, which are compared all "
                              "with all.\n")  # fmt: skip


def holm_by_hand(values: list[float]) -> list[float]:
    """Holm's correction, from the smallest p up, never falling."""
    corrected, highest = {}, 0.0
    for step, at in enumerate(np.argsort(values, kind="stable")):
        highest = max(highest, min(1.0, (len(values) - step) * values[at]))
        corrected[int(at)] = highest
    return [corrected[at] for at in range(len(values))]


def test_few_splits_and_left_out_ones_are_said(in_process: Command, tmp_path: Path) -> None:
    """A method run on three splits is compared on those, and the sentences say that this is too few."""
    store = tmp_path / "few"
    store.mkdir()
    shutil.copy(SHIPPED / "plan.jsonl", store)
    lines = (SHIPPED / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    done = [(line, json.loads(line)["trial"]) for line in lines]
    kept = [line for line, trial in done if trial["method"] != "fvaegan" or trial["split"] < 3]
    (store / "records.jsonl").write_text("".join(kept), encoding="utf-8")
    code, out, _ = in_process("compare", "cada", "fvaegan", "--store", store, "--json")
    found = json.loads(out)
    assert (code, found["splits"], found["left_out"]) == (0, [0, 1, 2], 7)
    assert "3 splits are too few for a test" in found["conclusions"][0]
    assert found["conclusions"][1].startswith("7 split(s)")
    assert found["conclusions"][2].endswith(" has no rank in the leaderboard: 3 of 10 splits.")


def test_an_oracle_is_loud(in_process: Command) -> None:
    """Under test-max the heading and the sentences of every form for people call the comparison an oracle's."""
    for form in ("table", "md", "latex"):
        out = in_process("compare", "dem", "sae", "--store", SHIPPED, "--select", "test-max", "--format", form)[1]
        assert " ".join(out.split()).count("racle, not a result") >= 2


def test_latex_of_a_comparison(in_process: Command) -> None:
    """Three tabulars of even rows: each split, the pair, and of three the ranks; special characters are escaped."""
    for names, lengths in (("cada", "sae"), [10, 1]), (("cada", "sae", "dem"), [3, 3]):
        out = in_process("compare", *names, "--store", SHIPPED, "--format", "latex")[1]
        assert out.startswith(
            "% \\usepackage{booktabs,graphicx}\n\\begin{table*}\n\\centering\n"
            "\\caption{H on ucm 16/5, features efficientnet\\_lite0"
        )
        assert "\\label{tab:compare-h-on-ucm-16-5}" in out
        found = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", out, re.S)
        assert [body.count(r" \\") - 1 for _, body in found] == lengths
        for columns, body in found:
            lines = [line for line in body.splitlines() if line.endswith(r" \\")]
            assert {line.count("&") + 1 for line in lines} == {len(columns)}
        assert "95 \\%" in out


def test_an_outdated_version_beside_another_method(in_process: Command, tmp_path: Path) -> None:
    """The row of an older version is compared with another method's, and the last sentence says that it is older."""
    made = [record for record in records() if record.label in ("sae", "dem") and record.trial.stage == "test"]
    newer = [msgspec.structs.replace(record.trial, method_version=2) for record in made if record.label == "sae"]
    made += [msgspec.structs.replace(made[0], label="sae", trial=trial, key=trial.key) for trial in newer]
    store = store_of(tmp_path / "s", made)
    code, out, _ = in_process("compare", "dem", "sae (version 1)", "--store", store, "--json")
    assert code == 0
    said = json.loads(out)["conclusions"][-1]
    assert said == "sae (version 1) has no rank in the leaderboard: older version 1 of sae, 2 is current."


def test_missing_validation_trials_are_named(in_process: Command, tmp_path: Path) -> None:
    """Where --select val finds no validation trials, leaderboard and compare say for whom, and what to run."""
    made = [record for record in records() if record.label in ("sae", "dem") and record.trial.stage == "test"]
    store = store_of(tmp_path / "s", made)
    code, out, _ = in_process("leaderboard", "--store", store, "--select", "val", "--format", "md")
    assert code == 0
    assert "Validation trials are missing for dem, sae: run with --validation" in out
    for names in ((), ("dem", "sae")):
        code, out, err = in_process("compare", *names, "--store", store, "--select", "val")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "Validation trials are missing for " in err


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("mcfa", "cadda"), "no results of 'cadda'. Did you mean 'cada'"),
        (("mcfa",), "two methods are needed, and only 'mcfa' is named"),
        (("mcfa", "mcfa"), "named twice"),
    ],
)
def test_names_that_do_not_do(in_process: Command, names: tuple[str, ...], said: str) -> None:
    """A name that is unknown, alone or repeated is one line on stderr and exit code 2."""
    code, out, err = in_process("compare", *names, "--store", SHIPPED)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_results_that_must_not_be_mixed(in_process: Command, tmp_path: Path) -> None:
    """Two data hashes and two families in one store are refused until an option chooses; versions are never mixed."""
    pair = [record for record in records() if record.label in ("sae", "dem") and record.trial.stage == "test"]

    def altered(**changes: Any) -> list[Record]:
        trials = [msgspec.structs.replace(record.trial, **changes) for record in pair]
        return [
            msgspec.structs.replace(record, trial=trial, key=trial.key)
            for record, trial in zip(pair, trials, strict=True)
        ]

    hashes = pair[0].trial.hashes | {"features": "edited"}
    store = store_of(tmp_path / "data", [*pair, *altered(hashes=hashes)])
    code, _, err = in_process("compare", "sae", "dem", "--store", store)
    assert code == 2
    data = err.split("--data ")[1].split()[0]
    found = json.loads(in_process("compare", "sae", "dem", "--store", store, "--data", data, "--json")[1])
    assert found["data"] == data
    assert len(found["splits"]) == 10

    store = store_of(tmp_path / "families", [*pair, *altered(family="13/8")])
    code, _, err = in_process("compare", "sae", "dem", "--store", store)
    assert (code, "--split-family 16/5" in err) == (2, True)
    assert in_process("compare", "sae", "dem", "--store", store, "--split-family", "13/8")[0] == 0
    assert in_process("compare", "sae", "dem", "--store", store, "--split-family", "9/9")[0] == 2

    store = store_of(tmp_path / "versions", [*pair, *altered(method_version=2)])
    code, _, err = in_process("compare", "sae", "dem", "--store", store)
    assert (code, "'sae' fits several rows" in err) == (2, True)
    code, _, err = in_process("compare", "sae (version 1)", "sae (version 2)", "--store", store)
    assert (code, "come from versions 1 and 2 of sae" in err) == (2, True)


def test_no_store(in_process: Command) -> None:
    """A store that is not there is one clear line."""
    code, _, err = in_process("compare", "a", "b", "--store", "nowhere")
    assert (code, "no records in nowhere" in err) == (2, True)


@pytest.mark.parametrize(
    ("form", "suffix", "begins"),
    [
        ("latex", ".tex", "% \\usepackage{booktabs"),
        ("html", ".html", "<!doctype html>"),
        ("csv", ".csv", "dataset,"),
        ("md", ".md", "### ucm"),
        ("table", ".txt", "ucm 16/5"),
    ],
)
def test_a_leaderboard_s_form_follows_from_the_file_s_name(
    in_process: Command, tmp_path: Path, form: str, suffix: str, begins: str
) -> None:
    """--format and the name of the output file give the same text."""
    code, out, _ = in_process("leaderboard", "--store", SHIPPED, "--format", form)
    assert code == 0
    assert out.startswith(begins)
    in_process("leaderboard", "--store", SHIPPED, "-o", tmp_path / f"table{suffix}")
    assert (tmp_path / f"table{suffix}").read_text(encoding="utf-8") == out


def test_wide_shows_all_columns(in_process: Command) -> None:
    """--wide shows citation and memory, in one line per method, where the plain table leaves them out and says so."""
    plain = in_process("leaderboard", "--store", SHIPPED)[1]
    wide = in_process("leaderboard", "--store", SHIPPED, "--wide")[1]
    assert "schonfeld2019cada" in wide
    assert "peak MB" in wide
    assert "schonfeld2019cada" not in plain
    assert "--wide" in plain
    assert max(map(len, plain.splitlines())) <= 160
    (line,) = [line for line in wide.splitlines() if " tfvaegan[" in line and "narayan2020latent" in line]
    assert " tfvaegan[preset=small] " in line


def test_records_keep_the_citation(in_process: Command, synthetic: Path, tmp_path: Path) -> None:
    """A new run stores the key of the method's BibTeX entry; the leaderboard shows it from the store."""
    command = ("run", "--dataset", synthetic, "--methods", "eszsl,chance", "--splits", 1, "--no-validation")
    code, out, _ = in_process(*command, "--workers", 0, "--store", tmp_path / "s", "--quiet", "--json")
    assert code == 0
    assert {row["method"]: row["citation"] for row in json.loads(out)[0]["rows"]} == {
        "eszsl": "romera-paredes2015eszsl",
        "chance": "",
    }
    assert {record.label: record.citation for record in Store(tmp_path / "s").records()}["eszsl"].startswith("romera")


def test_the_leaderboard_is_what_the_lines_of_the_file_say(in_process: Command, tmp_path: Path) -> None:
    """Every method's mean, deviation and per-split H are recomputed from records.jsonl; order of lines is no matter."""
    code, out, _ = in_process("leaderboard", "--store", SHIPPED, "--json")
    tables = json.loads(out)
    assert code == 0
    assert len(tables) == 3
    for row in [row for table in tables for row in table["rows"]]:
        values = last_h(row["label"])
        told = row["metrics"]["H"]
        assert row["per_split"]["H"] == pytest.approx({str(split): value for split, value in values.items()})
        assert told["mean"] == pytest.approx(np.mean([*values.values()]))
        assert told["std"] == pytest.approx(np.std([*values.values()], ddof=1))
        assert min(values.values()) <= told["low"] <= told["mean"] <= told["high"] or told["splits"] < 6
    for table in tables:
        means = [row["metrics"]["H"]["mean"] for row in table["rows"] if row["rank"]]
        assert means == sorted(means, reverse=True)
    shutil.copytree(SHIPPED, tmp_path / "s", ignore=shutil.ignore_patterns("predictions"))
    lines = (SHIPPED / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "s" / "records.jsonl").write_text("".join(lines[::-1]), encoding="utf-8")
    assert json.loads(in_process("leaderboard", "--store", tmp_path / "s", "--json")[1]) == tables


def test_some_rows_of_a_leaderboard(in_process: Command) -> None:
    """--methods keeps rows by label or by method, with the ranks that they have among all; an unknown name is answered
    with close ones."""
    command = ("leaderboard", "--store", SHIPPED, "--split-family", "16/5", "--json")
    every = json.loads(in_process(*command)[1])[0]["rows"]
    found = json.loads(in_process(*command, "--methods", "eszsl, clswgan,cada")[1])[0]["rows"]
    assert found == [row for row in every if row["label"] in ("eszsl", "cada") or row["method"] == "clswgan"]
    assert len(found) == 4
    code, out, err = in_process(*command, "--methods", "eszls")
    assert (code, out) == (2, "")
    assert err.startswith("zslbench: no results of 'eszls'. Did you mean 'eszsl'?")
    assert in_process(*command, "--split-family", "13/8")[0] == 2
