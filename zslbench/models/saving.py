"""The models of a run's trials: which are kept, what their files are, and what is said of them."""

from collections.abc import Callable, Iterator

from zslbench.datasets import Dataset, DataView
from zslbench.errors import InputError
from zslbench.models.file import model_file
from zslbench.models.fitting import header_of
from zslbench.models.leading import Standing, keys_of, standings
from zslbench.plaintext import plain
from zslbench.records import Latest, Plan, Store
from zslbench.runner.plan import Job
from zslbench.spelling import argument
from zslbench.terms import Saved


def check_saved(saved: Saved, validation: bool) -> None:
    """Let pass what can be decided without a look at the test stage.

    Raises:
        InputError: the best models are to be kept of a run without validation trials.
    """
    if saved == "best" and not validation:
        raise InputError(
            f"{argument('save_models', 'best')}: the best are chosen on validation classes, which are left out; play "
            f"them by {argument('validation', True)}, or keep {argument('save_models', 'all')}."
        )


class TrialModels:
    """Keeps the models of a run's test trials.

    Args:
        saved: ``best`` or ``all``.
        dataset: that the trials are of.
        view: which of its arrays.
    """

    def __init__(self, saved: Saved, dataset: Dataset, view: DataView) -> None:
        self._saved, self._dataset, self._view = saved, dataset, view
        self._unkept: set[str] = set()

    def file(self, job: Job, kept: bytes) -> bytes:
        """The model file of a trial: the same bytes wherever it ran.

        Args:
            job: the trial.
            kept: the fitted method, of `zslbench.models.file.written_method`.
        """
        trial, view, part = job.trial, self._view.of_split(job.split.drawn_as), job.split.partition("test")
        header = header_of(
            job.info, self._dataset, view, job.split,
            source=trial.source, label=job.label, config=trial.config, seed=trial.seed, trial=trial, fitted="",
            measured=None, played=0, confidence=None,
        )  # fmt: skip
        return model_file(header, view.semantics[part.classes], kept)

    def unkept(self, job: Job, why: str, tell: Callable[[str], None]) -> None:
        """Say once of a method that it cannot be kept."""
        if job.label not in self._unkept:
            self._unkept.add(job.label)
            tell(f"{plain(job.label)} cannot be kept in a file, and is measured all the same: {why}.")

    def tidy(self, plan: Plan, records: Latest, store: Store) -> Iterator[str]:
        """Remove what is not to stay, and say what is there of this run, a line each; called when all has ended."""
        there = set(store.models())
        if self._saved == "all":
            rows = [row for row in plan.rows if row.label not in self._unkept]
            tests = {key for row in rows for key in keys_of(row, "test").values()}
            every = {key for row in rows for key in row.every_key()}
            yield f"{len(every & there)} model(s) of this run are in {plain(store.models_folder)}."
            yield from _lacking(tests - there, records)
            return
        for standing in standings(plan, records, records.status):
            yield from self._tidied(standing, records, store, there)

    def _tidied(self, standing: Standing, records: Latest, store: Store, there: set[str]) -> Iterator[str]:
        leader = standing.leader
        if standing.bounds_alone:
            here = {key for row in standing.bounds_alone for key in row.every_key()} & there
            yield (
                f"{standing.table}: bounds alone were run, none of which is chosen as the best, so all {len(here)} "
                f"model(s) of them stay in {plain(store.models_folder)}."
            )
            return
        if leader is None:
            yield f"{standing.table}: no method has finished its validation trials, so all models stay."
            return
        mine = set(keys_of(leader, "test").values())
        leads = f"{standing.table}: {plain(leader.label)} leads by H {100 * standing.mean:.1f} on validation classes"
        if not mine & there:
            why = "cannot be kept" if leader.label in self._unkept else "has no model here"
            yield f"{leads} and {why}, so the models of others stay."
        else:
            # The leader's too, of draws of its budget that were not the ones named.
            every = {key for row in (leader, *standing.behind) for key in row.every_key()}
            others = (every & there) - mine
            store.remove_models(sorted(others))
            removed = f"; {len(others)} of others, of this run or an earlier one, were removed" if others else ""
            yield f"{leads}; its {len(mine & there)} model(s) are in {plain(store.models_folder)}{removed}."
        if leader.label not in self._unkept:
            yield from _lacking(mine - there, records)
        for row in standing.unfinished:
            yield f"{plain(row.label)} may lead yet: its models stay until all of its validation trials are done."


def _lacking(keys: set[str], records: Latest) -> Iterator[str]:
    """What is said of trials that were done before, without their models."""
    if done := sum(records.status.get(key) == "done" for key in keys):
        yield (
            f"{done} trial(s) were done before, have no model here and are not run again: `zslbench fit` makes one "
            f"such model, with {argument('split')}; a run into another {argument('store')} makes all."
        )
