"""Data sets by name: those that come with the package, and folders."""

from importlib.resources import files
from pathlib import Path

from zslbench.configuration import close_matches
from zslbench.datasets.container import Dataset
from zslbench.datasets.made import made_folder, made_names, made_place
from zslbench.errors import InputError

_BUNDLED = Path(str(files("zslbench.datasets"))) / "bundled"


def bundled_names() -> list[str]:
    """The data sets that need no download."""
    return sorted([*(path.parent.name for path in _BUNDLED.glob("*/card.toml")), *made_names()])


def bundled_folder(name: str) -> Path:
    """The folder of a bundled data set, which is written now if it is one that is written at first use.

    Raises:
        InputError: it cannot be written.
    """
    return made_folder(name) if name in made_names() else _BUNDLED / name


def bundled_place(name: str) -> Path:
    """Where a bundled data set is, or will be."""
    return made_place(name) if name in made_names() else _BUNDLED / name


def load_dataset(name: str | Path) -> Dataset:
    """A bundled data set by name, or any data set by the path of its folder.

    Raises:
        InputError: neither a bundled name nor a data set folder.
    """
    if str(name) in bundled_names():
        return Dataset(bundled_folder(str(name)))
    if Path(name).is_dir():
        return Dataset(name)
    from zslbench.datasets.known import known_names

    if str(name) in known_names():
        raise InputError(
            f"data set {str(name)!r} is known and not here: `zslbench data download {name}` gets it or says from "
            f"where; then give the folder that `data prepare` or `data import` wrote."
        )
    known = bundled_names()
    raise InputError(
        f"unknown data set {str(name)!r}: neither a bundled one nor a folder.{close_matches(str(name), known)} "
        f"Bundled: {', '.join(known)}."
    )
