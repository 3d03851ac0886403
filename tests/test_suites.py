"""Suite files: what they say is what runs, and what does not fit is named."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, write_synthetic
from plugins import write_plugin

from zslbench.budgets import budget_label
from zslbench.datasets import bundled_names, load_dataset
from zslbench.errors import InputError
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.suites import Suite, draw_splits, overridden, read_suite
from zslbench.tuning.space import axes

SHIPPED = sorted((ROOT / "benchmarks/suites").glob("*.toml"))


def stand_in(suite: Suite, folder: Path) -> None:
    """A SYNTHETIC data set of the classes' number and with arrays of the names that a suite asks for, in one space."""
    write_synthetic(folder, classes=sum(map(int, suite.families[0].split("/"))), attributes=16, families="[]")
    for kind, made, name in (("features", "made", suite.features), ("semantics", "truth", suite.semantics)):
        (folder / kind / f"{made}.npy").rename(folder / kind / f"{name}.npy")
    card = (folder / "card.toml").read_text().replace('"made"', f'"{suite.features}"')
    card = card.replace('"truth"', f'"{suite.semantics}"')
    spaces = f'[features.{suite.features}]\nspace = "s"\n[semantics.{suite.semantics}]\nspace = "s"\n'
    (folder / "card.toml").write_text(card + spaces)


GOOD = """
dataset = "toy"
split_family = "6/2"
splits = 3
validation = false
[[methods]]
name = "eszsl"
params = { log10_gamma = 1.0 }
[[methods]]
name = "projection"
splits = 1
"""


def test_a_method_of_a_suite_that_is_named_keeps_its_own_numbers(tmp_path) -> None:
    """`--methods` chooses of a suite: the same method with the same parameters has the splits and budget it has there;
    with others it is another method, which has the suite's."""
    (tmp_path / "s.toml").write_text(GOOD.replace("validation = false", "budget = 4") + "budget = 2\n")
    for named, expected in (
        ("projection", (1, 2)), ("projection[ridge=3]", (None, None)), ("eszsl[log10_gamma=1.0]", (None, None)),
    ):  # fmt: skip
        (method,) = overridden(read_suite(tmp_path / "s.toml"), methods=named).methods
        assert (method.splits, method.budget) == expected


def test_a_suite_runs_what_it_says(zslbench, synthetic, tmp_path) -> None:
    """Methods, parameters, splits and a method's own smaller number of splits are those of the file."""
    (tmp_path / "s.toml").write_text(GOOD)
    done = zslbench("run", "--suite", "s.toml", "--workers", "0", "--json")
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)
    rows = {row["label"]: row for row in table["rows"]}
    assert {label: (row["done"], row["rank"]) for label, row in rows.items()} == {
        "eszsl[log10_gamma=1.0]": (3, 1),
        "projection": (1, None),  # not compared, because it lacks two splits
    }


def test_options_override_the_suite(zslbench, synthetic, tmp_path) -> None:
    """What the command line says counts; the rest is as in the file."""
    (tmp_path / "s.toml").write_text(GOOD)
    done = zslbench(
        *("run", "--suite", "s.toml", "--workers", "0", "--json"),
        *("--methods", "projection", "--split-family", "5/3", "--splits", "2", "--validation"),
    )
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)
    assert table["family"] == "5/3"
    assert [(row["label"], row["done"]) for row in table["rows"]] == [("projection", 2)]
    stages = [json.loads(line)["trial"]["stage"] for line in (tmp_path / "results/records.jsonl").open()]
    assert sorted(stages) == ["test", "test", "validation", "validation"]


FAMILIES = ("6/2", "5/3")


