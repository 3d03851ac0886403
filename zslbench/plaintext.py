"""Text that comes from data, shown as text: on one line, without what moves a cursor or turns a line round, and cut."""

import itertools
import unicodedata

MOST = 200
"""Characters that are shown of a text."""
MOST_SAID = 2000
"""Characters of a message, which may list what there is."""
_MARKS = 4
"""Combining marks that may stand on one letter; a heap of them covers the lines above."""


def plain(text: object, most: int = MOST) -> str:
    """The text as every output may show it.

    Line ends and tabs become spaces, the rest is as `visible` has it and cut at `most`.

    >>> plain("a\\nb\\x1b[31m")
    'a b\\\\x1b[31m'
    """
    words = visible(" ".join(str(text).split())[: most + 1])
    return words if len(words) <= most else f"{words[: most - 1]}…"


def visible(text: str) -> str:
    """The text with what cannot be printed written out, as in ``\\x1b``.

    Such are control characters, escapes of a terminal, marks of direction, halves of a pair, and all but the first
    combining marks on a letter.

    >>> visible("\\u202eevil")
    '\\\\u202eevil'
    """
    if text.isascii() and text.isprintable():
        return text
    written = []
    for marks, run in itertools.groupby(text, lambda character: unicodedata.category(character).startswith("M")):
        for place, character in enumerate(run):
            kept = character.isprintable() and not (marks and place >= _MARKS)
            written.append(character if kept else _named(character))
    return "".join(written)


def _named(character: str) -> str:
    return " " if character == "\t" else character.encode("unicode_escape").decode("ascii")


def one_line(message: object) -> str:
    """A message, which may quote text from data and list what there is, as one printable line."""
    return plain(message, MOST_SAID)
