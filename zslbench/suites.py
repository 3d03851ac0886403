"""Suites: what `zslbench run` runs, as a TOML file that says everything a command line would.

title = "Every method on UC Merced"
dataset = "ucm"
split_family = ["16/5", "13/8"]     # or one: "16/5"
splits = 10                         # of each family
shots = [0, 1, 5]                   # labelled images of every unseen class; 0 where nothing is said
budget = 10                         # configurations that each method may try on the validation classes of each split
select = "val"                      # what the printed leaderboard reports: which epoch, and sorted by what (sort = "H")

plugins = ["mine.py"]               # files that define further methods, relative to this one

[[methods]]
name = "eszsl"

[[methods]]
name = "clswgan"
params = { hidden = 512 }
splits = 5                          # fewer than the suite's; the leaderboard then shows and does not rank it
budget = 1                          # another than the suite's; 1 is the configuration that is named here

[[parts]]                           # once more, with what is otherwise in it: features, semantics, maps, split_family
semantics = "names"
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from zslbench.cards import card_names
from zslbench.configuration import MethodSpec, close_matches, parse_methods
from zslbench.datasets import Dataset
from zslbench.errors import InputError
from zslbench.files import read_text
from zslbench.shipped import shipped
from zslbench.spelling import argument
from zslbench.splits import Split, make_splits, read_splits
from zslbench.terms import BUDGET_METRICS, METRICS, Selection


class SuiteMethod(msgspec.Struct, forbid_unknown_fields=True):
    """One ``[[methods]]`` table."""

    name: str
    params: dict[str, Any] = {}
    splits: int | None = None
    """How many of the suite's splits; all by default."""
    budget: int | None = None
    """How many configurations it may try on the validation classes of each split; the suite's by default."""

    @property
    def spec(self) -> MethodSpec:
        """As the command line would name it."""
        return MethodSpec(self.name, self.params)


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """One ``[[parts]]`` table: what is otherwise when the suite is run once more."""

    features: str | None = None
    semantics: str | None = None
    maps: str | None = None
    split_family: str | list[str] | None = None


class Suite(msgspec.Struct, forbid_unknown_fields=True):
    """A suite file. What is left out is as on the command line."""

    dataset: str
    """A bundled data set's name, or a folder relative to the suite file."""
    methods: list[SuiteMethod]
    title: str = ""
    features: str | None = None
    semantics: str | None = None
    maps: str | None = None
    split_family: str | list[str] | None = None
    """One or several; text may name several too, separated by commas."""
    splits_file: str | None = None
    """Relative to the suite file."""
    splits: int | None = None
    """Of each family."""
    split: int | list[int] | None = None
    """These splits alone, by their numbers from 0."""
    seeds: int = 1
    shots: int | list[int] = 0
    """Labelled images of every unseen class that are trained on: a table for each."""
    validation: bool = True
    budget: int | None = None
    """How many configurations each method may try on the validation classes of each split; by default the named one."""
    budget_metric: str = BUDGET_METRICS[0]
    """Whose mean on validation classes chooses among them."""
    budget_curve: bool = False
    """Whether every draw is tested that could be chosen in another order, for an exact curve of smaller budgets."""
    select: str = "last"
    """Which epoch the printed leaderboard reports: a `zslbench.terms.Selection`."""
    sort: str = "H"
    """The metric that ranks it."""
    plugins: list[str] = []
    """Files that define further methods, relative to the suite file."""
    parts: list[Part] = []
    """The suite is run as it is, and then once more with each of these."""

    @property
    def each_part(self) -> "list[Suite]":
        """The suite as it is, and as each of its parts would have it."""
        alone = msgspec.structs.replace(self, parts=[])
        changes = (
            {name: value for name, value in msgspec.structs.asdict(part).items() if value is not None}
            for part in self.parts
        )
        return [alone, *(msgspec.structs.replace(alone, **change) for change in changes)]

    @property
    def families(self) -> list[str]:
        """The split families; empty where none is named."""
        named = self.split_family.split(",") if isinstance(self.split_family, str) else self.split_family or []
        return [family.strip() for family in named]

    @property
    def selection(self) -> Selection:
        """`select`, which reading has checked."""
        return cast(Selection, self.select)

    @property
    def numbers(self) -> list[int] | None:
        """The splits that are asked for by number; None for all that are drawn."""
        return [self.split] if isinstance(self.split, int) else self.split

    @property
    def each_shots(self) -> list[int]:
        """`shots` as numbers, each once."""
        return list(dict.fromkeys([self.shots] if isinstance(self.shots, int) else self.shots))

    @property
    def drawn(self) -> int | None:
        """How many splits of a family are drawn: those that are asked for by number are among them."""
        return self.splits if self.numbers is None else max(self.numbers) + 1