def test_a_suite_of_several_families_is_one_plan_and_a_table_of_each(in_process, synthetic, tmp_path) -> None:
    """Every method runs on its splits of every family, under one plan, and each family has a table of its own."""
    text = GOOD.replace('"6/2"', '["6/2", "5/3"]')
    (tmp_path / "s.toml").write_text(text)
    code, out, err = in_process("run", "--suite", "s.toml", "--workers", "0", "--json")
    assert code == 0, err
    tables = json.loads(out)
    assert tuple(table["family"] for table in tables) == FAMILIES
    assert [[(row["label"], row["done"], row["planned"]) for row in table["rows"]] for table in tables] == [
        [("eszsl[log10_gamma=1.0]", 3, 3), ("projection", 1, 1)]
    ] * 2
    (plan,) = Store(tmp_path / "results").plans()
    assert [(row.label, row.trial.family, len(row.cells)) for row in plan.rows] == [
        ("eszsl[log10_gamma=1.0]", "6/2", 3), ("projection", "6/2", 1),
        ("eszsl[log10_gamma=1.0]", "5/3", 3), ("projection", "5/3", 1),
    ]  # fmt: skip


def test_several_families_on_the_command_line(in_process, synthetic) -> None:
    """`--split-family A,B` is what a list in a suite is; a family twice or an empty one is refused."""
    command = ("run", "--methods", "eszsl", "--dataset", synthetic, "--splits", "2", "--no-validation", "--dry-run")
    code, out, _ = in_process(*command, "--json", "--split-family", " 6/2, 5/3")
    assert (code, json.loads(out)["to_run"]) == (0, 4)
    for families, said in (("6/2,6/2", "'6/2' is named twice"), ("6/2,", "unknown split family ''")):
        code, _, err = in_process(*command, "--split-family", families)
        assert code == 2
        assert said in err


def test_a_suite_says_what_its_leaderboard_shows(in_process, synthetic, tmp_path) -> None:
    """`select` and `sort` of the file shape the table; options override them, their default value included."""
    (tmp_path / "s.toml").write_text('select = "test-max"\nsort = "T1"\n' + GOOD)
    command = ("run", "--suite", "s.toml", "--workers", "0", "--json")
    shown = []
    for options in ([], ["--select", "last"], ["--sort", "H"]):
        _, out, _ = in_process(*command, *options)
        (table,) = json.loads(out)
        shown.append((table["rows"][0]["selection"], table["sort"]))
    assert shown == [("test-max", "T1"), ("last", "T1"), ("test-max", "H")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"6/2"', '"7/2"'), "suite s.toml, split_family and splits: unknown split family '7/2' for toy. Did you"),
        (('"6/2"', '["6/2", "7/2"]'), "suite s.toml, split_family and splits: unknown split family '7/2'"),
        (("splits = 3", "splits = 29"), "suite s.toml, split_family and splits: 29 splits asked of toy 6/2: it has 1"),
        (('split_family = "6/2"\nsplits = 3', ""), None),
        (("splits = 3\nvalidation = false", ""), None),
    ],
)  # fmt: skip
def test_splits_that_cannot_be_drawn_are_blamed_on_the_file(in_process, synthetic, tmp_path, change, said) -> None:
    """What the data set decides about the splits is named with the file and its keys; what is left out is no fault."""
    (tmp_path / "s.toml").write_text(GOOD.replace(*change))
    code, _, err = in_process("run", "--suite", "s.toml", "--dry-run")
    assert (code, err.count("\n")) == ((2, 1) if said else (0, 0)), err
    assert (said or "") in err


