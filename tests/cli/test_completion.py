"""What a shell offers on Tab, as bash asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from zslbench.cli import cli
from zslbench.cli.lazy import LazyGroup

SHIPPED = ROOT / "results" / "ucm-16-5"


def offered(line: str, folder: Path = ROOT) -> list[tuple[str, str]]:
    """(kind, word) of all that bash is offered at the end of a line; what is run must not load what is heavy."""
    words = line.split(" ")
    code = (
        "import atexit, sys\n"
        "from zslbench.cli import main\n"
        "heavy = {'torch', 'ray', 'pandas', 'matplotlib', 'sklearn', 'scipy.stats'}\n"
        "atexit.register(lambda: print('heavy', *sorted(heavy & set(sys.modules)), file=sys.stderr))\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {
            "_ZSLBENCH_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)
        },
    )  # fmt: skip
    assert done.stderr == "heavy\n"
    return [(kind, word) for kind, _, word in (each.partition(",") for each in done.stdout.split("\n") if each)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("zslbench le", ["leaderboard"]),
        ("zslbench run --methods mcfa,cad", ["mcfa,cada", "mcfa,cada+cal", "mcfa,cada+gate", "mcfa,cada+propagate"]),
        ("zslbench run --dataset uc", ["ucm"]),
        ("zslbench run --suite ucm-a", ["ucm-all"]),
        ("zslbench run --dataset ucm --split-family 16/5,zsvidat-7", ["16/5,zsvidat-7/14"]),
        ("zslbench tune esz", ["eszsl", "eszsl+cal", "eszsl+gate", "eszsl+propagate"]),
        ("zslbench describe ucm", ["ucm"]),
        ("zslbench reproduce gbu", ["gbu-2019"]),
        ("zslbench data download eur", ["eurosat"]),
        (f"zslbench leaderboard --store {SHIPPED} --methods dem+", ["dem+cal"]),
        (f"zslbench compare --store {SHIPPED} --split-family ", ["16/5"]),
        (f"zslbench compare --store {SHIPPED} tfv", ["tfvaegan[preset=small]"]),
        ("zslbench compare --store nowhere a", []),
        ("zslbench run --methods unheard-of", []),
    ],
)
def test_names_are_offered(line, words):
    """Those that fit what is typed, after a comma the next one; nothing heavy is loaded, and nothing is said."""
    assert offered(line) == [("plain", word) for word in words]


def test_folders_serve_where_no_name_fits():
    """A data set may be a folder, a suite a file: then the shell completes paths."""
    assert offered("zslbench run --dataset my-")[0][0] == "dir"
    assert offered("zslbench run --suite my-")[0][0] == "file"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(shell):
    """What docs/commands.md says to put into the shell's start-up file."""
    done = subprocess.run(
        [sys.executable, "-m", "zslbench"], env=os.environ | {"_ZSLBENCH_COMPLETE": f"{shell}_source"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "_ZSLBENCH_COMPLETE" in done.stdout
    assert f"_ZSLBENCH_COMPLETE={shell}_source zslbench" in (ROOT / "docs" / "commands.md").read_text()


def test_every_name_has_a_completion():
    """No option or argument that takes a name of ours is left without."""
    import click

    named = {"dataset", "split_family", "family", "suite", "methods", "method"}

    def leaves(group: click.Command) -> list[click.Command]:
        if not isinstance(group, LazyGroup):
            return [group]
        found = [group.get_command(click.Context(group), name) for name in group.lazy]
        return [leaf for each in found if each is not None for leaf in leaves(each)]

    without = [
        f"{command.name} {param.name}"
        for command in leaves(cli)
        for param in command.params
        if param.name in named
        and param._custom_shell_complete is None
        and isinstance(param.type, click.types.StringParamType)
    ]
    assert without == []
