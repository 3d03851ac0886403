"""``--shots``: what is run, what is left out with a word, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import write_synthetic

Call = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(in_process: Call, tmp_path: Path) -> Call:
    """``zslbench run`` on one split of a SYNTHETIC data set of 8 classes x 12 images, test stage alone."""
    data = write_synthetic(tmp_path / "toy")

    def call(*args: object) -> tuple[object, str, str]:
        return in_process(
            "run", "--dataset", data, "--split-family", "6/2", "--splits", 1, "--no-validation", "--workers", 0,
            "--quiet", *args,
        )  # fmt: skip

    return call


def test_a_table_for_each_number_of_shots(run: Call, in_process: Call) -> None:
    """Each number has a table; a method that needs images is left out of the first, which is said once; commands that
    look at the store take --shots and tell shots apart."""
    code, out, err = run("--methods", "eszsl,prototypes", "--shots", "0,1,3", "--json")
    assert code == 0
    tables = json.loads(out)
    assert [(table["shots"], sorted(row["label"] for row in table["rows"])) for table in tables] == [
        (0, ["eszsl"]), (1, ["eszsl", "prototypes"]), (3, ["eszsl", "prototypes"]),
    ]  # fmt: skip
    assert {row["label"]: row["rank"] for row in tables[1]["rows"]} == {"eszsl": 1, "prototypes": None}
    assert err.count("prototypes: left out at 0 shots, without labelled images of unseen classes.") == 1
    (only,) = json.loads(in_process("leaderboard", "--shots", 3, "--json")[1])
    assert only["shots"] == 3
    code, out, _ = in_process("leaderboard", "--shots", 3)
    assert "strict track, 3-shot" in out
    code, out, err = in_process("leaderboard", "--shots", 2)
    assert code == 2
    assert "--shots 2 is none of 0, 1, 3" in err
    code, _, err = in_process("compare", "eszsl", "prototypes")
    assert code == 2
    assert "differ in their shots, 1 and 3" in err
    assert "choose with --shots 1 or --shots 3" in err
    code, out, _ = in_process("compare", "eszsl", "prototypes", "--shots", 1)
    assert code == 0
    assert "strict track, 1-shot" in out
    code, out, _ = in_process("status")
    assert code == 0
    assert "toy 6/2, 3-shot" in out
    key = json.loads(in_process("export", "--format", "json")[1])[-1]
    assert key["shots"] == 3
    assert "6/2#0, 3-shot, seed 0" in in_process("show", key["key"])[1]


def test_a_run_goes_on_with_more_shots(run: Call) -> None:
    """Trials of a number of shots that are done are not run again, and --dry-run counts what is left."""
    assert run("--methods", "eszsl", "--shots", "0,2")[0] == 0
    code, out, _ = run("--methods", "eszsl", "--shots", "0,2,4", "--dry-run", "--json")
    assert code == 0
    (row,) = json.loads(out)["methods"]
    assert (row["done"], row["to_do"]) == (2, 1)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--methods", "eszsl", "--shots", "12"), "has 12 image(s), of which one at least must be left to test on; "
                                                  "at most --shots 11 works"),
        (("--methods", "eszsl", "--shots", "0,-1"), "names no numbers of images"),
        (("--methods", "eszsl", "--shots", ""), "names no numbers of images"),
        (("--methods", "eszsl", "--shots", "1.5"), "names no numbers of images"),
        (("--methods", "prototypes"), "choose how many, such as --shots 5"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_one_line(run: Call, args: Any, said: str) -> None:
    """More shots than images, no numbers, or a method that needs some: exit code 2, nothing is written."""
    code, _, err = run(*args)
    assert code == 2
    assert said in " ".join(err.split())
    assert not Path("results").exists()


def test_a_suite_says_how_many(run: Call, in_process: Call, tmp_path: Path) -> None:
    """``shots`` in a suite is a number or several; the command line overrides it; what is wrong names file and key."""
    suite = tmp_path / "mine.toml"
    text = (
        'dataset = "toy"\nsplit_family = "6/2"\nsplits = 1\nvalidation = false\nshots = {}\n'
        '[[methods]]\nname = "eszsl"\n'
    )
    for value, numbers in (("[0, 2]", [0, 2]), ("3", [3])):
        suite.write_text(text.format(value))
        code, out, _ = in_process(
            "run", "--suite", suite, "--workers", 0, "--quiet", "--json", "--store", tmp_path / str(numbers)
        )
        assert code == 0
        assert [table["shots"] for table in json.loads(out)] == numbers
    code, out, _ = in_process("run", "--suite", suite, "--shots", 1, "--dry-run", "--json")
    assert json.loads(out)["methods"][0]["to_do"] == 1
    for value, said in (("[]", "shots = []; numbers from 0 are expected"), ("-1", "shots = -1; numbers from 0"),
                        ("99", "mine.toml, shots: --shots 99: class")):  # fmt: skip
        suite.write_text(text.format(value))
        code, _, err = in_process("run", "--suite", suite, "--dry-run")
        assert code == 2
        assert said in " ".join(err.split())
