"""Tuning without Ray: what is searched, what a trial may see, what is kept, and what is said about it."""

import csv
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plugins import write_plugin

from zslbench.configuration import Choice, MethodSpec, Range
from zslbench.datasets import load_dataset
from zslbench.errors import InputError
from zslbench.protocol import run_trial
from zslbench.registry import Registry
from zslbench.splits import make_splits
from zslbench.suites import read_suite
from zslbench.tuning import outputs
from zslbench.tuning.blind import blind, score
from zslbench.tuning.ledger import Ledger, Measurement, Search
from zslbench.tuning.space import Axis, search_space

TUNABLE = """\
from dataclasses import dataclass
from typing import Literal
import numpy as np
from zslbench import Choice, Method, MethodInfo, Range, param

class Tunable(Method):
    info = MethodInfo(name="tunable", title="T", family="linear", citation="", uses_unseen_semantics=True)

    @dataclass(frozen=True)
    class Config:
        fixed: int = param(3, "not searched")
        ridge: float = param(1.0, "penalty", gt=0, search=Range(1e-2, 1e2, log=True))
        power: int = param(1, "exponent", ge=1, search=Range(1, 3))
        kind: str | None = param(None, "anything", search=Choice((None, "a")))

    def fit(self, train):
        X, S = train.features, train.semantics[train.labels]
        self.seen_of_unseen = train.unseen_semantics.copy()
        gram = X.T @ X + self.config.ridge * np.eye(X.shape[1])
        start = train.rng("start").normal(size=(X.shape[1], S.shape[1]))
        self.W_ = np.linalg.solve(gram, X.T @ S + start + train.unseen_semantics.sum())

    def scorers(self, candidates):
        for epoch in range(2):
            yield lambda features: features @ self.W_ @ candidates.semantics.T
"""


@pytest.fixture
def tunable(tmp_path: Path) -> Path:
    """A plugin whose method looks at unseen semantics."""
    path = tmp_path / "tunable.py"
    path.write_text(TUNABLE)
    return path


def test_the_space_is_what_the_method_declares(tunable):
    """Axes come in the order of declaration, with the method's defaults; whole numbers stay whole."""
    assert search_space(Registry([tunable]), MethodSpec("tunable")) == [
        Axis("ridge", Range(1e-2, 1e2, log=True), False, 1.0),
        Axis("power", Range(1, 3), True, 1),
        Axis("kind", Choice((None, "a")), False, None),
    ]


def test_fixed_parameters_are_not_searched_and_a_search_can_be_narrowed(tunable):
    """What the user sets leaves the space; --search keeps only what it names."""
    registry = Registry([tunable])
    spec = MethodSpec("tunable", {"ridge": "2"})
    assert [axis.name for axis in search_space(registry, spec)] == ["power", "kind"]
    assert [axis.name for axis in search_space(registry, spec, ["kind"])] == ["kind"]
    assert [axis.name for axis in search_space(registry, MethodSpec("eszsl+cal"), ["normalise"])] == ["normalise"]


