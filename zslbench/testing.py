"""Does a method keep the interface? Small SYNTHETIC trials that every method must get through.

``zslbench check`` runs them from the command line. In a package's own tests, one test per check:

    import pytest
    from zslbench.testing import CHECKS
    from my_package import MyMethod

    @pytest.mark.parametrize("check", CHECKS)
    def test_it_keeps_the_interface(check):
        check(MyMethod, MyMethod.Config())

A check raises `ConformanceError` with one line that says what was expected, what was found and what to do, or
`unittest.SkipTest` (a skipped test for pytest) with the reason why it does not apply. A method that trains long
is best checked with a configuration of few epochs. What a method declares in its `MethodInfo` is honoured: it is
handed what a real trial would hand it. Whether it learns anything is not asked.
"""

import contextlib
import dataclasses
import functools
import os
import pickle
import random
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from unittest import SkipTest

import numpy as np
from numpy.typing import NDArray

from zslbench import bibtex
from zslbench._types import FloatArray
from zslbench.configuration import PRESET, Choice, Range, as_dict, label, parse_methods, presets, resolve
from zslbench.datasets import DataView
from zslbench.errors import InputError
from zslbench.methods import Candidates, Method, MethodInfo, TrainingData
from zslbench.protocol import MethodError, run_trial
from zslbench.registry import load_plugin
from zslbench.runner.attempt import THREADS, limited_threads
from zslbench.runner.failures import line_of_the_author
from zslbench.runner.surroundings import listed, undisturbed
from zslbench.splits import PlainRoster, Split, make_splits

Check = Callable[[type[Method], Any], None]


class ConformanceError(AssertionError):
    """A method broke the interface; one line says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class Result:
    """What one check gave."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    message: str
    """Why it failed or was skipped, in one line."""
    seconds: float
    where: str = ""
    """``FILE, line N`` of the method, where it raised an error."""
    same_as: str = ""
    """An earlier check that failed for the same reason."""

    @property
    def passed(self) -> bool:
        """True unless it failed: what does not apply is not held against a method."""
        return self.status != "failed"


def check_method(method: type[Method], config: Any = None) -> list[Result]:
    """Run every check on a method (default: with its default configuration), whatever fails on the way."""
    return list(related(run_check(check, method, config) for check in CHECKS))


def related(results: Iterable[Result]) -> Iterator[Result]:
    """The same results, where one that failed for the reason of an earlier one says so."""
    first: dict[tuple[str, str], str] = {}
    for result in results:
        # One error in one line of the method is one reason, whatever the check was about.
        reason = (result.where, result.message.rpartition(" raised ")[2] if result.where else result.message)
        if result.status == "failed" and first.setdefault(reason, result.name) != result.name:
            yield dataclasses.replace(result, same_as=first[reason])
        else:
            yield result


def run_check(check: Check, method: type[Method], config: Any = None) -> Result:
    """Run one of `CHECKS`. Nothing that the method raises passes through, but for Ctrl-C."""
    status: Literal["passed", "failed", "skipped"] = "passed"
    message, where, started = "", "", time.perf_counter()
    try:
        check(method, config)
    except SkipTest as reason:
        status, message = "skipped", str(reason)
    except ConformanceError as error:
        status, message, where = "failed", str(error), _where(error)
    except (Exception, SystemExit) as error:
        status, message, where = "failed", f"{type(error).__name__}: {error}", _where(error)
    return Result(name_of(check), status, " ".join(message.split()), time.perf_counter() - started, where)


def _where(error: BaseException) -> str:
    """The line of the method from which an error, or what caused it, came; empty if none did."""
    known = [error]
    while error.__cause__ is not None and error.__cause__ not in known:  # an error may be its own cause
        error = error.__cause__
        known.append(error)
    frames = traceback.walk_tb(error.__traceback__)
    return line_of_the_author([(frame.f_code.co_filename, line) for frame, line in frames])


def name_of(check: Check) -> str:
    """A check's name in words."""
    return str(getattr(check, "__name__", check)).replace("_", " ")


# What a method is tried on


