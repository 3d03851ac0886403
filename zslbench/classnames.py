"""Names of classes: how they are written, and when two of them are the same, wherever they come from."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence

from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.plaintext import plain

AS_MANY = 20
"""Names that are written out where a message proposes an option with them."""
_NUMBER = re.compile(r"^\s*(?:\d+\s*[.)]|(?:0\d+|\d{3,})(?=[\s_-]))[\s_-]*(?=[^\W\d])")


def check_class_names(names: Iterable[str], where: str) -> tuple[str, ...]:
    """The names in Unicode's composed form (NFC), in which they are compared and stored.

    Raises:
        InputError: a name is empty or holds a character that moves a terminal's cursor or breaks a line, or two names
            are one in that form.
    """
    known: dict[str, str] = {}
    for name in names:
        if not name.strip() or not name.isprintable():
            raise InputError(f"{where}: class name {name!r} is empty or holds characters that cannot be printed.")
        form = composed(name)
        if form in known:
            other = "" if name == known[form] else f", written in two forms of Unicode ({name!a})"
            raise InputError(f"{where}: class name {plain(name)!r} is there twice{other}: each is expected once.")
        known[form] = name
    return tuple(known)


def listed_names(text: str, where: str) -> list[str]:
    """The names of classes in ``a,b,c``; one that holds a comma, or is a word of its own meaning, stands in quotation
    marks, as in CSV.

    >>> listed_names('quarry, "port, small"', "classes")
    ['quarry', 'port, small']

    Raises:
        InputError: a mark that opens is not closed.
    """
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise InputError(
            f"{where}: {plain(text)!r} is no list of names: names with a comma stand in quotation marks, as in "
            f'"port, small",quarry ({error}).'
        ) from error
    return [name.strip() for row in rows for name in row if name.strip()]


def as_listed(names: Sequence[str]) -> str:
    """The reverse of `listed_names`.

    >>> as_listed(["quarry", "port, small"])
    'quarry,"port, small"'
    """
    quoted = ('"' + name.replace('"', '""') + '"' if "," in name or name.startswith('"') else name for name in names)
    return ",".join(quoted)


def composed(name: str) -> str:
    """The name in Unicode's composed form: an accent may be stored as part of its letter or after it."""
    return unicodedata.normalize("NFC", name)


def loosely(name: str) -> str:
    """What two spellings of a class name share: case, spaces, underscores, hyphens, plus signs and the form of Unicode
    do not count. In a name without letters everything counts: -1 is not 1, and 1_0 is not 10."""
    if not any(map(str.isalpha, name)):
        return composed(name)
    return composed(re.sub(r"[\s_+-]+", "", composed(name)).casefold())


def without_number(name: str) -> str:
    """A class name without the number that official folders begin with, as 001.Black_footed_Albatross does.

    Where no point follows it, only a number that is padded or has three digits is taken for such a one: 4_way_crossing
    keeps its own.
    """
    return _NUMBER.sub("", name)


def other_place(names: Sequence[str], ordered: Sequence[str]) -> int | None:
    """The first place at which the same names stand in another order."""
    return next((place for place, pair in enumerate(zip(names, ordered, strict=True)) if pair[0] != pair[1]), None)


def misplaced(names: Sequence[str], class_names: Sequence[str]) -> int | None:
    """The first place at which a list of the classes' names, perhaps spelt otherwise, has the name of another class."""
    labels = by_spelling(class_names)
    for place, name in enumerate(names):
        label = labels.get(loosely(name), labels.get(loosely(without_number(name))))
        if label not in (None, place):
            return place
    return None


def by_spelling(class_names: Sequence[str]) -> dict[str, int | None]:
    """The class of each loose spelling, with the number that a name begins with and without; None: of several."""
    labels: dict[str, int | None] = {}
    for label, name in enumerate(class_names):
        for key in {loosely(name), loosely(without_number(name))}:
            labels[key] = None if key in labels else label
    return labels


def match_classes(names: Sequence[str], class_names: Sequence[str], where: str) -> tuple[list[int], list[str]]:
    """The class of each name: the one that is called so, or else the only one that is called so loosely.

    Args:
        names: as somebody wrote them.
        class_names: the classes.
        where: the names stand, for messages.

    Returns:
        The classes' indices, and a note if some are only loosely called so.

    Raises:
        InputError: a name is no class's, or loosely that of several; close ones are named.
    """
    exact = {name: index for index, name in enumerate(class_names)}
    loose: dict[str, list[int]] = {}
    for label, name in enumerate(class_names):
        loose.setdefault(loosely(name), []).append(label)
    found: list[int] = []
    bent: dict[str, str] = {}
    for name in names:
        index = exact.get(composed(name))
        if index is None:
            alike = loose.get(loosely(name), [])
            if len(alike) != 1:
                several = " or ".join(repr(plain(class_names[other])) for other in alike[:3])
                close = f" Is it {several}?" if several else close_matches(plain(name, 60), list(exact))
                raise InputError(f"{where}: no class {plain(name)!r} among the {len(class_names)} classes.{close}")
            index = alike[0]
            bent[name] = class_names[index]
        found.append(index)
    if not bent:
        return found, []
    name, meant = next(iter(bent.items()))
    return found, [
        f"{where}: {len(bent)} name(s) differ from the class's in case, spaces, '_' or '-', as {plain(name)!r} from "
        f"{plain(meant)!r}; taken for it."
    ]