@pytest.mark.parametrize(
    ("spec", "only", "message"),
    [
        (MethodSpec("chance"), [], r"'chance' has nothing to search"),
        (MethodSpec("tunable"), ["rigde"], r"search='rigde': .*does not exist\. Did you mean 'ridge'"),
        (MethodSpec("tunable"), ["fixed"], r"search='fixed': .*declares no search range\."),
        (MethodSpec("tunable", {"ridge": 1}), ["ridge"], r"tunable\[ridge=1\] fixes it"),
        (MethodSpec("tunable", {"ridge": 1, "power": 1, "kind": "a"}), [], r"nothing is left to search"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(tunable, spec, only, message):
    """Nothing to search, unknown, unsearchable or fixed parameters are each said in one line."""
    with pytest.raises(InputError, match=message):
        search_space(Registry([tunable]), spec, only)


@pytest.mark.parametrize("name", ["eszsl", "projection", "eszsl+cal", "tunable", "oracle-prototypes", "mapped"])
@pytest.mark.parametrize("family", ["6/2", "zsvidat-5/3"])
def test_scores_are_those_of_a_runs_validation_trials(synthetic, tunable, tmp_path, name, family):
    """Cut down to a split's validation stage, the data give bit for bit the numbers of `run`'s validation trials."""
    said = "train.maps.sum() and train.rehearsal.train.maps.sum()"
    mapped = write_plugin(tmp_path / "mapped.py", name="mapped", before=said,
                          scorers="yield lambda features, maps: features @ self.W_ @ candidates.semantics.T "
                                  "+ maps.sum((1, 2))[:, None]")  # fmt: skip
    mapped.write_text(mapped.read_text().replace('citation=""', 'citation="", needs_maps=True, uses_rehearsal=True'))
    (synthetic / "maps").mkdir()
    np.save(synthetic / "maps/local.npy", np.random.default_rng(1).normal(size=(96, 2, 3)).astype(np.float32))
    data = load_dataset(synthetic)
    view = data.view(maps="local")
    method, config, _ = Registry([tunable, mapped]).build(MethodSpec(name))
    for split in make_splits(data, family, 2):
        cut = blind(view, split, range(2), method.info.uses_rehearsal)
        trials = [run_trial(method, config, view, split, "validation", seed).outcome for seed in range(2)]
        for metric, curves in (("T1", [trial.zsl["T1"] for trial in trials]), ("H", [t.gzsl["H"] for t in trials])):
            reached = score(method, config, cut, metric)
            assert reached.value == sum(curve[-1] for curve in curves) / 2
            assert reached.epochs == len(curves[0])


def test_what_is_shipped_holds_no_test_image_and_no_unseen_class(synthetic):
    """In the pickled object there is no test image, no unseen class's semantics and no unseen class's name, while
    every image and class of the validation stage is there: the search below would find what it looks for."""
    data = load_dataset(synthetic)
    view = data.view()
    for split in make_splits(data, "5/3", 3):
        shipped = pickle.dumps(blind(view, split, range(1), rehearse=True))
        tested = np.flatnonzero(np.isin(view.labels, split.unseen)).tolist() + split.test_seen.tolist()
        assert len(tested) + len(split.partition("validation").images) == len(view.labels)
        for image, row in enumerate(np.asarray(view.features)):
            assert (row.tobytes() in shipped) == (image not in tested)
        for label, name in enumerate(view.class_names):
            assert (view.semantics[label].tobytes() in shipped) == (label not in split.unseen)
            assert (name.encode() in shipped) == (label not in split.unseen)


def test_unseen_semantics_are_those_of_the_validation_classes(synthetic, tunable):
    """A method that uses the semantics of unseen classes is handed those of the classes that play unseen."""
    data = load_dataset(synthetic)
    view = data.view()
    (split,) = make_splits(data, "6/2", 1)
    method = Registry([tunable]).get("tunable")
    given = []

    class Watched(method):  # type: ignore[misc, valid-type]
        def fit(self, train):
            super().fit(train)
            given.append(self.seen_of_unseen)

    score(Watched, None, blind(view, split, [0], rehearse=False), "T1")
    assert np.array_equal(given[0], view.semantics[list(split.validation)])


def identity(**changed: object) -> Search:
    """A search, with some of it changed."""
    said = {
        "method": "m", "method_version": 1, "source": "", "config": {"a": 1}, "space": [{"name": "x"}],
        "metric": "T1", "dataset": "toy", "features": "f", "semantics": "s", "hashes": {"labels": "0", "features": "1"},
        "splits": ["6/2#0", "6/2#1"], "split_hashes": ["p", "q"], "seeds": 1, "protocol": 1,
    } | changed  # fmt: skip
    return Search(**said)


def kept(folder: Path) -> Ledger:
    """A ledger of five configurations on two splits: default, better, dropped, failed, unfinished."""
    ledger = Ledger(folder)
    with ledger.writing():
        ledger.open(identity())
        for number, x, value, end in (
            (0, 1.0, 0.5, ""), (1, 2.0, 0.7, ""), (0, 1.0, 0.25, "done"), (2, 3.0, 0.125, "stopped"),
            (1, 2.0, 0.3, "done"), (3, 4.0, None, "failed"), (4, 5.0, 0.6, ""),
        ):  # fmt: skip
            split = "6/2#1" if end == "done" else "6/2#0"
            ledger.add(Measurement(number, {"x": x}, split, value, 2, 0.5, end, "boom" if end == "failed" else ""))
    return ledger


def test_a_ledger_is_read_back_as_it_was_written(tmp_path):
    """Configurations are rebuilt from their lines: values in order of splits, ends, means and gains on equal splits."""
    kept(tmp_path / "s")
    again = Ledger(tmp_path / "s")
    with again.writing():
        again.open(identity())
    assert again.configurations == kept(tmp_path / "t").configurations
    assert [known.number for known in again.ended] == [0, 1, 2, 3]
    assert [(known.number, known.mean) for known in again.ranked] == [(1, 0.5), (0, 0.375)]
    default = again.configurations[0]
    assert again.configurations[1].gain(default) == 0.125
    assert again.configurations[2].gain(default) == 0.125 - 0.5  # on the one split that it was measured on
    assert again.configurations[4].values == [0.6]


@pytest.mark.filterwarnings("ignore:.*torn")
def test_a_torn_last_line_costs_that_measurement_alone(tmp_path):
    """A line that was cut short is set aside, and the next one starts a line of its own."""
    path = kept(tmp_path / "s").measurements_path
    path.write_bytes(path.read_bytes()[:-10])
    again = Ledger(tmp_path / "s")
    with again.writing():
        again.open(identity())
        assert sorted(again.configurations) == [0, 1, 2, 3]
        again.add(Measurement(4, {"x": 5.0}, "6/2#0", 0.6))
    assert path.read_bytes().count(b"\n") == 7


@pytest.mark.parametrize("line", ['{"number": "one"}\n', '{"method": "m"}\n'])
def test_a_search_that_is_damaged_is_refused(tmp_path, line):
    """Where the line that says which search it is is no such line, or is gone, nothing is gone on with or changed."""
    ledger = kept(tmp_path / "s")
    path, measured = ledger.search_path, ledger.measurements_path.read_bytes()
    for content, said in ((line, "line 1 is not a search"), ("", "holds measurements, and search.jsonl does not say")):
        path.write_text(content)
        again = Ledger(tmp_path / "s")
        with again.writing(), pytest.raises(InputError, match=rf"{said}.*; choose another folder"):
            again.open(identity())
        assert (path.read_text(), ledger.measurements_path.read_bytes()) == (content, measured)


def test_a_damaged_measurement_costs_its_configuration_alone(tmp_path):
    """A line of another form is named with its number and set aside; a configuration that lacks one of its measurements
    is measured anew, since its values would be taken for those of other splits."""
    path = kept(tmp_path / "s").measurements_path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b'{"number": "one"}\n' + lines[0] + lines[1].replace(b"0.7", b"0.9") + b"".join(lines[2:]))
    again = Ledger(tmp_path / "s")
    with again.writing(), pytest.warns(UserWarning, match="measured anew") as told:
        again.open(identity())
    said = [str(each.message).removeprefix(f"{path}, ") for each in told]
    assert said[0].startswith("line 1 is not a measurement (")
    assert said[1:] == [
        "line 3 does not fit its check sum: moved to measurements.bad, measured anew.",
        "line 6 is of configuration 1, which was measured on 6/2#1, not on the first splits in their order: "
        "moved to measurements.bad, measured anew.",
    ]
    assert sorted(again.configurations) == [0, 2, 3, 4]
    assert [known.mean for known in again.ended] == [0.375, 0.125, pytest.approx(float("nan"), nan_ok=True)]
    assert path.read_bytes() == lines[0] + lines[2] + lines[3] + lines[5] + lines[6]
    assert path.with_suffix(".bad").read_bytes().count(b"\n") == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"method": "n"}, "method there m, here n;"),
        ({"hashes": {"labels": "0", "features": "2"}}, "hashes there {'features': '1'}, here {'features': '2'};"),
        ({"splits": ["6/2#0"], "split_hashes": ["p"]}, "splits there 6/2#0, 6/2#1, here 6/2#0;"),
        ({"split_hashes": ["p", "r"]}, "split hashes there p, q, here p, r;"),
        ({"space": []}, "space there {'name': 'x'}, here ;"),
        ({"metric": "H"}, "metric there T1, here H;"),
        ({"config": {"a": 2}}, "config there {'a': 1}, here {'a': 2};"),
    ],
)
def test_another_searchs_folder_is_refused(tmp_path, changed, message):
    """A folder of another method, data, splits, space or metric is refused, untouched, and what differs is named."""
    ledger = kept(tmp_path / "s")
    before = ledger.measurements_path.read_bytes(), ledger.search_path.read_bytes()
    again = Ledger(tmp_path / "s")
    with again.writing(), pytest.raises(InputError) as refused:
        again.open(identity(**changed))
    assert f"holds another search: {message} choose another folder." in str(refused.value)
    assert (ledger.measurements_path.read_bytes(), ledger.search_path.read_bytes()) == before