@dataclass(frozen=True)
class _Problem:
    """A SYNTHETIC data set: visual features are a noisy linear function of the semantics of their class."""

    sizes: tuple[int, ...] = (7,) * 9
    """Images of each class."""
    unseen: int = 3
    D: int = 12
    A: int = 8
    constant: bool = False
    """Whether one column of the features and one of the semantics is constant, and another one zero."""
    maps: bool = True

    def view(self, info: MethodInfo) -> DataView:
        rng, classes = np.random.default_rng(0), len(self.sizes)
        A = self.D if info.needs_joint_space else self.A
        semantics = rng.uniform(size=(classes, A))
        labels = np.repeat(np.arange(classes), self.sizes)
        mixing = np.eye(A) if info.needs_joint_space else rng.normal(size=(A, self.D))
        features = semantics[labels] @ mixing + 0.1 * rng.normal(size=(len(labels), self.D))
        if self.constant:
            for array in (features, semantics):
                array[:, :2] = [3, 0]
        maps = features[:, None, :] + 0.1 * rng.normal(size=(len(labels), 4, self.D))
        return DataView(
            dataset="synthetic",
            class_names=tuple(f"class{index}" for index in range(classes)),
            features_name="synthetic",
            semantics_name="synthetic",
            features=features.astype(np.float32),
            labels=labels,
            semantics=semantics.astype(np.float32),
            attribute_groups=tuple("first" if 2 * column < A else "second" for column in range(A)),
            hashes={},
            maps=maps.astype(np.float32) if self.maps or info.needs_maps else None,
            named_attributes=True,
        )

    def split(self, view: DataView) -> Split:
        made = PlainRoster(view.dataset, view.class_names, view.labels)
        return make_splits(made, f"{len(self.sizes) - self.unseen}/{self.unseen}", 1)[0]


class _Setting(NamedTuple):
    """ZSL or GZSL: the candidates, and what each scorer is called with."""

    candidates: Candidates
    inputs: tuple[FloatArray, ...]


class _Trial(NamedTuple):
    train: TrainingData
    settings: tuple[_Setting, _Setting]


_SETTING_NAMES = ("ZSL", "GZSL")
_USUAL = _Problem()


def _trial(info: MethodInfo, problem: _Problem = _USUAL) -> _Trial:
    """Exactly what a trial hands to a method of this `info`: a method that only keeps it is run in its place."""
    trains: list[TrainingData] = []
    settings: list[_Setting] = []

    class Spy(Method):
        def fit(self, train: TrainingData) -> None:
            trains.append(train)

        def scorers(self, candidates: Candidates) -> Iterator[Any]:
            calls: list[tuple[FloatArray, ...]] = []

            def score(*inputs: FloatArray) -> FloatArray:
                calls.append(inputs)
                return np.zeros((len(inputs[0]), len(candidates)), np.float32)

            yield score
            settings.append(_Setting(candidates, calls[0]))

    Spy.info = info
    view = problem.view(info)
    run_trial(Spy, object(), view, problem.split(view), "test", 0)
    return _Trial(trains[0], (settings[0], settings[1]))


# Fitting and scoring, with errors a method's author can read


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except ConformanceError:
        raise
    except Exception as error:
        advice = ""
        if "read-only" in str(error):
            advice = "; the arrays handed over are not to be written to: copy first"
        raise ConformanceError(f"{what} raised {type(error).__name__}: {error}{advice}") from error


def _fit(method: type[Method], config: Any, train: TrainingData) -> Method:
    with _explained("fit"):
        fitted = method(config)
        fitted.fit(train)
    return fitted


Curve = list[NDArray[Any]]


def _curve(fitted: Method, setting: _Setting) -> Curve:
    """The scores (N, K) of every scorer, each called before the next is asked for."""
    with _explained("a scorer"):
        # A copy, because nothing forbids a method to return the same array each time.
        curve = [np.array(scorer(*setting.inputs)) for scorer in fitted.scorers(setting.candidates)]
    if not curve:
        raise ConformanceError("scorers yielded nothing: at least one scorer is expected, the last is the final model")
    expected = len(setting.inputs[0]), len(setting.candidates)
    for number, scores in enumerate(curve, 1):
        if scores.shape != expected or scores.dtype.kind not in "fiu":
            raise ConformanceError(
                f"scorer {number} returned {scores.shape} {scores.dtype}: expected {expected} numbers, a row per image "
                f"and a column per candidate"
            )
        if not np.isfinite(scores).all():
            bad = int((~np.isfinite(scores)).sum())
            raise ConformanceError(f"scorer {number} returned {bad} NaN or infinite of {scores.size} scores: "
                                   f"finite ones are expected; look for a division by zero or an overflow")  # fmt: skip
    return curve


