"""The options of the command that runs, in messages of the library."""

from typing import Any

import click

from zslbench.shelltext import command


def as_option(name: str, *value: Any) -> str:
    """What `zslbench.spelling.argument` names, as an option: ``--workers 0``, ``--skip-bad``, ``--no-validation``,
    as a shell takes it.

    Args:
        name: as the command's function has it.
        value: at most one; True and False are those of a flag.
    """
    yes, no = f"--{name.replace('_', '-')}", f"--no-{name.replace('_', '-')}"
    context = click.get_current_context(silent=True)
    for known in context.command.params if context else ():
        if known.name == name and isinstance(known, click.Option):
            yes = next(option for option in known.opts if option.startswith("--"))
            no = next(iter(known.secondary_opts), no)
    if value and isinstance(value[0], bool):
        return yes if value[0] else no
    return command(yes, *value)