def find_suite(name: str | Path) -> Path:
    """The file of a suite: one that comes with zslbench, by its name, or a path.

    Raises:
        InputError: neither, or both: a file of that name lies in the current folder.
    """
    path, known = Path(name), suite_names()
    if str(name) not in known:
        if path.suffix == "" and not path.exists() and path.name == str(name):
            raise InputError(
                f"no suite {str(name)!r}.{close_matches(str(name), known)} Known: {', '.join(known)}, or a file."
            )
        return path
    if path.is_file():
        raise InputError(f"{name} is a suite of zslbench and a file here: write ./{name} for the file, or move it.")
    return shipped("suites") / f"{name}.toml"


def suite_names() -> tuple[str, ...]:
    """The suites that come with zslbench."""
    return card_names(shipped("suites"))


def read_suite(path: str | Path) -> Suite:
    """Read and check a suite file.

    Raises:
        InputError: no such file, not TOML, an unknown key, or a value that does not fit; file and key are named.
    """
    path = Path(path)
    if not os.path.exists(path):
        raise InputError(f"no suite file {path}.")
    try:
        raw = msgspec.toml.decode(read_text(path))
    except (ValueError, RecursionError) as error:
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
    parts = raw.get("parts", [])
    for number, part in enumerate(parts if isinstance(parts, list) else [], 1):
        if isinstance(part, dict):
            _check_keys(part, Part, f"suite {path}, part {number}")
        if not part:
            raise InputError(f"suite {path}, part {number} is empty: expected what is otherwise in it.")
    try:
        suite = msgspec.convert(raw, Suite)
    except msgspec.ValidationError as error:
        raise InputError(f"suite {path}: {str(error).replace('`$.', '`')}.") from error
    counts = {"splits": suite.splits, "seeds": suite.seeds}
    counts |= {f"splits of {method.name}": method.splits for method in suite.methods} | _budgets(suite)
    for key, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"suite {path}: {key} = {count}; at least 1 is expected.")
    for method in suite.methods:
        if suite.splits and method.splits and method.splits > suite.splits:
            raise InputError(
                f"suite {path}: splits of {method.name} = {method.splits} is more than the suite's splits = "
                f"{suite.splits}."
            )
    if suite.numbers is not None and (not suite.numbers or min(suite.numbers) < 0):
        raise InputError(f"suite {path}: split = {suite.split}; numbers from 0 are expected.")
    if not suite.each_shots or min(suite.each_shots) < 0:
        raise InputError(f"suite {path}: shots = {suite.shots}; numbers from 0 are expected.")
    if suite.numbers is not None and suite.splits is not None:
        raise InputError(f"suite {path}: split and splits exclude each other.")
    if suite.splits_file and any(part.split_family is not None for part in suite.parts):
        raise InputError(f"suite {path}: a part's split_family and the suite's splits_file exclude each other.")
    if suite.split_family is not None and suite.splits_file:
        raise InputError(f"suite {path}: split_family and splits_file exclude each other.")
    if suite.split_family is not None and not all(suite.families or [""]):
        raise InputError(f"suite {path}: split_family is empty; leave it out for the data set's first.")
    choices = ("select", get_args(Selection)), ("sort", METRICS), ("budget_metric", BUDGET_METRICS)
    for key, known in choices:
        value = getattr(suite, key)
        if value not in known:
            raise InputError(f"suite {path}: {key} = {value!r}; one of {', '.join(known)} is expected.")
    if suite.select == "val" and not suite.validation:
        raise InputError(f"suite {path}: select = 'val' needs the validation trials, hence validation = true.")
    if not suite.validation and (asked := [key for key, budget in _budgets(suite).items() if (budget or 0) > 1]):
        raise InputError(f"suite {path}: {asked[0]} chooses by the validation trials, hence validation = true.")
    if (path.parent / suite.dataset / "card.toml").is_file():
        suite.dataset = str(path.parent / suite.dataset)
    if suite.splits_file:
        suite.splits_file = str(path.parent / suite.splits_file)
    suite.plugins = [str(path.parent / plugin) for plugin in suite.plugins]
    return suite


