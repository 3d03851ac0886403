"""Data sets that come with the package and are written at first use, from what an installed package holds."""

import importlib
import os
from pathlib import Path

from zslbench.errors import InputError

_MODULES = {"digits": "zslbench.datasets.digits"}
"""Name -> a module with ``version()`` and ``make(folder)``."""


def made_names() -> list[str]:
    """Those that there are."""
    return sorted(_MODULES)


def made_place(name: str) -> Path:
    """Where one is, or will be: a folder of the user's cache, another for each version of what is written."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    beside = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"  # relative ones are to be ignored
    return beside / "zslbench" / f"{name}-{importlib.import_module(_MODULES[name]).version()}"


def made_folder(name: str) -> Path:
    """The folder of one, written if it is not there.

    Raises:
        InputError: it cannot be written.
    """
    folder = made_place(name)
    if (folder / "card.toml").is_file():
        return folder
    try:
        importlib.import_module(_MODULES[name]).make(folder)
    except InputError as error:
        if (folder / "card.toml").is_file():  # another process was quicker
            return folder
        raise InputError(
            f"data set {name!r} is written at first use to a folder that XDG_CACHE_HOME may name: {error}"
        ) from error
    return folder
