"""The walls between the rooms: who may import whom, and what is never imported early."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_args

import pytest
from conftest import ROOT

import zslbench
from zslbench.cli import options
from zslbench.datasets import bundled_names
from zslbench.terms import METRICS, Selection

HARNESS = sorted((ROOT / "zslbench").rglob("*.py"))
METHODS = sorted((ROOT / "methods").rglob("*.py"))


@cache
def imports(path: Path) -> tuple[tuple[str, str], ...]:
    """Every (module, name) that a file imports, at any depth; names that are given to `import_module` too."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value), ""


def test_there_are_files_to_check() -> None:
    """The checks below look at the real tree."""
    assert {"metrics.py", "protocol.py"} <= {path.name for path in HARNESS}
    assert "eszsl.py" in {path.name for path in METHODS}


@pytest.mark.parametrize("path", HARNESS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_harness_knows_no_method(path: Path) -> None:
    """No module of the harness imports the built-in methods: they are found like a stranger's plugin."""
    assert not [module for module, _ in imports(path) if module.split(".")[0] == "zslbench_methods"]


@pytest.mark.parametrize("path", METHODS, ids=lambda path: str(path.relative_to(ROOT)))
def test_methods_use_the_public_interface(path: Path) -> None:
    """Built-in methods import from the harness only what any plugin can: the names of `zslbench` itself."""
    for module, name in imports(path):
        if module.split(".")[0] == "zslbench":
            assert module == "zslbench"
            assert name in zslbench.__all__


@pytest.mark.parametrize("path", HARNESS + METHODS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_are_absolute(path: Path) -> None:
    """Every import names its module in full, so that the checks above see it."""
    assert not [module for module, _ in imports(path) if module.startswith(".")]


def at_the_top(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that happen when a module is imported; not those for type checkers alone."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from at_the_top(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            inner = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            for handler in getattr(node, "handlers", []):
                inner += handler.body
            yield from at_the_top(inner)


def import_graph() -> dict[str, set[str]]:
    """Module -> the modules of the harness that must be there before it; a package of which a part is imported too."""
    names = {path: path.relative_to(ROOT).with_suffix("").parts for path in HARNESS}
    modules = {".".join(parts[: -(parts[-1] == "__init__") or None]): path for path, parts in names.items()}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        found: set[str] = set()
        for node in at_the_top(ast.parse(path.read_text(encoding="utf-8")).body):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            else:
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {part if part in modules else str(node.module) for part in parts}
        packages = {each for name in found for each in parents(name) if not f"{module}.".startswith(f"{each}.")}
        graph[module] = (found | packages) & set(modules)
    return graph


def parents(name: str) -> Iterator[str]:
    """``a`` and ``a.b`` of ``a.b.c``."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def test_no_module_needs_one_that_needs_it() -> None:
    """The graph of what is imported at the top of the harness's modules has no circle."""
    graph = import_graph()
    assert {"zslbench.records.store", "zslbench.records.trials"} <= graph["zslbench.records"]
    assert "zslbench.records" in graph["zslbench.tuning.ledger"]
    list(TopologicalSorter(graph).static_order())  # raises on a circle, and names it


def test_prepare_is_its_commands_alone() -> None:
    """Nothing but its command imports what makes data sets from images; what others share with it lies beside it."""
    using = {
        str(path.relative_to(ROOT))
        for path in HARNESS + METHODS
        for module, name in imports(path)
        if f"{module}.{name}.".startswith("zslbench.datasets.prepare.")
    }
    assert {path for path in using if not path.startswith("zslbench/datasets/prepare/")} == {
        "zslbench/cli/data/prepare.py"
    }
    assert "zslbench/datasets/prepare/pipeline.py" in using


@pytest.mark.parametrize("module", ["metrics", "splits", "records", "results", "methods", "report.tables"])
def test_light_modules_import_no_heavy_one(module: str) -> None:
    """Measuring, splitting, storing and reporting need neither torch nor ray."""
    code = f"import sys, zslbench.{module}; print(sorted({{'torch', 'ray'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def imported_by(*arguments: str) -> set[str]:
    """The top-level packages that a Python command imports, by the interpreter's own account."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {name.split(".")[0] for name in re.findall(r"^import time:.*\|\s+(\S+)$", done.stderr, re.M)}


def test_the_account_of_imports_is_read() -> None:
    """A command that imports torch is caught, so the checks below can fail."""
    assert {"torch", "zslbench"} <= imported_by("-c", "import zslbench, torch")


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "list methods", "list datasets", "list methods --json", "describe ucm", "describe eszsl"]
    + ["run --help", "leaderboard --help"],
)
def test_looking_around_is_quick(command: str) -> None:
    """Help, lists and descriptions import neither torch nor ray, whatever the methods do when they run."""
    if "ucm" in command and "ucm" not in bundled_names():
        pytest.skip("UCM is not bundled here")
    found = imported_by("-m", "zslbench", *command.split())
    assert "click" in found
    assert not {"torch", "ray", "sklearn", "pandas"} & found


def test_the_command_line_offers_what_the_harness_knows() -> None:
    """The choices that --help shows without loading the harness are the harness's own."""
    assert get_args(Selection) == options.SELECTIONS
    assert options.METRICS == METRICS


@pytest.mark.parametrize(
    ("written", "home"),
    [
        ('status == "failed" and earlier == "done"', "records/standings.py"),  # which record of a trial counts
        ('get(record.key) != "done"', None),
        ('get(brief.key) == "done"', None),
        ("counts_before", None),
        ("tuple(sorted(of.hashes.items()))", "records/standings.py"),  # what may be in one table
        ("tuple(sorted(trial.hashes", None),
        ("newest_splits", None),  # which split of a number, and which text of a plugin
        ("sources |=", None),
        ("[::-1].index(max(", "terms.py"),  # which epoch is best
        ("np.argmax(series", None),
        ('name.partition("+")', "variants.py"),  # of what NAME+cal is made
        ("(CALIBRATED)", None),
        ("@\\w+", None),  # what a BibTeX entry is
        ("\\w+\\s*\\{", "bibtex.py"),
    ],
)
def test_what_is_decided_is_decided_in_one_place(written: str, home: str | None) -> None:
    """Rules that stood in several modules stand in one, where they are looked for; None: the old twins are gone."""
    package = ROOT / "zslbench"
    found = [str(path.relative_to(package)) for path in HARNESS if written in path.read_text(encoding="utf-8")]
    assert found == ([home] if home else [])
