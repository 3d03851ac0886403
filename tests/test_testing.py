"""The conformance suite: each check catches a plugin that breaks just that, and a good one passes them all."""

import functools
import os
import random
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from plugins import write_plugin

from zslbench.registry import load_plugin
from zslbench.testing import CHECKS, ConformanceError, check_method, name_of, run_check
from zslbench.testing.devices import another_device

GOOD = '''\
from dataclasses import dataclass
import dataclasses, os, random
import numpy as np
from zslbench import Choice, Method, MethodInfo, Range, param

class Good(Method):
    """A ridge regression."""
    info = MethodInfo(name="good", title="Good", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        ridge: float = param(1.0, "penalty", gt=0, search=Range(0.1, 10.0))
        scale: str = param("none", "how features are scaled", search=Choice(("none", "unit")))

    def __init__(self, config=None):
        super().__init__(config)
        pass  # here: init

    def fit(self, train):
        pass  # here: fit
        X, S = train.features.astype(float), train.semantics[train.labels].astype(float)
        self.W_ = X.T @ np.linalg.solve(X @ X.T + self.config.ridge * np.eye(len(X)), S)
        pass  # here: fitted

    def scorers(self, candidates):
        pass  # here: scorers
        for epoch in range(2):
            yield lambda features: self.score(features, candidates)

    def score(self, features, candidates):
        scores = features @ self.W_ @ candidates.semantics.T
        pass  # here: score
        return scores
'''

