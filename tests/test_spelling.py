"""Messages name arguments as their reader types them: options at the command line, keywords in Python."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import ROOT, write_synthetic

import zslbench as zb
from zslbench.cli import cli
from zslbench.cli.spelling import as_option
from zslbench.errors import InputError
from zslbench.spelling import argument, spelt

LIBRARY = [path for path in sorted((ROOT / "zslbench").rglob("*.py")) if "cli" not in path.parts]
METHODS = sorted((ROOT / "methods").rglob("*.py"))
OF_OTHERS = {
    "zslbench/runner/cluster.py": {"--head", "--address"},  # of `ray start`, and of Ray's health check
    "zslbench/plugins.py": {"--target"},  # of pip
    "zslbench/report/plots.py": {"--line"},  # a variable of the report's style
}
"""What looks like an option of ours and is none."""


def test_the_library_names_no_option() -> None:
    """No module outside `zslbench.cli` names a command-line option, in code, comments or docstrings."""
    found: dict[str, set[str]] = {}
    for path in LIBRARY + METHODS:
        if named := set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", path.read_text(encoding="utf-8"))):
            found[str(path.relative_to(ROOT))] = named
    assert found == OF_OTHERS


def commands(group: click.Command, context: click.Context) -> Iterator[click.Command]:
    """Every command of the command line."""
    if not isinstance(group, click.Group):
        yield group
        return
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield from commands(found, click.Context(found, info_name=name, parent=context))


def named_arguments() -> set[str]:
    """What the library's messages name."""
    calls = (
        node
        for path in LIBRARY
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "argument"
    )
    return {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}


def test_what_a_message_names_is_there() -> None:
    """What a message names is an option of a command, and an argument of a function or a field of the library."""
    named = named_arguments()
    assert {"workers", "validation", "skip_bad"} <= named
    options = {
        option
        for command in commands(cli, click.Context(cli))
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    known: set[str] = set()
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg):
                known.add(node.arg)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                known.add(node.target.id)
    renamed = {"place": "--to", "rest_is_tested": "--rest-is-test-seen"}
    assert {name for name in named if renamed.get(name, as_option(name)) not in options} == set()
    assert named - known == set()


@pytest.mark.parametrize(
    ("named", "python", "option"),
    [
        (("workers",), "workers", "--workers"),
        (("workers", 0), "workers=0", "--workers 0"),
        (("address", "auto"), "address='auto'", "--address auto"),
        (("splits", Path("lists")), "splits='lists'", "--splits lists"),
        (("skip_bad", True), "skip_bad=True", "--skip-bad"),
        (("validation", False), "validation=False", "--no-validation"),
    ],
)
def test_both_spellings(named: tuple[Any, ...], python: str, option: str) -> None:
    """An argument is spelt as a keyword with its value, and as an option while a command runs."""
    assert argument(*named) == python
    with spelt(as_option):
        assert argument(*named) == option
    assert argument(*named) == python


def test_a_trial_within_a_command_does_not_fix_the_spelling(tmp_path: Path, in_process: Callable[..., Any]) -> None:
    """What a trial in this process takes for the original state is not how the command spells arguments."""
    tiny = write_synthetic(tmp_path / "tiny")
    with spelt(as_option):
        data = zb.load(tiny)
        zb.evaluate("eszsl", data, data.splits()[0])
    zb.evaluate("eszsl", data, data.splits()[0])
    assert argument("workers", 0) == "workers=0"


def test_an_option_that_is_called_otherwise() -> None:
    """The command that runs says what its option is called, and how a flag is denied."""

    @click.command()
    @click.option("-t", "--to", "--out", "place")
    @click.option("--keep/--drop", "kept")
    def fetch(**_: Any) -> None: ...

    with click.Context(fetch):
        assert as_option("place") == "--to"
        assert (as_option("kept", True), as_option("kept", False)) == ("--keep", "--drop")


def test_the_library_says_what_the_command_says(tmp_path: Path, in_process: Callable[..., Any]) -> None:
    """The same sentence, but for how the argument in it is spelt; after a command, the library speaks Python again."""
    tiny, store = write_synthetic(tmp_path / "tiny", classes=2, families='["1/1"]'), tmp_path / "s"
    sentence = "split 1/1#0 has no validation classes; use"
    code, _, said = in_process("run", "--methods", "eszsl", "--dataset", tiny, "--splits", 1, "--store", store)
    with pytest.raises(InputError) as caught:
        zb.run("eszsl", tiny, splits=1, store=store, quiet=True)
    assert (code, said) == (2, f"zslbench: {sentence} --no-validation.\n")
    assert str(caught.value) == f"{sentence} validation=False."
