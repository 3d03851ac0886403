"""Suites: what `zslbench run --suite FILE.toml` runs, as a TOML file that says everything a command line would.

title = "Every method on UC Merced"
dataset = "ucm"
split_family = "16/5"
splits = 10

[[methods]]
name = "eszsl"

[[methods]]
name = "clswgan"
params = { hidden = 512 }
splits = 5                  # fewer than the suite's; the leaderboard then shows and does not rank it
"""

from pathlib import Path
from typing import Any

import msgspec

from zslbench.configuration import MethodSpec, close_matches
from zslbench.errors import InputError


class SuiteMethod(msgspec.Struct, forbid_unknown_fields=True):
    """One ``[[methods]]`` table."""

    name: str
    params: dict[str, Any] = {}
    splits: int | None = None
    """How many of the suite's splits; all by default."""

    @property
    def spec(self) -> MethodSpec:
        """As the command line would name it."""
        return MethodSpec(self.name, self.params)


class Suite(msgspec.Struct, forbid_unknown_fields=True):
    """A suite file. What is left out is as on the command line."""

    dataset: str
    """A bundled data set's name, or a folder relative to the suite file."""
    methods: list[SuiteMethod]
    title: str = ""
    features: str | None = None
    semantics: str | None = None
    maps: str | None = None
    split_family: str | None = None
    splits_file: str | None = None
    """Relative to the suite file."""
    splits: int | None = None
    seeds: int = 1
    validation: bool = True


def read_suite(path: str | Path) -> Suite:
    """Read and check a suite file.

    Raises:
        InputError: no such file, not TOML, an unknown key, or a value that does not fit; file and key are named.
    """
    path = Path(path)
    try:
        raw = msgspec.toml.decode(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"no suite file {path}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"suite {path} cannot be read as TOML: {error}") from error
    _check_keys(raw, Suite, f"suite {path}")
    methods = raw.get("methods")
    if not isinstance(methods, list) or not methods or not all(isinstance(method, dict) for method in methods):
        raise InputError(f"suite {path} names no method: expected [[methods]] tables, each with a 'name'.")
    for number, method in enumerate(methods, 1):
        _check_keys(method, SuiteMethod, f"suite {path}, method {number}")
        if "[" in str(method.get("name")):
            raise InputError(
                f"suite {path}, method {number}: parameters go to 'params', as in params = {{ lr = 0.1 }}."
            )
    try:
        suite = msgspec.convert(raw, Suite)
    except msgspec.ValidationError as error:
        raise InputError(f"suite {path}: {error}.") from error
    counts = {"splits": suite.splits, "seeds": suite.seeds}
    counts |= {f"splits of {method.name}": method.splits for method in suite.methods}
    for key, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"suite {path}: {key} = {count}; at least 1 is expected.")
    if suite.split_family and suite.splits_file:
        raise InputError(f"suite {path}: split_family and splits_file exclude each other.")
    if (path.parent / suite.dataset / "card.toml").is_file():
        suite.dataset = str(path.parent / suite.dataset)
    if suite.splits_file:
        suite.splits_file = str(path.parent / suite.splits_file)
    return suite


def _check_keys(table: dict[str, Any], kind: type[msgspec.Struct], where: str) -> None:
    for key in table:
        if key not in kind.__struct_fields__:
            known = ", ".join(kind.__struct_fields__)
            raise InputError(
                f"{where}: unknown key {key!r}.{close_matches(key, kind.__struct_fields__)} Known: {known}."
            )