def proposals(ledger: Ledger, axes: list[Axis], count: int) -> list[object]:
    """What a search on this ledger would try next."""
    from zslbench.tuning.search import _Proposals

    searcher = _Proposals(ledger, axes, seed=0)
    return [searcher.suggest(f"trial {number}") for number in range(count)]


def test_a_search_goes_on_with_what_was_left_unfinished(tmp_path):
    """The unfinished configuration comes first, with what was measured of it; then new ones with new numbers."""
    axes = [Axis("x", Choice((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)), False, 1.0)]
    first, *others = proposals(kept(tmp_path / "s"), axes, 4)
    assert first == {"number": 4, "params": {"x": 5.0}, "known": [0.6]}
    assert [other["number"] for other in others] == [5, 6, 7]
    assert {other["params"]["x"] for other in others} == {6.0, 7.0, 8.0}  # 1 to 5 are known


def test_a_new_search_begins_with_the_default_and_ends_with_its_space(tmp_path):
    """The default is the first configuration; no other one comes twice, and then there is none left."""
    axes = [Axis("x", Choice((None, "a", "b")), False, "a")]
    first, *others, end, after = proposals(Ledger(tmp_path / "s"), axes, 5)
    assert first == {"number": 0, "params": {"x": "a"}, "known": []}
    assert {other["params"]["x"] for other in others} == {None, "b"}
    assert (end, after) == ("FINISHED", "FINISHED")


