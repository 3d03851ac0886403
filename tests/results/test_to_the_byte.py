"""What the shipped records give stays as it is, to the byte, whatever is rebuilt between them and the tables.

After records were added on purpose, or words of a table were changed on purpose, and only then, renew the digests and
commit them with the change:

    python tests/results/test_to_the_byte.py
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from zslbench.cli import cli

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "results" / "ucm-16-5"
DIGESTS = Path(__file__).with_name("digests.json")
EXACT = 12
"""Decimals of a fraction that must agree in JSON: the last ones depend on how a processor adds up."""


def commands() -> Iterator[tuple[str, ...]]:
    """What is printed: tables by every rule, of other metrics and fewer splits too, and rows against one another."""
    for rule in ("last", "val", "test-max"):
        for form in ("json", "md"):
            yield "leaderboard", "--select", rule, "--format", form
            yield "compare", "mcfa+cal", "cada", "--select", rule, "--format", form
    yield "leaderboard", "--sort", "T1", "--splits", "4", "--format", "json"
    yield "export", "--format", "json"


def printed(command: tuple[str, ...]) -> str:
    """Its standard output, as the command line gives it."""
    done = CliRunner().invoke(cli, [*command, "--store", str(SHIPPED)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def rounded(value: Any) -> Any:
    """JSON with every fraction to so many decimals."""
    if isinstance(value, float):
        return round(value, EXACT) + 0.0  # never -0.0
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def digest(command: tuple[str, ...]) -> str:
    """Of what it prints."""
    text = printed(command)
    if command[-1] == "json":
        text = json.dumps(rounded(json.loads(text)), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_the_shipped_store_reads_as_before(command: tuple[str, ...]) -> None:
    """Each command prints what it printed when the digests were last renewed."""
    assert digest(command) == json.loads(DIGESTS.read_text())[" ".join(command)]


if __name__ == "__main__":
    DIGESTS.write_text(json.dumps({" ".join(command): digest(command) for command in commands()}, indent=2) + "\n")
    sys.exit()