def _play(method: type[Method], config: Any, trial: _Trial, order: tuple[int, int] = (0, 1)) -> list[Curve]:
    """Fit once and score both settings, in this order; the curve of ZSL, then that of GZSL."""
    fitted = _fit(method, config, trial.train)
    curves = {index: _curve(fitted, trial.settings[index]) for index in order}
    return [curves[0], curves[1]]


def _expect_equal(one: list[Curve], other: list[Curve], what: str, advice: str) -> None:
    """Bit for bit."""
    for name, first, second in zip(_SETTING_NAMES, one, other, strict=True):
        if len(first) != len(second):
            raise ConformanceError(f"{what}: {len(first)} scorers in {name}, then {len(second)}; {advice}")
        for number, (before, now) in enumerate(zip(first, second, strict=True), 1):
            if before.dtype != now.dtype or before.tobytes() != now.tobytes():
                gap = float(np.abs(before.astype(np.float64) - now.astype(np.float64)).max())
                raise ConformanceError(
                    f"{what}: the scores of scorer {number} in {name} differ by up to {gap:.2g}; equal bits are "
                    f"expected; {advice}"
                )


# The checks

_checks: list[Check] = []


def _check(function: Check) -> Check:
    """Register a check: it runs with the threads and in the surroundings of a real trial."""

    @functools.wraps(function)
    def check(method: type[Method], config: Any = None) -> None:
        with undisturbed(_owner(method), 0), limited_threads(THREADS):
            function(method, method.Config() if config is None else config)

    _checks.append(check)
    return check


@_check
def metadata(method: type[Method], config: Any) -> None:
    """The method says what it is, each parameter what it means, and the citation is BibTeX."""
    info = getattr(method, "info", None)
    if not isinstance(info, MethodInfo):
        raise ConformanceError(f"{method.__name__}.info is {info!r}: a MethodInfo is expected")
    if not (method.__doc__ or "").strip():
        raise ConformanceError(
            f"{method.__name__} has no docstring: say what it does and how it departs from its paper"
        )
    for field in dataclasses.fields(config):
        if not field.metadata.get("meaning"):
            raise ConformanceError(
                f"parameter {field.name!r} says nothing of its meaning: declare it by zslbench.param(default, meaning)"
            )
    if found := bibtex.lacking(info.citation, ("title", "year")):
        raise ConformanceError(
            f"info.citation: {found}; BibTeX is expected, @type{{key, title = {{...}}, year = {{...}}}}, or an empty "
            f"string where there is no publication"
        )


@_check
def configuration(method: type[Method], config: Any) -> None:
    """A configuration survives being stored and typed, and so do each preset and each end of every search range."""
    variants = [config]
    for name in presets(type(config)):
        try:
            variants.append(resolve(method.Config, {PRESET: name}, method.info.name))
        except InputError as error:
            raise ConformanceError(f"preset {name!r} is refused: {error}") from error
    if PRESET in as_dict(config):
        raise ConformanceError(f"a parameter is called {PRESET!r}: that word stands for presets; choose another one")
    for field in dataclasses.fields(config):
        match field.metadata.get("search"):
            case Range(low, high):
                values: tuple[Any, ...] = (low, high)
            case Choice(values):
                pass
            case _:
                continue
        for value in values:
            try:
                variants.append(resolve(method.Config, as_dict(config) | {field.name: value}, method.info.name))
            except InputError as error:
                raise ConformanceError(
                    f"the search of {field.name!r} leads to a value that is refused: {error}"
                ) from error
    for variant in variants:
        typed = label(method.info.name, variant)
        try:
            (spec,) = parse_methods(typed)
            stored = resolve(method.Config, as_dict(variant), method.info.name)
            retyped = resolve(method.Config, spec.overrides, spec.name)
        except (InputError, ValueError) as error:
            raise ConformanceError(
                f"{typed} cannot be read back ({error}): use numbers, booleans and plain words"
            ) from error
        for found, how in ((stored, "stored as JSON"), (retyped, f"typed as {typed}")):
            if found != variant:
                raise ConformanceError(f"{variant} becomes {found} when {how}: they must be equal; check field types")


