"""Narrow terminals: every name that must be typed stays whole, no word is broken, no number has 15 digits."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

import pytest
from conftest import ROOT
from rich.console import Console

import zslbench as zb
from zslbench.datasets import bundled_names
from zslbench.datasets.known import known_names
from zslbench.grid import Column, Grid
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.results.published import published_names

SHIPPED = ROOT / "results" / "ucm-16-5"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def on_a_narrow_terminal(width: int, *args: object) -> list[str]:
    """The lines that a command prints on a terminal of that width."""
    own, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "zslbench", *map(str, args)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=terminal,
        stderr=subprocess.DEVNULL, env={name: value for name, value in os.environ.items() if name != "COLUMNS"},
    )  # fmt: skip
    os.close(terminal)
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            part = os.read(own, 1 << 16)
        except OSError:  # the other end is closed
            break
        said += part
    os.close(own)
    assert process.wait(30) in (0, 1)
    return COLOUR.sub("", said.decode()).replace("\r", "").split("\n")


def labels() -> list[str]:
    """Of the shipped rows."""
    return sorted({row.label for plan in Store(SHIPPED).plans() for row in plan.rows})


GANS = [name for name in labels() if "gan[" in name]
KEY = next(Store(SHIPPED).briefs()).key
COMMANDS: list[tuple[tuple[object, ...], Sequence[str]]] = [
    (("list", "methods"), Registry().names),
    (("list", "datasets"), [*bundled_names(), *known_names(), "attributes", "minilm", "efficientnet_lite0"]),
    (("list", "suites"), ["mcfa-ablation", "ucm-seen-unseen-ratios", "13/8"]),
    (("describe", "mcfa"), ["semantic_encoder", "classifier_batch"]),
    (("describe", "ucm"), ["efficientnet_lite0", "zsvidat-16/5"]),
    (("leaderboard", "--store", SHIPPED), labels()),
    (("leaderboard", "--store", SHIPPED, "--notes"), labels()),
    (("compare", "--store", SHIPPED), ["dem+cal", "projection+cal"]),
    (("compare", "--store", SHIPPED, GANS[0], GANS[2]), [GANS[0], GANS[2]]),
    (("reproduce",), published_names()),
    (("reproduce", "cada", "--store", SHIPPED), ["cada[variant=corrected]"]),
    (("status", "--all", "--store", SHIPPED), labels()),
    (("show", KEY, "--store", SHIPPED), [KEY]),
    (("run", "--suite", "ucm-all", "--dry-run", "--store", "nowhere"), labels()),
]


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize(("command", "names"), COMMANDS, ids=[" ".join(map(str, command)) for command, _ in COMMANDS])
def test_names_stay_whole_and_words_unbroken(command, names, width):
    """Each name is contained whole in one line; no line but one without a space where it could break, or one that is
    there to be copied, is wider than the terminal; nothing is cut; numbers are rounded."""
    lines = on_a_narrow_terminal(width, *command)
    text = "\n".join(lines)
    for name in names:
        assert any(name in line for line in lines), name
    assert "…" not in text
    assert not re.search(r"\d\.\d{9}", text)
    wide = [line for line in lines if len(line) > width and "zslbench " not in line and "://" not in line]
    assert [line for line in wide if max(map(len, line.split())) + len(line) - len(line.lstrip()) <= width] == []


def drawn(grid: Grid, width: int) -> list[str]:
    """What a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(grid, crop=False)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def table(**changes: object) -> Grid:
    """A name, a number and prose."""
    columns = [
        Column("name", hang=True),
        Column("n", right=True),
        Column("what it is", fold=True),
        Column("x", spare=1),
    ]
    rows = [("short", "1", "a few words of prose", "left"), ("a-name-that-is-far-too-long", "22", "more", "out")]
    return Grid(columns, rows, all_in="See elsewhere.", **changes)


def test_a_grid_by_hand():
    """Wide: one line a row. Narrower: a column is left out, prose folds between words, a long name stands alone. Too
    narrow for any table: paragraphs."""
    assert drawn(table(), 80) == [
        "name                          n  what it is            x",
        "─" * 59,
        "short                         1  a few words of prose  left",
        "a-name-that-is-far-too-long  22  more                  out",
    ]
    assert drawn(table(), 40) == [
        "name               n  what it is    x",
        "─" * 40,
        "short              1  a few words   left",
        "                      of prose",
        "a-name-that-is-far-too-long",
        "                  22  more          out",
    ]
    assert drawn(table(), 30) == [
        "                      what it",
        "name               n  is",
        "─" * 30,
        "short              1  a few",
        "                      words of",
        "                      prose",
        "a-name-that-is-far-too-long",
        "                  22  more",
        "Left out: x. See elsewhere.",
    ]
    assert drawn(table(), 20)[:3] == ["short", "    n 1; what it is a", "    few words of prose"]
    assert len(drawn(table(whole=True), 20)) == 4


def test_a_name_that_nearly_fills_the_terminal_has_what_stands_before_it_close_by():
    """Where a long name would pass the edge for the blanks before it alone, they go."""
    made = Grid(
        [Column("number", right=True), Column("name", hang=True), Column("x", right=True)],
        [("1", "short", "5"), ("2", "a-name-that-is-far-too-long", "6")],
    )
    assert drawn(made, 30)[2:] == [
        "     1  short                5", "2 a-name-that-is-far-too-long", "                             6",
    ]  # fmt: skip
    assert drawn(made, 50)[3] == "     2  a-name-that-is-far-too-long  6"


def test_a_model_is_described_on_a_narrow_terminal(tmp_path):
    """Below its path, lines are folded between words, and nothing of that is written out as a control."""
    zb.fit("eszsl", "ucm", validate=False).save(tmp_path / "a.zsl")
    lines = on_a_narrow_terminal(60, "describe", tmp_path / "a.zsl")
    assert max(map(len, lines[2:])) <= 60
    assert "\\n" not in "".join(lines)
    words = " ".join(lines).replace(",", " ").split()
    assert {"agricultural", "tenniscourt", "log10_gamma=3.0"} <= set(words)
