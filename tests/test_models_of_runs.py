"""`--save-models`: a run keeps the fitted methods of its test trials: whole, and the best by validation."""

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from plugins import write_plugin
from rich.console import Console

import zslbench as zb
from zslbench.errors import InputError
from zslbench.models.leading import standings
from zslbench.models.model import Classes
from zslbench.models.saving import check_saved
from zslbench.protocol import Outcome
from zslbench.records import Cell, Plan, PlanRow, Record, Store, Trial
from zslbench.runner.plan import make_jobs
from zslbench.runner.progress import Progress
from zslbench.verification import verify

pytestmark = pytest.mark.usefixtures("unsynced")


@pytest.fixture
def data(synthetic: Path) -> Any:
    """A small SYNTHETIC data set."""
    return zb.load(synthetic)


def run(data: Any, store: Path, methods: Any = "eszsl", *, saved: str = "all", splits: int = 2, **how: Any) -> Any:
    """A serial run that keeps models."""
    return zb.run(methods, data, splits=splits, workers=0, save_models=saved, store=store, quiet=True, **how)


def names(store: Path) -> set[str]:
    """What lies in the folder of models."""
    return {path.name for path in (store / "models").glob("*")}


def records_of(store: Path, stage: str = "test") -> list[Record]:
    """Of one stage."""
    return [record for record in Store(store).records() if record.trial.stage == stage]


def predicted(stored: dict[str, Any]) -> Any:
    """The class of each image where all classes are candidates."""
    return np.where(stored["gzsl_margin"] >= 0, stored["gzsl_best_seen"], stored["gzsl_best_unseen"])


@pytest.mark.parametrize("method", ["eszsl+cal", "gfzsl", "projection+propagate", "sae"])
def test_a_kept_model_gives_its_trial_s_predictions(method: str, data: Any, tmp_path: Path) -> None:
    """For the split's test images, to the image and in both settings; a transductive method too."""
    run(data, tmp_path / "store", method)
    tests = records_of(tmp_path / "store")
    assert names(tmp_path / "store") == {f"{record.key}.zsl" for record in tests}
    for record in tests:
        model = zb.load_model(tmp_path / f"store/models/{record.key}.zsl")
        part = data.splits("6/2")[record.trial.split].partition("test")
        assert model.header.trial == record.trial
        stored, X = Store(tmp_path / "store").predictions(record), data.view.features
        images = np.concatenate([part.held_out_seen, part.held_out_unseen])
        classes = np.array(data.class_names)
        assert model.predict(X[images]).labels == classes[predicted(stored)].tolist()
        of_unseen = model.predict(X[part.held_out_unseen], candidates="unseen")
        assert of_unseen.labels == classes[stored["zsl_predicted"]].tolist()


TRAINED = ["cada", "mcfa", "hsva", "clswgan", "cegzsl", "fvaegan"]
"""They train a classifier on the candidates, from an initialisation in their order."""


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("shots", [0, 2])
def test_candidates_come_in_the_order_of_a_trial(name: str, shots: int, data: Any, tmp_path: Path) -> None:
    """Seen classes first, though the data set has them between unseen ones: else another classifier is trained."""
    sys.path.insert(0, str(ROOT / "tests/methods"))
    from quick import quick

    spec = quick(name)
    chosen = ",".join(f"{key}={value}" for key, value in spec.overrides.items())
    run(data, tmp_path / "store", f"{name}[{chosen}]", splits=1, shots=shots, validation=False)
    (record,) = records_of(tmp_path / "store")
    split = data.splits("6/2")[0]
    part = split.partition("test", shots, 0)
    assert part.unseen.tolist() != [6, 7]
    model = zb.load_model(tmp_path / f"store/models/{record.key}.zsl")
    stored = Store(tmp_path / "store").predictions(record)
    images = np.concatenate([part.held_out_seen, part.held_out_unseen])
    found = model.predict(data.view.features[images])
    assert found.labels == np.array(data.class_names)[predicted(stored)].tolist()
    assert found.kinds == ["seen"] * 6 + ["few" if shots else "unseen"] * 2
    named = model.predict(data.view.features[images], candidates=list(data.class_names))
    assert named.labels == found.labels
    assert model.header.images == len(part.train) + len(part.few)


