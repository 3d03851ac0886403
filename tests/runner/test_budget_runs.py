"""Runs with budgets: what runs, what is chosen by what, and what tables say of it."""

import statistics
from pathlib import Path

import numpy as np
import pytest
from tunable import write_tunable

import zslbench as zb
from zslbench.console import progress_console
from zslbench.datasets import Dataset
from zslbench.planning import Execution, execute, plan
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.results import Results
from zslbench.results.budgets import budget_tables
from zslbench.results.leaderboard import leaderboard
from zslbench.results.shots import by_shots, curves
from zslbench.runner.cluster import Where
from zslbench.runner.progress import Progress
from zslbench.runner.session import run as run_jobs
from zslbench.runner.status import read_status
from zslbench.splits import make_splits
from zslbench.suites import Suite, SuiteMethod, overridden, read_suite
from zslbench.tuning.blind import blind, score

pytestmark = pytest.mark.usefixtures("unsynced")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A method with two ranges."""
    return write_tunable(tmp_path / "tunable.py")


def run(folder: Path, plugin: Path, store: str = "store", methods="tunable", **options) -> Results:
    """A run on the SYNTHETIC data set, in this process."""
    options = {"splits": None if "split" in options else 2, "budget": 5, "workers": 0, "quiet": True} | options
    return zb.run(methods, folder / "toy", store=folder / store, plugins=[plugin], **options)


def validations(store: Store, metric: str = "H") -> dict[tuple[int, str], float]:
    """Split and label -> the mean over seeds of what validation trials reached after the last epoch."""
    found: dict[tuple[int, str], list[float]] = {}
    for record in store.records():
        if record.trial.stage == "validation" and record.outcome is not None:
            value = (record.outcome.zsl | record.outcome.gzsl)[metric][-1]
            found.setdefault((record.trial.split, record.label), []).append(value)
    return {place: statistics.fmean(values) for place, values in found.items()}


def reached_in(store: Store, metric: str = "H") -> dict[tuple[int, str], float]:
    """The same of test trials."""
    found: dict[tuple[int, str], list[float]] = {}
    for record in store.records():
        if record.trial.stage == "test" and record.outcome is not None:
            value = (record.outcome.zsl | record.outcome.gzsl)[metric][-1]
            found.setdefault((record.trial.split, record.label), []).append(value)
    return {place: statistics.fmean(values) for place, values in found.items()}


def chosen(store: Store, metric: str = "H") -> dict[int, str]:
    """Split -> the label that its validation classes choose, worked out here."""
    best: dict[int, tuple[float, str]] = {}
    for (split, label), value in validations(store, metric).items():  # in the order drawn
        if split not in best or value > best[split][0]:
            best[split] = value, label
    return {split: label for split, (_, label) in best.items()}


def by_label(results: Results, **options) -> dict:
    """The rows of the one table."""
    (table,) = results.leaderboard(**options)
    return {row.label: row for row in table.rows}


@pytest.mark.parametrize("metric", ["H", "T1", "AUSUC"])
def test_each_split_is_tested_with_what_its_validation_classes_choose(tmp_path, synthetic, plugin, metric):
    """The row with a budget is made of the best configuration of each split, and stands beside the named one."""
    results = run(tmp_path, plugin, seeds=2, budget_metric=metric)
    rows = by_label(results)
    name = "tunable (budget 5)" if metric == "H" else f"tunable (budget 5 by {metric})"
    assert set(rows) == {"tunable", name}
    tested, best = reached_in(results.store), chosen(results.store, metric)
    assert rows[name].per_split["H"] == pytest.approx({split: tested[split, best[split]] for split in (0, 1)})
    assert rows["tunable"].per_split["H"] == pytest.approx({split: tested[split, "tunable"] for split in (0, 1)})
    assert rows[name].done == rows[name].planned == 4
    assert rows[name].rank is not None
    chosen_epochs = by_label(results, select="val")[name]
    assert chosen_epochs.done == chosen_epochs.planned == 8  # with the validation trials of what was chosen
    assert any(label != "tunable" for label in best.values())  # else this would show little


def test_only_what_can_be_chosen_is_tested(tmp_path, synthetic, plugin):
    """A draw is tested if it leads the first so many, none that never does; a curve tests all that beat the default."""
    results = run(tmp_path, plugin)
    scores, tested = validations(results.store), reached_in(results.store)
    for split in (0, 1):
        listed = [label for at, label in scores if at == split]  # in the order drawn
        values = [scores[split, label] for label in listed]
        leading = {listed[values.index(max(values[:count]))] for count in range(1, len(listed) + 1)}
        assert {label for at, label in tested if at == split} == leading | {"tunable"}
    before = len(list(results.store.records()))
    curved = run(tmp_path, plugin, budget_curve=True)
    tested = reached_in(curved.store)
    better = {place for place, value in scores.items() if value > scores[place[0], "tunable"]}
    assert set(tested) == better | {(0, "tunable"), (1, "tunable")}
    assert len(list(curved.store.records())) - before == len(tested) - len(first_tests(curved.store, before))


def first_tests(store: Store, count: int) -> dict:
    """Test trials among the first so many records."""
    records = [record for _, record in zip(range(count), store.records(), strict=False)]
    return {(one.trial.split, one.label): one for one in records if one.trial.stage == "test"}


def test_nothing_but_validation_data_chooses(tmp_path, synthetic, plugin):
    """On data that hold the validation stage of one split and nothing else, every configuration scores the same."""
    results = run(tmp_path, plugin, seeds=2)
    data, registry = Dataset(tmp_path / "toy"), Registry([plugin])
    method, scores = registry.get("tunable"), validations(results.store)
    row = by_label(results)["tunable (budget 5)"]
    for split in make_splits(data, "6/2", 2):
        cut = blind(data.view(), split, range(2), method.info.uses_rehearsal)
        assert len(cut.view.class_names) == 6  # of 8: unseen classes are not there at all
        for one in row.tried[split.index]:
            record = next(each for each in results.store.records() if each.label == one.label)
            again = score(method, method.Config(**record.trial.config), cut, "H")
            assert again.value == scores[split.index, one.label] == one.score


def test_altered_test_data_change_no_choice(tmp_path, synthetic, plugin):
    """Noise in place of a split's test images and unseen classes' semantics leaves its draws and scores alone."""
    before = run(tmp_path, plugin, splits=1)
    data = Dataset(tmp_path / "toy")
    (split,) = make_splits(data, "6/2", 1)
    part, rng = split.partition("validation"), np.random.default_rng(1)
    for kind, name, kept in (("features", "made", part.images), ("semantics", "truth", part.classes)):
        path = tmp_path / "toy" / kind / f"{name}.npy"
        array = np.load(path)
        noise = rng.normal(size=array.shape).astype(np.float32)
        noise[kept] = array[kept]
        np.save(path, noise)
    after = run(tmp_path, plugin, "altered", splits=1)
    assert validations(after.store) == validations(before.store)
    assert reached_in(after.store).keys() == reached_in(before.store).keys()
    assert reached_in(after.store) != reached_in(before.store)


def test_a_killed_run_goes_on_between_the_phases(tmp_path, synthetic, plugin):
    """Cut off before the first draw is tested, a run does what is left alone, and ends with the same numbers."""
    whole = run(tmp_path, plugin)
    registry = Registry([plugin])
    suite = Suite(str(tmp_path / "toy"), [SuiteMethod("tunable")], split_family="6/2", splits=2, budget=5)
    planned, store = plan(suite, registry, zb.load(tmp_path / "toy")), Store(tmp_path / "cut")
    progress = Progress(progress_console(), 1, quiet=True)

    def interrupted(jobs):
        from zslbench.runner.executors import run_serially

        assert not any(job.waits for job in jobs)
        yield from run_serially(registry, planned.data.view, jobs)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(planned.jobs, store, "zslbench run", interrupted, progress)
    assert {label for _, label in reached_in(store)} == {"tunable"}
    status = read_status(store)
    assert {row.label: (row.done, row.to_do) for row in status.rows}["tunable"] == (4, 0)
    done, to_do = {row.label: (row.done, row.to_do) for row in status.rows}["tunable (budget 5)"]
    assert done == len([place for place in validations(store) if place[1] != "tunable"])
    assert to_do == len(reached_in(whole.store)) - 2
    (row,) = [row for row in Results(store).leaderboard()[0].rows if row.budget]
    assert row.why
    execution = Execution(Where(workers=0))
    summary = execute(planned, store, execution, progress, "zslbench run")
    assert summary.complete
    assert summary.ran == to_do
    assert reached_in(store) == reached_in(whole.store)
    assert validations(store) == validations(whole.store)
    assert not read_status(store).to_do


def test_what_fails_on_validation_classes_is_not_chosen(tmp_path, synthetic):
    """A configuration that fails there is told of and passed over; the row is whole."""
    plugin = write_tunable(tmp_path / "tunable.py", powers=2, failing=2, classes=6)
    results = run(tmp_path, plugin, splits=1)
    failures = results.failures()
    assert failures
    assert {record.trial.stage for record in failures} == {"validation"}
    row = by_label(results)["tunable (budget 5)"]
    assert (row.done, row.planned, row.why) == (1, 1, "")
    assert [one.score for one in row.tried[0] if "power" in one.label] == [None] * len(failures)
    assert "failed on validation classes and were not chosen: tunable" in repr(results.leaderboard(budget=5))
    assert "failed on validation classes and could not be chosen: tunable (budget 5)" in repr(results.leaderboard())


def test_smaller_budgets_are_read_from_a_larger_one(tmp_path, synthetic, plugin):
    """The curve is what runs with these budgets give; over all orders, what all choices of the draws give."""
    results = run(tmp_path, plugin)
    curve = results.leaderboard(budget=[1, 2, 5])
    (told,) = curve[0].curves
    for budget in (1, 2, 5):
        alone = run(tmp_path, plugin, f"alone{budget}", budget=budget)
        name = "tunable" if budget == 1 else f"tunable (budget {budget})"
        assert told.per_split[budget] == by_label(alone)[name].per_split["H"]
    assert told.order == "drawn"
    assert told.chosen == chosen(results.store)
    assert all(f"split {split} {label}" in repr(curve) for split, label in told.chosen.items())
    assert (told.gain.a, told.gain.b) == ("tunable (budget 5)", "tunable")
    frame = curve.to_frame()
    assert list(frame["budget"]) == [1, 1, 2, 2, 5, 5]
    results = run(tmp_path, plugin, budget_curve=True)
    (told,) = results.leaderboard(budget=[2])[0].curves
    scores, tested = validations(results.store), reached_in(results.store)
    row = by_label(results)["tunable (budget 5)"]
    for split in (0, 1):
        drawn = {number: one.label for one in row.tried[split] for number in one.numbers}
        pairs = [drawn.get(number, "tunable") for number in range(1, 5)]  # each draw beside the named one
        winners = [name if scores[split, name] > scores[split, "tunable"] else "tunable" for name in pairs]
        assert told.per_split[2][split] == pytest.approx(statistics.fmean(tested[split, name] for name in winners))
    assert told.order == "all"


def test_a_method_without_ranges_runs_as_named(tmp_path, synthetic, plugin, capsys):
    """Its budget changes nothing, which is said once; it has one row."""
    results = run(tmp_path, plugin, methods=["chance", "tunable[ridge=2,power=1]", "tunable"], quiet=False, splits=1)
    said = capsys.readouterr().err
    assert said.count("none of their parameters can be searched: chance, tunable[ridge=2.0].") == 1
    assert set(by_label(results)) == {"chance", "tunable[ridge=2.0]", "tunable", "tunable (budget 5)"}


def test_draws_are_no_rows_without_their_plan_either(tmp_path, synthetic, plugin):
    """Where plans are lost, what a budget drew is not taken for methods that somebody named."""
    results = run(tmp_path, plugin)
    assert {row.label for table in leaderboard(results.store.records()) for row in table.rows} == {"tunable"}
    tables = leaderboard(results.store.records(), results.store.plans())
    assert budget_tables(tables)[0].budgets == [1, 5]


def test_what_was_drawn_and_is_named_later_is_a_row_and_is_not_run_again(tmp_path, synthetic, plugin):
    """A drawn configuration that somebody asks for by name is the same trial."""
    results = run(tmp_path, plugin)
    label = next(label for _, label in reached_in(results.store) if label != "tunable")
    before = len(list(results.store.records()))
    run(tmp_path, plugin, methods=label, budget=None, split=0)
    assert len(list(results.store.records())) - before <= 2
    assert label in {row.label for row in Results(results.store).leaderboard()[0].rows}


def test_suites_say_budgets_and_the_smaller_counts(tmp_path, synthetic):
    """A suite has a budget, a method another; what is asked for beside them is the most for all."""
    path = tmp_path / "s.toml"
    path.write_text(
        'dataset = "toy"\nbudget = 10\nbudget_metric = "T1"\n[[methods]]\nname = "eszsl"\n'
        '[[methods]]\nname = "sae"\nbudget = 1\n[[methods]]\nname = "projection"\nbudget = 5\n'
    )
    suite = read_suite(path)
    assert (suite.budget, suite.budget_metric, [method.budget for method in suite.methods]) == (10, "T1", [None, 1, 5])
    planned = plan(suite, Registry(), zb.load(tmp_path / "toy"))
    assert {job.row for job in planned.jobs} == {
        "eszsl", "eszsl (budget 10 by T1)", "sae", "projection", "projection (budget 5 by T1)"
    }  # fmt: skip
    overridden(suite, budget=3)
    assert (suite.budget, [method.budget for method in suite.methods]) == (3, [None, 1, 3])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("budget = 0", "budget = 0; at least 1"),
        ("budget = 2\nvalidation = false", "budget chooses by the validation trials"),
        ('budget = 2\nbudget_metric = "OA"', "budget_metric = 'OA'; one of H, T1, AUSUC"),
        ("budget = true", "Expected `int | null`"),
    ],
)
def test_suites_that_make_no_sense_are_refused(tmp_path, text, told):
    """A line names the key."""
    path = tmp_path / "s.toml"
    path.write_text(f'dataset = "toy"\n{text}\n[[methods]]\nname = "eszsl"\n')
    with pytest.raises(zb.InputError, match=r"^suite ") as caught:
        read_suite(path)
    assert told in str(caught.value)


def test_bad_budgets_are_refused_in_one_line(tmp_path, synthetic, plugin, in_process):
    """At the command line, each with what is expected."""
    base = ("run", "--dataset", "toy", "--methods", "eszsl", "--store", "s")
    for options, told in (
        (("--budget", "0"), "0 is not in the range x>=1"),
        (("--budget", "3", "--no-validation"), "--budget 3 chooses configurations on validation classes"),
        (("--budget", "x"), "'x' is not a valid integer"),
    ):
        code, out, err = in_process(*base, *options)
        assert (code, out) == (2, "")
        assert told in err
        assert err.count("\n") == 1
    assert not (tmp_path / "s").exists()
    with pytest.raises(zb.InputError, match="budget: a whole number from 1"):
        run(tmp_path, plugin, budget=0)
    results = run(tmp_path, plugin, budget=2, splits=1)
    for asked, told in ((3, "budget=3 is more than any method was given .tunable 2."), (0, "from 1"), ("x", "whole")):
        with pytest.raises(zb.InputError, match=told):
            results.leaderboard(budget=asked)
    with pytest.raises(zb.InputError, match="no method was given a budget: run with budget=2"):
        run(tmp_path, plugin, "none", budget=None, splits=1).leaderboard(budget=1)


def test_the_command_prints_both_and_says_what_is_to_come(tmp_path, synthetic, in_process):
    """A dry run counts the tests that are to be chosen; the run prints the leaderboard and what the budget is worth."""
    base = ("run", "--dataset", "toy", "--methods", "eszsl", "--splits", "1", "--workers", "0", "--store", "s")
    code, out, err = in_process(*base, "--budget", "3", "--dry-run")
    assert code == 0
    assert "eszsl (budget 3)      3" in out  # two validation trials, and a test that stands for what is chosen
    assert "1 of them stand for tests of what validation classes will choose" in err
    code, out, _ = in_process(*base, "--budget", "3", "--quiet")
    assert code == 0
    assert "eszsl (budget 3)" in out
    assert "H of the best of b configurations; toy 6/2" in out
    code, out, err = in_process(*base, "--budget", "3", "--dry-run")
    assert "Everything is done." in out
    assert "will choose" not in err
    for form, told in (("md", "| method"), ("csv", "dataset,family"), ("json", '"tried"'), ("latex", r"\toprule")):
        code, out, _ = in_process("leaderboard", "--store", "s", "--budget", "1,2,3", "--format", form)
        assert code == 0
        assert told in out


def test_budgets_have_curves_over_shots_of_their_own(tmp_path, synthetic, plugin):
    """With k-shot trials a row with a budget is drawn for each number of shots, apart from the named one's."""
    results = run(tmp_path, plugin, budget=3, splits=1, shots=[0, 2])
    found = {curve.label: sorted(curve.points) for curve in curves(by_shots(results.leaderboard())[0])}
    assert found == {"tunable": [0, 2], "tunable (budget 3)": [0, 2]}