def overridden(suite: Suite, *, methods: str | None = None, **options: Any) -> Suite:
    """The suite with every value that is given in place of its own.

    Args:
        suite: is changed.
        methods: as on the command line, ``mcfa,cada[lr=1e-3]``.
        options: fields of the suite; None leaves one as it is. Where one is given that a part has otherwise, there are
            no parts.

    Raises:
        InputError: two of them exclude each other, or something is missing.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    for one, other in (("splits_file", "split_family"), ("split", "splits")):
        if one in chosen and other in chosen:
            raise InputError(f"{argument(one)} and {argument(other)} exclude each other: give one of them.")
        if one in chosen or other in chosen:
            setattr(suite, other if one in chosen else one, None)
    if methods is not None:
        named = [SuiteMethod(spec.name, dict(spec.overrides)) for spec in parse_methods(methods)]
        suite.methods = [_as_in(suite.methods, method) for method in named]
    if {"splits_file", *Part.__struct_fields__} & chosen.keys():
        suite.parts = []
    for name, value in chosen.items():
        setattr(suite, name, str(value) if isinstance(value, Path) else value)
    for method in suite.methods:  # asked for on purpose, so a method's own number is no mistake
        if fewer := chosen.get("splits"):
            method.splits = None if methods else method.splits and min(method.splits, fewer)
        if most := chosen.get("budget"):
            method.budget = None if methods else method.budget and min(method.budget, most)
    if suite.numbers is not None and (not suite.numbers or min(suite.numbers) < 0):
        raise InputError(f"split = {suite.split}: numbers from 0 are expected.")
    if not suite.each_shots or min(suite.each_shots) < 0:
        raise InputError(f"shots = {suite.shots}: numbers from 0 are expected.")
    for name in ("methods", "dataset"):
        if not getattr(suite, name):
            raise InputError(f"nothing says which {name} to run: name some, or a suite that does.")
    if suite.select == "val" and not suite.validation:
        raise InputError("epochs chosen on validation classes need the validation trials, which are left out.")
    if not suite.validation and (largest := max((budget or 0 for budget in _budgets(suite).values()), default=0)) > 1:
        raise InputError(
            f"{argument('budget', largest)} chooses configurations on validation classes, and "
            f"{argument('validation', False)} leaves their trials out; leave out one of them."
        )
    return suite


def _as_in(methods: Sequence[SuiteMethod], named: SuiteMethod) -> SuiteMethod:
    """With its own number of splits and budget where the suite has the method with these parameters."""
    return next((one for one in methods if (one.name, one.params) == (named.name, named.params)), named)


def _budgets(suite: Suite) -> dict[str, int | None]:
    """Key -> every budget that a suite names."""
    return {"budget": suite.budget} | {f"budget of {method.name}": method.budget for method in suite.methods}


def plugin_files(name: str | Path | None, others: Iterable[Path]) -> list[Path]:
    """The files of methods that a suite names, if there is one, after others; each file once.

    Raises:
        InputError: there is no such suite, or it says what none can.
    """
    named = [] if name is None else read_suite(find_suite(name)).plugins
    return list({os.path.realpath(path): path for path in (*others, *map(Path, named))}.values())


def draw_splits(suite: Suite, data: Dataset) -> list[Split]:
    """The suite's splits, one family after the other, so that one table is complete before the next begins.

    Raises:
        InputError: an unknown family or one named twice, or more splits than there are, which a method may ask too.
    """
    families = suite.families
    if twice := next((family for family in families if families.count(family) > 1), None):
        raise InputError(f"split family {twice!r} is named twice.")
    if suite.splits_file:
        drawn = [read_splits(data, suite.splits_file, suite.drawn)]
    else:
        drawn = [make_splits(data, family, suite.drawn) for family in families]
    for splits in drawn:
        for method in suite.methods:
            if method.splits and method.splits > len(splits):
                raise InputError(
                    f"splits of {method.name} = {method.splits} is more than the suite's splits, which are "
                    f"{len(splits)} of {splits[0].family}: set splits."
                )
    chosen = suite.numbers
    return [split for splits in drawn for split in splits if chosen is None or split.index in chosen]


def _check_keys(table: dict[str, Any], kind: type[msgspec.Struct], where: str) -> None:
    for key in table:
        if key not in kind.__struct_fields__:
            known = ", ".join(kind.__struct_fields__)
            raise InputError(
                f"{where}: unknown key {key!r}.{close_matches(key, kind.__struct_fields__)} Known: {known}."
            )
