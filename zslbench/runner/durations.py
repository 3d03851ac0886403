"""Durations as people write and read them."""

import re

from zslbench.errors import InputError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def clock(seconds: float) -> str:
    """Seconds as a person reads them: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole == seconds or whole > 9 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def seconds_of(text: str) -> float:
    """What a person wrote, ``90``, ``45s``, ``30m``, ``2h`` or ``1h30m``, in seconds.

    Raises:
        InputError: it has another form, or is not positive.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    if "".join(number + unit for number, unit in parts) != re.sub(r"\s", "", text.lower()) or not parts:
        raise InputError(f"cannot read the duration {text!r}: expected one like 90, 45s, 30m, 2h or 1h30m.")
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if seconds <= 0:
        raise InputError(f"the duration {text!r} is not positive.")
    return seconds
