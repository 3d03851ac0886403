"""Planning: which trials there are, in which order, under which keys, and how long they will take."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from conftest import write_synthetic
from plugins import write_plugin

import zslbench.runner.plan
from zslbench.configuration import parse_methods
from zslbench.datasets import Dataset, DataView
from zslbench.errors import InputError
from zslbench.protocol import Outcome
from zslbench.records import Failure, Record, Run, Store
from zslbench.registry import Registry
from zslbench.runner.estimates import Estimates
from zslbench.runner.plan import Job, as_plan, make_jobs, outlook
from zslbench.splits import make_splits, read_splits


@pytest.fixture
def data(synthetic: Path) -> Dataset:
    """A SYNTHETIC data set: 8 classes x 12 images."""
    return Dataset(synthetic)


def plan(data: Dataset, methods: str = "eszsl,projection", **changes: Any) -> list[Job]:
    """The jobs of a run of two splits and two seeds, in both stages."""
    fields: dict[str, Any] = {
        "registry": Registry(), "view": data.view(), "seeds": range(2), "stages": ("test", "validation"),
    }  # fmt: skip
    if "splits" not in changes:
        fields["splits"] = make_splits(data, "6/2", 2)
    fields |= changes
    return make_jobs(fields["registry"], parse_methods(methods), *(fields[n] for n in ("view", "splits", "seeds",
                     "stages")))  # fmt: skip


def keys(jobs: list[Job]) -> set[str]:
    """The keys of jobs."""
    return {job.trial.key for job in jobs}


def test_every_cell_is_planned_once_and_pairs_stay_close(data):
    """All methods of a cell follow one another; splits vary slowest, so every method's first result comes early."""
    jobs = plan(data)
    order = [(job.trial.split, job.trial.seed, job.stage, job.label) for job in jobs]
    assert order == [
        (split, seed, stage, label)
        for split in range(2)
        for seed in range(2)
        for stage in ("test", "validation")
        for label in ("eszsl", "projection")
    ]
    assert len(keys(jobs)) == len(jobs) == 16


def test_a_method_named_twice_is_planned_once(data):
    """A method with the same configuration, however it is written, is one row."""
    assert keys(plan(data, "eszsl,eszsl,eszsl[log10_gamma=3],eszsl[log10_gamma=3.0]")) == keys(plan(data, "eszsl"))


def test_two_configurations_of_a_method_are_two_rows(data):
    """A changed parameter makes a row of its own, labelled by what was changed."""
    labels = {job.label for job in plan(data, "eszsl,eszsl[log10_gamma=2]")}
    assert labels == {"eszsl", "eszsl[log10_gamma=2.0]"}


def test_keys_do_not_depend_on_what_else_is_planned(data):
    """Order of methods, further methods, splits, seeds and stages change no trial's key."""
    few = keys(plan(data, "eszsl", splits=make_splits(data, "6/2", 1), seeds=[0], stages=("test",)))
    many = plan(data, "projection,eszsl[normalise=true],eszsl", splits=make_splits(data, "6/2", 5), seeds=range(3))
    assert few < keys(many)
    assert keys(plan(data, "projection,eszsl")) == keys(plan(data, "eszsl,projection"))


def test_keys_do_not_depend_on_the_order_of_parameters(data):
    """Parameters may be set in any order."""
    one = keys(plan(data, "eszsl[normalise=true,log10_gamma=1]"))
    assert one == keys(plan(data, "eszsl[log10_gamma=1,normalise=true]"))


def test_keys_know_nothing_of_where_trials_run(data):
    """A trial has no field for the executor, the workers, the host or the selection rule."""
    fields = set(plan(data)[0].trial.__struct_fields__)
    assert fields == {
        "method", "method_version", "config", "dataset", "features", "semantics", "hashes", "family", "split",
        "split_hash", "seed", "stage", "protocol", "schema", "source", "shots",
    }  # fmt: skip


def first(data: Dataset, methods: str = "eszsl", **changes: Any) -> str:
    """The key of the first trial of a plan."""
    return plan(data, methods, **changes)[0].trial.key


def changed_view(data: Dataset, kind: str) -> DataView:
    """A view of the data after one number of `kind` has changed on disk."""
    path = next((data.folder / kind).glob("*.npy")) if kind != "labels" else data.folder / "labels.npy"
    array = np.load(path)
    array[0] = array[0] + 1
    np.save(path, array)
    return Dataset(data.folder).view()


