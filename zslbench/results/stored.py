"""What a store holds, as a notebook wants it: tables that show themselves, and pandas frames."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from zslbench import arguments
from zslbench.configuration import close_matches
from zslbench.datasets import Dataset, load_dataset
from zslbench.errors import InputError
from zslbench.records import Latest, Plan, Record, Store
from zslbench.results.budgets import BudgetTable, budget_tables
from zslbench.results.citations import cited
from zslbench.results.comparison import Comparison, compare_rows, only_table, other_tracks
from zslbench.results.leaderboard import Table, leaderboard
from zslbench.results.rows import limited
from zslbench.spelling import argument
from zslbench.terms import METRICS, SELECTIONS, Selection

if TYPE_CHECKING:
    import pandas as pd

    from zslbench.results.stress import StressTable


class Leaderboard(list[Table]):
    """Tables, best row first: one per data set, features, semantics, split family, number of shots and track.
    Shows itself in a notebook."""

    def to_frame(self) -> "pd.DataFrame":
        """A row per method and configuration; see `zslbench.results.frames.leaderboard_frame`."""
        from zslbench.results.frames import leaderboard_frame

        return leaderboard_frame(self)

    def _repr_html_(self) -> str:
        from zslbench.report.tables import as_html

        return as_html(self)

    def __repr__(self) -> str:
        from zslbench.report.tables import as_markdown

        return as_markdown(self)


class Budgets(list[BudgetTable]):
    """Tables of what larger budgets are worth. Shows itself in a notebook."""

    def to_frame(self) -> "pd.DataFrame":
        """A row per method, budget and split; see `zslbench.results.frames.budgets_frame`."""
        from zslbench.results.frames import budgets_frame

        return budgets_frame(self)

    def __repr__(self) -> str:
        from zslbench.report.budgets import as_markdown

        return as_markdown(self)

    def _repr_markdown_(self) -> str:
        return repr(self)


class Compared:
    """Methods on the splits that all of them have, and what may be concluded. Shows itself in a notebook."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @property
    def conclusions(self) -> list[str]:
        """What may be said, one sentence each."""
        return self.comparison.conclusions

    def to_frame(self) -> "pd.DataFrame":
        """A row per split and method; see `zslbench.results.frames.comparison_frame`."""
        from zslbench.results.frames import comparison_frame

        return comparison_frame(self.comparison)

    def __repr__(self) -> str:
        from zslbench.report.comparisons import as_markdown

        return as_markdown(self.comparison)

    def _repr_markdown_(self) -> str:
        return repr(self)


