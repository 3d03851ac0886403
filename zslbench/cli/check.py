"""``zslbench check``: does a method keep the interface?"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from zslbench.cli import completion
from zslbench.cli.options import emit, plugin_option, result_console
from zslbench.console import progress_console
from zslbench.jsontext import pretty
from zslbench.plaintext import one_line, plain


@click.command()
@click.argument("method", required=False, shell_complete=completion.methods)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(method: str | None, plugins: tuple[Path, ...], as_json: bool) -> int:
    """Try METHOD on small synthetic trials and say what breaks the interface.

    METHOD is a name or name[param=value,...], or several, as in `zslbench run`; left out, every method of the plugin
    files. Few epochs suffice: what is learned is not asked.
    """
    from rich.text import Text

    from zslbench.configuration import MethodSpec, parse_methods
    from zslbench.registry import Registry, load_plugin
    from zslbench.runner.failures import nearby
    from zslbench.testing import CHECKS, name_of, related

    if method is None and not plugins:
        raise click.UsageError("name a METHOD, or give a file of methods by --plugin.")
    registry = Registry(plugins)
    if method is None:
        specs = [MethodSpec(found.info.name) for path in registry.plugins for found in load_plugin(path)]
    else:
        specs = parse_methods(method)
    built = [registry.build(spec) for spec in specs]  # all of them, before any is tried
    width = max(len(name_of(one)) for one in CHECKS)
    colours = {"passed": "green", "failed": "red", "skipped": "yellow"}
    console = result_console()
    report = []
    for method_class, config, label in built:
        if not as_json:
            console.print(Text(plain(label), "bold"))
        results = []
        for result in related(_results(method_class, config, label)):
            results.append(result)
            if not (as_json or result.same_as):
                said = f"{nearby(result.where)}: {result.message}" if result.where else result.message
                line = f"{result.status:7} {result.name:{width}} {one_line(said)}".rstrip()
                console.print(Text(line, colours[result.status]), soft_wrap=True)
        if not as_json:
            for first in dict.fromkeys(result.same_as for result in results if result.same_as):
                names = ", ".join(result.name for result in results if result.same_as == first)
                console.print(Text(f"failed  for the reason of {first}: {names}", "red"), soft_wrap=True)
        report.append({"method": label, "passed": all(result.passed for result in results), "checks": results})
    if as_json:
        emit(pretty(report))
    return 0 if all(entry["passed"] for entry in report) else 1


def _results(method: Any, config: Any, label: str) -> Iterator[Any]:
    """The result of each check; on a terminal, the one that is running is shown on stderr."""
    from rich.markup import escape

    from zslbench.testing import CHECKS, name_of, run_check

    console = progress_console()
    for number, one in enumerate(CHECKS, 1):
        with (
            console.status(f"{escape(plain(label))}: {name_of(one)} ({number} of {len(CHECKS)})"),
            contextlib.redirect_stdout(sys.stderr),  # what a method prints is no result
        ):
            result = run_check(one, method, config)
        yield result
