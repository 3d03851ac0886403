"""How messages spell the arguments that they name: ``workers=0``, or, at the command line, the option.

Functions of the library and commands raise the same errors, and whoever reads one should be able to type what it says.
So a message writes ``argument("workers", 0)`` where it names an argument; a command, while it runs, has that spelt as
its option (`zslbench.cli.spelling`).
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


def argument(name: str, *value: Any) -> str:
    """An argument as the reader would type it, for a message.

    Args:
        name: as Python has it.
        value: at most one, which the message proposes or complains about.

    >>> argument("workers"), argument("workers", 0), argument("skip_bad", True)
    ('workers', 'workers=0', 'skip_bad=True')
    """
    return _spelling[-1](name, *value)


def _as_python(name: str, *value: Any) -> str:
    shown = (str(each) if not isinstance(each, bool | int | float) else each for each in value)
    return "=".join([name, *map(repr, shown)])


_spelling: list[Callable[..., str]] = [_as_python]
"""The last one is in force. A list, since a name that leads to another function by now looks like a method's patch."""


@contextlib.contextmanager
def spelt(spell: Callable[..., str]) -> Iterator[None]:
    """Within the block, arguments are spelt by a function that takes what `argument` takes. It holds in all threads."""
    _spelling.append(spell)
    try:
        yield
    finally:
        _spelling.pop()
