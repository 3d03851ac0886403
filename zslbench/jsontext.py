"""Documents as JSON that a person can read."""

import re
from typing import Any

import msgspec

_UNSEEN = re.compile(r"[^\x00-\x7e]")


def pretty(document: Any) -> str:
    """Indented JSON; numbers that do not exist (NaN) are null."""
    return readable(msgspec.json.format(compact(document), indent=2).decode())


def compact(document: Any) -> bytes:
    """JSON without spaces. Half characters, as in the names of oddly encoded files, are written out."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole(msgspec.to_builtins(document, str_keys=True)))


def readable(text: str) -> str:
    """JSON whose characters that cannot be printed, such as marks of direction, are escaped; it means the same."""
    return text if text.isascii() and "\x7f" not in text else _UNSEEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _whole(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case list() | tuple():
            return [_whole(item) for item in value]
        case dict():
            return {_whole(key): _whole(item) for key, item in value.items()}
    return value