@pytest.mark.parametrize("kind", ["features", "labels", "semantics"])
def test_changed_data_are_other_trials(data, kind):
    """A single number that changes in the features, the labels or the semantics changes every key."""
    before = keys(plan(data))
    assert not before & keys(plan(data, view=changed_view(data, kind)))


@pytest.mark.parametrize("what", ["parameter", "seed", "split", "family", "held out", "protocol", "version", "stage"])
def test_whatever_decides_the_outcome_is_in_the_key(data, what, monkeypatch, tmp_path):
    """Another parameter, seed, split, family, held-out image, protocol, method version or stage is another trial."""
    before, method, changes = first(data), "eszsl", {}
    match what:
        case "parameter":
            method = "eszsl[log10_gamma=2.5]"
        case "seed":
            changes["seeds"] = [1]
        case "split":
            changes["splits"] = make_splits(data, "6/2", 2)[1:]
        case "family":
            changes["splits"] = make_splits(data, "5/3", 1)
        case "held out":
            split = make_splits(data, "6/2", 1)[0]
            spare = np.setdiff1d(split.partition("test").train, split.test_seen)[:1]
            held_out = np.sort(np.append(split.test_seen, spare))
            changes["splits"] = [replace(split, test_seen=held_out)]
        case "protocol":
            monkeypatch.setattr(zslbench.runner.plan, "PROTOCOL_VERSION", 2)
        case "version":
            registry = Registry()
            info = replace(registry.get("eszsl").info, version=2)
            monkeypatch.setattr(registry.get("eszsl"), "info", info)
        case "stage":
            changes["stages"] = ("validation",)
    assert first(data, method, **changes) != before


def test_an_explicit_split_is_known_by_what_it_contains(data, tmp_path):
    """An edited split file gives new keys; the same content under the same name gives the old ones."""
    path = tmp_path / "mine.json"
    path.write_text('[{"unseen": ["class0", "class1"]}]')
    before = first(data, splits=read_splits(data, path))
    assert first(data, splits=read_splits(data, path)) == before
    path.write_text('[{"unseen": ["class0", "class2"]}]')
    assert first(data, splits=read_splits(data, path)) != before


def test_a_method_that_needs_maps_is_refused_without_them(data, tmp_path):
    """A method that needs what the data set lacks is refused before anything runs."""
    path = write_plugin(tmp_path / "plugin.py")
    path.write_text(path.read_text().replace('citation=""', 'citation="", needs_maps=True'))
    with pytest.raises(
        InputError, match="method 'mine' needs feature maps: choose some of toy with maps, if it has any"
    ):
        plan(data, "mine", registry=Registry([path]))
    path.write_text(path.read_text().replace("needs_maps", "needs_attributes"))
    path = path.rename(tmp_path / "other.py")
    with pytest.raises(InputError, match="method 'mine' needs semantics whose columns are named attributes"):
        plan(data, "mine", registry=Registry([path]))


def test_validation_needs_images_to_spare(tmp_path):
    """Classes of two images cannot spare one in either stage: refused at planning, since S would be 0/0."""
    data = Dataset(write_synthetic(tmp_path / "tiny", classes=6, per_class=2, families='["4/2"]'))
    splits = make_splits(data, "4/2", 2)
    with pytest.raises(InputError, match=r"too few images to hold some out .* use validation=False"):
        plan(data, splits=splits)
    assert plan(data, splits=splits, stages=["test"])


def test_an_edited_plugin_is_another_trial(data, tmp_path):
    """A plugin's text is part of its trials' keys; that of an installed method is not."""
    path = write_plugin(tmp_path / "plugin.py")
    before = plan(data, "mine", registry=Registry([path]))[0].trial
    path.write_text(path.read_text() + "# edited\n")
    after = plan(data, "mine", registry=Registry([path]))[0].trial
    assert before.source != after.source
    assert before.key != after.key
    assert plan(data)[0].trial.source == ""


