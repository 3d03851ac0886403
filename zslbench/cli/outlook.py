"""What a run has before it, printed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from zslbench.cli.options import emit, result_console
from zslbench.cli.streams import tell
from zslbench.grid import Column, Grid
from zslbench.jsontext import pretty
from zslbench.machine import device_here
from zslbench.plaintext import one_line, plain
from zslbench.planning import Execution, Planned
from zslbench.records import Standings, Store
from zslbench.runner.budgets import foreseen
from zslbench.runner.durations import clock, time_left
from zslbench.runner.estimates import shared
from zslbench.runner.plan import Job, is_settled, outlook
from zslbench.runner.stacks import OFF, Stacks


def print_outlook(rows: Sequence[Any], workers: int, as_json: bool) -> None:
    """As a table with the time that it will take, or as one JSON document.

    Args:
        rows: `zslbench.runner.plan.Outlook` of every method.
        workers: trials at a time.
        as_json: print JSON.
    """
    missing = [row.label for row in rows if row.seconds is None]
    total = sum(row.to_run for row in rows)
    lengths = [row.seconds_per_trial or 0.0 for row in rows for _ in range(row.to_run)]
    seconds = shared(lengths, min(workers, total))
    if as_json:
        plan = {
            "methods": msgspec.to_builtins(rows),
            "to_run": total,
            "seconds": None if missing else seconds,
            "rough": any(row.rough for row in rows),
            "workers": workers,
        }
        emit(pretty(plan))
        return
    cells = []
    for row in rows:
        about = "~" if row.rough else ""
        each = (
            "unknown"
            if row.seconds_per_trial is None
            else f"{about}{row.seconds_per_trial:.{1 if row.seconds_per_trial >= 1 else 2}f}"
        )
        whole = "unknown" if row.seconds is None else f"{about if row.seconds else ''}{clock(row.seconds)}"
        cells.append((plain(row.label), str(row.to_do), str(row.done), str(row.failed), each, whole))
    console = result_console()
    numbers = [Column(name, right=True) for name in ("to do", "done", "failed", "s/trial", "total")]
    console.print(Grid([Column("method", hang=True), *numbers], cells), crop=False)
    if any(row.rough for row in rows):
        console.print("~ rough: judged by trials on other data, of the other stage, on another device or machine.")
    if not total and not any(row.failed for row in rows):
        console.print("Everything is done.")
    elif missing:
        console.print(f"{total} trials to run on {workers} worker(s); no earlier trial tells how long "
                      f"{one_line(', '.join(missing))} takes.", markup=False)  # fmt: skip
    else:
        console.print(f"{total} trials to run, about {time_left(seconds)} on {workers} worker(s).")


def print_foreseen(
    jobs: Sequence[Job], store: Store, workers: int, device: str | None, retry_failed: bool, as_json: bool
) -> int:
    """The outlook of these jobs, less those that budgets have not chosen; returns the exit code.

    Args:
        jobs: everything planned.
        store: what is done already.
        workers: trials at a time.
        device: where they will run; None where that is not known.
        retry_failed: whether failed trials will run again.
        as_json: print JSON.
    """
    foreseen_jobs, unchosen = foreseen(jobs, store)
    rows = outlook(foreseen_jobs, store.briefs(lasting=True), device=device, retry_failed=retry_failed)
    print_outlook(rows, workers, as_json)
    if unchosen:
        tell(f"{unchosen} of them stand for tests of what validation classes will choose: more or fewer may run.")
    return 0


def stacks_foreseen(parts: Sequence[Planned], store: Store, execution: Execution) -> str:
    """Which of the trials that will run go side by side, in a sentence; empty where that is not asked for.

    Args:
        parts: everything planned.
        store: what is done already.
        execution: how it will run.
    """
    if execution.stack == OFF:
        return ""
    where, standings = execution.where, Standings()
    for brief in store.briefs(lasting=True):
        standings.note(brief)
    sizes: dict[str, list[int]] = {}
    for planned in parts:
        jobs = [
            job
            for job in foreseen(planned.jobs, store)[0]
            if not is_settled(standings.status.get(job.trial.key, ""), execution.retry_failed)
        ]
        stacks = Stacks(
            planned.registry, planned.data.view, execution.stack, device_here(where.device), {"cpu": execution.slots},
            where.trials_per_gpu,
        )  # fmt: skip
        for stack in stacks.of(jobs):
            sizes.setdefault(stack[0].trial.method, []).append(len(stack))
    said = [
        f"{plain(method)} {sum(found)} trials in {len(found)} stacks of up to {max(found)}"
        for method, found in sizes.items()
        if max(found) > 1
    ]
    return f"side by side: {'; '.join(said)}; all else singly." if said else "no trials go together: all run singly."
