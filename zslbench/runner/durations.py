"""Durations as people write and read them."""

import re

from zslbench.errors import InputError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)
_FORM = re.compile(r"\d+(\.\d+)?|(\d+(\.\d+)?\s*[smhd]\s*)+", re.ASCII)
_SHORTEST, _LONGEST = 0.001, 10_000 * 86400.0


def clock(seconds: float) -> str:
    """Seconds as a person reads them: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if 0 < seconds < 0.05:
        return "under 0.1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole == seconds or whole > 9 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def time_left(seconds: float) -> str:
    """The same of what is still to come, which is never 0 s."""
    return clock(max(1.0, seconds))


def seconds_of(text: str) -> float:
    """What a person wrote, ``90``, ``45s``, ``30m``, ``2h`` or ``1h30m``, in seconds.

    Raises:
        InputError: it has another form, or is shorter than a clock can tell, or longer than anybody waits.
    """
    written = text.strip().lower()
    if not _FORM.fullmatch(written):
        raise InputError(f"cannot read the duration {text!r}: expected one like 90, 45s, 30m, 2h or 1h30m.")
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in _PART.findall(written))
    if not _SHORTEST <= seconds <= _LONGEST:
        raise InputError(f"the duration {text!r} is not between a millisecond and 10,000 days.")
    return seconds