def test_it_is_the_model_of_fit(data: Any, tmp_path: Path) -> None:
    """`fit` on the same split holds the same state, to the byte; the header says more."""
    from safetensors.numpy import load_file

    run(data, tmp_path / "store", "eszsl+cal", splits=1)
    zb.fit("eszsl+cal", data, split=data.splits("6/2")[0], validate=False).save(tmp_path / "m.zsl")
    (kept,) = (tmp_path / "store/models").glob("*.zsl")
    one, other = load_file(kept), load_file(tmp_path / "m.zsl")
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_a_process_of_its_own_gives_the_same_file(data: Any, tmp_path: Path) -> None:
    """As trials with a time limit have one."""
    run(data, tmp_path / "here", splits=1)
    run(data, tmp_path / "apart", splits=1, timeout=300)
    (name,) = names(tmp_path / "here")
    assert (tmp_path / "apart/models" / name).read_bytes() == (tmp_path / "here/models" / name).read_bytes()


def test_describe_names_the_split_and_its_unseen_classes(data: Any, tmp_path: Path, in_process: Any) -> None:
    """So nobody can take such a model for one that has seen all classes; show, status and verify name models too."""
    run(data, tmp_path / "store", splits=2)
    record = records_of(tmp_path / "store")[1]
    split = data.splits("6/2")[1]
    code, told, _ = in_process("describe", tmp_path / f"store/models/{record.key}.zsl")
    assert code == 0
    lines = told.splitlines()
    assert "unseen     " + ", ".join(data.class_names[label] for label in split.unseen) in lines
    assert any(line.startswith("fitted on  ") and line.endswith("the training images of split 6/2#1") for line in lines)
    assert f"trial      {record.key}, seed 0: `zslbench show` has its numbers" in lines
    trial = json.loads(in_process("describe", tmp_path / f"store/models/{record.key}.zsl", "--json")[1])["trial"]
    assert (trial["split"], trial["split_hash"], trial["hashes"]) == (1, split.hash, data.view.hashes)
    assert f"models/{record.key}.zsl" in in_process("show", record.key, "--store", tmp_path / "store")[1]
    shown = json.loads(in_process("show", record.key, "--store", tmp_path / "store", "--json")[1])
    assert shown["model"].endswith(f"models/{record.key}.zsl")
    assert "2 model(s)" in in_process("status", "--store", tmp_path / "store")[1]
    code, told, _ = in_process("verify", tmp_path / "store")
    assert (code, "2 model(s) of finished trials are whole." in told.splitlines()) == (0, True)


def test_a_model_of_a_split_knows_the_classes_of_the_split(synthetic: Path, tmp_path: Path) -> None:
    """Classes without images, which no trial plays, would be candidates that the trial had not."""
    semantics = np.load(synthetic / "semantics/truth.npy")
    np.save(synthetic / "semantics/truth.npy", np.concatenate([semantics, semantics[:1] + 1]))
    card = synthetic / "card.toml"
    card.write_text(card.read_text().replace('"class7"]', '"class7", "quarry"]') + 'without_images = ["quarry"]\n')
    data = zb.load(synthetic)
    run(data, tmp_path / "store", splits=1)
    (kept,) = (tmp_path / "store/models").glob("*.zsl")
    assert "quarry" not in zb.load_model(kept).class_names
    assert "quarry" in zb.fit("eszsl", data, validate=False).class_names


def test_the_best_by_validation_stay(data: Any, tmp_path: Path) -> None:
    """Models of the method with the highest mean H on validation classes stay; a second run leaves them alone."""
    for _ in range(2):
        run(data, tmp_path / "store", "projection,eszsl,sae", saved="best")
        H: dict[str, list[float]] = {}
        for record in records_of(tmp_path / "store", "validation"):
            assert record.outcome is not None
            H.setdefault(record.label, []).append(record.outcome.gzsl["H"][-1])
        best = max(H, key=lambda label: np.mean(H[label]))
        keys = {record.key for record in records_of(tmp_path / "store") if record.label == best}
        assert names(tmp_path / "store") == {f"{key}.zsl" for key in keys}


