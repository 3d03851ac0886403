"""What somebody gives a function of the library: of the kind that is expected, or one line that says so."""

import functools
import inspect
import operator
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.spelling import argument

P = ParamSpec("P")
R = TypeVar("R")


def verb(function: Callable[P, R]) -> Callable[P, R]:
    """A function of the library, of which an unknown argument is named, with those that are close.

    Raises:
        InputError: there is no such argument.
    """
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                raise InputError(
                    f"{function.__name__} has no argument {plain(name)!r}.{close_matches(name, known)} It has: "
                    f"{', '.join(known)}."
                )
        return function(*args, **kwargs)

    return called


def whole(name: str, value: Any, least: int = 0) -> int:
    """A whole number; one of NumPy's becomes one of Python's.

    Raises:
        InputError: it is none, or smaller than `least`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise wrong(name, "a whole number", value) from None
    if number < least:
        raise wrong(name, f"a whole number from {least} on", value)
    return number


def wholes(name: str, value: Any, least: int = 0) -> int | list[int]:
    """A whole number, or several.

    Raises:
        InputError: one of them is none, or there is none.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return whole(name, value, least)
    found = [whole(name, each, least) for each in value]
    if not found:
        raise wrong(name, "a whole number or several", value)
    return found


def positive(name: str, value: Any) -> float:
    """A number above 0.

    Raises:
        InputError: it is none.
    """
    return _between(name, "a number above 0", value, lambda number: number > 0)


def share(name: str, value: Any) -> float:
    """A number from 0 to 1.

    Raises:
        InputError: it is none.
    """
    return _between(name, "a number from 0 to 1", value, lambda number: 0 <= number <= 1)


def percentage(name: str, value: Any) -> float:
    """A number above 0 and up to 100.

    Raises:
        InputError: it is none.
    """
    return _between(name, "a number above 0 and up to 100", value, lambda number: 0 < number <= 100)


def _between(name: str, expected: str, value: Any, holds: Callable[[float], bool]) -> float:
    if isinstance(value, bool | str) or not hasattr(value, "__float__"):
        raise wrong(name, expected, value)
    try:
        number = float(value)
    except Exception:  # of an array of several, say
        raise wrong(name, expected, value) from None
    if not holds(number):
        raise wrong(name, expected, value)
    return number


def flag(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        InputError: it is neither.
    """
    if not isinstance(value, bool):
        raise wrong(name, "True or False", value)
    return value


def text(name: str, value: Any, words: str = "a text") -> str:
    """A text.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, str):
        raise wrong(name, words, value)
    return value


def texts(name: str, value: Any, words: str = "a text or several") -> str | list[str]:
    """A text, or several.

    Raises:
        InputError: one of them is none, or there is none.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, Iterable) or not (found := list(value)) or not all(isinstance(one, str) for one in found):
        raise wrong(name, words, value)
    return found


def several(name: str, value: Any, words: str) -> list[Any]:
    """The members of a list or another iterable that is no text.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong(name, words, value)
    try:
        return list(value)
    except TypeError:  # an array of no dimension
        raise wrong(name, words, value) from None


def array(name: str, value: Any, words: str) -> NDArray[Any]:
    """An array of real numbers.

    Raises:
        InputError: it is none, has rows of several lengths, or hides numbers behind a mask.
    """
    try:
        found = np.asarray(value)
    except Exception as error:  # rows of several lengths; what another library's array says
        raise InputError(
            f"{argument(name)}: {words} expected, found {type_and_value(value)}: {plain(error, 120)}."
        ) from error
    if found.dtype.kind not in "fiub":
        raise InputError(f"{argument(name)}: {words} expected, found {plain(found.dtype)} {found.shape}.")
    if np.ma.is_masked(value):
        raise InputError(f"{argument(name)}: {words} expected, found some that are masked; fill them in, or leave out.")
    return found


def path(name: str, value: Any, words: str = "a path") -> str | Path:
    """A path.

    Raises:
        InputError: it is neither a text nor a `pathlib.Path`, or empty.
    """
    if not isinstance(value, str | Path) or not str(value):
        raise wrong(name, words, value)
    return value


def paths(name: str, value: Any) -> list[Path]:
    """Paths; a single one may stand alone.

    Raises:
        InputError: one of them is none.
    """
    if isinstance(value, str | Path):
        value = [value]
    if not isinstance(value, Iterable):
        raise wrong(name, "a list of paths", value)
    return [Path(path(name, each)) for each in value]


def one_of(name: str, value: Any, choices: Iterable[str]) -> Any:
    """One of some words.

    Raises:
        InputError: it is none of them.
    """
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        close = close_matches(value, known) if isinstance(value, str) else ""
        raise InputError(f"{name}: one of {', '.join(known)} is expected, found {type_and_value(value)}.{close}")
    return value


def wrong(name: str, expected: str, value: Any) -> InputError:
    """The line for an argument of another kind."""
    return InputError(f"{argument(name)}: {expected} is expected, found {type_and_value(value)}.")


def type_and_value(value: Any) -> str:
    """The type of a value, and as much of it as a line bears."""
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    try:
        shown = plain(repr(value), 60)
    except Exception:  # the repr of a stranger
        shown = ""
    return f"{type(value).__name__} {shown}".rstrip()
