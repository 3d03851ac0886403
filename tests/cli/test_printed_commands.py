"""Every command that is documented or printed could be typed: its options and the methods in it exist."""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from commands import fault, on_a_screen, words_of
from conftest import ROOT, write_synthetic
from pictures import MEAN, write_pictures
from plugins import write_plugin

from zslbench.cli import cli
from zslbench.datasets.backbones import BACKBONES
from zslbench.tuning import session
from zslbench.tuning.ledger import Measurement

Command = Callable[..., tuple[object, str, str]]
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md",
    ROOT / "Makefile", *sorted((ROOT / "benchmarks").rglob("*.toml")), *sorted((ROOT / "benchmarks").rglob("*.md")),
    *sorted((ROOT / "results").rglob("*.md")), *sorted((ROOT / "zslbench/templates").iterdir()),
]  # fmt: skip
SOURCES = sorted([*(ROOT / "zslbench").rglob("*.py"), *(ROOT / "methods").rglob("*.py")])
LINE = re.compile(r"^[ \t#$>]*(?:[\w./$()]*/)?(zslbench [a-z](?:[^\n]*\\\n)*[^\n]*)$", re.M)
"""A line of a block that is a command, with the lines on which it goes on."""
MENTION = re.compile(r"`(zslbench [^`\n]*(?:\n[^`\n]+)?)`")


def documented(text: str) -> Iterator[tuple[str, bool]]:
    """The commands of a page, and whether each is a whole one, which a line of its own is."""
    for found in LINE.finditer(text):
        yield found[1].replace("\\\n", " "), True
    for found in MENTION.finditer(text):
        yield " ".join(found[1].split()), False


@pytest.mark.parametrize(
    ("line", "whole", "said"),
    [
        ("zslbench run --methods eszsl --datset ucm", True, "No such option"),
        ("zslbench run --methods eszl --dataset ucm", True, "unknown method 'eszl'"),
        ("zslbench run --methods 'eszsl[gamma=1]' --dataset ucm", True, "gamma"),
        ("zslbench runs --methods eszsl", True, "runs"),
        ("zslbench tune mcfa --trials 50", True, "--dataset"),
        ("zslbench run --suite ucmm", True, "ucmm"),
        ("zslbench data import --label-are", False, "No such option"),
        ("zslbench data", True, "no command"),
        ("zslbench describe ezsl", False, "'ezsl' is unknown"),
        ("zslbench run ... --device gpu", True, "gpu"),
        ("cd x && .venv/bin/zslbench run --methods mine --plugin mine.py --dataset ucm | less # now", True, ""),
        ("zslbench data import --labels-are", False, ""),
        ("zslbench run ... --device cpu", True, ""),
    ],
)
def test_a_command_that_cannot_be_typed_is_found(line: str, whole: bool, said: str) -> None:
    """An unknown option, value, method, parameter, suite or command, a missing option; no fault where there is none."""
    found = fault(line, whole=whole)
    assert said in found
    assert bool(found) == bool(said)


def test_documented_commands_can_be_typed() -> None:
    """On every page, in suites' comments and in templates: options and methods of the commands shown exist."""
    lines = {(str(page.relative_to(ROOT)), *each) for page in PAGES for each in documented(page.read_text("utf-8"))}
    assert len(lines) > 100
    faults = [(page, found) for page, line, whole in sorted(lines) if (found := fault(line, whole=whole))]
    assert faults == []


def test_commands_that_sources_mention_can_be_typed() -> None:
    """In messages, docstrings and helps; what stands in braces is a name."""
    lines = {
        (str(path.relative_to(ROOT)), re.sub(r"\{[^}]*\}", "NAME", " ".join(found[1].split())))
        for path in SOURCES
        for found in MENTION.finditer(path.read_text("utf-8"))
    }
    assert len(lines) > 20
    assert [(path, found) for path, line in sorted(lines) if (found := fault(line, whole=False))] == []


def test_helps_name_options_that_there_are() -> None:
    """What the help of a command says of options, its own or another's, is there."""
    pages: dict[str, str] = {}

    def walk(command: click.Command, context: click.Context) -> None:
        pages[context.command_path] = command.get_help(context)
        for name in command.list_commands(context) if isinstance(command, click.Group) else ():
            found = command.get_command(context, name)  # type: ignore[union-attr]
            walk(found, click.Context(found, info_name=name, parent=context))

    walk(cli, click.Context(cli, info_name="zslbench"))
    named = {option: page for page, text in pages.items() for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    offered = {option for text in pages.values() for option in re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text, re.M)}
    offered |= {option for text in pages.values() for option in re.findall(r"[,/] (?:/ )?(--[a-z-]+)", text)}
    assert {page: option for option, page in named.items() if option not in offered} == {}