def trial(method: str, split: int, stage: Any) -> Trial:
    """One that is not run."""
    return Trial(method, 1, {}, "d", "f", "s", {"features": "1"}, "6/2", split, "h", 0, stage, 1)


def made(H: dict[str, list[tuple[float | None, float]]]) -> tuple[Plan, dict[str, Record]]:
    """A plan and records: of each method and split H on validation classes (None: failed) and on test classes."""
    rows, records = [], {}
    for method, pairs in H.items():
        cells = []
        for split, pair in enumerate(pairs):
            for stage, value in zip(("validation", "test"), pair, strict=True):
                of = trial(method, split, stage)
                cells.append(Cell(of.key, split, 0, stage))
                if value is not None:
                    curve = {name: [1.0, value] for name in ("S", "U", "H", "AUSUC")}
                    outcome = Outcome({"T1": [0.0], "OA": [0.0]}, curve, {}, 0.0)
                    records[of.key] = Record(key=of.key, label=method, status="done", trial=of, outcome=outcome)
        rows.append(PlanRow(method, trial(method, 0, "test"), cells))
    return Plan("", "", rows), records


def status(records: dict[str, Record]) -> dict[str, Any]:
    """Of each."""
    return {key: record.status for key, record in records.items()}


def test_who_leads_is_decided_without_the_test_stage() -> None:
    """The last epoch's H of validation trials counts, over the splits that most methods plan; test trials never."""
    plan, records = made(
        {"good on test": [(0.2, 1.0), (0.3, 1.0)], "best": [(0.5, 0.0), (0.3, 0.0)], "short": [(0.9, 0.9)]}
    )
    for without_tests in (False, True):
        if without_tests:
            records = {key: record for key, record in records.items() if record.trial.stage == "validation"}
        (found,) = standings(plan, records, status(records))
        assert (found.leader.label if found.leader else None, found.mean) == ("best", pytest.approx(0.4))
        assert [row.label for row in found.behind] == ["short", "good on test"]


def test_a_method_that_may_lead_yet_keeps_its_models() -> None:
    """One whose validation trials failed is neither the leader nor behind it."""
    plan, records = made({"done": [(0.2, 0.2), (0.3, 0.3)], "failed": [(0.9, 0.9), (None, 0.9)]})
    (found,) = standings(plan, records, status(records))
    assert found.leader is not None
    assert found.leader.label == "done"
    assert ([row.label for row in found.unfinished], found.behind) == (["failed"], [])
    plan, records = made({"failed": [(None, 0.9)]})
    (found,) = standings(plan, records, status(records))
    assert found.leader is None


def test_the_best_without_validation_are_refused(data: Any, tmp_path: Path, in_process: Any) -> None:
    """One line, before anything is written."""
    line = "run", "--methods", "eszsl", "--dataset", data.dataset.folder, "--no-validation", "--save-models", "best"
    code, _, said = in_process(*line, "--store", tmp_path / "store", "--workers", "0")
    assert (code, said.count("\n")) == (2, 1)
    assert "--save-models best: the best are chosen on validation classes, which are left out" in said
    assert not (tmp_path / "store").exists()
    with pytest.raises(InputError, match=r"save_models='best'.*validation=True"):
        run(data, tmp_path / "store", saved="best", validation=False)
    with pytest.raises(InputError, match="save_models: one of none, best, all"):
        run(data, tmp_path / "store", saved="some")
    check_saved("all", False)


def spoken(data: Any, store: Path, methods: str, saved: Any, plugins: Sequence[Path] = ()) -> list[str]:
    """The lines of a run, without those of its trials."""
    import io

    from zslbench.planning import Execution, execute, plan_suite
    from zslbench.registry import Registry
    from zslbench.runner.cluster import Where

    text = io.StringIO()
    (planned,) = plan_suite(
        None, Registry(plugins), methods=methods, dataset=str(data.dataset.folder), splits=2, validation=True
    )
    progress = Progress(Console(file=text, width=1000), workers=0)
    execute(planned, Store(store), Execution(Where(0, None, "cpu", None), save_models=saved), progress, "zslbench run")
    return [line for line in text.getvalue().splitlines() if " T1 " not in line]


