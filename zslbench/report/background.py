"""Where the numbers of a table come from, and what should keep a reader from trusting them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from zslbench.plaintext import MOST_SAID, plain, visible
from zslbench.records import Brief, Plan
from zslbench.results.leaderboard import Table, lacking_validation
from zslbench.results.machines import machine_of, mixtures
from zslbench.terms import in_shots, track_in_words


class Fact(NamedTuple):
    """One line of provenance."""

    name: str
    values: list[str]


def provenance(table: Table, records: Sequence[Brief], plans: Sequence[Plan]) -> list[Fact]:
    """Commands, machines, versions, data and splits behind the records of a table."""
    runs = [record.run for record in records]
    seconds = [(run.fit_seconds or 0) + (run.score_seconds or 0) for run in runs]
    dates = sorted(date for run in runs for date in (run.started, run.finished) if date)
    hashes = sorted({(record.trial.split, record.trial.split_hash[:8]) for record in records})
    splits = [f"#{split} ({short}…)" for split, short in hashes]
    done = sum(record.status == "done" for record in records)
    facts = [
        Fact("Commands", list(dict.fromkeys(f"{plan.created[:16]}  {plan.command}" for plan in plans))),
        Fact("Trials", [f"{done} finished, {len(records) - done} failed, validation trials included"]),
        Fact("Compute time", [f"{sum(seconds) / 3600:.2f} hours of fitting and scoring, all trials added up"]),
        Fact("Dates (UTC)", [f"{dates[0][:16]} to {dates[-1][:16]}"] if dates else []),
        Fact("Versions", _distinct(", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
                                   for run in runs)),
        Fact("Hosts", _distinct(run.host for run in runs)),
        Fact("Devices", _devices(records)),
        Fact("Threads per trial", _distinct(str(run.threads) for run in runs)),
        Fact("Executors", _distinct(run.executor for run in runs)),
        Fact("Data (SHA-256)", [f"{name}: {value}" for name, value in table.hashes.items()]),
        Fact(f"Splits of {table.family}", [", ".join(splits)]),
        Fact("Seeds", _distinct(str(record.trial.seed) for record in records)),
        Fact("Protocol", [f"version {table.protocol}"]),
        Fact("Track", [f"{table.track}{in_shots(table.shots)}: {track_in_words(table.track)}"]),
    ]  # fmt: skip
    return [Fact(fact.name, [visible(value[:MOST_SAID]) for value in fact.values]) for fact in facts if fact.values]


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted({value for value in values if value})


def _devices(records: Sequence[Brief]) -> list[str]:
    return _distinct(" ".join(filter(None, (record.run.device, record.run.device_name))) for record in records)


def warnings(table: Table, records: Sequence[Brief], too_few: str | None, named: bool) -> list[str]:
    """What should keep a reader from trusting the numbers, one sentence each.

    A row's reason for having no rank is one of them.

    Args:
        table: what is shown.
        records: behind it.
        too_few: the sentence on too few splits, if they are.
        named: whether the classes' names are known.
    """
    return [
        *_cautions(table, too_few, named),
        *_gaps(table),
        *mixtures(machine_of(record.run) for record in records),
        *_failures(records),
    ]


def _gaps(table: Table) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for row in table.rows:
        if row.rank is None and row.family != "bound":
            reasons.setdefault(plain(row.why), []).append(plain(row.label))
    for why, labels in reasons.items():
        yield f"No rank ({why}): {', '.join(labels)}."
    if said := lacking_validation(table.rows):
        yield said
    if more := [plain(row.label) for row in table.rows if row.extra]:
        yield (
            f"More is stored of {', '.join(more)} than what the ranked methods are compared over: trials beyond that "
            f"count nowhere here."
        )


def _failures(records: Sequence[Brief]) -> Iterator[str]:
    where: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record.failure is not None:
            trial = f"split {record.trial.split} seed {record.trial.seed}"
            trial += " (validation)" if record.trial.stage == "validation" else ""
            said = plain(f"{record.failure.type}: {record.failure.message}")
            where.setdefault((plain(record.label), said), []).append(trial)
    for (label, said), trials in where.items():
        yield f"Failed: {label}, {', '.join(trials)}: {said}"


def _cautions(table: Table, too_few: str | None, named: bool) -> Iterator[str]:
    if too_few:
        yield too_few
    if any(row.selection == "test-max" for row in table.rows):
        yield "Epochs were chosen on the TEST set (test-max): these numbers are an oracle's, not results."
    if any(row.inflation_last for row in table.rows):
        yield "Columns that begin with “max” look at the test set: they show what that would add, and are no results."
    if not named:
        yield f"The data set {plain(repr(table.dataset))} is not found here: classes are shown by number."