TOGETHER = """\
    @classmethod
    def fit_many(cls, trains, configs):
        fitted = super().fit_many(trains, configs)
"""
SCORERS = """\
        return fitted

    def scorers(self, candidates):
"""
BREAKS = {
    "no docstring": ("metadata", '    """A ridge regression."""\n', "", "no docstring"),
    "a citation in prose": ("metadata", 'citation=""', 'citation="Doe 2020"', "BibTeX"),
    "a citation that does not close": (
        "metadata", 'citation=""', 'citation="@misc{a, title = {A}, year = 2020"', "do not close",
    ),
    "a citation without a year": ("metadata", 'citation=""', 'citation="@misc{a, title = {{A}}}"', "no year"),
    "a parameter without a meaning": ("metadata", 'param(1.0, "penalty"', 'param(1.0, ""', "'ridge'"),
    "a search beyond the bounds": ("configuration", "Range(0.1, 10.0)", "Range(0.0, 10.0)", "> 0"),
    "a choice that cannot be typed": ("configuration", '"unit"', '"a,b"', "cannot be read back"),
    "a choice that is no parameter's type": ("configuration", '"unit"', "3", "'scale'"),
    "no scorer": ("scores", "range(2)", "range(0)", "at least one scorer"),
    "scores of another shape": ("scores", "return scores", "return scores[:, :2]", "column per candidate"),
    "NaN": ("scores", "pass  # here: score\n", "scores[0, 0] = np.nan\n", "NaN"),
    "NaN in GZSL alone": (
        "scores", "pass  # here: score\n", "scores[0] /= 0 if candidates.generalized else 1\n", "NaN or infinite",
    ),
    "a trial that fails on validation classes": (
        "trial", "pass  # here: fit\n", "assert len(train.semantics) == 6\n", "validation stage raised AssertionError",
    ),
    "a method that takes the classes with images for the seen ones": (
        "a few labelled images", "pass  # here: fit\n", "assert train.few is None\n",
        "with labelled images of unseen classes",
    ),
    "scorers that wear the model out": (
        "settings in either order", "pass  # here: scorers", "self.W_ = self.W_ * 0.5", "asked twice",
    ),
    "a first setting that decides": (
        "settings in either order", "pass  # here: scorers",
        "self.first_ = getattr(self, 'first_', len(candidates)); self.W_ = self.W_ + (self.first_ - 3)",
        "asked",
    ),
    "a last scorer that waits for the others": (
        "settings in either order", "pass  # here: score\n",
        "self.calls_ = getattr(self, 'calls_', 0) + 1; scores = scores + (self.calls_ % 2)\n", "last scorer alone",
    ),
    "random numbers of its own": (
        "determinism", "pass  # here: fitted", "self.W_ += np.random.default_rng().normal()", "train.rng(purpose)",
    ),
    "a write to its input": ("inputs untouched", "pass  # here: fit\n", "train.features[0] = 0\n", "copy first"),
    "a forced write to its input": (
        "inputs untouched", "pass  # here: fit\n",
        "train.features.flags.writeable = True; train.features[0] = 0\n", "train.features was written to",
    ),
    "a forced write in a scorer": (
        "inputs untouched", "pass  # here: score\n",
        "features.flags.writeable = True; features[0] *= 2\n", "settings.0.inputs.0 was written to",
    ),
    "NumPy's generator drawn from": ("global random state", "pass  # here: fit\n", "np.random.rand()\n", "of numpy"),
    "NumPy's generator seeded": ("global random state", "pass  # here: fit\n", "np.random.seed(0)\n", "of numpy"),
    "Python's generator seeded": ("global random state", "pass  # here: fit\n", "random.seed(0)\n", "of random"),
    "torch seeded": (
        "global random state", "pass  # here: fit\n", "import torch; torch.manual_seed(0)\n", "of torch",
    ),
    "a number type for all": (
        "surroundings", "pass  # here: fit\n", "import torch; torch.set_default_dtype(torch.float64)\n",
        "it left torch.set_default_dtype changed",
    ),
    "warnings turned into errors": (
        "surroundings", "pass  # here: score\n", "np.seterr(all='raise')\n", "it left numpy.seterr changed",
    ),
    "a patch": (
        "surroundings", "pass  # here: fit\n", "np.linalg.norm = np.linalg.det\n", "it left numpy.linalg.norm changed",
    ),
    "a thread": (
        "surroundings", "pass  # here: fit\n",
        "import threading, time; threading.Thread(target=time.sleep, args=(3,), daemon=True).start()\n",
        "it left a running thread",
    ),
    "scores centred over the batch": (
        "rows on their own", "pass  # here: score\n", "scores = scores - scores.mean(0)\n", "row alone",
    ),
    "scores that follow the place": (
        "rows on their own", "pass  # here: score\n",
        "scores = scores + np.arange(len(scores))[:, None]\n", "depend on that row alone",
    ),
    "a squeeze": ("one row", "return scores", "return scores.squeeze()", "row per image"),
    "three images or more": ("one row", "pass  # here: score\n", "assert len(features) > 2\n", "raised AssertionError"),
    "classes of one size": (
        "unequal classes", "pass  # here: fit\n", "assert np.ptp(np.bincount(train.labels)) == 0\n", "unequal classes",
    ),
    "two images per class": (
        "one image classes", "pass  # here: fit\n", "assert np.bincount(train.labels).max() > 1\n", "one image",
    ),
    "three unseen classes": (
        "two unseen classes", "pass  # here: scorers", "assert len(candidates) > 2", "two unseen classes",
    ),
    "three seen classes": (
        "two seen classes", "pass  # here: fit\n", "assert len(train.semantics) > 2\n", "two seen classes",
    ),
    "two features": ("feature width 1", "pass  # here: fit\n", "train.features[0, 1]\n", "IndexError"),
    "few features": ("feature width 4096", "pass  # here: fit\n", "assert train.features.shape[1] < 4096\n", "4096"),
    "two attributes": ("semantic width 1", "pass  # here: fit\n", "train.semantics[0, 1]\n", "IndexError"),
    "few attributes": ("semantic width 1024", "pass  # here: fit\n", "assert train.semantics.size < 6144\n", "1024"),
    "columns that vary": (
        "constant columns", "pass  # here: fitted", "self.W_ /= np.ptp(train.features, 0)[:, None]", "NaN",
    ),
    "maps at any price": (
        "no maps", "    def fit(self, train):\n",
        "    info = dataclasses.replace(info, uses_maps=True)\n\n    def fit(self, train):\n        train.maps.shape\n",
        "has no attribute 'shape'",
    ),
    "a tensor of the CPU among others": (
        "another device", "pass  # here: fit\n",
        "import torch; train.tensor(train.features) @ torch.ones(train.features.shape[1], 1)\n", "on the same device",
    ),
    "a number of this object": (
        "kept as a file", "pass  # here: score\n", "scores = scores * id(self)\n", "kept and read back",
    ),
    "a first place that counts": (
        "side by side", "    def scorers(self, candidates):\n", f"{TOGETHER}        fitted[0].W_ *= 2\n{SCORERS}",
        "fitted in another place beside another trial: the scores of scorer 1 in ZSL differ",
    ),
    "one that is lost": (
        "side by side", "    def scorers(self, candidates):\n", f"{TOGETHER}        fitted.pop()\n{SCORERS}",
        "fit_many returned list: a list of 2 is expected",
    ),
    "what cannot be pickled": ("another process", "pass  # here: init", "self.f = lambda: 0", "cannot be pickled"),
    "a number of this process": (
        "another process", "pass  # here: fitted", "self.W_ *= os.getpid()", "in a fresh process",
    ),
    "an error elsewhere": (
        "another process", "pass  # here: fit\n", "assert os.getpid() == PID\n", "AssertionError",
    ),
}  # fmt: skip


