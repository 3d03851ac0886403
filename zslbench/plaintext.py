"""Text that comes from data, shown as text: on one line, without what moves a cursor or turns a line round, and cut."""

MOST = 200
"""Characters that are shown of a text."""


def plain(text: object, most: int = MOST) -> str:
    """The text as every output may show it.

    Line ends and tabs become spaces; other characters that cannot be printed (control characters, escapes of a
    terminal, marks of direction, halves of a pair) are written out, as in ``\\x1b``; the rest is cut at `most`.

    >>> plain("a\\nb\\x1b[31m")
    'a b\\\\x1b[31m'
    """
    words = " ".join(str(text).split())
    if not words.isprintable():
        words = "".join(char if char.isprintable() else repr(char)[1:-1] for char in words)
    return words if len(words) <= most else f"{words[: most - 1]}…"
