"""Documents as JSON that a person can read."""

from typing import Any

import msgspec


def pretty(document: Any) -> str:
    """Indented JSON; numbers that do not exist (NaN) are null."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