def plugin(path, text):
    """The one method of a plugin file with this text."""
    path.write_text(text)
    (method,) = load_plugin(path)
    return method


@pytest.fixture
def good(tmp_path):
    """A method that does nothing wrong."""
    return plugin(tmp_path / "good.py", GOOD)


def test_a_good_method_passes_every_check(good):
    """No check fails; what does not apply is skipped with a reason; names and times are told."""
    results = check_method(good)
    assert {result.name: result.message for result in results if result.status != "passed"} == {
        "another device": "it computes nothing on train.device",
        "side by side": "it has no fit_many beside its fit",
        "no maps": "maps are no option of it",
    }
    assert all(result.passed for result in results)
    assert [result.name for result in results] == [name_of(check) for check in CHECKS]
    assert all(0 < result.seconds < 60 for result in results)


@pytest.mark.parametrize("fault", BREAKS)
def test_each_fault_is_caught(tmp_path, fault):
    """The check of that name fails, with one line that says what is wrong."""

    name, old, new, said = BREAKS[fault]
    assert old in GOOD
    method = plugin(tmp_path / "bad.py", GOOD.replace(old, new).replace("PID", str(os.getpid())))
    (check,) = (check for check in CHECKS if name_of(check) == name)

    @functools.wraps(check)
    def raising(method, config):
        with pytest.raises(ConformanceError) as raised:
            check(method, config)
        raise raised.value

    with np.errstate(all="ignore"):
        result = run_check(raising, method)
    assert result.status == "failed"
    assert said in result.message
    assert "\n" not in result.message


def test_every_check_has_a_fault_that_it_catches():
    """No check is there for show."""
    assert {name for name, *_ in BREAKS.values()} == {name_of(check) for check in CHECKS}


@pytest.mark.parametrize(
    "fault",
    ["no docstring", "a number type for all", "a search beyond the bounds", "a first setting that decides",
     "NumPy's generator seeded",
     "three images or more", "classes of one size", "three seen classes", "columns that vary",
     "what cannot be pickled", "a number of this process"],
)  # fmt: skip
def test_a_fault_fails_its_own_check_alone(tmp_path, fault):
    """The other checks go on and pass, so that the author is pointed to the one thing that is wrong."""
    name, old, new, _ = BREAKS[fault]
    method = plugin(tmp_path / "bad.py", GOOD.replace(old, new))
    with np.errstate(all="ignore"):
        results = check_method(method)
    assert len(results) == len(CHECKS)
    assert [result.name for result in results if not result.passed] == [name]


def test_global_generators_are_left_as_they_were(tmp_path):
    """A check on a method that seeds everything leaves no trace in this process."""
    method = plugin(tmp_path / "bad.py", GOOD.replace("pass  # here: fit\n", "np.random.seed(0); random.seed(0)\n"))
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    (check,) = (check for check in CHECKS if name_of(check) == "global random state")
    assert not run_check(check, method).passed
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_a_method_is_handed_what_it_declares(tmp_path):
    """Unseen semantics, maps, a rehearsal, a joint space and an oracle's semantics are given as in a trial."""
    method = plugin(
        tmp_path / "declares.py",
        GOOD.replace('family="linear", citation=""', 'family="bound", citation="", oracle=True, needs_maps=True, '
                     "uses_rehearsal=True, uses_unseen_semantics=True")
        .replace("pass  # here: fit\n", "self.see(train)\n")
        .replace("def score(self, features, candidates):", "def score(self, features, maps, candidates):")
        .replace("lambda features: self.score(features, candidates)",
                 "lambda features, maps: self.score(features, maps, candidates)")
        + """
    def see(self, train):
        N, D = train.features.shape
        assert train.maps.shape == (N, 4, D)
        assert train.semantics.shape[1] == train.unseen_semantics.shape[1] == D
        seen = train.without_few()  # the oracle knows all images of an unseen class
        means = [seen.features[seen.labels == label].mean(0) for label in range(len(seen.semantics))]
        np.testing.assert_allclose(seen.semantics, means, rtol=1e-5)
        assert len(train.semantics) < 6 or train.rehearsal is not None or np.bincount(train.labels).max() == 1
""",
    )  # fmt: skip
    results = check_method(method)
    assert [result for result in results if not result.passed] == []
    skipped = {result.name: result.message for result in results if result.status == "skipped"}
    assert skipped["semantic width 1"] == "its semantics are mean features, as wide as features"


