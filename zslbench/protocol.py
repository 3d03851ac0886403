"""One trial: build what a method may see, fit it once, score it in both settings, measure.

A method is fitted once and measured as ZSL (candidates: the unseen classes) and as GZSL (candidates: all
classes). Where it yields a scorer per epoch, the whole curve is kept, so that "last epoch", "epoch chosen on
validation classes" and "epoch chosen on the test set" can be told apart afterwards.
"""

import dataclasses
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from zslbench._types import FloatArray, IntArray
from zslbench.datasets import DataView
from zslbench.hashing import derive_seed, order_of_digests
from zslbench.methods import Candidates, Method, MethodInfo, Rehearsal, Scorer, TrainingData, TwoStepScorer
from zslbench.metrics import (
    GzslDecisions,
    harmonic_mean,
    open_world,
    overall_accuracy,
    per_class_accuracies,
    seen_unseen_curve,
)
from zslbench.plaintext import plain
from zslbench.splits import Partition, Split, Stage
from zslbench.terms import GZSL_METRICS, OPEN_METRICS, ZSL_METRICS

PROTOCOL_VERSION = 1
"""Raise it whenever the same method on the same split would be measured differently."""
_SCORE_ROWS = 8192
_HELD_BYTES = 1 << 30

PREDICTIONS = {
    "zsl_truth": "i", "zsl_predicted": "i", "gzsl_truth": "i", "gzsl_best_seen": "i", "gzsl_best_unseen": "i",
    "gzsl_margin": "f",
}  # fmt: skip
"""What is kept of a trial's predictions, an array over the images each: whole numbers, and one of fractions."""
ROUNDING = 1e-9
"""By so much an accuracy may leave 0 to 1."""
Accuracy = Annotated[float, msgspec.Meta(ge=-ROUNDING, le=1 + ROUNDING)]
"""A fraction; a record with another number is refused when it is read."""
Curve = dict[str, list[Accuracy]]


class MethodError(Exception):
    """A method broke the interface: wrong shape, NaN scores, no scorer. It becomes a failed record."""


class Outcome(msgspec.Struct):
    """What a finished trial measured. Accuracies are fractions."""

    zsl: Curve
    """Metric -> value after each epoch, for T1 (per-class) and OA."""
    gzsl: Curve
    """Metric -> value after each epoch, for S, U, H and AUSUC."""
    per_class: dict[str, list[Accuracy]]
    """After the last epoch: ``zsl`` over the unseen classes, ``gzsl`` over seen then unseen classes."""
    best_calibrated_h: Accuracy
    """H at the calibration constant that is best on the test images: an oracle, to be marked as such."""
    open_world: Curve = {}
    """Metric -> value after each epoch, for AUROC and OpenworldAUC. After the last epoch alone where they were computed
    from stored predictions later; empty in records of earlier versions."""


def without_open_world(outcome: Outcome) -> Outcome:
    """What records of every version tell: by this two of one trial are compared."""
    return msgspec.structs.replace(outcome, open_world={})


class Measured(msgspec.Struct):
    """An outcome with its cost and the predictions it was computed from."""

    outcome: Outcome
    predictions: dict[str, NDArray[Any]]
    fit_seconds: float
    score_seconds: float
    peak_mb: float | None


class Fitted(NamedTuple):
    """A method that was fitted for a trial, with what it is measured on."""

    method: Method
    view: DataView
    part: Partition
    seconds: float
    """Of the fit; in a stack of all fits over their number."""
    peaks: list[float]
    """Of memory while it was fitted; in a stack of all together. Empty where nobody tells."""


class Game(NamedTuple):
    """What a trial fits its method to."""

    config: Any
    split: Split
    seed: int
    runs_as: Callable[[str], None] = lambda how: None
    """Told how the fit is computed."""


def run_trial(
    method: type[Method],
    config: Any,
    view: DataView,
    split: Split,
    stage: Stage,
    seed: int,
    *,
    shots: int = 0,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    keep: Callable[[Method], None] = lambda fitted: None,
) -> Measured:
    """Fit and measure one method on one split, with so many labelled images of every unseen class; `keep` is given it
    when it is fitted.

    Raises:
        MethodError: the method broke the interface. Whatever else the method raises passes through.
    """
    fitted = fit_trial(method, Game(config, split, seed), view, stage, shots, device=device, progress=progress)
    return score(fitted, device=device, keep=keep)