def test_what_a_run_says_of_its_models(data: Any, tmp_path: Path) -> None:
    """How many there are; and of trials that were done before without theirs, how many and what to do."""
    store = tmp_path / "store"
    assert spoken(data, store, "eszsl", "none") == []
    assert spoken(data, store, "eszsl,projection", "all") == [
        "4 of 8 trials are done already.",
        f"2 model(s) of this run are in {store}/models.",
        "2 trial(s) were done before, have no model here and are not run again: `zslbench fit` makes one such model, "
        "with split; a run into another store makes all.",
    ]
    *_, leads = spoken(data, tmp_path / "other", "eszsl,projection", "best")
    assert leads.startswith("toy, 6/2, track strict: ")
    assert leads.endswith(
        f"on validation classes; its 2 model(s) are in {tmp_path}/other/models; 2 of others, of this run or an "
        f"earlier one, were removed."
    )


def test_a_method_that_cannot_be_kept_is_told_once(data: Any, tmp_path: Path) -> None:
    """Its trials are as good as ever."""
    plugin = write_plugin(tmp_path / "mine.py", before="self.f = lambda: 0")
    said = spoken(data, tmp_path / "store", "mine", "all", [plugin])
    (told,) = (line for line in said if "cannot be kept" in line)
    assert told.startswith("mine cannot be kept in a file, and is measured all the same: it holds the function")
    assert "0 model(s)" in said[-1]
    assert {record.status for record in records_of(tmp_path / "store")} == {"done"}
    said = spoken(data, tmp_path / "other", "mine", "best", [plugin])
    assert said[-1].endswith("cannot be kept, so the models of others stay.")
    plain = write_plugin(tmp_path / "mine.py", before="self.f = lambda: 0")
    spoken(data, tmp_path / "without", "mine", "none", [plain])
    for one, other in zip(records_of(tmp_path / "store"), records_of(tmp_path / "without"), strict=True):
        assert one.outcome == other.outcome


def test_an_object_that_must_not_be_looked_at_fails_no_trial(data: Any, tmp_path: Path) -> None:
    """Whatever it raises while the method is taken down."""
    plugin = write_plugin(tmp_path / "mine.py", before="self.f = Mean()")
    plugin.write_text(
        plugin.read_text().replace(
            "class Mine(", "class Mean:\n    def __getattribute__(self, name): raise RuntimeError('no')\n\nclass Mine("
        )
    )
    said = spoken(data, tmp_path / "store", "mine", "all", [plugin])
    assert any("mine cannot be kept in a file, and is measured all the same: RuntimeError" in line for line in said)
    assert {record.status for record in records_of(tmp_path / "store")} == {"done"}


def interrupted(bench: Any) -> Iterator[Any]:
    """Events of a serial run up to the second trial's end."""
    for count, event in enumerate(bench):
        if count == 3:
            raise KeyboardInterrupt
        yield event


def test_a_run_that_was_cut_off_goes_on(data: Any, tmp_path: Path) -> None:
    """What is there is whole; what a kill left of a file is replaced; the best are chosen in the end all the same."""
    from zslbench.configuration import parse_methods
    from zslbench.models.saving import TrialModels
    from zslbench.registry import Registry
    from zslbench.runner.executors import run_serially
    from zslbench.runner.session import run as run_jobs

    registry, view, store = Registry(), data.view, Store(tmp_path / "store")
    stages: Any = ("test", "validation")
    jobs = make_jobs(registry, parse_methods("eszsl,projection"), view, data.splits("6/2", 2), [0], stages)

    def go(cut: bool) -> None:
        def events(remaining: Any) -> Any:
            found = run_serially(registry, view, remaining, keep_models=True)
            return interrupted(found) if cut else found

        quiet = Progress(Console(file=None), workers=0, quiet=True)
        run_jobs(jobs, store, "zslbench run", events, quiet, models=TrialModels("best", data.dataset, view))

    with pytest.raises(KeyboardInterrupt):
        go(cut=True)
    (kept,) = names(store.folder)
    half = store.folder / "models" / f"{jobs[1].trial.key}.part"
    half.write_bytes(b"half")
    (store.folder / "models/notes.txt").write_text("mine")
    assert verify(store).models == 1
    go(cut=False)
    assert len(names(store.folder)) == 3, "two of the best, and what is not ours"
    assert (store.folder / "models/notes.txt").read_text() == "mine"
    assert verify(store).findings == []
    assert verify(store).models == 2
    assert kept.endswith(".zsl")


