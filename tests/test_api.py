"""The library's verbs: whatever is given that cannot be meant is one `InputError` line that says what was expected."""

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from conftest import write_synthetic

import zslbench as zb


class Mine(zb.Method):
    """Ridge regression to semantics."""

    info = zb.MethodInfo(name="mine", title="Mine", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        """None."""

    def fit(self, train):
        self.W_ = np.linalg.lstsq(train.features, train.semantics[train.labels], rcond=None)[0]

    def scorers(self, candidates):
        yield lambda features: features @ self.W_ @ candidates.semantics.T


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A SYNTHETIC data set."""
    return zb.load(write_synthetic(tmp_path_factory.mktemp("api") / "made"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another one, of the same name, with other labels."""
    return zb.load(write_synthetic(tmp_path_factory.mktemp("other") / "made", per_class=10))


def line(call) -> str:
    """The one line of the error."""
    with pytest.raises(zb.InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


LOAD = {
    "number": (lambda: zb.load(3), "dataset: a data set's name or folder is expected, found int 3."),
    "none": (lambda: zb.load(None), "dataset: a data set's name or folder is expected, found NoneType None."),
    "empty": (lambda: zb.load(""), "dataset: a data set's name or folder is expected, found str ''."),
    "array": (lambda: zb.load(np.ones(2)), "found ndarray array([1., 1.])."),
    "unknown": (lambda: zb.load("ucmm"), "unknown data set 'ucmm': neither a bundled one nor a folder. Did you mean"),
    "features": (lambda: zb.load("ucm", features=7), "features: the name of an array is expected, found int 7."),
    "no features": (lambda: zb.load("ucm", features="res"), "ucm has no features 'res'"),
    "semantics": (lambda: zb.load("ucm", semantics=["a"]), "semantics: the name of an array is expected, found list"),
    "maps": (lambda: zb.load("ucm", maps=True), "maps: the name of an array is expected, found bool True."),
    "option": (lambda: zb.load("ucm", feature="x"), "load has no argument 'feature'. Did you mean 'features'? It has"),
}


@pytest.mark.parametrize(("call", "message"), LOAD.values(), ids=LOAD)
def test_load_says_what_it_expects(call, message):
    """A name or a folder, and names of arrays."""
    assert message in line(call)


SPLITS = {
    "zero": ({"count": 0}, "count: a whole number from 1 on is expected, found int 0."),
    "text": ({"count": "2"}, "count: a whole number is expected, found str '2'."),
    "float": ({"count": 2.0}, "count: a whole number is expected, found float 2.0."),
    "many": ({"family": "6/2", "count": 1000}, "1000 splits asked of made 6/2: it has 1 to 28."),
    "family": ({"family": 6}, "family: a split family such as 16/5 is expected, found int 6."),
    "unknown": ({"family": "7/7"}, "unknown split family '7/7' for made."),
}


@pytest.mark.parametrize(("given", "message"), SPLITS.values(), ids=SPLITS)
def test_splits_says_what_it_expects(data, given, message):
    """A family and a count that it has."""
    assert message in line(lambda: data.splits(**given))


EVALUATE = {
    "split text": ({"split": "6/2#0"}, "split: one of data.splits(...) is expected, found str '6/2#0'."),
    "split number": ({"split": 0}, "split: one of data.splits(...) is expected, found int 0."),
    "data text": ({"data": "ucm"}, "data: what zslbench.load returns is expected, found str 'ucm'."),
    "data class": (
        {"data": int},
        "data: what zslbench.load returns is expected, found the class int.",
    ),
    "instance": ({"method": Mine(Mine.Config())}, "found Mine "),
    "instance hint": ({"method": Mine(Mine.Config())}, "Give the class itself."),
    "no method": ({"method": int}, "method: a name or a subclass of zslbench.Method is expected, found the class int."),
    "unknown": ({"method": "eszl"}, "Did you mean 'eszsl'"),
    "two": ({"method": "eszsl,sae"}, "method: one is expected, found 2 in 'eszsl,sae'."),
    "parameter": ({"method": "eszsl[gamma=1]"}, "eszsl has no parameter 'gamma'"),
    "seed": ({"seed": -1}, "seed: a whole number from 0 on is expected, found int -1."),
    "seed text": ({"seed": "0"}, "seed: a whole number is expected, found str '0'."),
    "stage": ({"stage": "tset"}, "stage: one of test, validation is expected, found str 'tset'. Did you mean 'test'?"),
    "device": ({"device": "gpu"}, "device: one of auto, cpu, cuda is expected, found str 'gpu'."),
    "plugins": ({"plugins": 3}, "plugins: a list of paths is expected, found int 3."),
    "plugin": ({"plugins": "none.py"}, "none.py"),
    "option": ({"splits": 3}, "evaluate has no argument 'splits'. Did you mean 'split'? It has: method,"),
}


@pytest.mark.parametrize(("given", "message"), EVALUATE.values(), ids=EVALUATE)
def test_evaluate_says_what_it_expects(data, given, message):
    """A method, data, one of its splits, a seed, a stage, a device."""
    usual = {"method": "eszsl", "data": data, "split": data.splits(count=1)[0]}
    assert message in line(lambda: zb.evaluate(**usual | given))


def test_a_split_of_other_data_is_refused(data, other):
    """Even where the other data set has the same name and classes."""
    message = line(lambda: zb.evaluate("eszsl", other, data.splits(count=1)[0]))
    assert message == "split: one of data.splits(...) is expected, found 6/2#0 of another data set, 'made'."


RUN = {
    "no method": ({"methods": []}, "methods: a method or several is expected, found list []."),
    "instance": ({"methods": Mine(Mine.Config())}, "Give the class itself."),
    "instances": ({"methods": ["eszsl", Mine(Mine.Config())]}, "Give the class itself."),
    "number": ({"methods": 3}, "method: a name or a subclass of zslbench.Method is expected, found int 3."),
    "data": ({"data": 3}, "data: what zslbench.load returns is expected, found int 3."),
    "data list": ({"data": ["ucm"]}, "data: what zslbench.load returns is expected, found list ['ucm']."),
    "workers": ({"workers": "2"}, "workers: a whole number is expected, found str '2'."),
    "workers below": ({"workers": -1}, "workers: a whole number from 0 on is expected, found int -1."),
    "workers float": ({"workers": 1.5}, "workers: a whole number is expected, found float 1.5."),
    "workers true": ({"workers": True}, "workers: a whole number is expected, found bool True."),
    "splits": ({"splits": 0}, "splits: a whole number from 1 on is expected, found int 0."),
    "splits text": ({"splits": "5"}, "splits: a whole number is expected, found str '5'."),
    "splits many": ({"splits": 10**6}, "1000000 splits asked of made 6/2: it has 1 to 28."),
    "split": ({"split": "7"}, "split: a whole number is expected, found str '7'."),
    "split none": ({"split": []}, "split: a whole number or several is expected, found list []."),
    "split below": ({"split": [0, -1]}, "split: a whole number from 0 on is expected, found int -1."),
    "split far": ({"split": 1000}, "1001 splits asked"),
    "split object": ({"split": object}, "split: a whole number is expected, found the class object."),
    "both": ({"split": 1, "splits": 2}, "split and splits exclude each other: give one of them."),
    "seeds": ({"seeds": 0}, "seeds: a whole number from 1 on is expected, found int 0."),
    "seeds list": ({"seeds": [0, 1]}, "seeds: a whole number is expected, found list [0, 1]."),
    "family": ({"split_family": 6}, "split_family: a text or several is expected, found int 6."),
    "families": ({"split_family": []}, "split_family: a text or several is expected, found list []."),
    "unknown family": ({"split_family": "7/7"}, "unknown split family '7/7'"),
    "splits file": ({"splits_file": 3}, "splits_file: a path is expected, found int 3."),
    "no splits file": ({"splits_file": "none.json"}, "no split file none.json."),
    "validation": ({"validation": "no"}, "validation: True or False is expected, found str 'no'."),
    "device": ({"device": "gpu"}, "device: one of auto, cpu, cuda is expected, found str 'gpu'."),
    "address": ({"address": 6379}, "address: the address of a Ray cluster is expected, found int 6379."),
    "per gpu": ({"trials_per_gpu": 0}, "trials_per_gpu: a whole number from 1 on is expected, found int 0."),
    "timeout": ({"timeout": "1h"}, "timeout: a number above 0 is expected, found str '1h'."),
    "timeout zero": ({"timeout": 0}, "timeout: a number above 0 is expected, found int 0."),
    "timeout nan": ({"timeout": float("nan")}, "timeout: a number above 0 is expected, found float nan."),
    "retry": ({"retry_failed": 1}, "retry_failed: True or False is expected, found int 1."),
    "quiet": ({"quiet": None}, "quiet: True or False is expected, found NoneType None."),
    "store": ({"store": None}, "store: a folder is expected, found NoneType None."),
    "store empty": ({"store": ""}, "store: a folder is expected, found str ''."),
    "option": ({"worker": 2}, "run has no argument 'worker'. Did you mean 'workers'? It has: methods, data"),
    "select": ({"select": "val"}, "run has no argument 'select'."),
}


@pytest.mark.parametrize(("given", "message"), RUN.values(), ids=RUN)
def test_run_says_what_it_expects(data, given, message, tmp_path, monkeypatch):
    """One line, and no store is made."""
    monkeypatch.chdir(tmp_path)
    usual = {"methods": "eszsl", "data": data, "workers": 0, "quiet": True}
    assert message in line(lambda: zb.run(**usual | given))
    assert list(tmp_path.iterdir()) == []


def test_open_results_says_what_it_expects(data, tmp_path, monkeypatch, in_process):
    """A folder with records; the sentence is the command's."""
    monkeypatch.chdir(tmp_path)
    message = line(lambda: zb.open_results("nowhere"))
    assert message.startswith("no records in nowhere: expected nowhere/records.jsonl; run `zslbench run` first")
    assert in_process("leaderboard", "--store", "nowhere")[2] == f"zslbench: {message}\n"
    assert "store: the folder of a store is expected, found int 3." in line(lambda: zb.open_results(3))
    results = zb.run("eszsl", data, splits=1, workers=0, store="store", quiet=True)
    assert "store: the folder of a store is expected, found Results" in line(lambda: zb.open_results(results))
    assert "has no argument 'folder'" in line(lambda: zb.open_results(folder="store"))
    opened = zb.open_results("store")
    shutil.rmtree("store")  # somebody clears up meanwhile
    assert line(opened.leaderboard).startswith("no trial in store matches")


def test_a_method_without_info_is_told_what_it_lacks(data, tmp_path):
    """The base class itself, for one."""
    said = line(lambda: zb.run(zb.Method, data, workers=0, store=tmp_path / "s"))
    assert said.endswith("found the class Method. Give it its `info`, a zslbench.MethodInfo.")


def test_whole_numbers_of_numpy_are_taken(data, tmp_path):
    """What somebody computes is no mistake, and the trials are the same."""
    outcome = zb.evaluate("eszsl", data, data.splits(count=np.int64(1))[0], seed=np.int64(3))
    assert outcome.metrics == zb.evaluate("eszsl", data, data.splits()[0], seed=3).metrics
    results = zb.run(
        ("eszsl",), data, split=np.array([1, 2]), seeds=np.int32(2), workers=0, store=tmp_path / "store", quiet=True
    )
    assert sorted(set(results.records()["split"])) == [1, 2]