def fit_trial(
    method: type[Method],
    game: Game,
    view: DataView,
    stage: Stage,
    shots: int = 0,
    *,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Fitted:
    """Fit a method for one trial.

    Raises:
        Exception: whatever the method raises.
    """
    view, part, train = _prepared(method.info, game, view, stage, shots, device, progress)
    return _fit(method, game.config, view, part, dataclasses.replace(train, runs_as=game.runs_as))


def fit_trials(
    method: type[Method],
    games: Sequence[Game],
    view: DataView,
    stage: Stage,
    shots: int = 0,
    *,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Fitted | Exception]:
    """Fit a method for several trials side by side, as `Method.fit_many` does: in order what was fitted, or the error
    that this trial alone died of. Trials of one split share their arrays.

    Raises:
        MethodError: the method broke the interface. Whatever else concerns all of them passes through.
    """
    prepared: dict[tuple[str, int], tuple[DataView, Partition, TrainingData]] = {}
    for game in games:
        place = _place(game, shots)
        if place not in prepared:
            prepared[place] = _prepared(method.info, game, view, stage, shots, device, progress)
    found = [prepared[_place(game, shots)] for game in games]
    trains = [
        dataclasses.replace(_seeded(train, trial_seed(view, game.split, game.seed)), runs_as=game.runs_as)
        for game, (_, _, train) in zip(games, found, strict=True)
    ]
    with _peak_memory(device) as peaks:
        started = time.perf_counter()
        fitted: Any = method.fit_many(trains, [game.config for game in games])
        seconds = (time.perf_counter() - started) / len(games)
    if not isinstance(fitted, list) or len(fitted) != len(games):
        size = f"{len(fitted)} of them" if isinstance(fitted, list) else type(fitted).__name__
        raise MethodError(f"fit_many() returned {size}: a list of {len(games)} is expected, as many as it was given.")
    for each in fitted:
        if not isinstance(each, Method | Exception):
            raise MethodError(f"fit_many() returned {type(each).__name__}: fitted methods or errors are expected.")
    return [
        one if isinstance(one, Exception) else Fitted(one, own, part, seconds, peaks)
        for one, (own, part, _) in zip(fitted, found, strict=True)
    ]


def _place(game: Game, shots: int) -> tuple[str, int]:
    """Games of one place have the same training images: the seed decides about a few labelled ones alone."""
    return game.split.hash, game.seed if shots else 0


def _seeded(train: TrainingData, seed: int) -> TrainingData:
    rehearsal = train.rehearsal
    if rehearsal is not None:
        rehearsal = dataclasses.replace(rehearsal, train=_seeded(rehearsal.train, seed))
    return dataclasses.replace(train, seed=seed, rehearsal=rehearsal)


def _prepared(
    info: MethodInfo, game: Game, view: DataView, stage: Stage, shots: int, device: str,
    progress: Callable[[int, int], None],
) -> tuple[DataView, Partition, TrainingData]:  # fmt: skip
    """A trial's data as it is measured on, its stage of the split, and what the method may see."""
    split, seed = game.split, trial_seed(view, game.split, game.seed)
    view, part = view.of_split(split.drawn_as), split.partition(stage, shots, game.seed)
    # it ranks every image by a hash
    rehearsal = split.rehearsal(stage, shots, game.seed) if info.uses_rehearsal else None
    view, train = _given(info, view, part, seed, device, progress, rehearsal)
    return view, part, train


def _given(
    info: MethodInfo, view: DataView, part: Partition, seed: int, device: str, progress: Callable[[int, int], None],
    rehearsal: Partition | None,
) -> tuple[DataView, TrainingData]:  # fmt: skip
    """The data as the method is measured on, and what it may see."""
    if info.oracle:
        view = _with_oracle_semantics(view, part)
    return view, training_data(info, view, part, seed, device, progress, rehearsal)


def trial_seed(view: DataView, split: Split, seed: int) -> int:
    """The seed of a cell: both stages and all methods share it, and so the order of what they share in code."""
    return derive_seed(view.dataset, split.drawn_as, seed)


def measure(
    method: type[Method],
    config: Any,
    view: DataView,
    part: Partition,
    seed: int,
    rehearsal: Partition | None = None,
    *,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    keep: Callable[[Method], None] = lambda fitted: None,
) -> Measured:
    """Fit and measure one method on one stage of a split.

    Args:
        method: its class.
        config: its hyper-parameters.
        view: the data; nothing outside `part` and `rehearsal` is looked at.
        part: the stage.
        seed: of `trial_seed`.
        rehearsal: the game one level down, for a method that uses it.
        device: ``cpu`` or ``cuda``.
        progress: told the epochs done and in all.
        keep: given the method when it is fitted and has scored nothing yet; its cost is not the method's.

    Raises:
        MethodError: the method broke the interface. Whatever else the method raises passes through.
    """
    view, train = _given(method.info, view, part, seed, device, progress, rehearsal)
    return score(_fit(method, config, view, part, train), device=device, keep=keep)


def _fit(method: type[Method], config: Any, view: DataView, part: Partition, train: TrainingData) -> Fitted:
    with _peak_memory(train.device) as peaks:
        started = time.perf_counter()
        fitted = method(config)
        fitted.fit(train)
        seconds = time.perf_counter() - started
    return Fitted(fitted, view, part, seconds, peaks)


def score(fitted: Fitted, *, device: str = "cpu", keep: Callable[[Method], None] = lambda fitted: None) -> Measured:
    """Measure a fitted method in both settings; `device` and `keep` as of `measure`.

    Raises:
        MethodError: the method broke the interface. Whatever else the method raises passes through.
    """
    method, view, part, fit_seconds, fitting = fitted
    keep(method)
    with _peak_memory(device) as scoring:
        started = time.perf_counter()
        zsl, zsl_labels, zsl_truth, zsl_per_class = _measure_zsl(method, view, part)
        gzsl, open_world_curve, decisions, gzsl_truth, gzsl_per_class, best_H = _measure_gzsl(method, view, part)
        score_seconds = time.perf_counter() - started
    peak = max([*fitting, *scoring], default=None)
    predictions = as_predictions(zsl_truth, zsl_labels, gzsl_truth, decisions)
    outcome = Outcome(zsl, gzsl, {"zsl": zsl_per_class, "gzsl": gzsl_per_class}, best_H, open_world_curve)
    return Measured(outcome, predictions, fit_seconds, score_seconds, peak)


def as_predictions(
    zsl_truth: IntArray, zsl_predicted: IntArray, gzsl_truth: IntArray, decisions: GzslDecisions
) -> dict[str, NDArray[Any]]:
    """What is kept of a trial's predictions, by the names of `PREDICTIONS`."""
    return {
        "zsl_truth": zsl_truth,
        "zsl_predicted": zsl_predicted,
        "gzsl_truth": gzsl_truth,
        "gzsl_best_seen": decisions.best_seen,
        "gzsl_best_unseen": decisions.best_unseen,
        "gzsl_margin": decisions.margin,
    }


def columns_of(classes: IntArray, labels: IntArray) -> IntArray:
    """Where each label (M,) stands among the candidates `classes` (K,), which are in any order."""
    order = np.argsort(classes)
    columns: IntArray = order[np.searchsorted(classes[order], labels)]
    return columns


def training_data(
    info: MethodInfo,
    view: DataView,
    part: Partition,
    seed: int,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    rehearsal: Partition | None = None,
) -> TrainingData:
    """What a method may see of a partition: the training rows, read-only, and nothing more.

    `rehearsal` divides the same training rows once more, for methods that declare ``uses_rehearsal``.
    """
    trained = np.concatenate([part.train, part.few])
    classes = np.concatenate([part.seen, part.unseen]) if len(part.few) else part.seen
    images = np.concatenate([part.held_out_seen, part.held_out_unseen])
    return TrainingData(
        features=cast(Any, view.lazy_rows(trained)) if info.reads_blocks else _frozen(view.rows(trained)),
        labels=_frozen(columns_of(classes, view.labels[trained]).astype(np.int64)),
        semantics=_frozen(view.semantics[classes]),
        seed=seed,
        unseen_semantics=_frozen(view.semantics[part.unseen]) if info.uses_unseen_semantics else None,
        unlabelled=_unlabelled(info, view, images),
        maps=_maps(info, view, trained),
        few=_frozen(np.arange(len(trained)) >= len(part.train)) if len(part.few) else None,
        attribute_groups=view.attribute_groups,
        rehearsal=_rehearse(info, view, rehearsal, seed, device) if info.uses_rehearsal and rehearsal else None,
        device=device,
        progress=progress,
    )


def _rehearse(info: MethodInfo, view: DataView, part: Partition, seed: int, device: str) -> Rehearsal:
    view = view.as_trained_on()
    images = np.concatenate([part.held_out_seen, part.held_out_unseen])
    classes = np.concatenate([part.seen, part.unseen])
    return Rehearsal(
        train=training_data(info, view, part, seed, device),
        candidates=candidates(view, part, classes, _unlabelled(info, view, images)),
        features=_frozen(view.rows(images)),
        columns=_frozen(columns_of(classes, view.labels[images])),
        maps=_maps(info, view, images),
    )


def _maps(info: MethodInfo, view: DataView, images: IntArray) -> FloatArray | None:
    """The maps (n, P, D) of these images for a method that wants them, where there are any."""
    if view.maps is None or not (info.needs_maps or info.uses_maps):
        return None
    maps: FloatArray = _frozen(np.ascontiguousarray(view.maps[images], dtype=np.float32))
    return maps


def _with_oracle_semantics(view: DataView, part: Partition) -> DataView:
    """The mean visual feature of every class in place of its semantics (C, D).

    Seen classes: of their training images. Unseen classes: of the very images to be classified, which is what makes
    it an oracle (Chao et al., ECCV 2016, section 5).
    """
    labels = view.labels[np.concatenate([part.train, part.held_out_unseen])]
    rows = np.concatenate([view.rows(part.train), view.tested_rows(part.held_out_unseen)])
    means = np.zeros((len(view.class_names), rows.shape[1]), np.float32)
    for label in np.unique(labels):
        means[label] = rows[labels == label].mean(axis=0)
    return dataclasses.replace(view, semantics=means)


def _unlabelled(info: MethodInfo, view: DataView, images: IntArray) -> FloatArray | None:
    """The features (M, D) of the images to be classified, for a method that may look at them all at once.

    They come in the order of a hash of their contents: that of their numbers follows the classes.
    """
    if not info.transductive:
        return None
    rows = view.tested_rows(images)
    pool: FloatArray = _frozen(rows[order_of_digests(rows)])
    return pool


def candidates(view: DataView, part: Partition, classes: IntArray, unlabelled: FloatArray | None = None) -> Candidates:
    """The candidate classes of a setting as a method gets them; `unlabelled` of `_unlabelled`."""
    few = _frozen(_labels_of(classes, part.unseen, len(part.seen))) if len(part.few) else None
    return Candidates(_frozen(view.semantics[classes]), _frozen(_labels_of(classes, part.seen)), unlabelled, few)


def _labels_of(classes: IntArray, known: IntArray, first: int = 0) -> IntArray:
    """(K,) the label of each class in the training data, where those `known`, ascending, count from `first`; or -1."""
    labels = np.full(len(classes), -1, dtype=np.int64)
    some = np.isin(classes, known)
    labels[some] = first + np.searchsorted(known, classes[some])
    return labels


def _measure_zsl(fitted: Method, view: DataView, part: Partition) -> tuple[Curve, IntArray, IntArray, list[float]]:
    truth = view.labels[part.held_out_unseen]
    curve: Curve = {name: [] for name in ZSL_METRICS}
    for scores in _scores(fitted, view, part, part.unseen, part.held_out_unseen):
        predicted = part.unseen[scores.argmax(1)]
        values, accuracies = _zsl_metrics(truth, predicted, part.unseen)
        _add(curve, values)
    return curve, predicted, truth, accuracies


def _measure_gzsl(
    fitted: Method, view: DataView, part: Partition
) -> tuple[Curve, Curve, GzslDecisions, IntArray, list[float], float]:
    images = np.concatenate([part.held_out_seen, part.held_out_unseen])
    truth = view.labels[images]
    # A seen class too small to spare an image in the validation stage cannot be measured there.
    measured_seen = np.intersect1d(part.seen, truth)
    classes = np.concatenate([part.seen, part.unseen])
    is_seen = np.isin(classes, part.seen)
    curve: Curve = {name: [] for name in GZSL_METRICS}
    open_curve: Curve = {name: [] for name in OPEN_METRICS}
    for scores in _scores(fitted, view, part, classes, images):
        decisions = GzslDecisions.from_scores(scores, classes, is_seen)
        values, accuracies, best = _gzsl_metrics(truth, decisions, measured_seen, part.unseen)
        _add(curve, values)
        _add(open_curve, open_world(truth, decisions, measured_seen))
    return curve, open_curve, decisions, truth, accuracies, best


def _add(curve: Curve, values: dict[str, float]) -> None:
    for name, value in values.items():
        curve[name].append(value)


def _zsl_metrics(truth: IntArray, predicted: IntArray, unseen: IntArray) -> tuple[dict[str, float], list[float]]:
    """The metrics of `ZSL_METRICS`, and the accuracy of each unseen class."""
    accuracies = per_class_accuracies(truth, predicted, unseen)
    return {"T1": float(accuracies.mean()), "OA": overall_accuracy(truth, predicted)}, accuracies.tolist()


def _gzsl_metrics(
    truth: IntArray, decisions: GzslDecisions, seen: IntArray, unseen: IntArray
) -> tuple[dict[str, float], list[float], float]:
    """The metrics of `GZSL_METRICS`, the accuracy of each seen and then unseen class, and the best calibrated H."""
    accuracies = per_class_accuracies(truth, decisions.predicted(), np.concatenate([seen, unseen]))
    S, U = float(accuracies[: len(seen)].mean()), float(accuracies[len(seen) :].mean())
    tradeoff = seen_unseen_curve(truth, decisions, seen, unseen)
    values = {"S": S, "U": U, "H": float(harmonic_mean(S, U)), "AUSUC": float(tradeoff.area)}
    return values, accuracies.tolist(), tradeoff.best_harmonic_mean


def remeasured(predictions: Mapping[str, NDArray[Any]]) -> Outcome:
    """What a trial measured after its last epoch, from its stored predictions alone.

    Raises:
        ValueError: they are not what `measure` hands out.
    """
    check_predictions(predictions)
    decisions = GzslDecisions(*(predictions[f"gzsl_{name}"] for name in ("best_seen", "best_unseen", "margin")))
    unseen = np.unique(predictions["zsl_truth"])
    seen = np.setdiff1d(predictions["gzsl_truth"], unseen)
    zsl, of_unseen = _zsl_metrics(predictions["zsl_truth"], predictions["zsl_predicted"], unseen)
    gzsl, of_all, best = _gzsl_metrics(predictions["gzsl_truth"], decisions, seen, unseen)
    return Outcome(
        {name: [value] for name, value in zsl.items()},
        {name: [value] for name, value in gzsl.items()},
        {"zsl": of_unseen, "gzsl": of_all},
        best,
        {name: [value] for name, value in open_world(predictions["gzsl_truth"], decisions, seen).items()},
    )


def check_predictions(predictions: Mapping[str, NDArray[Any]], outcome: Outcome | None = None) -> None:
    """Let pass what `measure` hands out: for every image its class, and what was predicted.

    Args:
        predictions: as stored.
        outcome: what was measured with them, if the classes that it tells of are to be theirs.

    Raises:
        ValueError: something else.
    """
    for setting in ("zsl", "gzsl"):
        arrays = {name: array for name, array in predictions.items() if name.startswith(f"{setting}_")}
        if arrays.keys() != {name for name in PREDICTIONS if name.startswith(f"{setting}_")}:
            raise ValueError(f"expected {', '.join(PREDICTIONS)}, found {', '.join(map(plain, predictions))}")
        if len({array.shape for array in arrays.values()}) > 1 or next(iter(arrays.values())).ndim != 1:
            raise ValueError(f"the {setting} arrays have different shapes, or more than one axis")
        for name, array in arrays.items():
            if not array.size or array.dtype.kind != PREDICTIONS[name] or not np.isfinite(array).all():
                raise ValueError(f"{name} is empty, holds no numbers, or such as are not finite")
    unseen = np.unique(predictions["zsl_truth"])
    if not np.isin(unseen, predictions["gzsl_truth"]).all() or np.isin(predictions["gzsl_truth"], unseen).all():
        raise ValueError("the classes of the two settings do not belong together")
    if outcome is not None and outcome.per_class:
        measured = len(unseen), len(np.unique(predictions["gzsl_truth"]))
        told = len(outcome.per_class.get("zsl", ())), len(outcome.per_class.get("gzsl", ()))
        if told != measured:
            raise ValueError(
                f"the record tells of {told[0]} unseen classes among {told[1]}, and {measured[0]} among {measured[1]} "
                f"were measured"
            )


def _scores(
    fitted: Method, view: DataView, part: Partition, classes: IntArray, images: IntArray
) -> Iterator[NDArray[Any]]:
    """Checked scores (N, K) of every scorer, over the same feature blocks each time."""
    blocks = [images[start : start + _SCORE_ROWS] for start in range(0, len(images), _SCORE_ROWS)]

    def read() -> Iterator[Sequence[FloatArray]]:
        for block in blocks:
            local = _maps(fitted.info, view, block)
            yield (_frozen(view.tested_rows(block)),) if local is None else (_frozen(view.tested_rows(block)), local)

    first = next(read())
    # Held for all scorers where they are few, else read anew for each.
    small = sum(array.nbytes for array in first) * len(blocks) <= _HELD_BYTES
    held = list(read()) if small else None
    represent: Any = None  # of the last scorer in two steps, and what it made of the blocks
    represented: list[Any] = []

    def score(scorer: Scorer) -> Iterator[Any]:
        nonlocal represent, represented
        if held is None or not isinstance(scorer, TwoStepScorer):
            return (scorer(*arrays) for arrays in held or read())
        if scorer.represent is not represent:
            represent = scorer.represent
            represented = [represent(*arrays) for arrays in held]
        return map(scorer.score, represented)

    count = 0
    for scorer in fitted.scorers(candidates(view, part, classes, _unlabelled(fitted.info, view, images))):
        count += 1
        parts = zip(score(scorer), blocks, strict=True)
        scores = np.concatenate([_checked(part, (len(block), len(classes)), count) for part, block in parts])
        if count == 1:
            _check_independence(scorer, first, scores)
        yield scores
    if not count:
        raise MethodError(f"{fitted.info.name}: scorers() yielded no scorer; the last one is the final model.")


def final_scores(fitted: Method, view: DataView, part: Partition, classes: IntArray, images: IntArray) -> Any:
    """(N, K) scores of these images after the last epoch, checked; columns as `classes`."""
    for scores in _scores(fitted, view, part, classes, images):
        last = scores
    return last


def _check_independence(scorer: Scorer, arrays: Sequence[FloatArray], scores: NDArray[Any]) -> None:
    """Some rows again, in another order and other company: their scores must be the same but for rounding.

    Otherwise the scorer looks at the whole test set (batch normalisation left in training mode, say), or at the
    order of its rows, which follows the classes.
    """
    some = np.arange(len(arrays[0]))[:: max(2, len(arrays[0]) // 32)][::-1]
    again = scorer(*(_frozen(np.ascontiguousarray(array[some])) for array in arrays))
    again = _checked(again, (len(some), scores.shape[1]), 1)
    tolerance = 1e-3 * float(np.ptp(scores)) + 1e-9
    if np.abs(again.astype(np.float64) - scores[some]).max() > tolerance:
        raise MethodError("the score of an image depends on the other images it is scored with, or on its place.")


def _checked(returned: Any, expected: tuple[int, int], number: int) -> NDArray[Any]:
    """The scores (images, candidates) that a scorer returned."""
    scores = np.asarray(returned)
    if scores.shape != expected or scores.dtype.kind not in "fiu":
        raise MethodError(
            f"scorer {number} returned {scores.shape} {scores.dtype}: expected {expected} numbers, "
            f"one column per candidate."
        )
    if not np.isfinite(scores).all():
        raise MethodError(f"scorer {number} returned NaN or infinite scores.")
    return scores


def _frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


def _cuda_in_use() -> Any:
    """torch.cuda, if a method has used it: one that does not use the GPU need not pay for loading torch."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch and torch.cuda.is_initialized() else None


@contextmanager
def _peak_memory(device: str) -> Iterator[list[float]]:
    """Fill a list with the trial's peak memory in MB: of the GPU where there is one, else of the process."""
    peak: list[float] = []
    if device.startswith("cuda"):
        if cuda := _cuda_in_use():
            cuda.reset_peak_memory_stats(device)
        yield peak
        if cuda := _cuda_in_use():
            peak.append(cuda.max_memory_allocated(device) / 2**20)
        return
    reset = Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")  # Linux: forget the peak of earlier trials in this process
    except OSError:
        yield peak
        return
    yield peak
    status = Path("/proc/self/status").read_text()
    line = next((line for line in status.splitlines() if line.startswith("VmHWM")), None)
    peak.append(int(line.split()[1]) / 1024 if line else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
