"""What a store holds, as a notebook wants it: tables that show themselves, and pandas frames."""

from collections.abc import Iterable, Iterator, Sequence
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
from zslbench.results.leaderboard import Gathered, Table, leaderboard
from zslbench.results.overall import Overall, overall
from zslbench.results.rows import limited
from zslbench.spelling import argument
from zslbench.terms import METRICS, OPEN_METRICS, SELECTIONS, Selection

if TYPE_CHECKING:
    import pandas as pd

    from zslbench.results.stress import StressTable
    from zslbench.results.variance import VarianceTable


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


class Overalls(list[Overall]):
    """Methods over several data sets, a table for every track. Shows itself in a notebook."""

    def to_frame(self) -> "pd.DataFrame":
        """A row per method; see `zslbench.results.frames.overall_frame`."""
        from zslbench.results.frames import overall_frame

        return overall_frame(self)

    def blocks(self) -> "pd.DataFrame":
        """A row per method and block; see `zslbench.results.frames.blocks_frame`."""
        from zslbench.results.frames import blocks_frame

        return blocks_frame(self)

    def _repr_html_(self) -> str:
        from zslbench.report.overall import as_html

        return as_html(self)

    def __repr__(self) -> str:
        from zslbench.report.overall import as_markdown

        return as_markdown(self)


class Variances(list["VarianceTable"]):
    """What the variance of values comes from, a table for every data set, family and track. Shows itself in a
    notebook."""

    def to_frame(self) -> "pd.DataFrame":
        """A row per source; see `zslbench.results.frames.variance_frame`."""
        from zslbench.results.frames import variance_frame

        return variance_frame(self)

    def __repr__(self) -> str:
        from zslbench.report.variance import as_markdown

        return as_markdown(self)

    def _repr_markdown_(self) -> str:
        return repr(self)


class Compared:
    """Methods on the splits that all of them have, and what may be concluded. Shows itself in a notebook."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @property
    def conclusions(self) -> list[str]:
        """What may be said of another split of these classes, one sentence each."""
        return self.comparison.conclusions

    @property
    def other_classes(self) -> list[str]:
        """What may be said of other classes, one sentence each."""
        return self.comparison.others

    def to_frame(self) -> "pd.DataFrame":
        """A row per split and method; see `zslbench.results.frames.comparison_frame`."""
        from zslbench.results.frames import comparison_frame

        return comparison_frame(self.comparison)

    def pairs(self) -> "pd.DataFrame":
        """A row per pair of methods with all that is said of it; see `zslbench.results.frames.pairs_frame`."""
        from zslbench.results.frames import pairs_frame

        return pairs_frame(self.comparison)

    def __repr__(self) -> str:
        from zslbench.report.comparisons import as_markdown

        return as_markdown(self.comparison)

    def _repr_markdown_(self) -> str:
        return repr(self)


def _with_records(folder: str | Path) -> Store:
    store = Store(folder)
    if not store.has_records():
        raise InputError(f"no records in {folder}; expected a folder that a run wrote.")
    return store


def _plans(stores: Iterable[Store]) -> Iterable[Plan]:
    return (plan for store in stores for plan in store.each_plan())


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
        self._held: Gathered | None = None

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
        also: Sequence[str | Path] = (),
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
            also: folders of further stores, whose trials count too; of a trial in several, the last one named counts.

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
        further = [_with_records(folder) for folder in (arguments.paths("also", also) if also else [])]
        plans = [*(self.store.plans() if self._plan is None else [self._plan]), *_plans(further)]
        tables = leaderboard(
            self._records_of(further) if self._held is None else self._held,
            plans,
            selection=select,
            sort=sort,
            splits=splits,
        )
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

    def variance(self, select: Selection = "last", metric: str = "H", **where: Any) -> "Variances":
        """How much of the variance of the values comes from method, class split, semantics, features and seed.

        Args:
            select: which epoch counts.
            metric: whose variance.
            where: what `leaderboard` takes, `also` of several stores included.

        Raises:
            InputError: no two methods have two splits in common.
        """
        from zslbench.results.variance import variance_tables

        metric = arguments.one_of("metric", metric, (*METRICS, *OPEN_METRICS))
        tables = self.leaderboard(select, metric if metric in METRICS else "H", **where)
        return Variances(variance_tables(tables, metric))

    def overall(
        self,
        select: Selection = "last",
        sort: str = "H",
        *,
        also: Sequence[str | Path] = (),
        methods: Sequence[str] = (),
        **where: Any,
    ) -> Overalls:
        """The methods of every track over the data sets that all of them were run on.

        Args:
            select: which epoch counts.
            sort: the metric that ranks within a data set, split family, features and semantics.
            also: folders of further stores.
            methods: only these labels or methods; fewer may be in more data sets.
            where: what `leaderboard` takes: `dataset`, `split_family`, `features`, `semantics`, `data`, `protocol`,
                `track`, `splits`.

        Raises:
            InputError: fewer than three data sets, or fewer than two methods in all of them; the message says what
                there is.
        """
        tables = self.leaderboard(select, sort, also=also, methods=methods, **where)
        return Overalls(overall(tables, sort))

    def compare(
        self,
        *names: str,
        metric: str = "H",
        select: Selection = "last",
        every_pair: bool = False,
        rope: float | None = None,
        **where: Any,
    ) -> Compared:
        """These methods split by split, with what may be concluded.

        Where none is named, the best ranked row is compared with each other one; of several tracks, in the strict one.

        Args:
            names: labels or methods.
            metric: what is compared.
            select: which epoch counts.
            every_pair: of all ranked rows, where none is named.
            rope: differences up to so many percentage points count as none: half the width of the region of practical
                equivalence, for the probabilities that a method is better, equal or worse on other classes.
            where: what `leaderboard` takes: `dataset`, `split_family`, `features`, `semantics`, `data`, `protocol`,
                `track`, `shots`, `splits`.

        Raises:
            InputError: an unknown name, fewer than two, or rows that may not be compared.
        """
        for name in names:
            arguments.text("names", name, "the label of a row, or a method's name,")
        metric = arguments.one_of("metric", metric, (*METRICS, *OPEN_METRICS))
        region = None if rope is None else arguments.percentage("rope", rope) / 100
        tables = self.leaderboard(select, metric if metric in METRICS else "H", **where)
        best_alone, table = not names and not every_pair, only_table(tables, names)
        found = compare_rows(table, list(names), metric, best_alone=best_alone, rope=region)
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

    def _records_of(self, further: Sequence[Store] = ()) -> Iterator[Record]:
        """Those of this run, and those of further stores."""
        keys = self._keys()
        yield from (record for record in self.store.records() if keys is None or record.key in keys)
        for store in further:
            yield from store.records()

    def held(self) -> "Results":
        """The same as they are now, without further stores: tables by several rules then read the store once."""
        held = Results(self.store, self._plan, self._dataset)
        held._held = Gathered(self._records_of())
        return held

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