@_check
def trial(method: type[Method], config: Any) -> None:
    """A whole trial, measured, in the test stage and in the validation stage."""
    view = _USUAL.view(method.info)
    split = _USUAL.split(view)
    for stage in ("test", "validation"):
        try:
            with _explained(f"the {stage} stage"):
                run_trial(method, config, view, split, stage, 0)
        except ConformanceError as error:
            if isinstance(error.__cause__, MethodError):
                raise ConformanceError(str(error.__cause__)) from error.__cause__
            raise


@_check
def scores(method: type[Method], config: Any) -> None:
    """One finite number per image and candidate from every scorer, in both settings; at least one scorer."""
    _play(method, config, _trial(method.info))


@_check
def settings_in_either_order(method: type[Method], config: Any) -> None:
    """ZSL then GZSL gives what GZSL then ZSL gives, and asking again the same; the last scorer needs no other call."""
    trial = _trial(method.info)
    fitted = _fit(method, config, trial.train)
    forwards = [_curve(fitted, setting) for setting in trial.settings]
    again = [_curve(fitted, setting) for setting in trial.settings]
    advice = "scorers must not change what was fitted"
    _expect_equal(forwards, again, "scorers asked twice", advice)
    backwards = _play(method, config, trial, (1, 0))
    _expect_equal(forwards, backwards, "GZSL asked before ZSL", advice)
    with _explained("the last scorer"):
        last = [[np.array([*fitted.scorers(ask.candidates)][-1](*ask.inputs))] for ask in trial.settings]
    _expect_equal(
        [curve[-1:] for curve in forwards], last, "the last scorer alone",
        "it must not wait for the earlier ones to be called",
    )  # fmt: skip


@_check
def determinism(method: type[Method], config: Any) -> None:
    """The same seed gives the same bits."""
    trial = _trial(method.info)
    _expect_equal(
        _play(method, config, trial), _play(method, config, trial), "fitted twice with one seed",
        "draw every random number from train.rng(purpose) or train.torch_generator(purpose)",
    )  # fmt: skip


@_check
def inputs_untouched(method: type[Method], config: Any) -> None:
    """Nothing that is handed over has changed afterwards, be it marked as read-only or not."""
    trial = _trial(method.info)
    before = {name: array.tobytes() for name, array in _arrays(trial)}
    _play(method, config, trial)
    for name, array in _arrays(trial):
        if array.tobytes() != before[name]:
            raise ConformanceError(f"{name} was written to: it must stay as it was handed over; copy first")