class Results:
    """The trials of a store, or those of one run in it.

    Args:
        store: where they are.
        plan: of the run whose trials alone are meant; None for everything stored.
        dataset: that they are of, if it is at hand.
    """

    def __init__(self, store: Store, plan: Plan | None = None, dataset: Dataset | None = None) -> None:
        self.store = store
        self._plan = plan
        self._dataset = dataset

    @property
    def folder(self) -> Path:
        """The store's."""
        return self.store.folder

    @overload
    def leaderboard(
        self, select: Selection = "last", sort: str = "H", *, budget: None = None, **where: Any
    ) -> Leaderboard: ...

    @overload
    def leaderboard(
        self, select: Selection = "last", sort: str = "H", *, budget: int | Sequence[int], **where: Any
    ) -> Budgets: ...

    def leaderboard(  # type: ignore[misc]  # what **where may be is said here alone
        self,
        select: Selection = "last",
        sort: str = "H",
        *,
        budget: int | Sequence[int] | None = None,
        methods: Sequence[str] = (),
        dataset: str | None = None,
        split_family: str | None = None,
        features: str | None = None,
        semantics: str | None = None,
        data: str | None = None,
        protocol: int | None = None,
        track: str | None = None,
        shots: int | None = None,
        splits: int | None = None,
    ) -> Leaderboard | Budgets:
        """The ranked tables, or what larger budgets are worth.

        Args:
            select: which epoch counts: ``last``, ``val`` (best on validation classes) or ``test-max``, an oracle.
            sort: the metric that ranks.
            budget: show what the best of so many configurations is expected to reach, beside the named one.
            methods: only rows of these labels or methods; all by default.
            dataset: only tables of this data set.
            split_family: only tables of this family.
            features: only tables of these features.
            semantics: only tables of these semantics.
            data: only the table of the data of this hash, as its heading shows it.
            protocol: only tables of this version of the protocol.
            track: only tables of this track: ``strict``, ``unseen-semantics``, ``pre-trained``, ``transductive``, or
                several with ``+``.
            shots: only tables of so many labelled images of every unseen class.
            splits: only the first so many splits of a family.

        Raises:
            InputError: nothing stored matches.
        """
        select, sort = arguments.one_of("select", select, SELECTIONS), arguments.one_of("sort", sort, METRICS)
        given = {"dataset": dataset, "split_family": split_family, "features": features, "semantics": semantics,
                 "data": data, "track": track}  # fmt: skip
        wanted: dict[str, Any] = {
            name: arguments.text(name, value) for name, value in given.items() if value is not None
        }
        numbers = {"protocol": protocol, "shots": shots}
        wanted |= {name: arguments.whole(name, value) for name, value in numbers.items() if value is not None}
        splits = None if splits is None else arguments.whole("splits", splits, 1)
        named = arguments.texts("methods", methods) if methods else []
        plans = self.store.plans() if self._plan is None else [self._plan]
        keys = self._keys()
        records = (record for record in self.store.records() if keys is None or record.key in keys)
        tables = leaderboard(records, plans, selection=select, sort=sort, splits=splits)
        for name, value in wanted.items():
            field = "family" if name == "split_family" else name
            known = dict.fromkeys(str(getattr(table, field)) for table in tables)
            tables = [table for table in tables if getattr(table, field) == value]
            if known and not tables:
                raise InputError(
                    f"no trial in {self.folder} matches the options: {argument(name, value)} is none of "
                    f"{', '.join(known)}."
                )
        if named:
            tables = limited(tables, named if isinstance(named, str) else ",".join(named))
        if not tables:
            raise InputError(f"no trial in {self.folder} matches the options.")
        if budget is not None:
            listed = arguments.wholes("budget", budget, 1)
            return Budgets(budget_tables(tables, [listed] if isinstance(listed, int) else listed))
        return Leaderboard(cited(tables))

    def stress(self, select: Selection = "last", metric: str = "H", **where: Any) -> "list[StressTable]":
        """What each method loses under each stored stress, and how ranks change.

        Args:
            select: which epoch counts.
            metric: whose loss is told.
            where: what `leaderboard` takes, of the tables as they are and of their views alike.

        Raises:
            InputError: nothing stored is under stress, or not what it is a view of.
        """
        from zslbench.results.stress import stress_tables

        metric = arguments.one_of("metric", metric, METRICS)
        return stress_tables(self.leaderboard(select, metric, **where), metric)

    def compare(
        self, *names: str, metric: str = "H", select: Selection = "last", every_pair: bool = False, **where: Any
    ) -> Compared:
        """These methods split by split, with what may be concluded.

        Where none is named, the best ranked row is compared with each other one; of several tracks, in the strict one.

        Args:
            names: labels or methods.
            metric: what is compared.
            select: which epoch counts.
            every_pair: of all ranked rows, where none is named.
            where: what `leaderboard` takes: `dataset`, `split_family`, `features`, `semantics`, `data`, `protocol`,
                `track`, `shots`, `splits`.

        Raises:
            InputError: an unknown name, fewer than two, or rows that may not be compared.
        """
        for name in names:
            arguments.text("names", name, "the label of a row, or a method's name,")
        metric = arguments.one_of("metric", metric, METRICS)
        tables = self.leaderboard(select, metric, **where)
        best_alone, table = not names and not every_pair, only_table(tables, names)
        found = compare_rows(table, list(names), metric, best_alone=best_alone)
        if not names and (sentence := other_tracks(table, tables)) is not None:
            found.conclusions.append(sentence)
        return Compared(found)

    def records(self) -> "pd.DataFrame":
        """A row per stored trial; see `zslbench.results.frames.records_frame`."""
        from zslbench.results.frames import records_frame

        return records_frame(self.store, self._keys())

    def curves(self) -> "pd.DataFrame":
        """A row per epoch of every finished trial."""
        from zslbench.results.frames import curves_frame

        return curves_frame(self.store, self._keys())

    def predictions(self, label: str | None = None, data: Any = None) -> "pd.DataFrame":
        """A row per classified image of every finished trial, or of those with this label.

        Args:
            label: of a method with its parameters, as tables show it; all by default.
            data: what `zslbench.load` returned, or takes: the data set whose rows and pictures the columns
                ``image`` and ``file`` name. That of the run, or of the package, by default; else they are empty.

        Raises:
            InputError: nothing is stored of this label, a file of predictions is missing or was altered, or `data` is
                no data set.
        """
        from zslbench.results.frames import predictions_frame
        from zslbench.results.pictures import Pictures

        given = self._dataset if data is None else load_dataset(data) if isinstance(data, str | Path) else data
        dataset = getattr(given, "dataset", given)
        if not isinstance(dataset, Dataset | None):
            raise InputError(f"data: what zslbench.load returns is expected, found {type(data).__name__}.")
        stored = list(self._records())
        if label is not None:
            known = dict.fromkeys(one.label for one in stored)
            if arguments.text("label", label, "the label of a row") not in known:
                raise InputError(
                    f"no results of {label!r}.{close_matches(label, known)} There are: {', '.join(known)}."
                )
            stored = [one for one in stored if one.label == label]
        return predictions_frame(self.store, stored, Pictures([] if dataset is None else [dataset]))

    def failures(self) -> list[Record]:
        """The trials that failed and have not been done since."""
        return [record for record in self._records() if record.status == "failed"]

    def _keys(self) -> set[str] | None:
        if self._plan is None:
            return None
        return {key for row in self._plan.rows for key in row.every_key()}

    def _latest(self) -> Latest:
        return self.store.latest(self._keys())

    def _records(self) -> Iterable[Record]:
        return self._latest().values()

    def __repr__(self) -> str:
        status = list(self._latest().status.values())
        return f"<Results in {self.folder}: {status.count('done')} trials done, {status.count('failed')} failed>"

    def _repr_html_(self) -> str:
        import html

        try:
            return self.leaderboard()._repr_html_()
        except InputError:
            return f"<p>{html.escape(repr(self))}</p>"