def test_validation_needs_validation_classes(tmp_path):
    """A split that is too small to spare classes for validation is refused with the way out."""
    data = Dataset(write_synthetic(tmp_path / "tiny", classes=2, families='["1/1"]'))
    splits = make_splits(data, "1/1", 1)
    with pytest.raises(InputError, match=r"split 1/1#0 has no validation classes; use validation=False"):
        plan(data, splits=splits)
    assert len(plan(data, splits=splits, stages=("test",))) == 4


def test_the_plan_holds_every_key_once(data):
    """The stored plan has one row per method with all of its cells, and nothing else."""
    jobs = plan(data)
    stored = as_plan(jobs, "zslbench run ...")
    assert [row.label for row in stored.rows] == ["eszsl", "projection"]
    assert {cell.key for row in stored.rows for cell in row.cells} == keys(jobs)
    assert {(c.split, c.seed, c.stage) for c in stored.rows[0].cells} == {
        (job.trial.split, job.trial.seed, job.stage) for job in jobs
    }
    assert stored.command == "zslbench run ..."
    assert stored.rows[1].trial == jobs[1].trial


def test_the_plan_has_a_row_per_family_of_splits(data):
    """A method planned on two families is two rows, each with the cells of its own family."""
    splits = [*make_splits(data, "6/2", 2), *make_splits(data, "5/3", 1)]
    jobs = plan(data, "eszsl", splits=splits, seeds=[0], stages=["test"])
    rows = as_plan(jobs, "zslbench run ...").rows
    assert [(row.label, row.trial.family, [cell.split for cell in row.cells]) for row in rows] == [
        ("eszsl", "6/2", [0, 1]),
        ("eszsl", "5/3", [0]),
    ]


def finished(job: Job, seconds: float, device: str = "cpu") -> Record:
    """The record of a job that took so long."""
    run = Run(fit_seconds=seconds / 2, score_seconds=seconds / 2, device=device)
    outcome = Outcome({"T1": [0.5], "OA": [0.5]}, {"S": [1], "U": [1], "H": [1], "AUSUC": [1]}, {}, 1.0)
    return Record(key=job.trial.key, label=job.label, status="done", trial=job.trial, outcome=outcome, run=run)


def failed(job: Job) -> Record:
    """The record of a job that failed."""
    return Record(
        key=job.trial.key, label=job.label, status="failed", trial=job.trial, failure=Failure("ValueError", "")
    )


