"""Commands that are printed to be pasted: in a folder with any name, a shell sees exactly what was meant."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, write_synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins import write_plugin

from zslbench.shelltext import command

Command = Callable[..., tuple[object, str, str]]
FOLDER = 'it\'s my $HOME; `id` "x" & é\n*'


def seen_by_a_shell(line: str) -> list[str]:
    """The words of a command line, as bash takes them apart."""
    script = f"printf '%s\\0' {line}"
    return (
        subprocess.run(["bash", "-c", script], capture_output=True, check=True)
        .stdout.decode("utf-8", "surrogateescape")
        .split("\0")[:-1]
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=8))
def test_a_shell_sees_the_words(words: list[str]) -> None:
    """Whatever they hold; and what is printed is one printable line."""
    line = command(*words)
    assert line.isprintable()
    assert seen_by_a_shell(line) == words


def test_a_shell_sees_names_that_are_no_unicode() -> None:
    """A file name in another encoding, which Python holds as half characters, keeps its bytes."""
    line = command("cat", os.fsdecode(b"caf\xe9\x1b"))
    assert line == r"cat $'caf\xe9\x1b'"
    assert seen_by_a_shell(line) == ["cat", os.fsdecode(b"caf\xe9\x1b")]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder whose name a shell would take apart, with a data set and a plugin."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    write_synthetic(folder / "toy")
    write_plugin(folder / "mine.py")
    return folder


def pasted(in_process: Command, line: str) -> tuple[object, str, str]:
    """What a printed command does when it is pasted."""
    words = seen_by_a_shell(line)
    assert words[0] == "zslbench"
    return in_process(*words[1:])


def test_status_says_what_can_be_pasted(in_process: Command, odd: Path) -> None:
    """Its next command, with a store, a plugin and a data set in an odd folder, runs: first what is missing, then the
    leaderboard."""
    store = odd / "store"
    run = ("run", "--methods", "mine", "--plugin", odd / "mine.py", "--dataset", odd / "toy", "--store", store,
           "--splits", "1", "--workers", "0", "--no-validation", "--quiet")  # fmt: skip
    assert in_process(*run)[0] == 0
    (store / "records.jsonl").write_text("")
    out = in_process("status", "--store", store)[1]
    (again,) = re.findall(r"^  (zslbench run .*)$", out, re.M)
    assert pasted(in_process, again)[0] == 0
    out = in_process("status", "--store", store)[1]
    (board,) = re.findall(r"^Next: (zslbench .*)$", out, re.M)
    code, printed, _ = pasted(in_process, board)
    assert code == 0
    assert "mine" in printed


def test_a_new_method_says_what_can_be_pasted(in_process: Command, odd: Path) -> None:
    """Its next commands name the file where it is."""
    code, out, _ = in_process("new-method", "ridges", "--folder", odd / "ridges")
    assert code == 0
    check, run, pip = (line.strip() for line in out.splitlines()[-3:])
    assert seen_by_a_shell(check) == ["zslbench", "check", "--plugin", str(odd / "ridges/ridges.py")]
    assert seen_by_a_shell(run)[3] == str(odd / "ridges/ridges.py")
    assert seen_by_a_shell(pip) == ["pip", "install", "-e", str(odd / "ridges")]


def test_reproduce_says_what_can_be_pasted(in_process: Command, odd: Path) -> None:
    """The command that fills a gap names store and data set as a shell needs them."""
    stored = f"cub={FOLDER}"
    out = in_process("reproduce", "gbu-2019", "--dataset", stored, "--store", odd / "store")[1]
    (line,) = re.findall(r"^zslbench run .*$", out, re.M)
    words = seen_by_a_shell(line)
    assert words[words.index("--dataset") + 1] == FOLDER
    assert words[words.index("--store") + 1] == str(odd / "store")


def test_commands_are_put_together_in_one_place() -> None:
    """No other module of the harness quotes for a shell, and none puts a path into a printed command unquoted."""
    for path in (ROOT / "zslbench").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name != "shelltext.py":
            assert not re.search(r"shlex\.(quote|join)\(", text), path
        assert not re.search(
            r"zslbench (?:run|check|leaderboard|data \w+)[^`'\n]*--(?:dataset|store|plugin|suite) \{", text
        ), path
