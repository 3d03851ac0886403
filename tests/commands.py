"""Commands that the product prints or documents, read as the command line reads them, without running any."""

import re
import shlex
from collections.abc import Iterator

import click

from zslbench.cli import cli
from zslbench.configuration import parse_methods
from zslbench.datasets import bundled_names
from zslbench.datasets.known import known_names
from zslbench.errors import InputError
from zslbench.registry import Registry
from zslbench.results.published import published_methods, published_names
from zslbench.suites import find_suite

_ENDS = {"&&", "||", "|", ";", ">", "2>", "&"}
_REST = "..."


def words_of(line: str) -> list[str]:
    """The words of the zslbench command in a line of a shell, without what stands before and after it, or a comment."""
    words = shlex.split(line, comments=True)
    start = next(at for at, word in enumerate(words) if word == "zslbench" or word.endswith("/zslbench"))
    words = words[start + 1 :]
    end = next((at for at, word in enumerate(words) if word in _ENDS), len(words))
    return words[:end]


def fault(line: str, *, whole: bool = True) -> str:
    """What is wrong with a command; empty where it could be typed.

    Args:
        line: as it stands on a page or a screen. ``...`` in it stands for what is left out.
        whole: whether it is a command, not the mention of one whose arguments are left out.
    """
    try:
        words = words_of(line)
        if words in (["--help"], ["--version"], ["COMMAND", "--help"]):
            return ""
        context = _called([word for word in words if word != _REST], whole and _REST not in words)
        return _unknown(context) if context else ""
    except (click.ClickException, InputError) as error:
        return f"{line}: {error.format_message() if isinstance(error, click.ClickException) else error}"


def _called(words: list[str], whole: bool) -> click.Context | None:
    """The context of the command that is called; None where only options are mentioned, all of which there are."""
    context, command = click.Context(cli, info_name="zslbench"), cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert name is not None
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    if whole:
        if isinstance(command, click.Group):
            raise click.UsageError(f"{context.command_path} is no command.")
        return command.make_context(context.info_name, words, parent=context.parent)
    offered = {option for each in _leaves(command, context) for known in each.params for option in known.opts}
    for word in words:
        if word.startswith("-") and word.partition("=")[0] not in offered | {"--help"}:
            raise click.NoSuchOption(word, ctx=context)
    if isinstance(command, click.Group) or any(word.isupper() for word in words):
        return None
    required = [known for known in command.params if known.required]
    try:
        for known in required:
            known.required = False
        return command.make_context(context.info_name, words, parent=context.parent)
    except click.BadOptionUsage:  # an option without its value
        return None
    finally:
        for known in required:
            known.required = True


def _leaves(command: click.Command, context: click.Context) -> Iterator[click.Command]:
    if not isinstance(command, click.Group):
        yield command
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _leaves(found, context)


def _unknown(context: click.Context) -> str:
    """A method, a suite or another name in a command that nobody knows."""
    given, command = context.params, context.command.name
    registry, ours = Registry(), not given.get("plugins")
    methods = given.get("methods") or given.get("method")
    if command in ("run", "tune") and ours and methods:
        for spec in parse_methods(methods):
            registry.build(spec)  # which names the parameters that it does not have
    if (suite := given.get("suite")) is not None and not str(suite).endswith(".toml"):
        find_suite(suite)
    names = {"describe": [given.get("name")], "cite": given.get("names"), "reproduce": [given.get("name")]}
    known = {*registry.names, *bundled_names(), *known_names(), *published_names(), *published_methods()}
    for name in filter(None, names.get(str(command)) or ()):
        if name.partition("+")[0] not in known and not name.endswith(".zsl"):  # a model file
            return f"{context.command_path}: {name!r} is unknown."
    return ""


def on_a_screen(text: str) -> list[str]:
    """The commands in what a command printed: between backquotes, or to the end of a line."""
    return [
        next(filter(None, found.groups()))
        for found in re.finditer(r"`(zslbench [^`]+)`|(?<![`\w/'])(zslbench [a-z-]+(?: .*)?)$", text, re.M)
    ]