@pytest.fixture
def nothing_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stored trials alone tell."""
    nothing = Estimates()
    monkeypatch.setattr("zslbench.runner.estimates._shipped", lambda: nothing)


def test_the_shipped_trials_tell_where_nothing_is_stored(data: Dataset) -> None:
    """A method that nobody has run here yet has a rough estimate; one that nobody ever ran has none."""
    job = plan(data, "eszsl")[0]
    guess = Estimates().guess(job.trial)
    assert guess is not None
    assert guess.rough
    assert 0 < guess.seconds < 60
    assert Estimates().guess(msgspec.structs.replace(job.trial, method="unheard-of")) is None


def test_the_outlook_counts_and_estimates(data, nothing_shipped):
    """Per method: done, failed and missing trials, and the medians of either stage times the trials ahead in it."""
    jobs = plan(data)
    test_0, validation_0, test_1, validation_1, *_ = [job for job in jobs if job.label == "eszsl"]
    records = [
        *(finished(test_0, 10.0), failed(test_1), finished(test_1, 30.0)),  # median of test trials: 20
        *(finished(validation_0, 4.0), failed(validation_1)),
    ]
    eszsl, projection = outlook(jobs, records)
    assert (eszsl.done, eszsl.failed, eszsl.to_do, eszsl.to_run) == (3, 1, 4, 5)
    assert eszsl.seconds == 2 * 20.0 + 3 * 4.0  # of split 1 two tests and two validations, and one that failed
    assert eszsl.seconds_per_trial == eszsl.seconds / 5
    assert not eszsl.rough
    assert (projection.done, projection.failed, projection.to_do, projection.to_run) == (0, 0, 8, 8)
    assert (projection.seconds, projection.seconds_per_trial, projection.rough) == (None, None, False)
    (settled, _) = outlook(jobs, records, retry_failed=False)
    assert (settled.failed, settled.to_run, settled.seconds) == (1, 4, 2 * 20.0 + 2 * 4.0)


def test_nothing_ahead_takes_no_time(data):
    """A method whose trials are all done needs no time, and says what one took."""
    jobs = plan(data, "eszsl", stages=["test"])
    (row,) = outlook(jobs, [finished(job, 6.0) for job in jobs])
    assert (row.to_run, row.seconds, row.seconds_per_trial) == (0, 0.0, 6.0)


def test_the_closest_known_trials_give_the_estimate(data, nothing_shipped):
    """Family, configuration and stage on the same data count before other data; anything of the method is better
    than nothing, and is marked as rough where it is from other data or the other stage."""
    one = make_splits(data, "6/2", 1)
    jobs = plan(data, "eszsl", seeds=[1], stages=["test"], splits=one)
    records = [finished(plan(data, "projection", splits=one)[0], 99.0)]
    known = {
        "other stage": plan(data, "eszsl", stages=["validation"], splits=one)[0],
        "other configuration": plan(data, "eszsl[log10_gamma=1]", stages=["test"], splits=one)[0],
        "other family": plan(data, "eszsl", stages=["test"], splits=make_splits(data, "5/3", 1))[0],
        "other seed": plan(data, "eszsl", stages=["test"], splits=one)[0],
    }
    other_data = plan(data, "eszsl", stages=["test"], splits=one, view=changed_view(data, "features"))[0]
    (row,) = outlook(jobs, records)
    assert row.seconds is None  # another method tells nothing
    for seconds, (kinship, job) in enumerate({"other data": other_data, **known}.items(), 1):
        records.append(finished(job, float(seconds)))
        (row,) = outlook(jobs, records)
        assert (kinship, row.seconds, row.rough) == (kinship, seconds, kinship in ("other data", "other stage"))


def test_other_devices_serve_only_where_there_is_nothing_else(data):
    """Where trials will run on a GPU, any trial of the method on a GPU counts before closer ones on a CPU."""
    asked, *others = plan(data, "eszsl", stages=["test"])
    on_cpu = finished(others[0], 50.0)
    (row,) = outlook([asked], [on_cpu], device="cuda")
    assert (row.seconds, row.rough) == (50.0, True)
    far = plan(data, "eszsl[log10_gamma=1]", stages=["test"])[0]
    (row,) = outlook([asked], [on_cpu, finished(far, 2.0, "cuda:1")], device="cuda")
    assert (row.seconds, row.rough) == (2.0, False)
    (row,) = outlook([asked], [on_cpu, finished(far, 2.0, "cuda:1")], device="cpu")
    assert (row.seconds, row.rough) == (50.0, False)
    (row,) = outlook([asked], [finished(far, 2.0, "cuda:1")])
    assert (row.seconds, row.rough) == (2.0, False)  # where trials will run is not known


def test_what_is_read_of_a_record_for_counting_is_what_was_stored(data, tmp_path):
    """A store's records without their outcomes give the same outlook as the records themselves."""
    store, jobs = Store(tmp_path / "s"), plan(data)
    with store.writing():
        for seconds, job in enumerate(jobs[:6], 1):
            store.append(finished(job, float(seconds)))
        store.append(failed(jobs[6]))
    assert outlook(jobs, store.briefs()) == outlook(jobs, store.records())
    assert [row.done for row in outlook(jobs, store.briefs())] == [3, 3]


def test_a_dry_run_says_what_is_rough(in_process, synthetic):
    """Per method and in sum; validation trials that only test trials can judge are marked, known ones are not."""
    command = ("run", "--methods", "eszsl,chance", "--dataset", synthetic, "--splits", "2", "--workers", "0")
    assert in_process(*command, "--no-validation", "--quiet")[0] == 0
    code, out, err = in_process(*command, "--dry-run")
    assert (code, err) == (0, "")
    assert re.search(r"eszsl +2 +2 +0 +~\d\.\d+ +~(under )?\d", out)
    assert "~ rough: judged by trials on other data, of the other stage, on another device or machine." in out
    plan = json.loads(in_process(*command, "--dry-run", "--json")[1])
    assert (plan["to_run"], plan["rough"], plan["workers"]) == (4, True, 1)
    assert plan["seconds"] == pytest.approx(sum(row["seconds"] for row in plan["methods"]))
    _, out, _ = in_process(*command, "--dry-run", "--seeds", "2", "--no-validation")
    assert "~" not in out
