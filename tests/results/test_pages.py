"""The pages on semantics, stress, budgets and the like, made of a small run: what they say is what is stored."""

import re
import runpy
import subprocess
import sys

import pytest
from conftest import ROOT

from zslbench.records import Store
from zslbench.results import Results

SUITE = """
dataset = "toy"
semantics = "truth"
split_family = "6/2"
splits = 4
validation = false
[[methods]]
name = "eszsl"
[[methods]]
name = "sae"
[[methods]]
name = "projection"
[[methods]]
name = "gfzsl"
[[methods]]
name = "chance"
[[parts]]
semantics = "truth:shuffled"
[[parts]]
semantics = "random:9"
[[parts]]
semantics = "random:9+truth"
[[parts]]
semantics = "truth:noise:2"
[[parts]]
split_family = "6/2:images:0.2"
"""


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """They find one another, as when Python runs them."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def store(in_process, tmp_path, synthetic):
    """Trials with true semantics, others, controls and views."""
    (tmp_path / "s.toml").write_text(SUITE)
    code, _, err = in_process("run", "--suite", "s.toml", "--workers", "0", "--quiet")
    assert code == 0, err
    return tmp_path / "results"


def test_pages_say_what_is_stored(store):
    """Columns for all semantics but views, agreement of those that say something, and three sentences at the end."""
    text = runpy.run_path(str(ROOT / "benchmarks/semantics_page.py"))["page"](store, "toy", "6/2")
    header = next(line for line in text.splitlines() if line.startswith("| method"))
    assert {cell.strip() for cell in header.split("|")[2:-1]} == {
        "truth",
        "truth:shuffled",
        "random:9",
        "random:9+truth",
    }
    assert len(re.findall(r"^\| (?:truth, random:9\+truth|random:9\+truth, truth) ", text, re.MULTILINE)) == 3
    assert "chance " not in text
    text += runpy.run_path(str(ROOT / "benchmarks/stress_page.py"))["page"](store)
    for metric in ("T1", "H", "AUSUC"):
        assert f"### {metric} under stress: toy 6/2, features made, semantics truth" in text
    assert text.count("attribute noise 2 SD") >= 3
    for said in ("**Shown**: ", "**Not shown**: ", "**What would change our mind**: "):
        sentences = [line for line in text.splitlines() if line.startswith(said)]
        assert len(sentences) == 2
        assert all(line.endswith(".") and not re.search(r"\bnan\b", line) for line in sentences)


SYNTHESIS = """
dataset = "toy"
split_family = "6/2"
splits = 2
validation = false
[[methods]]
name = "mcfa"
params = { epochs = 1, zsl_epochs = 1, gzsl_epochs = 1, unseen_samples = 40 }
[[methods]]
name = "mcfa"
params = { epochs = 1, zsl_epochs = 1, gzsl_epochs = 1, unseen_samples = 5 }
[[methods]]
name = "eszsl+cal"
"""


def test_the_page_on_synthesis_sorts_by_how_many_are_drawn(in_process, tmp_path, synthetic):
    """Few before many, then the other methods, and three sentences with the range of the counts."""
    (tmp_path / "s.toml").write_text(SYNTHESIS)
    assert in_process("run", "--suite", "s.toml", "--workers", "0", "--quiet")[0] == 0
    text = runpy.run_path(str(ROOT / "benchmarks/synthesis_page.py"))["page"](tmp_path / "results")
    rows = [line for line in text.splitlines() if line.startswith(("| mcfa", "| eszsl"))]
    assert [re.search(r"unseen_samples=\d+|eszsl\+cal", row)[0] for row in rows] == [
        "unseen_samples=5", "unseen_samples=40", "eszsl+cal",
    ]  # fmt: skip
    assert "**Shown**: for mcfa 5 to 40 draws bring H from" in text
    assert text.count("**") == 6


BUDGETS = """
dataset = "toy"
split_family = "6/2"
splits = 3
validation = true
budget = 2
budget_metric = "AUSUC"
[[methods]]
name = "eszsl"
[[methods]]
name = "sae"
"""


def test_the_page_on_budgets_compares_rivals_under_equal_ones(in_process, tmp_path, synthetic):
    """The difference of two methods with their own parameters and with the best of so many, and three sentences."""
    (tmp_path / "b.toml").write_text(BUDGETS)
    assert in_process("run", "--suite", "b.toml", "--workers", "0", "--quiet")[0] == 0
    page = runpy.run_path(str(ROOT / "benchmarks/budgets_page.py"))["page"]
    text = page(tmp_path / "results", ("eszsl", "sae"))
    for metric in ("T1", "H", "AUSUC"):
        assert f"### {metric} of the best of b configurations; toy 6/2" in text
    results = Results(Store(tmp_path / "results"))
    for how, labels in (("parameters as published", ["eszsl", "sae"]),
                        ("the best of 2", ["eszsl (budget 2 by AUSUC)", "sae (budget 2 by AUSUC)"])):  # fmt: skip
        T1, H, _, splits = (cell.strip() for cell in re.search(rf"\| {how} +\|(.*)\|", text)[1].split("|"))
        rows = {row.label: row for table in results.leaderboard() for row in table.rows}
        for metric, cell in (("T1", T1), ("H", H)):
            one, other = (rows[label].metrics[metric].mean for label in labels)
            assert cell.startswith(f"{100 * (one - other):+.1f} [")
        assert splits == "3"
    assert text.count("**") == 6
    assert "Not run yet." in page(tmp_path / "results")


CONTROL = """
dataset = "toy"
semantics = "truth:shuffled"
split_family = "6/2"
splits = 3
validation = false
[[methods]]
name = "eszsl"
[[methods]]
name = "sae"
"""


def test_the_page_on_controls_marks_what_leaves_out_chance(in_process, tmp_path, synthetic):
    """A cell is the stored mean and interval, bold where chance is not in it; what was not run is named."""
    (tmp_path / "c.toml").write_text(CONTROL)
    assert in_process("run", "--suite", "c.toml", "--methods", "eszsl", "--workers", "0", "--quiet")[0] == 0
    made = runpy.run_path(str(ROOT / "benchmarks/controls_page.py"))["page"](tmp_path / "results", ("c.toml",))
    (table,) = Results(Store(tmp_path / "results")).leaderboard()
    T1 = table.rows[0].metrics["T1"]
    cell = f"{100 * T1.mean:.1f} ± {50 * (T1.high - T1.low):.1f}"
    assert f" {cell if T1.low <= 0.5 <= T1.high else f'**{cell}**'} |" in made
    assert re.search(r"\| `sae` +\| +not run \|", made)
    assert "Not run on all splits yet: `sae`." in made


_COMMAND = re.compile(r"Made by `python (benchmarks/(?:\w+_page\.py results/|coverage\.py )[^`]+)`")
MADE = {
    page.name: found[1]
    for page in sorted((ROOT / "results").glob("*.md"))
    if (found := _COMMAND.search(page.read_text()))
}
"""Page -> the command that it names, of those that are made of stored trials."""


@pytest.mark.slow  # every stored trial is read again
@pytest.mark.parametrize("name", MADE)
def test_a_committed_page_is_what_is_stored(name):
    """The command that a page names prints the page."""
    done = subprocess.run([sys.executable, *MADE[name].split()], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == (ROOT / "results" / name).read_text(encoding="utf-8")


def test_controls_are_at_chance():
    """Every interval of `results/controls.md` contains it."""
    page = (ROOT / "results/controls.md").read_text(encoding="utf-8")
    assert "controls.md" in MADE
    assert re.search(r"of (\d+) intervals \1 contain chance\.", page)