def test_verify_finds_models_that_are_not_what_they_were(data: Any, tmp_path: Path) -> None:
    """Altered, of another trial, of no trial, and without a record; readers of records do not mind them."""
    store = Store(tmp_path / "store")
    run(data, store.folder, splits=2)
    one, other = (store.model_path(key) for key in store.models())
    content = one.read_bytes()
    zb.fit("eszsl", data, validate=False).save(store.model_path("0" * 32))
    store.model_path("1" * 32).write_bytes(content)
    one.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = {Path(finding.file).name: finding.what for finding in verify(store).findings}
    assert found.keys() == {f"{'0' * 32}.zsl", f"{'1' * 32}.zsl", one.name}
    assert found[f"{'0' * 32}.zsl"] == "is the model of no trial"
    assert found[f"{'1' * 32}.zsl"] == "is the model of another trial"
    assert "was altered or damaged" in found[one.name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert zb.open_results(store.folder).leaderboard().to_frame() is not None
    assert other.exists()


def test_a_planted_link_is_replaced_and_not_followed(data: Any, tmp_path: Path) -> None:
    """As everywhere in a store."""
    store, precious = Store(tmp_path / "store"), tmp_path / "precious"
    precious.write_text("mine")
    run(data, tmp_path / "first", splits=1)
    (key,) = Store(tmp_path / "first").models()
    store.models_folder.mkdir(parents=True)
    for name in (f"{key}.zsl", f"{key}.part"):
        (store.models_folder / name).symlink_to(precious)
    run(data, store.folder, splits=1)
    assert precious.read_text() == "mine"
    assert not store.model_path(key).is_symlink()
    assert store.model_path(key).read_bytes() == Store(tmp_path / "first").model_path(key).read_bytes()


def test_outputs_never_replace_a_model(data: Any, tmp_path: Path, in_process: Any) -> None:
    """Models are part of the store."""
    run(data, tmp_path / "store", splits=1)
    (kept,) = (tmp_path / "store/models").glob("*.zsl")
    before = kept.read_bytes()
    code, _, said = in_process("export", "--store", tmp_path / "store", "-o", kept, "--format", "csv")
    assert (code, "is part of the store" in said) == (2, True)
    assert kept.read_bytes() == before


def test_draws_of_a_budget_do_not_lead(data: Any, tmp_path: Path) -> None:
    """With `best` the models of the leader as it was named stay, and of no draw; with `all` those of draws too."""
    found = {}
    for saved in ("best", "all"):
        run(data, tmp_path / saved, "eszsl", saved=saved, budget=4)
        tests = records_of(tmp_path / saved)
        found[saved] = [record.label for record in tests if f"{record.key}.zsl" in names(tmp_path / saved)]
        assert len(names(tmp_path / saved)) == len(found[saved])
    assert found["best"] == ["eszsl", "eszsl"]
    assert set(found["all"]) > {"eszsl"}


def test_bounds_stand_behind_the_best(data: Any, tmp_path: Path) -> None:
    """They lead nothing, so their models do not stay; a classifier of images alone names no further class."""
    run(data, tmp_path / "store", ["eszsl", "prototypes"], saved="best", splits=1, shots=2)
    (record,) = [record for record in records_of(tmp_path / "store") if record.label == "eszsl"]
    assert names(tmp_path / "store") == {f"{record.key}.zsl"}
    said = spoken(data, tmp_path / "bounds", "chance,seen-only", "best")
    assert said == [
        "toy, 6/2: bounds alone were run, none of which is chosen as the best, so all 4 model(s) of them stay in "
        f"{tmp_path}/bounds/models."
    ]
    run(data, tmp_path / "other", "prototypes", saved="all", splits=1, shots=2)
    (path,) = (tmp_path / "other/models").glob("*.zsl")
    model = zb.load_model(path)
    more = Classes(("new",), np.zeros((1, model.header.attributes), np.float32))
    with pytest.raises(InputError, match="learns each class from its images, and can name none without"):
        model.predict(data.view.features, classes=more)
