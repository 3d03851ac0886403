"""From images to a data set folder: list, describe the classes, encode, look for duplicates, write."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench import shelltext
from zslbench.classnames import as_listed, check_class_names, other_place
from zslbench.datasets import semantics as text
from zslbench.datasets.backbones import Backbone, find_backbone, versions
from zslbench.datasets.backbones.batches import EncodingJob
from zslbench.datasets.card import Card, FeatureCard
from zslbench.datasets.container import equal_semantics
from zslbench.datasets.images import ClassFolders, ImageSet, Passed, digest_of_files, open_images
from zslbench.datasets.images.decoding import said
from zslbench.datasets.prepare.claims import other_pictures, withdraw, without_claims
from zslbench.datasets.prepare.duplicates import THRESHOLD, Duplicates, find_duplicates
from zslbench.datasets.prepare.encoding import Encoded, encoded
from zslbench.datasets.prepare.recipes import Recipe, check_name, find_recipe
from zslbench.datasets.writing import refuse_existing, write_dataset
from zslbench.errors import InputError
from zslbench.hashing import file_digest
from zslbench.machine import Device, cores, device_here
from zslbench.plaintext import plain as plain_text
from zslbench.spelling import argument
from zslbench.splits import PlainRoster, make_splits, usual_family

BATCH_CPU = 8  # measured on two cores: half the time of 32, whose buffers no longer fit the cache
BATCH_CUDA = 64
_MAX_WORKERS = 8

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What may be said beside the recipe: texts for the card, other choices, and how to run.

    ``class_folders`` says which folders are the classes where that is not plain; ``grid`` g asks for g x g local
    features; ``weights`` is a file of the backbone's weights; ``workers`` and ``batch_size`` None mean what suits the
    machine. ``workers`` never changes a result.
    """

    name: str | None = None
    title: str | None = None
    licence: str | None = None
    citation: str | None = None
    classes: tuple[str, ...] | None = None
    without_images: tuple[str, ...] = ()
    class_folders: ClassFolders = "auto"
    split_families: tuple[str, ...] | None = None
    backbone: str | None = None
    semantics: tuple[str, ...] | None = None
    weights: Path | None = None
    grid: int | None = None
    device: Device = "auto"
    batch_size: int | None = None
    workers: int | None = None
    skip_bad: bool = False

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with what was said in its place."""
        said = {
            key: getattr(self, key)
            for key in ("name", "title", "licence", "citation", "classes", "split_families", "backbone", "semantics")
        }
        return replace(recipe, **{key: value for key, value in said.items() if value})


@dataclass(frozen=True)
class Prepared:
    """What ``prepare`` made: the folder, its card, the number of images, and what the user should know.

    ``notes`` say what was changed or left out by rule, ``passed`` which files were not read.
    """

    folder: Path
    card: Card
    images: int
    warnings: list[str]
    notes: list[str]
    passed: Passed


def prepare(
    name: str | Recipe,
    images: Path | str,
    out: Path | str,
    progress: Progress | None = None,
    options: Options | None = None,
) -> Prepared:
    """Make the data set ``name`` from ``images`` (a folder or a zip) and write it to the folder ``out``.

    ``name`` is a recipe or any new name, whose classes are the folders of images. ``progress`` is called as
    (stage, done, total). What can be told about the input without decoding it is checked before the first image
    is encoded. What was encoded is kept beside ``out`` when the command is interrupted, and the same command
    goes on there.

    InputError for an existing ``out``, missing packages, and whatever ``open_images``, ``read_semantics``,
    ``encoded`` and ``write_dataset`` refuse.
    """
    options = options or Options()
    plain = find_recipe(name) if isinstance(name, str) else name
    recipe = options.apply(plain)
    check_name(recipe.name)
    report = progress or (lambda stage, done, total: None)
    out = Path(out)
    refuse_existing(out)
    backbone = _backbone(recipe, options)
    device = device_here(options.device)

    with open_images(
        images, recipe.classes, per_class=recipe.images_per_class, class_folders=options.class_folders
    ) as found:
        classes, total = (*found.classes, *_described(options.without_images, found)), len(found)
        warnings: list[str] = []
        claimed, doubt = withdraw(plain, recipe.name, classes, total)
        if doubt:
            recipe = options.apply(claimed)
            warnings.append(doubt)
        families = _families(recipe, classes, found.labels)
        report("descriptions", 0, 1)
        blocks = recipe.blocks(classes, backbone)
        if recipe.classes is None:
            _refuse_unknown_order(blocks, classes)
        report("descriptions", 1, 1)
        job = EncodingJob(
            found, backbone, device, options.batch_size or (BATCH_CUDA if device == "cuda" else BATCH_CPU), options.grid
        )
        workers = min(cores(), _MAX_WORKERS) if options.workers is None else options.workers
        with encoded(
            job, out, workers=workers, skip_bad=options.skip_bad, progress=lambda done: report("images", done, total)
        ) as made:
            labels = found.labels[made.rows]
            _refuse_empty(found, labels, made)
            if made.skipped:  # what is left must still make splits
                _families(recipe, classes, labels)
            twins = _twins(found, made)
            if doubt := other_pictures(plain, backbone.name, labels, made.pooled):
                recipe = options.apply(without_claims(plain))
                warnings.append(doubt)
            notes = [
                *found.notes,
                *said(made.notes["changes"][made.rows]),
                *(note for block in blocks for note in block.notes),
            ]
            alike = _alike(blocks, classes)
            card = _card(recipe, backbone, families, classes, blocks)
            card.without_images = list(classes[len(found.classes) :])
            maps = {} if made.local is None else {f"{backbone.name}_{options.grid}x{options.grid}": made.local}
            card.maps = {name: _feature_card(backbone, _map_title(backbone, options.grid)) for name in maps}
            card.provenance = _provenance(recipe, job, options, made, twins, blocks, notes + alike)
            written = write_dataset(
                out, card, labels, {backbone.name: made.pooled}, {block.name: block.array for block in blocks},
                maps=maps, names=[found.names[row] for row in made.rows],
            )  # fmt: skip
            warnings += [*_warnings(found, made, twins), *alike]
            return Prepared(out, written, len(labels), warnings, notes, found.passed)


def _described(names: Sequence[str], images: ImageSet) -> tuple[str, ...]:
    """Classes that are described alone; InputError if one has images, or is named twice."""
    known = set(images.classes)
    for name in (checked := check_class_names(names, argument("without_images"))):
        if name in known:
            count = int((images.labels == images.classes.index(name)).sum())
            raise InputError(
                f"{argument('without_images')}: class {plain_text(name)!r} has {count} images in {images.source}."
            )
    return checked


def _backbone(recipe: Recipe, options: Options) -> Backbone:
    backbone = find_backbone(recipe.backbone)
    if options.weights is None:
        return backbone
    if not os.path.isfile(options.weights):
        raise InputError(f"{options.weights}: expected a file of weights, found none")
    return replace(backbone, weights=options.weights)


def _families(recipe: Recipe, classes: Sequence[str], labels: NDArray[np.int64]) -> list[str]:
    """The split families asked for, or one near 3:1; InputError if one does not fit the classes and images."""
    counts = np.bincount(labels, minlength=len(classes))
    if len(single := np.flatnonzero(counts == 1)):
        raise InputError(
            f"class {classes[single[0]]!r} has one image: at least two are expected, one to train on and one to test; "
            f"add some or take the class out."
        )
    proposed = usual_family(len(np.unique(labels)))
    families = list(recipe.split_families) or [proposed]
    plan = PlainRoster(recipe.name, tuple(classes), labels, [proposed])
    for family in families:
        make_splits(plan, family, 1)
    return families


def _refuse_unknown_order(blocks: Sequence[text.SemanticsBlock], classes: Sequence[str]) -> None:
    """Raise InputError if rows are in the order of classes that nobody has put in order, and there are two orders."""
    ordered = sorted(classes)
    place = other_place(classes, ordered)
    for block in blocks:
        if block.by_order and place is not None:
            raise InputError(
                f"semantics {block.name!r}: its rows are in the order of the classes, and nothing says whether class "
                f"{place + 1} is {classes[place]!r}, by the numbers in the names, or {ordered[place]!r}, as programs "
                f"sort names: give the order by {argument('classes')}."
            )


def _refuse_empty(images: ImageSet, labels: NDArray[np.int64], made: Encoded) -> None:
    empty = np.flatnonzero(np.bincount(labels, minlength=len(images.classes)) == 0)
    if len(empty):
        first = images.names[int(np.flatnonzero(images.labels == empty[0])[0])]
        raise InputError(f"class {images.classes[empty[0]]!r} has no readable image: {made.skipped[first]}")


def _twins(images: ImageSet, made: Encoded) -> Duplicates:
    notes, rows = made.notes, made.rows
    twins = find_duplicates(images.labels[rows], notes["file"][rows], notes["pixels"][rows], notes["hashes"][rows])
    twins.exact, twins.near = ([(int(rows[a]), int(rows[b])) for a, b in pairs] for pairs in (twins.exact, twins.near))
    return twins


def _card(
    recipe: Recipe,
    backbone: Backbone,
    families: list[str],
    classes: Sequence[str],
    blocks: Sequence[text.SemanticsBlock],
) -> Card:
    return Card(
        name=recipe.name,
        title=recipe.title,
        description=recipe.description,
        citation=recipe.citation,
        licence=recipe.licence,
        classes=list(classes),
        default_features=backbone.name,
        default_semantics=blocks[0].name,
        split_families=families,
        features={backbone.name: _feature_card(backbone, backbone.title)},
        semantics={block.name: block.card for block in blocks},
    )


def _feature_card(backbone: Backbone, title: str) -> FeatureCard:
    return FeatureCard(
        title=title,
        pretraining=backbone.pretraining,
        licence=backbone.licence,
        preprocessing=backbone.preprocessing,
        citation=backbone.citation,
        space=backbone.space,
    )


def _map_title(backbone: Backbone, grid: int | None) -> str:
    return f"{backbone.title.split(',')[0]}, last local features averaged to {grid}x{grid} positions"


def _provenance(
    recipe: Recipe,
    job: EncodingJob,
    options: Options,
    made: Encoded,
    twins: Duplicates,
    blocks: Sequence[text.SemanticsBlock],
    remarks: list[str],
) -> dict[str, Any]:
    images, backbone = job.images, job.backbone
    kept = ((made.notes["file"][row].tobytes().hex(), images.names[row]) for row in made.rows)
    digest = images.sha256 if images.packed else digest_of_files(kept)
    notes = [*_observations(images, made), *remarks]
    if digest in recipe.known_images:
        notes.insert(0, recipe.known_images[digest])
    encoders = [package for block in blocks for package in block.packages]
    packages = dict.fromkeys(("numpy", *backbone.packages, *encoders))
    facts: dict[str, Any] = {
        "source": recipe.source,
        "images_sha256": digest,
        "command": _command(recipe, images, options),
        "date": datetime.now(UTC).date().isoformat(),
        "device": job.device,
        "batch_size": job.size,
        "notes": notes,
        "versions": {"python": sys.version.split()[0], **versions(packages)},
    }
    if backbone.weights is not None:
        facts["weights"] = {"file": backbone.weights.name, "sha256": file_digest(backbone.weights)}
    if made.skipped:
        facts["skipped"] = sorted(made.skipped)
    if images.passed.files:
        facts["passed_over"] = dict(images.passed.files)
    if images.passed.folders:
        facts["folders_without_images"] = list(images.passed.folders)
    if twins.exact or twins.near:
        named = {
            kind: [[images.names[a], images.names[b]] for a, b in pairs]
            for kind, pairs in (("exact", twins.exact), ("near", twins.near))
        }
        facts["duplicates_across_classes"] = {
            **named, "exact_total": twins.exact_total, "near_total": twins.near_total, "near_bits": THRESHOLD,
        }  # fmt: skip
    if twins.within_total:
        facts["duplicates_within_classes"] = twins.within_total
    return facts


def _command(recipe: Recipe, images: ImageSet, options: Options) -> str:
    """The command that makes these arrays, with the images by their own name alone."""
    return shelltext.command(
        "zslbench", "data", "prepare", recipe.name,
        images=images.source.name,
        backbone=options.backbone,
        maps=f"{options.grid}x{options.grid}" if options.grid else None,
        class_folders=None if options.class_folders == "auto" else options.class_folders,
        semantics=options.semantics,
        without_images=as_listed(options.without_images) or None,
        skip_bad=options.skip_bad,
    )  # fmt: skip


def _alike(blocks: Sequence[text.SemanticsBlock], classes: Sequence[str]) -> list[str]:
    """Which classes the semantics cannot tell apart."""
    return [line for block in blocks for line in equal_semantics(block.array, classes, f"semantics {block.name!r}")]


def _observations(images: ImageSet, made: Encoded) -> list[str]:
    """Say what the images were like, since the same scenes circulate in several encodings."""
    suffixes = Counter(PurePosixPath(images.names[row]).suffix.lower() for row in made.rows)
    formats = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common())
    sizes, counts = np.unique(made.notes[["width", "height"]][made.rows], return_counts=True)
    width, height = sizes[counts.argmax()]
    usual = int(counts.max())
    notes = [f"Files read: {formats}; {usual} of them are {width}x{height} pixels."]
    if others := len(made.rows) - usual:
        notes.append(f"{others} images have another size and were resized like the rest.")
    return notes


def _warnings(images: ImageSet, made: Encoded, twins: Duplicates, shown: int = 10) -> list[str]:
    found = [f"left out: {problem}" for problem in list(made.skipped.values())[:shown]]
    if (more := len(made.skipped) - shown) > 0:
        found.append(f"left out: {more} more (card.toml lists them)")
    total = twins.exact_total + twins.near_total
    lines = twins.lines(images.names)
    if total:
        found.append(
            f"{total} pair(s) of images are the same picture, or nearly, under different classes; where one class is "
            f"seen and the other unseen, that leaks: {'; '.join(lines[:shown])}"
            + (f"; and {total - shown} more (card.toml lists them)" if total > shown else "")
        )
    if twins.within_total:
        found.append(f"{twins.within_total} image(s) repeat another one of their own class exactly")
    return found