def test_widths_are_tied_in_a_joint_space(tmp_path):
    """A method of a joint space gets semantics as wide as the features, and the width checks say why they skip."""
    text = GOOD.replace('citation=""', 'citation="", needs_joint_space=True')
    text = text.replace("pass  # here: fit\n", "assert train.semantics.shape[1] == train.features.shape[1]\n")
    results = {result.name: result for result in check_method(plugin(tmp_path / "joint.py", text))}
    assert all(result.passed for result in results.values())
    assert results["feature width 4096"].status == "passed"
    assert results["semantic width 1024"].message == "semantics are as wide as features in a joint space"


def test_a_whole_trial_says_what_the_protocol_says(tmp_path):
    """What the protocol refuses is told in its own words, without the name of an exception."""
    method = plugin(tmp_path / "bad.py", GOOD.replace("return scores", "return scores[:, :2]"))
    (check,) = (check for check in CHECKS if name_of(check) == "trial")
    assert run_check(check, method).message.startswith("scorer 1 returned (21, 2) float64: expected (21, 3) numbers")


def test_anything_raised_becomes_a_result(good):
    """A method that ends the process, or a check that is itself broken, fails that check and no more."""

    def ends(method, config):
        raise SystemExit(3)

    result = run_check(ends, good)
    assert (result.status, result.message, result.name) == ("failed", "SystemExit: 3", "ends")


