"""Fitting a method to be used: on all labelled images, with an estimate of how good and how sure it is."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from zslbench._types import FloatArray, IntArray
from zslbench.configuration import as_dict
from zslbench.datasets import Dataset, DataView
from zslbench.datasets.card import FeatureCard
from zslbench.errors import InputError
from zslbench.methods import Method, MethodInfo
from zslbench.metrics import GzslDecisions
from zslbench.models.header import Confidence, Header, RestsOn
from zslbench.models.model import Model
from zslbench.protocol import as_predictions, columns_of, final_scores, remeasured, training_data, trial_seed
from zslbench.runner.attempt import THREADS, limited_threads, now
from zslbench.runner.surroundings import undisturbed_alone
from zslbench.splits import WHOLE, Partition, Split
from zslbench.temperature import likeliest_temperature, softmax

_BINS = 15


def fit_model(
    method: type[Method],
    config: Any,
    label: str,
    dataset: Dataset,
    view: DataView,
    split: Split,
    *,
    seed: int,
    source: str,
    owner: str,
    validate: bool,
    device: str,
    progress: Callable[[int, int], None],
) -> Model:
    """Fit a method on the training images of a split, and say what is to be expected of it.

    Args:
        method: its class.
        config: its hyper-parameters.
        label: the method with its changed parameters.
        dataset: where images and descriptions come from.
        view: which of its arrays.
        split: whose training images; `zslbench.splits.whole` for all.
        seed: of the fit, as of a trial.
        source: of the plugin that defines the method, or empty.
        owner: whose method it is.
        validate: fit once more without some classes, to learn how good and how sure the model is.
        device: ``cpu`` or ``cuda``.
        progress: told the epochs done and in all.

    Raises:
        InputError: too few classes or images.
    """
    info = method.info
    if info.oracle:
        raise InputError(f"method {info.name!r} is a bound that is told the answers; it can predict nothing.")
    if view.noise is not None:
        raise InputError(
            f"features {view.features_name!r}: this noise is on images to be classified alone, a model is fitted on "
            f"others; fit on the features without it."
        )
    view = view.of_split(split.drawn_as)
    part = split.partition("test")
    if len(part.seen) < 2:
        raise InputError(f"{view.dataset} has images of {len(part.seen)} class; two at least are needed to fit on.")
    started, drawn = now(), trial_seed(view, split, seed)
    confidence, measured, played, tested = None, None, 0, None
    with undisturbed_alone(owner, drawn), limited_threads(THREADS):
        game = split.rehearsal("test") if validate or info.uses_rehearsal else None  # it ranks every image by a hash
        if validate and game is not None:
            below = split.rehearsal("validation") if info.uses_rehearsal else None
            measured, confidence = _judged(
                _fitted(method, config, view, game, below, drawn, device, progress), view, game
            )
            played, tested = len(game.unseen), _tested(view, game)
        fitted = _fitted(method, config, view, part, game, drawn, device, progress)
    header = header_of(
        info, dataset, view, split,
        source=source, label=label, config=as_dict(config), seed=seed, fitted=started, measured=measured,
        played=played, tested=tested, confidence=confidence,
    )  # fmt: skip
    return Model(header, view.semantics[part.classes], fitted)


def header_of(info: MethodInfo, dataset: Dataset, view: DataView, split: Split, **more: Any) -> Header:
    """What the model of a method says of itself that was fitted on the training images of a split.

    Args:
        info: of the method.
        dataset: where images and descriptions come from.
        view: which of its arrays.
        split: whose training images; its classes are those of the model.
        more: the other fields of the header.
    """
    from zslbench import __version__

    part, card, trial = split.partition("test"), dataset.card, more.get("trial")
    few = len(split.partition("test", trial.shots, trial.seed).few) if trial else 0
    semantics = card.semantics.get(view.semantics_name)
    maps = view.maps if info.uses_maps or info.needs_maps else None
    return Header(
        zslbench=__version__, method=info.name, method_version=info.version, needs=info.needs, dataset=view.dataset,
        title=card.title, licence=card.licence, hashes=view.hashes, features=view.features_name,
        width=view.features.shape[1], card=card.features.get(view.features_name, FeatureCard()),
        provenance=card.provenance, semantics=view.semantics_name, columns=semantics.columns if semantics else None,
        attributes=view.semantics.shape[1], maps="" if maps is None else view.maps_name,
        cells=None if maps is None else maps.shape[1:], classes=[view.class_names[label] for label in part.classes],
        seen=np.isin(part.classes, part.seen).tolist(), images=len(part.train) + few, few=few,
        split="" if split.family == WHOLE else split.id, **more,
    )  # fmt: skip


def _fitted(
    method: type[Method], config: Any, view: DataView, part: Partition, rehearsal: Partition | None, seed: int,
    device: str, progress: Callable[[int, int], None],
) -> Method:  # fmt: skip
    train = training_data(method.info, view, part, seed, device, progress, rehearsal)
    if method.info.transductive:  # what is to be predicted is not known yet
        train = dataclasses.replace(train, unlabelled=None)
    fitted = method(config)
    fitted.fit(train)
    return fitted


def _judged(fitted: Method, view: DataView, part: Partition) -> tuple[dict[str, float], Confidence]:
    """What a method that was fitted on a game's training images does on its held-out ones."""
    images = np.concatenate([part.held_out_seen, part.held_out_unseen])
    classes, truth = np.concatenate([part.seen, part.unseen]), view.labels[images]
    of_unseen = final_scores(fitted, view, part, part.unseen, part.held_out_unseen)
    scores = final_scores(fitted, view, part, classes, images)
    decisions = GzslDecisions.from_scores(scores, classes, np.isin(classes, part.seen))
    predicted = part.unseen[of_unseen.argmax(1)]
    outcome = remeasured(as_predictions(view.labels[part.held_out_unseen], predicted, truth, decisions))
    metrics = {name: curve[-1] for name, curve in (outcome.zsl | outcome.gzsl).items()}
    return metrics, _confidence(scores, columns_of(classes, truth))


def _tested(view: DataView, part: Partition) -> RestsOn:
    classes = len(np.unique(view.labels[part.held_out_seen]))
    return RestsOn(len(part.held_out_seen), classes, len(part.held_out_unseen))


def _confidence(scores: FloatArray, columns: IntArray) -> Confidence:
    temperature = likeliest_temperature(scores, columns)
    p = softmax(scores, temperature)
    best, right = p.max(axis=1), p.argmax(axis=1) == columns
    bins = np.minimum((best * _BINS).astype(int), _BINS - 1)
    gaps = [abs(best[bins == b].mean() - right[bins == b].mean()) * np.mean(bins == b) for b in np.unique(bins)]
    surest = np.argsort(-best, kind="stable")
    return Confidence(temperature, best[surest].tolist(), right[surest].tolist(), float(sum(gaps)))
