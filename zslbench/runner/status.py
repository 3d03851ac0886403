"""How far a run is, told by its store alone: the run may be going on, have ended or have been cut off."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from zslbench import shelltext
from zslbench.budgets import NAMED, Contest, Ended, budget_label, contests, reached
from zslbench.records import Brief, Plan, PlanRow, Standings, Store, Trial
from zslbench.runner.estimates import Estimates
from zslbench.runner.failures import failing_line
from zslbench.terms import in_shots

_WINDOW = 50
"""Trials that the pace is measured by: the last ones, since early trials may have been of quicker methods."""


class StatusRow(msgspec.Struct):
    """The planned trials of one method and configuration on one family of splits, with so many shots."""

    label: str
    dataset: str
    features: str
    semantics: str
    family: str
    shots: int = 0
    done: int = 0
    failed: int = 0
    to_do: int = 0

    @property
    def planned(self) -> int:
        """All of them."""
        return self.done + self.failed + self.to_do


class FailedTrial(msgspec.Struct):
    """A trial that failed and has not been done since."""

    key: str
    label: str
    split: str
    seed: int
    stage: str
    type: str
    message: str
    """The first line."""
    line: str
    """The file of the method's author and the line in it; empty where the traceback names none."""
    finished: str
    log: str | None
    """Path of what it printed, if it printed anything."""


class Pace(msgspec.Struct):
    """What the last trials of the newest plan tell."""

    trials: int
    trials_per_hour: float
    side_by_side: float
    """Seconds of fitting and scoring per second that passed."""


class Status(msgspec.Struct):
    """Everything `zslbench status` says."""

    store: str
    plans: int
    command: str
    """Of the newest plan."""
    created: str
    rows: list[StatusRow]
    done: int
    failed: int
    to_do: int
    pace: Pace | None
    """None where no trial has ended since the newest plan was made."""
    seconds_left: float | None
    """For what is to do, at that pace, or one after the other where there is none; None where nothing tells."""
    failures: list[FailedTrial]
    """The newest first."""
    models: int
    """Trials whose models are kept."""
    again: list[str]
    """Commands that do what is missing or failed."""


_Place = tuple[int, int, str, int]
"""Split, seed, stage, and the number of a budget's draw."""


class _Planned:
    """A row while it is counted: which keys it asks for and who asked last."""

    def __init__(self, trial: Trial, row: StatusRow) -> None:
        self.trial = trial
        self.row = row
        self.keys: dict[_Place, str] = {}
        self.contests: dict[int, Contest] = {}
        """Split -> what a budget tries there, if this row is of one."""
        self.open = 0
        """Tests of what is not chosen yet: one for each choice and seed, where there may be none, or several."""
        self.command = ""

    def settle(self, ended: Ended) -> None:
        """Count the tests of what is chosen, as far as validation classes have."""
        for split, contest in self.contests.items():
            if not contest.is_settled(ended):
                self.open += len(contest.seeds) if len(contest.candidates) > 1 else 0
                continue
            for candidate in contest.to_test(ended):
                tests = zip(contest.seeds, candidate.tests, strict=True)
                self.keys |= {(split, seed, "test", candidate.numbers[0]): key for seed, key in tests}


def read_status(store: Store, *, every: bool = False) -> Status | None:
    """Count what was planned against what is recorded; None if nothing was ever planned.

    Args:
        store: read without a lock.
        every: all plans together, instead of the newest alone. Where two plans mean different trials by the same
            method, split and seed (a plugin was edited), the later one counts.

    Raises:
        InputError: a line of the store that is no record or no plan.
    """
    rows: dict[_Identity, _Planned] = {}
    newest, plans = None, 0
    for plan in store.each_plan():
        newest, plans = plan, plans + 1
        if not every:
            rows.clear()
        _merge(rows, plan)
    if newest is None:
        return None
    if any(planned.contests for planned in rows.values()):
        ended = _ended(store, rows.values())
        for planned in rows.values():
            planned.settle(ended)
    estimates, briefs = Estimates(), _Latest(key for planned in rows.values() for key in planned.keys.values())
    for brief in store.briefs(lasting=True):
        estimates.add(brief)
        briefs.add(brief)
    again = dict[str, None]()
    for planned in rows.values():
        row = planned.row
        for key in planned.keys.values():
            status = briefs.standings.status.get(key, "to_do")
            setattr(row, status, getattr(row, status) + 1)
        row.to_do += planned.open
        if row.done < row.planned:
            again[_here(planned.command, store)] = None
    counted = [planned.row for planned in rows.values()]
    pace = briefs.pace(newest)
    # At least one at a time, whatever a run's first seconds, spent on starting, look like.
    side_by_side = max(1.0, pace.side_by_side if pace else 1.0)
    otherwise = 3600 * side_by_side / pace.trials_per_hour if pace else None
    seconds_left = estimates.left(_waiting(rows.values(), briefs), side_by_side, otherwise=otherwise)
    return Status(
        store=str(store.folder), plans=plans, command=newest.command, created=newest.created, rows=counted,
        done=sum(row.done for row in counted), failed=sum(row.failed for row in counted),
        to_do=sum(row.to_do for row in counted),
        pace=pace, seconds_left=seconds_left, failures=briefs.failures(store),
        models=len(store.models()), again=list(again),
    )  # fmt: skip