def test_more_splits_than_the_suite_has_are_refused_unless_the_user_asks_for_fewer(
    in_process, synthetic, tmp_path
) -> None:
    """A method's own splits beyond the suite's default number are an error; `--splits` may cut both."""
    path = tmp_path / "s.toml"
    path.write_text(GOOD.replace("splits = 3\n", "").replace("splits = 1", "splits = 6"))
    code, _, err = in_process("run", "--suite", "s.toml", "--dry-run")
    assert code == 2
    assert "suite s.toml, split_family and splits: splits of projection = 6 is more than the suite's splits" in err
    path.write_text(GOOD.replace("splits = 1", "splits = 2"))
    _, out, _ = in_process("run", "--suite", "s.toml", "--splits", "1", "--dry-run", "--json")
    assert [row["to_run"] for row in json.loads(out)["methods"]] == [1, 1]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_suite_runs_on_the_bundled_data(in_process, path: Path) -> None:
    """Its comment says the command; every method, parameter and family resolves; a dry run counts every trial."""
    assert f"zslbench run --suite {path.stem}" in path.read_text().split("title =")[0]
    suite, registry = read_suite(path), Registry()
    if suite.dataset not in bundled_names():
        stand_in(suite, Path(suite.dataset))
    labels = [registry.build(method.spec)[2] for method in suite.methods]
    assert len(set(labels)) == len(labels)
    for part in suite.each_part:
        families = [split.family for split in draw_splits(part, load_dataset(suite.dataset))]
        assert families == [family for family in part.families for _ in range(part.splits or 0)]
    code, out, err = in_process("run", "--suite", path.stem, "--dry-run", "--json")
    assert code == 0, err
    per_split = sum(len(part.families) for part in suite.each_part) * suite.seeds * (2 if suite.validation else 1)
    shots = [len([k for k in suite.each_shots if k or not registry.get(method.name).info.needs_shots])
             for method in suite.methods]  # fmt: skip
    rows = [(row["label"], row["to_run"]) for row in json.loads(out)["methods"]]
    assert rows[: len(labels)] == [
        (label, (method.splits or suite.splits) * per_split * each)
        for label, method, each in zip(labels, suite.methods, shots, strict=True)
    ]
    tries = {label: method.budget or suite.budget or 1 for label, method in zip(labels, suite.methods, strict=True)}
    assert [label for label, _ in rows[len(labels) :]] == [
        budget_label(label, tried, suite.budget_metric)
        for (label, tried), method in zip(tries.items(), suite.methods, strict=True)
        if tried > 1 and axes(registry, method.spec)
    ]


def test_suites_are_listed_with_what_is_in_them(in_process, tmp_path) -> None:
    """Title, number of methods and splits of the shipped suites, or of a folder's; one that is broken hides none."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/good.toml").write_text('title = "Both"\n' + GOOD.replace('"6/2"', '["6/2", "5/3"]'))
    (tmp_path / "mine/bad.toml").write_text("x = 1")
    code, out, _ = in_process("list", "suites", "mine", "--json")
    bad, good = json.loads(out)
    assert code == 0
    assert bad["title"].startswith("not readable: suite mine/bad.toml: unknown key 'x'")
    assert good == {
        "name": "good", "title": "Both", "methods": 2, "split families": "6/2, 5/3", "splits of each": 3,
        "file": "mine/good.toml",
    }  # fmt: skip
    shipped = json.loads(in_process("list", "suites", "--json")[1])
    assert {row["name"] for row in shipped} == {path.stem for path in SHIPPED}
    assert {row["name"]: row["run it"] for row in shipped}["mcfa-ablation"] == "zslbench run --suite mcfa-ablation"
    assert "no folder nowhere" in in_process("list", "suites", "nowhere")[2]
    assert "only `list suites` takes a folder" in in_process("list", "methods", "mine")[2]


def test_a_suite_goes_by_its_name_or_its_path(in_process, tmp_path) -> None:
    """A name is a shipped suite's; close ones are named; a file of that name in the folder is asked about."""
    assert in_process("run", "--suite", "ucm-al", "--dry-run")[2].startswith(
        "zslbench: no suite 'ucm-al'. Did you mean 'ucm-all'"
    )
    (tmp_path / "ucm").write_text(GOOD)
    assert in_process("run", "--suite", "ucm", "--dry-run")[2] == (
        "zslbench: ucm is a suite of zslbench and a file here: write ./ucm for the file, or move it.\n"
    )