def _arrays(value: Any, name: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Every array in nested tuples and dataclasses, with its path."""
    parts: list[tuple[str, Any]] = []
    if isinstance(value, np.ndarray):
        yield name, value
    elif dataclasses.is_dataclass(value):
        parts = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", None) or map(str, range(len(value)))
        parts = list(zip(names, value, strict=True))
    for key, part in parts:
        yield from _arrays(part, f"{name}.{key}" if name else key)


@_check
def global_random_state(method: type[Method], config: Any) -> None:
    """The global generators of Python, NumPy and torch are neither drawn from nor seeded."""
    trial = _trial(method.info)
    start = _random_states()
    try:
        _play(method, config, trial)  # by now the method has imported what it needs, torch perhaps
        random.random()
        np.random.random()  # noqa: NPY002  this moves the very generator that a method must leave alone
        torch = sys.modules.get("torch")
        if torch:
            torch.rand(1)  # so that seeding anew, with whatever number, is seen
        before = _random_states()
        _play(method, config, trial)
        for name, state in _random_states().items():
            if pickle.dumps(state) != pickle.dumps(before.get(name)):
                raise ConformanceError(
                    f"the global random state of {name} has changed: it must be left alone; draw from "
                    f"train.rng(purpose) or train.torch_generator(purpose), also where layers are initialised"
                )
    finally:
        random.setstate(start["random"])
        np.random.set_state(start["numpy"])  # noqa: NPY002
        if "torch" in start:
            sys.modules["torch"].set_rng_state(sys.modules["torch"].from_numpy(start["torch"]))


def _random_states() -> dict[str, Any]:
    states = {"random": random.getstate(), "numpy": np.random.get_state()}  # noqa: NPY002
    if torch := sys.modules.get("torch"):
        states["torch"] = torch.get_rng_state().numpy().copy()
    return states


@_check
def surroundings(method: type[Method], config: Any) -> None:
    """Nothing that it sets in its process outlasts a trial: settings of torch and NumPy, patches, threads, files."""
    trial = _trial(method.info)
    for _ in range(2):  # the first time it imports what it needs, which sets things too
        with undisturbed(_owner(method), 0) as traces:
            _play(method, config, trial)
    if left := traces[0].named:
        raise ConformanceError(
            f"it left {listed(left)}: put back what fit and the scorers set (`with` does so), and end what they start"
        )


def _owner(method: type[Method]) -> str:
    """Whose method it is, as far as its settings of import go: a plugin's module is known by its file."""
    module = sys.modules.get(method.__module__)
    return str(getattr(module, "__file__", "")) if method.__module__.startswith("zslbench_plugin_") else ""


@_check
def rows_on_their_own(method: type[Method], config: Any) -> None:
    """The scores of an image depend neither on the images beside it nor on their order."""
    _expect_row_scores(method, config, lambda count: [np.arange(count)[::-1], np.arange(0, count, 3)])


@_check
def one_row(method: type[Method], config: Any) -> None:
    """An image scored alone has a row of scores, the one that it has among others."""
    _expect_row_scores(method, config, lambda count: [np.array([0]), np.array([count - 1])])


def _expect_row_scores(method: type[Method], config: Any, choices: Callable[[int], list[NDArray[Any]]]) -> None:
    trial = _trial(method.info)
    fitted = _fit(method, config, trial.train)
    for name, setting in zip(_SETTING_NAMES, trial.settings, strict=True):
        full = _curve(fitted, setting)
        for rows in choices(len(setting.inputs[0])):
            some = _curve(fitted, setting._replace(inputs=tuple(_frozen(array[rows]) for array in setting.inputs)))
            for number, (whole, part) in enumerate(zip(full, some, strict=True), 1):
                expected, found = whole[rows].astype(np.float64), part.astype(np.float64)
                gap = float(np.abs(found - expected).max())
                if gap > 1e-3 * np.ptp(whole) + 1e-5 * np.abs(expected).max() + 1e-9:  # more than rounding
                    company = "alone" if len(rows) == 1 else "in other company or order"
                    raise ConformanceError(
                        f"in {name}, scorer {number} scores an image {company} by up to {gap:.2g} differently: a row's "
                        f"scores must depend on that row alone; statistics belong into fit, batch norm into eval mode"
                    )


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


_NOT_THERE = "it computes nothing on train.device"


@_check
def another_device(method: type[Method], config: Any) -> None:
    """With data on a device that is not the CPU no operation mixes the two, and none makes the CPU wait in training."""
    trial = _trial(method.info, _Problem(sizes=(60,) * 9))  # some steps in an epoch: a word on each step is seen
    _fit(method, config, trial.train)  # what it imports on the way is not watched
    if "torch" not in sys.modules:
        raise SkipTest(_NOT_THERE)
    from zslbench.foreign import DEVICE, NotFollowedError, foreign_device

    with foreign_device() as watch:
        try:
            fitted = _fit(method, config, dataclasses.replace(trial.train, device=DEVICE, progress=watch.progress))
            waits = watch.waits()
            for setting in trial.settings:
                _curve(fitted, setting)
        except ConformanceError as error:
            if isinstance(error.__cause__, NotFollowedError):
                raise SkipTest(f"it uses what can be checked on a GPU alone: {error.__cause__}") from error
            raise
    if not watch.operations:
        raise SkipTest(_NOT_THERE)
    if waits:
        places = ", ".join(f"{place}, {count} times in {watch.steps} steps" for place, count in waits.items())
        raise ConformanceError(
            f"in training, numbers are read from the device more than once an epoch ({places}): on a GPU every "
            f".item(), .cpu(), .numpy() and choice by truth values waits for all that was begun; collect tensors and "
            f"read them after the epoch"
        )


def _shape_check(name: str, problem: _Problem, why_not: Callable[[MethodInfo], str] = lambda info: "") -> None:
    def check(method: type[Method], config: Any) -> None:
        if reason := why_not(method.info):
            raise SkipTest(reason)
        try:
            _play(method, config, _trial(method.info, problem))
        except ConformanceError as error:
            raise ConformanceError(f"with {name.replace('_', ' ')}, {error}") from error.__cause__

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"Finite scores of the right shape with {name.replace('_', ' ')}."
    _check(check)


def _widths_are_tied(info: MethodInfo) -> str:
    if info.needs_joint_space:
        return "semantics are as wide as features in a joint space"
    return "its semantics are mean features, as wide as features" if info.oracle else ""


_shape_check("unequal_classes", _Problem(sizes=(2, 3, 9, 20, 2, 12, 5, 7)))
_shape_check("one_image_classes", _Problem(sizes=(2,) * 9))  # the other image is held out
_shape_check("two_unseen_classes", _Problem(unseen=2))
_shape_check("two_seen_classes", _Problem(sizes=(12,) * 5))
_shape_check("feature_width_1", _Problem(D=1))
_shape_check("feature_width_4096", _Problem(D=4096))
_shape_check("semantic_width_1", _Problem(A=1), _widths_are_tied)
_shape_check("semantic_width_1024", _Problem(A=1024), _widths_are_tied)
_shape_check("constant_columns", _Problem(constant=True))
_shape_check("no_maps", _Problem(maps=False), lambda info: "" if info.uses_maps else "maps are no option of it")


@_check
def another_process(method: type[Method], config: Any) -> None:
    """Pickled before it is fitted and sent to a fresh Python process, it gives the same bits there."""
    homes = {method.__module__, type(config).__module__}
    if "__main__" in homes:
        raise SkipTest("it is defined in the script that is run; put it into a module of its own")
    # A plugin's module has a name that only the registry can find again.
    plugins = [sys.modules[home].__file__ for home in sorted(homes) if home.startswith("zslbench_plugin_")]
    try:
        sent = pickle.dumps(method(config))
    except Exception as error:
        raise ConformanceError(
            f"it cannot be pickled before it is fitted ({error}): define class and Config at the top of a module and "
            f"keep what cannot be pickled out of __init__"
        ) from error
    here = _play(method, config, _trial(method.info))
    (there,) = _in_fresh_process(plugins, [sent])
    if isinstance(there, str):
        raise ConformanceError(f"in a fresh process it fails, where it does not here: {there}")
    _expect_equal(here, there, "fitted in a fresh process", "it must not depend on the process: sets, hash(), globals")


_CHILD = """
import pickle, sys
path, plugins, sent = pickle.load(sys.stdin.buffer)
sys.path[:] = path
from zslbench.testing import _answer
_answer(plugins, sent)
"""


def _in_fresh_process(plugins: list[str | None], sent: list[bytes]) -> list[list[Curve] | str]:
    """For each pickled method: its curves, or the line that says why there are none."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD],
        input=pickle.dumps((sys.path, plugins, sent)),
        capture_output=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": str(THREADS)},
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return [lines[-1] if lines else f"exit code {done.returncode}"] * len(sent)
    answers: list[list[Curve] | str] = pickle.loads(done.stdout)  # noqa: S301  our own child's
    return answers


def _answer(plugins: list[str], sent: list[bytes]) -> None:
    """In the fresh process: load, fit and score each method, and write what came of it to stdout."""
    stdout = os.dup(1)
    os.dup2(2, 1)  # what the methods print must not get among it
    answers: list[list[Curve] | str] = []
    for plugin in plugins:
        load_plugin(plugin)
    for method in sent:
        try:
            unfitted: Method = pickle.loads(method)  # noqa: S301  our own parent's
            with limited_threads(THREADS):
                answers.append(_play(lambda config, it=unfitted: it, None, _trial(unfitted.info)))  # type: ignore[arg-type]
        except Exception as error:
            answers.append(f"{type(error).__name__}: {error}")
    with os.fdopen(stdout, "wb") as out:
        out.write(pickle.dumps(answers))


CHECKS: tuple[Check, ...] = tuple(_checks)
"""Every check, in the order in which they are best read: ``check(method, config)``."""
