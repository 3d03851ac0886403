"""Where commands write: never over a store, and never in a form that contradicts the file's name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from reports import several

from zslbench.cli.options import checked_output
from zslbench.errors import InputError

SHIPPED = ROOT / "results" / "ucm-16-5"
Command = Callable[..., tuple[object, str, str]]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with records and predictions."""
    return several(tmp_path / "store", splits=2).folder


@pytest.mark.parametrize("name", ["records.jsonl", "plan.jsonl", "predictions/new.csv", "lock", "logs/x"])
@pytest.mark.parametrize("command", [("leaderboard",), ("export",), ("compare", "a", "b")])
def test_no_output_replaces_a_part_of_a_store(
    in_process: Command, store: Path, command: tuple[str, ...], name: str
) -> None:
    """Each file of a store, and whatever lies in its folders, is refused as output in one line, and stays as it was."""
    before = contents(store)
    code, out, err = in_process(*command, "--format", "csv", "--store", store, "-o", store / name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is part of the store" in err
    assert contents(store) == before


def test_a_store_is_recognised_by_other_names(store: Path, tmp_path: Path) -> None:
    """Dots, symbolic and hard links lead to the same file, and another store is kept from harm like the one read."""
    (tmp_path / "soft").symlink_to(store / "records.jsonl")
    os.link(store / "records.jsonl", tmp_path / "hard")
    (tmp_path / "folder").symlink_to(store)
    other = several(tmp_path / "other", splits=1).folder
    for path in (
        tmp_path / "soft", tmp_path / "hard", tmp_path / "folder" / "plan.jsonl", other / "records.jsonl",
        store / "predictions" / ".." / "records.jsonl", store / "predictions",
    ):  # fmt: skip
        with pytest.raises(InputError, match="part of the store"):
            checked_output(path, store)
    for path in (store / "leaderboard.md", tmp_path / "records.csv"):
        assert checked_output(path, store) == path
    with pytest.raises(InputError, match="there is no folder"):
        checked_output(tmp_path / "nowhere" / "x.csv", store)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("leaderboard", "--format", "csv", "-o", "x.json"),
            "--format csv contradicts x.json, whose name stands for json",
        ),
        (("leaderboard", "--json", "-o", "x.csv"), "--json contradicts x.csv, whose name stands for csv"),
        (("leaderboard", "--json", "--format", "md"), "--json and --format md ask for different forms"),
        (
            ("leaderboard", "-o", "x.xlsx"),
            "the name of x.xlsx does not tell its form; end it in .csv, .json, .tex, .html",
        ),
        (("leaderboard", "-o", "x"), "or give --format"),
        (("compare", "a", "b", "--json", "--format", "csv"), "--json and --format csv"),
        (("compare", "a", "b", "-o", "x.html"), "does not tell its form; end it in .csv, .json, .tex, .md, .txt"),
        (("export", "--format", "csv", "-o", "x.parquet"), "--format csv contradicts x.parquet"),
        (("export", "-o", "x.txt"), "does not tell its form; end it in .csv, .json, .parquet"),
    ],
)
def test_forms_that_contradict_each_other(
    in_process: Command, store: Path, arguments: tuple[str, ...], said: str
) -> None:
    """A file's name, --format and --json must agree, and one of them must tell: else one line, and no file."""
    code, out, err = in_process(*arguments, "--store", store)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not list(Path().glob("x*"))


@pytest.mark.parametrize("form", ["md", "csv", "json", "latex"])
@pytest.mark.parametrize("command", [("leaderboard",), ("compare", "a", "b")])
def test_a_file_holds_what_stdout_would(
    in_process: Command, store: Path, tmp_path: Path, command: tuple[str, ...], form: str
) -> None:
    """Format and file name that agree, or a file whose name tells nothing, hold the text that is printed otherwise."""
    printed = in_process(*command, "--store", store, "--format", form)[1]
    suffix = {"latex": "tex"}.get(form, form)
    for name, options in ((f"x.{suffix}", ()), (f"x.{suffix}", ("--format", form)), ("plain", ("--format", form))):
        code, out, err = in_process(*command, "--store", store, "-o", tmp_path / name, *options)
        assert (code, out, err) == (0, "", "")
        assert (tmp_path / name).read_text(encoding="utf-8") == printed


def test_every_output_is_named_alike() -> None:
    """Whatever a command writes, -o, --out and --output name the place; no command calls it otherwise."""
    import click

    from zslbench.cli import cli
    from zslbench.cli.lazy import LazyGroup

    def leaves(group: click.Command) -> list[click.Command]:
        if not isinstance(group, click.Group):
            return [group]
        names = group.lazy if isinstance(group, LazyGroup) else group.commands
        found = [group.get_command(click.Context(group), name) for name in names]
        return [leaf for each in found if each is not None for leaf in leaves(each)]

    named = [
        (command.name, sorted(param.opts))
        for command in leaves(cli)
        for param in command.params
        if {"-o", "--out", "--output"} & set(param.opts)
    ]
    assert {name for name, _ in named} >= {"leaderboard", "compare", "report", "export", "tune", "prepare", "xlsa17"}
    assert {tuple(options) for _, options in named} == {("--out", "--output", "-o")}
