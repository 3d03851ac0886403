"""Cards: TOML files of facts that come with zslbench, one per thing, named after it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.files import read_text

_Card = TypeVar("_Card", bound=msgspec.Struct)


def card_names(folder: Path) -> tuple[str, ...]:
    """The names of the cards in a folder."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def check_card_name(name: str, known: Iterable[str], what: str) -> None:
    """Raise InputError, with close names, if there is no card of that name; `what` it would be of."""
    known = tuple(known)
    if name not in known:
        raise InputError(f"no {what} {name!r}.{close_matches(name, known)} Known: {', '.join(known)}.")


def read_card(path: str | Path, kind: type[_Card], what: str, problems: Callable[[_Card, str], Iterable[str]]) -> _Card:
    """Read and check a card.

    Args:
        path: the file.
        kind: what it holds.
        what: it is, for messages.
        problems: says what does not fit in a card, given the file's name without its suffix.

    Raises:
        InputError: not readable, an unknown key, or a value that does not fit; the message names file and key.
    """
    path = Path(path)
    try:
        card = msgspec.toml.decode(read_text(path), type=kind)
    except InputError as error:
        raise InputError(f"{what} {error}") from None
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise InputError(f"{what} {path}: {error}.") from error
    for problem in problems(card, path.stem):
        raise InputError(f"{what} {path}: {problem}.")
    return card