def _here(command: str, store: Store) -> str:
    """The command, which may have been given in another store that was merged into this one: of two the last counts."""
    merged = store.merges_path.exists() and command.split()[:2] == ["zslbench", "run"]
    return f"{command} {shelltext.command(store=store.folder)}" if merged else command


def _waiting(rows: Iterable[_Planned], briefs: "_Latest") -> Iterator[tuple[Trial, int]]:
    """Of each method and stage a trial, and how many are to do."""
    for planned in rows:
        stages = Counter(stage for (_, _, stage, _), key in planned.keys.items() if key not in briefs.standings.status)
        stages["test"] += planned.open
        for stage, count in stages.items():
            yield msgspec.structs.replace(planned.trial, stage=stage), count


_Identity = tuple[str, str, str, str, str, int]


def _merge(rows: dict[_Identity, _Planned], plan: Plan) -> None:
    for asked in plan.rows:
        trial = asked.trial
        identity = asked.label, trial.dataset, trial.features, trial.semantics, trial.family, trial.shots
        planned = rows.setdefault(identity, _Planned(trial, StatusRow(*identity)))
        planned.trial, planned.command = trial, plan.command
        planned.keys |= {(cell.split, cell.seed, cell.stage, NAMED): cell.key for cell in asked.cells}
        if asked.budget is not None:
            label = budget_label(asked.label, asked.budget.configurations, asked.budget.metric)
            apart = label, *identity[1:]
            planned = rows.setdefault(apart, _Planned(trial, StatusRow(*apart)))
            planned.trial, planned.command = trial, plan.command
            _merge_budget(planned, asked)


def _merge_budget(planned: _Planned, asked: PlanRow) -> None:
    """The draws of a row's budget, counted apart from what was named."""
    for contest in contests(asked):
        planned.contests[contest.split] = contest
        planned.keys = {place: key for place, key in planned.keys.items() if place[0] != contest.split}
        for candidate in contest.candidates[1:]:
            validations = zip(contest.seeds, candidate.validations, strict=True)
            planned.keys |= {
                (contest.split, seed, "validation", candidate.numbers[0]): key for seed, key in validations
            }


def _ended(store: Store, rows: Iterable[_Planned]) -> Ended:
    """What the validation trials of budgets reached."""
    keys = {
        key for planned in rows for contest in planned.contests.values()
        for candidate in contest.candidates for key in candidate.validations
    }  # fmt: skip
    latest = store.latest(keys, lasting=True)
    return {key: reached(latest[key]) for key in latest}


class _Latest:
    """The record that counts of every planned trial, as little of it as is needed."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = set(keys)
        self.standings = Standings()
        self._failed: dict[str, Brief] = {}
        self._ended: list[tuple[datetime, float]] = []

    def add(self, brief: Brief) -> None:
        if brief.key not in self._keys or not self.standings.note(brief):
            return
        self._failed.pop(brief.key, None)
        if brief.status == "failed":
            self._failed[brief.key] = brief
        if finished := _moment(brief.run.finished):
            run, started = brief.run, _moment(brief.run.started) or finished
            if run.fit_seconds is not None and run.score_seconds is not None:
                seconds = run.fit_seconds + run.score_seconds
            else:  # a failed trial took its time too
                seconds = (finished - started).total_seconds()
            self._ended.append((finished, seconds))

    def pace(self, plan: Plan) -> Pace | None:
        """By the trials that ended since the plan was made, the last ones of them."""
        created = _moment(plan.created)
        ended = sorted(entry for entry in self._ended if created and entry[0] >= created)
        window = ended[-_WINDOW:]
        if created is None or not window:
            return None
        began = ended[-_WINDOW - 1][0] if len(ended) > _WINDOW else created
        elapsed = (window[-1][0] - began).total_seconds()
        if elapsed <= 0:
            return None
        return Pace(len(window), 3600 * len(window) / elapsed, sum(seconds for _, seconds in window) / elapsed)

    def failures(self, store: Store) -> list[FailedTrial]:
        """Every failure that counts, the newest first."""
        return [
            FailedTrial(
                key=brief.key,
                label=brief.label,
                split=f"{brief.trial.family}#{brief.trial.split}{in_shots(brief.trial.shots)}",
                seed=brief.trial.seed,
                stage=brief.trial.stage,
                type=brief.failure.type if brief.failure else "unknown",
                message=next(filter(str.strip, brief.failure.message.splitlines()), "") if brief.failure else "",
                line=failing_line(brief.failure) if brief.failure else "",
                finished=brief.run.finished,
                log=str(store.folder / brief.run.log) if brief.run.log else None,
            )
            for brief in sorted(self._failed.values(), key=lambda brief: brief.run.finished, reverse=True)
        ]


def _moment(text: str) -> datetime | None:
    """What `Run.finished` and `Plan.created` hold; None for anything else, such as a record that was not timed."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