def test_splits_are_chosen_by_number(in_process, tmp_path, synthetic) -> None:
    """`split` names them from 0; it excludes `splits`, and one that is not there is an error."""
    head = GOOD.replace("splits = 3\n", "split = [0, 2]\n").replace("splits = 1\n", "")
    path = tmp_path / "s.toml"
    path.write_text(head)
    suite = read_suite(path)
    assert [split.index for split in draw_splits(suite, load_dataset(synthetic))] == [0, 2]
    for text, said in (
        ("split = -1", "numbers from 0"),
        ("split = []", "numbers from 0"),
        ("split = 1\nsplits = 2", "exclude each other"),
    ):
        path.write_text(head.replace("split = [0, 2]", text))
        with pytest.raises(InputError, match=said):
            read_suite(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "seeeds = 1\n", "method 2: unknown key 'seeeds'"),
        ("seedz = 1\n" + GOOD, "unknown key 'seedz'. Did you mean 'seeds'"),
        (GOOD.replace('"6/2"', "6"), "Expected `str | array | null`, got `int` - at `split_family`"),
        (GOOD.replace('"6/2"', "[]"), "split_family is empty"),
        (GOOD.replace('"6/2"', '["6/2", ""]'), "split_family is empty"),
        ('sort = "F1"\n' + GOOD, "sort = 'F1'; one of T1, OA, S, U, H, AUSUC is expected"),
        ('select = "best"\n' + GOOD, "select = 'best'; one of last, val, test-max is expected"),
        ('select = "val"\n' + GOOD, "select = 'val' needs the validation trials, hence validation = true"),
        (GOOD.replace("splits = 1", "splits = 4"), "splits of projection = 4 is more than the suite's splits = 3"),
        (GOOD.replace("splits = 3", 'splits = "3"'), "Expected `int | null`, got `str` - at `splits`"),
        (GOOD.replace("splits = 3", "splits = 0"), "splits = 0; at least 1"),
        (GOOD.replace("splits = 1\n", "splits = 0\n"), "splits of projection = 0; at least 1"),
        ('dataset = "toy"\nmethods = []\n', "names no method"),
        ('dataset = "toy"\n', "expected [[methods]] tables"),
        ('dataset = "toy"\nmethods = ["eszsl"]\n', "expected [[methods]] tables"),
        (GOOD.replace('"eszsl"', '"eszsl[log10_gamma=1]"'), "method 1: parameters go to 'params'"),
        ("dataset = \n", "cannot be read as TOML"),
        ('splits_file = "x.json"\n' + GOOD, "exclude each other"),
        (GOOD.replace('name = "eszsl"\n', ""), "missing required field `name`"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, text: str, said: str) -> None:
    """An unknown key, a wrong type or a missing value is an error that names the file and the key."""
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_suite(path)
    assert said in str(caught.value)
    assert "s.toml" in str(caught.value)


def test_a_missing_suite_is_named(zslbench) -> None:
    """A suite file that is not there ends with one line and exit code 2."""
    done = zslbench("run", "--suite", "nowhere.toml")
    assert (done.returncode, done.stderr.strip()) == (2, "zslbench: no suite file nowhere.toml.")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_suite_is_the_same_however_it_was_saved(tmp_path, encoding: str, end: str) -> None:
    """Byte-order marks and line ends of other systems change nothing."""
    (tmp_path / "plain.toml").write_text(GOOD)
    (tmp_path / "other.toml").write_bytes(GOOD.replace("\n", end).encode(encoding))
    assert read_suite(tmp_path / "other.toml") == read_suite(tmp_path / "plain.toml")


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_suite_is_a_regular_file(tmp_path, make: Any) -> None:
    """A pipe, a folder and a device are refused at once."""
    make(tmp_path / "s.toml")
    with pytest.raises(InputError, match=r"s\.toml: expected a file, found a"):
        read_suite(tmp_path / "s.toml")