@pytest.fixture
def said(tmp_path: Path, in_process: Command) -> Callable[..., list[str]]:
    """What a command prints, as the commands in it, which are all checked and of which there is one."""

    def call(*words: object, code: int = 0) -> list[str]:
        ended, out, err = in_process(*words)
        assert ended == code, err
        found = on_a_screen(f"{out}\n{err}")
        assert found, f"{out}\n{err}"
        faults = [fault(line) for line in found if not re.search(r" [A-Z]{3,}\b", line)]
        assert not any(faults), faults
        return found

    return call


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A SYNTHETIC data set in a folder with a space."""
    return write_synthetic(tmp_path / "my toy")


def names(found: list[str]) -> set[str]:
    """Which commands these are."""
    return {next(word for word in words_of(line)) for line in found}


def test_what_a_run_and_its_status_print(said: Any, in_process: Command, toy: Path, tmp_path: Path) -> None:
    """A run with failures, how far it is, the failures, one trial, the tables."""
    plugin = write_plugin(tmp_path / "mine.py", before="raise ValueError('no')")
    run = ("run", "--methods", "mine,eszsl", "--plugin", plugin, "--dataset", toy, "--splits", 2, "--workers", 0,
           "--store", "s t")  # fmt: skip
    assert "status" in names(said(*run, code=1))
    assert {"run", "show"} <= names(said("status", "--store", "s t", "--failures", code=1))
    assert "leaderboard" in names(said("leaderboard", "--store", "s t"))
    plugin.write_text(plugin.read_text().replace("raise ValueError('no')", "pass"))
    line = next(line for line in said("status", "--store", "s t", code=1) if words_of(line)[0] == "run")
    code, _, err = in_process(*words_of(line), "--quiet")
    assert code == 0, err
    assert "leaderboard" in names(said("status", "--store", "s t"))


def test_what_looking_around_prints(said: Any, in_process: Command, tmp_path: Path) -> None:
    """Lists, a known data set, one that is not here, published tables, a new method."""
    for kind, named in (("methods", "describe"), ("datasets", "data"), ("suites", "run")):
        assert named in names(said("list", kind))
    assert "data" in names(said("run", "--methods", "eszsl", "--dataset", "aid", code=2))
    assert "run" in names(said("reproduce", "gbu-2019", "--store", "empty store"))
    assert {"check", "run"} <= names(said("new-method", "ridges"))
    assert "run" in names(said("leaderboard", "--store", "none", code=2))
    assert "run" in names(said("status", "--store", "none", code=2))


def test_what_making_data_prints(
    said: Any, in_process: Command, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepare, import and add say what to type next, and a card the command that makes its arrays again."""
    pytest.importorskip("PIL.Image", reason="needs the extra 'images'")
    monkeypatch.setitem(BACKBONES, "mean", MEAN)
    write_pictures(tmp_path / "images", 3, ("beach", "desert", "harbor", "river"))
    np.save("v.npy", np.eye(4))
    found = said("data", "prepare", "mine", "--images", "images", "--semantics", "v.npy", "--backbone", "mean",
                 "--workers", 0, "--class-folders", "leaf", "--maps", "2x2")  # fmt: skip
    assert names(found) == {"run"}
    command = tomllib.loads(Path("mine/card.toml").read_text())["provenance"]["command"]
    assert fault(command) == ""
    assert "--maps 2x2" in command
    np.save("w.npy", np.random.default_rng(0).normal(size=(8, 4)))
    assert names(said("data", "add", toy, "--semantics", "other=w.npy")) == {"run"}
    Path("list.txt").write_text("".join(f"{row}.jpg\n" for row in range(96)))
    assert names(said("data", "add", toy, "--files", "list.txt")) == {"data"}
    np.save("f.npy", np.random.default_rng(0).normal(size=(8, 3)))
    np.save("y.npy", np.arange(8) // 2)
    Path("c.txt").write_text("a\nb\nc\nd\n")
    found = said("data", "import", "arrays", "--features", "f.npy", "--labels", "y.npy", "--semantics", "v.npy",
                 "--classes", "c.txt", "--name", "plain", "--labels-are", "numbers")  # fmt: skip
    assert names(found) == {"run"}


def test_what_a_search_prints(said: Any, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that compares default and tuned can be typed; the suite is in a folder with a space."""

    def measure(planned: session.Planned, *_: object, trials: int, **__: object) -> None:
        (axis,) = planned.report.axes[:1]
        for number in range(trials):
            value, ledger = axis.default + number, planned.report.ledger
            params = {each.name: each.default for each in planned.report.axes} | {axis.name: value}
            for split in planned.splits:
                end = "done" if split is planned.splits[-1] else ""
                ledger.add(Measurement(number, params, split.id, 0.5 + number / 10, 1, 0.1, end))

    monkeypatch.setattr(session, "_measure", measure)
    (line,) = said("tune", "eszsl", "--dataset", toy, "--splits", 2, "--trials", 2, "--folder", tmp_path / "a search",
                   "--workers", 1)  # fmt: skip
    assert words_of(line) == ["run", "--suite", str(tmp_path / "a search/best.toml")]
