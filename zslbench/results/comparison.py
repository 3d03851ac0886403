"""Rows of one leaderboard table against one another, split by split, and what may be concluded in plain words.

Two populations are spoken of, each in sentences of its own. *Another split of these classes*: splits are independent
draws, as `zslbench.results.stats` takes them. *Other classes*: for these, splits that share classes are not, and
`zslbench.results.inference` corrects the variance for that.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.plaintext import plain
from zslbench.results.inference import Overlap, overlap_of, with_other_classes
from zslbench.results.leaderboard import Row, Table, lacking_validation
from zslbench.results.rows import limited
from zslbench.results.stats import ALPHA, Paired, Ranking, compare_all, rank_blocks, shared_splits, too_few
from zslbench.spelling import argument
from zslbench.terms import STRICT

_CHOICES = {
    "dataset": ("data set", "dataset"),
    "family": ("split family", "split_family"),
    "features": ("features", "features"),
    "semantics": ("semantics", "semantics"),
    "data": ("data", "data"),
    "protocol": ("protocol", "protocol"),
    "track": ("track", "track"),
    "shots": ("shots", "shots"),
}
"""What must be the same for numbers to be compared: in words, and the argument that chooses one of several."""
ORACLE = "An oracle, not a result (epochs were chosen on the TEST set): "
"""Before every sentence on epochs that were chosen so."""
_NAMED = 8
"""So many of the values that differ are named."""


class Comparison(msgspec.Struct, omit_defaults=True):
    """Two or more methods on the splits that all of them have."""

    dataset: str
    family: str
    features: str
    semantics: str
    data: str
    """Eight digits that stand for features, labels and semantics."""
    protocol: int
    metric: str
    selection: str
    splits: list[int]
    """Those that are compared."""
    left_out: int
    """Splits that some of the methods have and others lack."""
    values: dict[str, dict[int, float]]
    """Label -> split -> value, a fraction, averaged over seeds."""
    pairs: list[Paired]
    ranking: Ranking | None
    """None with fewer than 6 splits or 3 methods."""
    conclusions: list[str]
    """What may be said of another split of these classes, one sentence each."""
    reference: str | None = None
    """The row that alone is compared with each other one; None where every pair is."""
    track: str = STRICT
    shots: int = 0
    """Labelled images of every unseen class that were trained on."""
    rho: float | None = None
    """The share of classes that is unseen in a split, by which the variance is corrected for other classes; None where
    the records do not tell."""
    classes: int | None = None
    """In all, seen and unseen."""
    rope: float | None = None
    """Differences up to this fraction count as none, where such a region was asked for."""
    others: list[str] = []
    """What may be said of other classes, one sentence each."""


def only_table(tables: Sequence[Table], names: Sequence[str] = ()) -> Table:
    """The one table whose rows may be compared.

    Args:
        tables: of a leaderboard.
        names: labels or names of methods, in any of the tables; where one table alone has all of them, it is meant. Of
            tables that differ in their track alone, the strict one is.

    Raises:
        InputError: no table, or several; the message says what differs between them and how to choose. A name that
            no table has, or names that no table has all of.
    """
    if not tables:
        raise InputError("there is nothing to compare: no stored trial matches the options.")
    if names and len(tables) > 1:
        limited(tables, ",".join(names))  # or one line on the name that none has
        holding = {name: [table for table in tables if _is_in(table, name)] for name in names}
        tables = [table for table in tables if all(_is_in(table, name) for name in names)]
        if not tables:
            raise _apart(holding)
    first, *others = tables
    apart = [first, *(other for other in others if not _is_beside(first, other))]
    for name, (words, choice) in _CHOICES.items():
        values = list(dict.fromkeys(getattr(table, name) for table in apart))
        if len(values) > 1:
            what = f"of {first.dataset} {first.family}" if name not in ("dataset", "family") else "stored"
            raise InputError(
                f"results {what} differ in their {words}, {_some(values, 'and')}, and are not compared; "
                f"choose with {_some([argument(choice, value) for value in values], 'or')}."
            )
    return first


def _some(values: Sequence[object], last: str) -> str:
    """``0, 1, 5 and 10``, as many as a line bears."""
    texts = [plain(value) for value in values[:_NAMED]]
    if len(values) > _NAMED:
        return f"{', '.join(texts)} {last} {len(values) - _NAMED} more"
    return f" {last} ".join([", ".join(texts[:-1]), texts[-1]])


def other_tracks(table: Table, tables: Sequence[Table]) -> str | None:
    """The sentence on the tables that a strict one was taken before, if there are any."""
    beside = [argument("track", other.track) for other in tables if _is_beside(table, other)]
    if not beside:
        return None
    return f"These are the rows of the strict track; those of another track are compared apart: {', '.join(beside)}."


def _is_beside(one: Table, other: Table) -> bool:
    """Whether one is of the strict track and the other differs in its track alone."""
    apart = [name for name in _CHOICES if getattr(one, name) != getattr(other, name)]
    return one.track == STRICT and apart == ["track"]


def _is_in(table: Table, name: str) -> bool:
    return any(name in (row.label, row.method) for row in table.rows)


def _apart(holding: dict[str, list[Table]]) -> InputError:
    """Of names that no table has all of: two that never stand together, and what differs."""
    first, *others = holding
    for other in others:
        one, two = holding[first][0], holding[other][0]
        if all(table is not mine for table in holding[other] for mine in holding[first]):
            fields = ((words, getattr(one, name), getattr(two, name)) for name, (words, _) in _CHOICES.items())
            words, here, there = next(field for field in fields if field[1] != field[2])
            return InputError(f"{first!r} and {other!r} differ in their {words}, {here} and {there}: not compared.")
    return InputError(f"{', '.join(map(repr, holding))} stand in no common table: not compared.")


def chosen(table: Table, names: Sequence[str]) -> list[Row]:
    """The rows of these labels or methods; all ranked rows where none is named.

    Raises:
        InputError: an unknown name, one that fits several rows, one given twice, a row without a finished trial,
            rows of two versions of one method, or fewer than two rows.
    """
    rows = [_named(table, name) for name in names] or [row for row in table.rows if row.rank is not None]
    versions: dict[str, Row] = {}
    for at, row in enumerate(rows):
        if row.label in {other.label for other in rows[:at]}:
            raise InputError(f"{row.label!r} is named twice: a method cannot be compared with itself.")
        if not row.per_split:
            if sentence := lacking_validation([row]):
                raise InputError(sentence)
            raise InputError(f"nothing is done yet of {row.label!r}; run it, or compare others.")
        twin = versions.setdefault(row.method, row)
        if twin.version != row.version:
            raise InputError(
                f"{twin.label!r} and {row.label!r} come from versions {twin.version} and {row.version} of {row.method} "
                f"and are not compared; name one of them, or run the older one again."
            )
    if len(rows) < 2:
        found = f"only {rows[0].label!r}" if rows else "none"
        if names:
            raise InputError(f"two methods are needed, and {found} is named: {_labels(table)}.")
        whys = [f"{row.label} ({row.why})" for row in table.rows if row.why]
        unranked = f" Without a rank: {', '.join(whys)}." if whys else ""
        missing = f" {sentence}" if (sentence := lacking_validation(table.rows)) else ""
        raise InputError(f"two methods are needed, and {found} is ranked.{unranked}{missing}")
    return rows


def _named(table: Table, name: str) -> Row:
    found = [row for row in table.rows if row.label == name] or [row for row in table.rows if row.method == name]
    if not found:
        known = dict.fromkeys([*(row.label for row in table.rows), *(row.method for row in table.rows)])
        raise InputError(f"no results of {name!r}.{close_matches(name, known)} There are: {_labels(table)}.")
    if len(found) > 1:
        raise InputError(f"{name!r} fits several rows: {', '.join(row.label for row in found)}; give the whole label.")
    return found[0]


def _labels(table: Table) -> str:
    return ", ".join(plain(row.label) for row in table.rows)


def compare_rows(
    table: Table,
    names: Sequence[str],
    metric: str,
    *,
    best_alone: bool = False,
    rope: float | None = None,
    in_ranks: bool = True,
) -> Comparison:
    """Compare rows of a table over the splits that all of them have.

    Args:
        table: the leaderboard.
        names: labels or names of methods; none for all ranked rows.
        metric: ``T1``, ``OA``, ``S``, ``U``, ``H``, ``AUSUC``, ``AUROC`` or ``OpenworldAUC``.
        best_alone: compare the first of the rows, which is the best one where none is named, with each other one,
            instead of every pair: fewer comparisons, a milder correction.
        rope: half the width of the region of practical equivalence, a fraction; None for none.
        in_ranks: find mean ranks too, which takes a test of every pair.

    Raises:
        InputError: see `chosen`; or the rows have no split in common; or a region is asked for, and the records do not
            tell what the splits share.
    """
    rows = chosen(table, names)
    if lacking := [plain(row.label) for row in rows if metric not in row.per_split]:
        raise InputError(
            f"{metric} is not known of every trial of {', '.join(lacking)}: records are of an earlier version, or tell "
            f"it of the last epoch alone; `zslbench verify` can add that from stored predictions."
        )
    if best_alone and metric != table.sort:
        rows = sorted(rows, key=lambda row: -row.metrics[metric].mean)
    every = {row.label: row.per_split[metric] for row in rows}
    splits = shared_splits(every)
    if not splits:
        raise InputError(f"{', '.join(every)} have no split in common; run them on the same splits.")
    values = {label: {split: each[split] for split in splits} for label, each in every.items()}
    reference = rows[0].label if best_alone and len(rows) > 2 else None
    pairs = compare_all(values, reference)
    ranking = rank_blocks(values) if in_ranks else None
    overlap = overlap_of(rows[0].classes, splits)
    if overlap is not None:
        pairs = with_other_classes(pairs, values, overlap, rope)
    elif rope is not None:
        raise InputError(
            f"{argument('rope', 100 * rope)} needs to know how many classes were unseen, and records of "
            f"{plain(rows[0].label)} do not tell: they have no accuracies per class."
        )
    conclusions = [conclude(pairs[0], metric)] if len(pairs) == 1 else _conclude_all(pairs, ranking, metric)
    if reference is not None:
        conclusions.append(
            f"{plain(reference)}, the best here, is compared with each other row, and p is corrected for these "
            f"{len(pairs)} pairs alone; that it was picked by the same numbers flatters it."
        )
    others = [] if overlap is None else conclude_others(pairs, overlap, rope)
    if rows[0].selection == "test-max":
        conclusions, others = ([ORACLE + sentence for sentence in said] for said in (conclusions, others))
    left_out = len(set().union(*every.values())) - len(splits)
    if left_out:
        conclusions.append(f"{left_out} split(s) that not all of them have are left out.")
    conclusions += [f"{plain(row.label)} has no rank in the leaderboard: {plain(row.why)}." for row in rows if row.why]
    return Comparison(
        table.dataset, table.family, table.features, table.semantics, table.data, table.protocol, metric,
        rows[0].selection, splits, left_out, values, pairs, ranking, conclusions, reference, table.track,
        table.shots,
        overlap and overlap.rho, overlap and overlap.classes, rope, others,
    )  # fmt: skip


def conclude(pair: Paired, metric: str) -> str:
    """One sentence: by how much the first is better or worse, and whether the splits can say so."""
    a, b = plain(pair.a), plain(pair.b)
    if pair.ties == pair.splits:
        return f"{a} and {b} have the same {metric} on each of {pair.splits} splits."
    points = f"{abs(100 * pair.difference):.1f} points of {metric} {'better' if pair.difference >= 0 else 'worse'}"
    if pair.splits == 1:
        return f"On one split {a} is {points} than {b}, which says nothing of other splits."
    ends = sorted(end if pair.difference >= 0 else -end for end in (100 * pair.low, 100 * pair.high))
    said = f"Over {pair.splits} splits {a} is {points} than {b}, 95 % interval {ends[0]:.1f} to {ends[1]:.1f}; "
    if few := too_few(pair.splits):
        return said + few
    if math.isnan(pair.p):
        return said + "only one split differs, which is too little for a test."
    apart, tested = ends[0] > 0, pair.p_holm < ALPHA
    said += f"Wilcoxon p = {pair.p_holm:.2g}"
    if apart and tested:
        return said + "."
    if not apart and not tested:
        return said + ": the two are not shown to differ."
    return said + ": the interval and the test disagree, so the two are not shown to differ."


def _conclude_all(pairs: Sequence[Paired], ranking: Ranking | None, metric: str) -> list[str]:
    said = []
    if ranking and not math.isnan(ranking.friedman_p):
        differ = "differ" if ranking.friedman_p < ALPHA else "are not shown to differ"
        said.append(
            f"Over {ranking.blocks} splits the ranks of {len(ranking.labels)} methods in {metric} {differ} "
            f"(Friedman p = {ranking.friedman_p:.2g})."
        )
    if few := too_few(pairs[0].splits, len(pairs)):
        return [*said, few]
    apart = sum(pair.p_holm < ALPHA for pair in pairs)
    return [*said, f"{apart} of {len(pairs)} pairs are told apart (Wilcoxon with Holm's correction, 5 %)."]


def conclude_others(pairs: Sequence[Paired], overlap: Overlap, rope: float | None = None) -> list[str]:
    """What the pairs say of other classes; nothing with one split.

    Args:
        pairs: with what they say of other classes.
        overlap: of the splits.
        rope: the region of practical equivalence, a fraction.
    """
    known = [pair for pair in pairs if not math.isnan(pair.others_low)]
    if not known:
        return []
    corrected = f"variance corrected for the classes that splits share, rho = {overlap.rho:.2f}"
    apart = [pair for pair in known if pair.others_low > 0 or pair.others_high < 0]
    if len(known) > 1:
        said = [
            f"For other classes than these {overlap.classes}, {len(apart)} of {len(known)} intervals leave out 0 "
            f"({corrected}; none for the number of pairs)."
        ]
    else:
        (pair,) = known
        ends = 100 * pair.others_low, 100 * pair.others_high
        low, high = ends if pair.difference >= 0 else (-ends[1], -ends[0])
        verdict = "" if apart else ": the two are not shown to differ there"
        said = [
            f"For other classes than these {overlap.classes} the 95 % interval is {low + 0.0:.1f} to {high + 0.0:.1f} "
            f"({corrected}){verdict}."
        ]
        if rope is not None:
            a, b = plain(pair.a), plain(pair.b)
            said.append(
                f"With up to {100 * rope:g} point{'' if rope == 0.01 else 's'} taken as none, {a} is better than {b} "
                f"on other classes with probability {pair.rope_better:.2f}, practically equal {pair.rope_equal:.2f}, "
                f"worse {pair.rope_worse:.2f} (correlated Bayesian t-test)."
            )
    return said


def as_builtins(comparison: Comparison) -> dict[str, Any]:
    """For JSON: pairs and ranking as objects."""
    builtins: dict[str, Any] = msgspec.to_builtins(comparison, str_keys=True)
    builtins["pairs"] = [pair._asdict() for pair in comparison.pairs]
    builtins["ranking"] = comparison.ranking and comparison.ranking._asdict()
    return builtins