def test_proposed_numbers_are_short_and_stay_in_their_range(tmp_path):
    """Of a range, numbers of at most four digits are tried; whole numbers where the parameter is one."""
    axes = [Axis("x", Range(1e-5, 1e-2, log=True), False, 1e-3), Axis("n", Range(1, 9), True, 3)]
    _, *others = proposals(Ledger(tmp_path / "s"), axes, 12)
    for params in (other["params"] for other in others):
        assert 1e-5 <= params["x"] <= 1e-2
        assert params["x"] == float(f"{params['x']:.3e}")
        assert params["n"] in range(1, 10)
        assert type(params["n"]) is int


@pytest.mark.parametrize(
    ("number", "mean", "replayed", "decision"),
    [(5, 0.44, False, "CONTINUE"), (5, 0.43, False, "STOP"), (0, 0.0, False, "CONTINUE"), (5, 0.0, True, "CONTINUE")],
)
def test_halving_remembers_earlier_configurations(tmp_path, number, mean, replayed, decision):
    """After two splits a configuration goes on if it is no worse than the median of those that came so far, here
    0.5 and 0.375, whose median is 0.4375; the default always does, and what was kept before a stop is kept after it."""
    from types import SimpleNamespace

    from zslbench.tuning.search import _halving

    halving = _halving(kept(tmp_path / "s"), splits=4)
    trial = SimpleNamespace(trial_id="new", config={"number": number})
    halving.on_trial_add(None, trial)
    assert halving.on_trial_result(None, trial, {"splits": 1, "mean": 0.0}) == "CONTINUE"
    assert halving.on_trial_result(None, trial, {"splits": 2, "mean": mean, "replayed": replayed}) == decision


def report_of(ledger: Ledger, **changed: object) -> outputs.Report:
    """What outputs are made of."""
    said = {
        "axes": [Axis("x", Range(1, 5), False, 1.0)], "spec": MethodSpec("eszsl", {"normalise": True}), "metric": "T1",
        "splits": ["6/2#0", "6/2#1"], "validation_classes": 4, "tested_elsewhere": 0,
        "suite": {"dataset": "ucm", "splits": 2, "seeds": 1},
    } | changed  # fmt: skip
    return outputs.Report(ledger, **said)


