"""Suite files: what they say is what runs, and what does not fit is named."""

import json
from pathlib import Path

import pytest

from zslbench.errors import InputError
from zslbench.suites import read_suite

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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "seeeds = 1\n", "method 2: unknown key 'seeeds'"),
        ("seedz = 1\n" + GOOD, "unknown key 'seedz'. Did you mean 'seeds'"),
        (GOOD.replace("splits = 3", 'splits = "3"'), "Expected `int | null`, got `str` - at `$.splits`"),
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