def test_checks_are_tests_of_pytest(tmp_path):
    """As the module's docstring shows: ids are the checks' names, what does not apply is a skipped test."""
    write_plugin(tmp_path / "mine.py")
    (tmp_path / "test_mine.py").write_text(
        "import pytest\nfrom mine import Mine\nfrom zslbench.testing import CHECKS\n\n"
        '@pytest.mark.parametrize("check", CHECKS)\ndef test_it(check):\n    check(Mine, Mine.Config())\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-q", "test_mine.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert "PASSED test_mine.py::test_it[settings_in_either_order]" in done.stdout
    assert (
        "FAILED test_mine.py::test_it[metadata] - zslbench.testing.ConformanceError: Mine has no docstring"
        in done.stdout
    )
    assert "maps are no option of it" in done.stdout
    assert "1 failed" in done.stdout
    assert "3 skipped" in done.stdout


def test_the_suite_needs_neither_pytest_nor_torch():
    """Importing it imports none of them; a NumPy method is checked without torch in this process."""
    code = "import sys, zslbench.testing; print(sorted({'pytest', 'torch', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


TRAINS = '''\
"""Trains by torch."""
from dataclasses import dataclass
import torch
from zslbench import Method, MethodInfo, param

class Trains(Method):
    """A linear map, trained."""
    info = MethodInfo(name="trains", title="Trains", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        lr: float = param(0.1, "step size", gt=0)

    def fit(self, train):
        x, y, s = train.tensor(train.features), train.tensor(train.labels), train.tensor(train.semantics)
        noise = train.torch_generator("noise")
        W = torch.zeros(x.shape[1], s.shape[1]).to(train.device).requires_grad_()
        adam = torch.optim.Adam([W], lr=self.config.lr, fused=True)
        for epoch in range(3):
            for step in range(4):
                loss = ((x @ W) @ s.T).log_softmax(1).gather(1, y[:, None]).neg().mean()
                pass  # here: loss
                loss.backward()
                adam.step()
                adam.zero_grad()
            pass  # here: epoch
            train.progress(epoch + 1, 3)
        self.W_, self.device_ = W.detach(), train.device

    def scorers(self, candidates):
        s = torch.tensor(candidates.semantics, device=self.device_)
        yield lambda features: (torch.tensor(features, device=self.device_) @ self.W_ @ s.T).cpu().numpy()
'''

FOREIGN = {
    "an operation on two devices": ("loss = loss + (torch.zeros(12, 8) * W).sum()", "on the same device"),
    "an index of the device into the CPU": ("loss = loss + torch.zeros(99)[y].sum()", "on the same device"),
    "a sum kept on the CPU": ("total = torch.tensor(0.0); total += loss.detach()", "on the same device"),
    "a number of the CPU among others": ("torch.stack([loss, torch.tensor(1.0)])", "on the same device"),
    "a product of whole numbers": ("torch.eye(3, dtype=torch.int64).to(train.device) @ y[:3, None]", "whole numbers"),
    "a number printed in training": ("print(f'{loss:.3f}')", "read from the device"),
    "a tensor printed in training": ("print(loss)", "read from the device"),
    "a number read in training": ("value = loss.item()", r"trains\.py:\d+, \d+ times in 12 steps\): on a GPU"),
    "a decision on a number": ("loss = loss if loss > 0 else -loss", "read from the device"),
    "a choice by truth values": ("loss = loss + x[y > 0].mean()", "read from the device"),
    "an array made of a tensor": ("import numpy; numpy.asarray(loss.detach())", "is no array"),
    "an array in training": ("value = W.detach().cpu().numpy()", "read from the device"),
    "numbers drawn there by a generator that is here": (
        "loss = loss + torch.randn(3, device=train.device, generator=noise).sum()", "drawn on another device",
    ),
    "numbers drawn there by nobody's generator": ("loss = loss + torch.rand_like(W).sum()", "drawn on another device"),
    "dropout": ("loss = loss + torch.nn.functional.dropout(x).sum()", "drawn on another device"),
}  # fmt: skip


FINE = {
    "nothing": ("loss", "pass"),
    "a word on each epoch": ("epoch", "print(f'{epoch}: {loss:.3f}')"),
    "an early end": ("epoch", "if loss < 0: break"),
    "numbers made there": ("loss", "loss = loss + torch.tensor([1.0, 2.0], device=train.device).sum()"),
    "numbers made like others": ("loss", "loss = loss + x.new_tensor([1.0, 2.0]).sum()"),
    "rows by numbers of the CPU": ("loss", "loss = loss + x[torch.tensor([0, 2])].sum() + x[[1, 3]].sum()"),
    "a single number of the CPU": ("loss", "loss = loss * torch.tensor(0.5)"),
    "weights that are clipped": ("epoch", "W.data = W.data.clamp(-1, 1); assert W.cpu().abs().max() <= 1"),
    "a module in another precision": (
        "epoch", "net = torch.nn.Linear(12, 2, bias=False).to(train.device).double(); net(x.double())",
    ),
    "a module that keeps its weights when it moves": (
        "epoch", "net = torch.nn.Linear(2, 2); w = net.weight; net.to(train.device); assert net.weight is w",
    ),
    "a module whose weights are drawn by somebody else": (
        "epoch", "net = torch.nn.utils.skip_init(torch.nn.Linear, 12, 2); "
                 "torch.nn.init.zeros_(net.weight); net.to(train.device)(x)",
    ),
    "a clipped gradient": ("loss", "torch.nn.utils.clip_grad_norm_([W], 1.0)"),
}  # fmt: skip


@pytest.mark.parametrize("habit", FINE)
def test_what_a_gpu_allows_passes(tmp_path, habit):
    """What people write and a GPU computes without a word is not held against a method."""
    where, code = FINE[habit]
    text = TRAINS.replace(f"pass  # here: {where}", code)
    result = run_check(another_device, plugin(tmp_path / "trains.py", text))
    assert result.status == "passed", result.message


def test_what_cannot_be_followed_is_skipped(tmp_path):
    """Forward-mode derivatives, under which torch ends the process, skip the check with a word."""
    code = "torch.func.hessian(lambda v: (v**3).sum())(x[0])"
    text = TRAINS.replace("pass  # here: loss", code)
    result = run_check(another_device, plugin(tmp_path / "trains.py", text))
    assert result.status == "skipped"
    assert "forward-mode derivatives" in result.message


@pytest.mark.parametrize("fault", FOREIGN)
def test_what_a_gpu_would_refuse_or_wait_for_is_found_without_one(tmp_path, fault):
    """Each fault fails the check with a word on what is wrong."""
    code, expected = FOREIGN[fault]
    text = TRAINS.replace("pass  # here: loss", code)
    result = run_check(another_device, plugin(tmp_path / "trains.py", text))
    assert result.status == "failed"
    assert re.search(expected, result.message)