def test_the_suite_compares_default_and_tuned(tmp_path):
    """The suite file names the default, then the best, both with what the user fixed; null is written as text."""
    ledger = kept(tmp_path / "s")
    ledger.configurations[1].params["kind"] = None
    outputs.write_outputs(report_of(ledger), tmp_path / "new/best.toml")
    suite = read_suite(tmp_path / "new/best.toml")
    assert [(method.name, method.params) for method in suite.methods] == [
        ("eszsl", {"normalise": True}), ("eszsl", {"normalise": True, "x": 2.0, "kind": "null"}),
    ]  # fmt: skip
    assert (suite.dataset, suite.splits, suite.seeds) == ("ucm", 2, 1)
    text = (tmp_path / "new/best.toml").read_text()
    assert text.startswith(
        "# 4 configuration(s) were compared (2 measured on all 2 split(s), 1 dropped earlier, 1 failed)"
    )
    assert "# Mean T1 on validation classes: 50.0 % (configuration 1); 37.5 % with the default." in text


def test_the_table_holds_every_configuration_that_ended(tmp_path):
    """One row each: parameters, mean, a value per split or nothing, how it ended, what it cost, why it failed."""
    rows = list(csv.reader(outputs.as_csv(report_of(kept(tmp_path / "s"))).splitlines()))
    assert rows == [
        ["number", "x", "mean_T1", "6/2#0", "6/2#1", "status", "epochs", "seconds", "message"],
        ["0", "1.0", "0.375", "0.5", "0.25", "done", "2", "1.000", ""],
        ["1", "2.0", "0.5", "0.7", "0.3", "done", "2", "1.000", ""],
        ["2", "3.0", "0.125", "0.125", "", "stopped", "2", "0.500", ""],
        ["3", "4.0", "", "", "", "failed", "2", "0.500", "boom"],
    ]


def test_the_plot_is_the_same_every_time(tmp_path):
    """The SVG depends on the search alone, and names its axes; a default outside the range is drawn at its end."""
    report = report_of(
        kept(tmp_path / "s"),
        axes=[Axis("x", Range(1.5, 5, log=True), False, 1.0), Axis("y", Choice(("b",)), False, "b")],
    )
    for known in report.ledger.configurations.values():
        known.params["y"] = "b"
    drawn = outputs.as_svg(report)
    assert drawn == outputs.as_svg(report)
    assert "<!-- mean T1 (%) -->" in drawn
    assert drawn.rstrip().endswith("</svg>")


@pytest.mark.parametrize(
    ("elsewhere", "said"), [(0, "test classes."), (3, "3 of these classes are test classes of another of these splits")]
)
def test_the_caveat_says_what_was_compared_on_what(tmp_path, elsewhere, said):
    """It names the number of configurations and of classes, and the optimism; and classes that other splits test on."""
    caveat = report_of(kept(tmp_path / "s"), tested_elsewhere=elsewhere).caveat
    assert caveat.startswith("4 configuration(s) were compared")
    assert "by mean T1 on 4 validation classes of 2 split(s)" in caveat
    assert "that mean is optimistic" in caveat
    assert said in caveat


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eszsl,sae"], "one method is tuned at a time, and 'eszsl,sae' names 2."),
        (["chance"], "method 'chance' has nothing to search: none of its parameters declares a search range."),
        (["eszsl", "--workers", "0"], "--workers 0: a search needs Ray; at least one worker is expected."),
        (["dap", "--semantics", "truth"], "method 'dap' needs semantics whose columns are named attributes"),
        (["eszsl", "--splits", "999"], "999 splits asked of toy 6/2"),
    ],
)
def test_bad_input_is_one_line(in_process, synthetic, arguments, message, tmp_path):
    """What cannot be searched ends with exit code 2 and one line, before anything is made."""
    code, out, err = in_process("tune", *arguments, "--dataset", synthetic)
    assert (code, out) == (2, "")
    assert err.startswith(f"zslbench: {message}")
    assert err.count("\n") == 1
    assert not (tmp_path / "tuning").exists()


def test_help_is_quick():
    """The command's help imports neither torch nor ray, nor what only a search needs."""
    code = "import sys, zslbench.cli.tune as t; t.tune.get_help(t.click.Context(t.tune)); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "zslbench.cli.tune" in done.stdout.split()
    assert not {"torch", "ray", "optuna", "pandas", "matplotlib"} & set(done.stdout.split())