def test_a_suite_names_its_plugin_files(in_process, synthetic, tmp_path):
    """They are found beside the suite, wherever the command is given, and may be named by --plugin as well."""
    folder = tmp_path / "bench"
    folder.mkdir()
    plugin = write_plugin(folder / "mine.py")
    suite = folder / "s.toml"
    suite.write_text(
        f'dataset = "{synthetic}"\nsplits = 1\nvalidation = false\nplugins = ["mine.py"]\n\n'
        f'[[methods]]\nname = "mine"\n'
    )
    assert read_suite(suite).plugins == [str(plugin)]
    command = ("run", "--suite", suite, "--workers", "0", "--quiet", "--json", "--store", tmp_path / "s")
    assert in_process(*command)[0] == 0
    assert in_process(*command, "--plugin", plugin)[0] == 0
    plugin.unlink()
    code, _, err = in_process(*command)
    assert (code, err.startswith("zslbench: no plugin file ")) == (2, True)


PARTS = (
    GOOD.replace('"6/2"', '"6/2"\nsemantics = "truth"')
    + """
[[parts]]
semantics = "truth:noise:0.3"
[[parts]]
split_family = "6/2:images:0.5"
"""
)


def test_a_suite_is_run_once_more_with_each_of_its_parts(in_process, tmp_path, synthetic) -> None:
    """As it is and with what a part has otherwise, a table each, in one store; run again, everything is done."""
    (tmp_path / "s.toml").write_text(PARTS)
    code, out, err = in_process("run", "--suite", "s.toml", "--workers", "0", "--json")
    assert code == 0, err
    tables = json.loads(out)
    assert [(table["semantics"], table["family"], [row["done"] for row in table["rows"]]) for table in tables] == [
        ("truth", "6/2", [3, 1]), ("truth:noise:0.3", "6/2", [3, 1]), ("truth", "6/2:images:0.5", [3, 1]),
    ]  # fmt: skip
    assert [line for line in err.splitlines() if line.startswith("part ")] == [
        "part 1 of 3: made, truth, 6/2",
        "part 2 of 3: made, truth:noise:0.3, 6/2",
        "part 3 of 3: made, truth, 6/2:images:0.5",
    ]  # fmt: skip
    _, out, _ = in_process("run", "--suite", "s.toml", "--dry-run", "--json")
    assert json.loads(out)["to_run"] == 0
    assert [row["done"] for row in json.loads(out)["methods"]] == [9, 3]


def test_what_the_command_line_names_takes_the_place_of_all_parts(in_process, tmp_path, synthetic) -> None:
    """Semantics, or a family, of its own: one run with these; another number of splits leaves the parts."""
    (tmp_path / "s.toml").write_text(PARTS)
    for args, trials in (
        (("--semantics", "truth:shuffled"), 4), (("--split-family", "5/3"), 4), (("--splits", "1"), 6), ((), 12),
    ):  # fmt: skip
        _, out, err = in_process("run", "--suite", "s.toml", *args, "--dry-run", "--json")
        assert json.loads(out)["to_run"] == trials, err


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("[[parts]]\nsemantic = 'x'", "suite s.toml, part 3: unknown key 'semantic'. Did you mean 'semantics'?"),
        ("[[parts]]", "suite s.toml, part 3 is empty"),
        ("[[parts]]\nsemantics = 'none'", "toy has no semantics 'none'"),
        ("[[parts]]\nsplit_family = '6/3'", "unknown split family '6/3'"),
        ("[[parts]]\nsplit_family = 3", "s.toml"),
    ],
)
def test_a_part_that_does_not_fit(in_process, tmp_path, synthetic, part: str, said: str) -> None:
    """It is named before anything runs."""
    (tmp_path / "s.toml").write_text(f"{PARTS}{part}\n")
    code, _, err = in_process("run", "--suite", "s.toml", "--workers", "0")
    assert code == 2
    assert said in err
    assert not (tmp_path / "results").exists()
