"""Reading small text files that users write by hand: TOML, JSON, CSV and lists of lines; and joining their names."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zslbench.classnames import AS_MANY, as_listed, loosely, without_number
from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.spelling import argument

_SHOWN = 5
_CUT = 60


def read_lines(path: Path | str) -> list[str]:
    """Return the stripped lines of a text file, without empty ones and those that begin with '#'.

    InputError if none is left, or one occurs twice.
    """
    lines = [line.strip() for line in read_text(path).split("\n")]
    kept = [line for line in lines if line and not line.startswith("#")]
    if not kept:
        raise InputError(f"{path}: expected one text a line, found none.")
    refuse_repeated(kept, str(path))
    return kept


def read_toml(path: Path | str) -> dict[str, Any]:
    """Return the top table of a TOML file; InputError if it is none."""
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a readable TOML file ({error}).") from error


def read_json(path: Path | str) -> dict[str, Any]:
    """Return the top object of a JSON file; InputError if it is none, or an object names a key twice."""
    try:
        document = json.loads(read_text(path), object_pairs_hook=partial(_unique_keys, str(path)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a readable JSON file ({error}).") from error
    return as_table(document, str(path))


def as_table(value: object, where: str) -> dict[str, Any]:
    """Return `value` if it is a table; InputError otherwise."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a table, found {shown(value)}")
    return value


def as_text(value: object, where: str) -> str:
    """Return `value` if it is a text that is not blank; InputError otherwise."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: expected a non-empty text, found {shown(value)}")
    if re.search("[\ud800-\udfff]", value):  # JSON can spell half a character, which no encoder takes
        raise InputError(f"{where}: expected Unicode text, found half a surrogate pair in {shown(value)}")
    return value


def expect_keys(table: Mapping[str, object], expected: set[str], where: str) -> None:
    """Raise InputError unless the table has exactly the expected keys."""
    if missing := sorted(expected - table.keys()):
        raise InputError(f"{where}: {missing[0]!r} is missing")
    if unknown := sorted(table.keys() - expected):
        raise InputError(f"{where}: {shown(unknown[0])} is unknown; expected: {', '.join(sorted(expected))}")


def refuse_repeated(names: Sequence[str], where: str) -> None:
    """Raise InputError that names the first name that occurs twice."""
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            raise InputError(f"{where}: {shown(name)} occurs twice (entries {first[name] + 1} and {index + 1}).")


def normalise(name: str) -> str:
    """Return what two spellings of a class name share; see `zslbench.classnames`."""
    return loosely(name)


def match_class(name: str, classes: Sequence[str]) -> int | None:
    """Return the index of the class of that name after normalising, or None; InputError if several share it."""
    return _label(_by_key(classes), name)


def join(names: Sequence[str], classes: Sequence[str], where: str, remedy: str = "") -> list[int]:
    """Return for each class the index of its name in `names`, compared after normalising.

    InputError lists every name without a class and every class without a name, with close ones, and ends with
    `remedy`; it also names two names of one class, and two classes that normalising makes equal.
    """
    by_key = _by_key(classes)
    found: dict[int, int] = {}
    strangers: list[str] = []
    for index, name in enumerate(names):
        label = _label(by_key, name)
        if label is None:
            strangers.append(name)
        elif label in found:
            raise InputError(
                f"{where}: {shown(names[found[label]])} and {shown(name)} both name class {classes[label]!r}."
            )
        else:
            found[label] = index
    missing = [name for label, name in enumerate(classes) if label not in found]
    if strangers or missing:
        faults = []
        if strangers:
            faults.append(f"no class is called {_listed([_with_close(name, missing) for name in strangers])}")
        if missing:
            faults.append(f"nothing is given for {_listed([repr(name) for name in missing])}")
        more = (
            ""
            if missing
            else (
                f" A class that nobody has images of is named by {_without_images(strangers)} when a data set is made."
            )
        )
        raise InputError(f"{where}: {'; '.join(faults)}.{more}{remedy}")
    return [found[label] for label in range(len(classes))]


def shown(value: object) -> str:
    """Return the value as it is shown in a message, cut to one short line."""
    text = repr(value[: 2 * _CUT]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _CUT else f"{text[:_CUT]}..."


def _by_key(classes: Sequence[str]) -> dict[str, int]:
    by_key: dict[str, int] = {}
    for label, name in enumerate(classes):
        if by_key.setdefault(normalise(name), label) != label:
            other = classes[by_key[normalise(name)]]
            raise InputError(
                f"classes {other!r} and {name!r} differ only in case, spaces, '_', '-' or '+': rename one."
            )
    bare = [normalise(without_number(name)) for name in classes]
    counts = Counter(bare)
    for label, key in enumerate(bare):  # 001.Sooty_Albatross goes by Sooty Albatross, if no other class does
        if counts[key] == 1:
            by_key.setdefault(key, label)
    return by_key


def _label(by_key: Mapping[str, int], name: str) -> int | None:
    label = by_key.get(normalise(name))
    return by_key.get(normalise(without_number(name))) if label is None else label


def _with_close(name: str, missing: Sequence[str]) -> str:
    # close_matches compares letter by letter: cut what cannot be a class name anyway
    by_key = {normalise(other): other for other in missing}
    hint = close_matches(normalise(name[:_CUT]), by_key) if len(by_key) <= 1000 else ""
    for key, other in by_key.items():
        hint = hint.replace(repr(key), repr(other))
    return f"{shown(name)}{' (' + hint.strip() + ')' if hint else ''}"


def _without_images(names: Sequence[str]) -> str:
    return argument("without_images", as_listed(names)) if len(names) <= AS_MANY else argument("without_images")


def _listed(parts: Sequence[str]) -> str:
    rest = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + rest


def _unique_keys(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    refuse_repeated([key for key, _ in pairs], where)
    return dict(pairs)
