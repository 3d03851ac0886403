"""BibTeX entries as text: enough to tell them apart by their keys."""

import itertools
import re
from collections.abc import Iterable
from urllib.parse import quote

_DOI = re.compile(r"10\.\d{4,9}/[^\s{}\"<>\\^`|]+")
_ARXIV = re.compile(r"(?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d+)?")
_HEAD = re.compile(r"@(?!(?:preamble|string|comment)\b)\w+\s*\{\s*([^\s,{}]+)\s*,", re.IGNORECASE)
"""Of an entry; a preamble is TeX that would run."""


def first_key(text: str) -> str:
    """The key of the entry that a text begins with; empty where it begins with none."""
    head = _HEAD.match(text.strip())
    return head[1] if head else ""


def lacking(text: str, fields: Iterable[str]) -> str:
    """What keeps a text from being entries that have all of these fields; empty where nothing does."""
    try:
        found = entries(text)
    except ValueError as error:
        return str(error)
    for key, entry in found.items():
        for field in fields:
            if not re.search(rf"\b{field}\s*=", entry, re.IGNORECASE):
                return f"entry {key!r} has no {field}"
    return ""


def entries(text: str) -> dict[str, str]:
    """The entries of a text by key, in order; of several with one key the first.

    Raises:
        ValueError: something that does not begin an entry, or an entry whose braces do not close.
    """
    found: dict[str, str] = {}
    rest = text.strip()
    while rest:
        head = _HEAD.match(rest)
        if head is None:
            raise ValueError(f"{rest[:30]!r} does not begin a BibTeX entry")
        depth = itertools.accumulate({"{": 1, "}": -1}.get(character, 0) for character in rest)
        end = next((place for place, level in enumerate(depth, 1) if place > head.end() and level == 0), None)
        if end is None:
            raise ValueError(f"the braces of BibTeX entry {head[1]!r} do not close")
        found.setdefault(head[1], rest[:end])
        rest = rest[end:].strip()
    return found


def field(text: str, name: str) -> str:
    """What the first entry says of a field, as it is written there; empty where it says nothing."""
    found = re.search(
        rf"\b{name}\s*=\s*(?:\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}|\"([^\"]*)\"|(\d+))", text, re.IGNORECASE
    )
    return " ".join(next((part for part in found.groups() if part is not None), "").split()) if found else ""


def link(text: str) -> str:
    """Where the publication of the first entry is, by its DOI or its number at arXiv; empty where it tells neither.

    >>> link("@misc{a, journal = {arXiv preprint arXiv:2306.06066}}")
    'https://arxiv.org/abs/2306.06066'
    """
    if _DOI.fullmatch(doi := field(text, "doi").removeprefix("https://doi.org/")):
        return f"https://doi.org/{quote(doi, safe='/')}"
    number = field(text, "eprint")
    if not _ARXIV.fullmatch(number):
        named = re.search(r"arXiv:\s*([\w./-]+)", text)
        number = named[1] if named else ""
    return f"https://arxiv.org/abs/{number}" if _ARXIV.fullmatch(number) else ""
