"""A group whose commands are imported when they are called, so that ``--help`` is quick."""

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from zslbench.errors import InputError


class LazyGroup(click.Group):
    """Commands by name: (module, attribute, one line for the list)."""

    def __init__(self, *args: Any, commands: Mapping[str, tuple[str, str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.lazy = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are given."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import it."""
        if cmd_name not in self.lazy:
            return None
        module, attribute, _ = self.lazy[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """An unknown name is answered with close ones."""
        if args and args[0] not in self.lazy:
            from zslbench.configuration import close_matches

            raise click.UsageError(
                f"no command {args[0]!r}.{close_matches(args[0], self.lazy)} Commands: {', '.join(self.lazy)}."
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, without importing any; else options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=summary)
            for name, (_, _, summary) in self.lazy.items()
            if name.startswith(incomplete)
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """An error of the system that no command has explained is told in one line; click would end a closed pipe with
        exit code 1 and without a word."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise InputError(f"{where}{error.strerror or error or type(error).__name__}.") from error
