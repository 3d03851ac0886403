"""Semantics that say nothing of the classes: rows shuffled among them, or random numbers. What is measured with them
must be chance, or something other than semantics tells a method what it should not know.

They are views, of which nothing is written, and are drawn anew for each split. Within a split every way to hand the
vectors of unseen classes out among them is equally likely, so T1 is expected to be exactly one over their number, for
any method and whatever the split. Hence:

- One draw for all splits would not do. Where it happens to give beaches the vector of coasts, it does so in every split
  that has both, and the mean over splits is far from chance while its interval is narrow.
- A class keeps its own vector as often as chance has it, one class of all on average. Were that ruled out, T1 would be
  expected below chance: a method that knows the vectors without learning, as CLIP does, would be sure to be misled.

Two more views say less than the array that they are of, and are drawn for each split too: noise on every number, and a
share of the columns. What is added for little noise is what is added for much, scaled; what a small share keeps is
among what a larger one keeps.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from zslbench._types import FloatArray, IntArray
from zslbench.hashing import derive_seed

SHUFFLED = ":shuffled"
FORMS = f"NAME{SHUFFLED}[:SEED], random:COLUMNS[:SEED], NAME:noise:AMOUNT[:SEED] and NAME:part:SHARE[:SEED]"
_SHUFFLED = re.compile(rf"(?P<name>.+){SHUFFLED}(:(?P<seed>\d{{1,18}}))?")
_NOISE = re.compile(r"(?P<name>.+):noise:(?P<amount>\d{1,3}(\.\d{1,3})?)(:(?P<seed>\d{1,18}))?")
_PART = re.compile(r"(?P<name>.+):part:(?P<share>0?\.\d{1,3})(:(?P<seed>\d{1,18}))?")
_RANDOM = re.compile(r"random:(?P<columns>[1-9]\d{0,4})(:(?P<seed>\d{1,18}))?")


@dataclass(frozen=True)
class Block:
    """A part of the semantics by its name: ``attributes``, ``attributes:shuffled:3``, ``random:60``."""

    name: str
    """Without a seed of 0, which is the default."""
    array: str | None
    """The array of the data set that it is made of; None for random numbers."""
    columns: int = 0
    """Of random numbers."""
    seed: int | None = None
    """None for the array as it is."""
    noise: float = 0.0
    """Standard deviation of the noise on each column, in standard deviations of the column over the classes."""
    part: float = 0.0
    """Share of the columns that is kept; 0 for a view that keeps all."""


def read_block(text: str, known: Sequence[str]) -> Block | None:
    """What a name stands for, an array of that name before anything else; None where it stands for nothing.

    Args:
        text: the name.
        known: those of the arrays.
    """
    if text in known:
        return Block(text, text)
    if (found := _RANDOM.fullmatch(text)) is not None:
        seed, columns = int(found["seed"] or 0), int(found["columns"])
        return Block(f"random:{columns}{_said(seed)}", None, columns, seed)
    if (found := _SHUFFLED.fullmatch(text)) is not None and found["name"] in known:
        seed = int(found["seed"] or 0)
        return Block(f"{found['name']}{SHUFFLED}{_said(seed)}", found["name"], 0, seed)
    if (noise := read_noise(text, known)) is not None:
        name, amount, seed = noise
        return Block(noise_name(*noise), name, 0, seed, noise=amount)
    if (found := _PART.fullmatch(text)) is not None and found["name"] in known and float(found["share"]) > 0:
        seed, share = int(found["seed"] or 0), float(found["share"])
        return Block(f"{found['name']}:part:{share:g}{_said(seed)}", found["name"], 0, seed, part=share)
    return None


def says_nothing(name: str) -> bool:
    """Whether semantics of this name are controls alone, whatever arrays there are."""
    return all(_SHUFFLED.fullmatch(part) or _RANDOM.fullmatch(part) for part in name.split("+"))


def is_drawn(name: str) -> bool:
    """Whether a block of that name is drawn for each split, whatever arrays there are."""
    return any(form.fullmatch(name) for form in (_RANDOM, _SHUFFLED, _NOISE, _PART))


class Weaker(NamedTuple):
    """A view that says less than the array that it is of."""

    of: str
    kind: Literal["noise", "part"]
    amount: float
    """Of the noise, or the share that is kept."""


def read_weaker(name: str) -> Weaker | None:
    """What the name of such a view says, whatever arrays there are; None for others, and for several at once."""
    if "+" in name:
        return None
    if (found := _NOISE.fullmatch(name)) is not None:
        return Weaker(found["name"], "noise", float(found["amount"]))
    if (found := _PART.fullmatch(name)) is not None:
        return Weaker(found["name"], "part", float(found["share"]))
    return None


def read_noise(text: str, known: Sequence[str]) -> tuple[str, float, int] | None:
    """The array, the amount and the seed of ``NAME:noise:AMOUNT[:SEED]``; None where it is no such name."""
    found = _NOISE.fullmatch(text)
    if found is None or found["name"] not in known or float(found["amount"]) == 0:
        return None
    return found["name"], float(found["amount"]), int(found["seed"] or 0)


def noise_name(name: str, amount: float, seed: int) -> str:
    """The one name of such a view."""
    return f"{name}:noise:{amount:g}{_said(seed)}"


def _said(seed: int) -> str:
    return f":{seed}" if seed else ""


@dataclass(frozen=True)
class Blocks:
    """The blocks of a view's semantics, of which some are drawn for each split."""

    dataset: str
    classes: int
    blocks: tuple[Block, ...]
    arrays: tuple[FloatArray | None, ...]
    """What each is made of, as it is stored."""

    @property
    def controls(self) -> bool:
        """Whether any is drawn."""
        return any(block.seed is not None for block in self.blocks)

    def drawn(self, split: str = "") -> list[FloatArray]:
        """(C, A) of each block for a split of that id; for none, which is what the view's hash is of, without one.

        Blocks of one seed are shuffled alike, so that a class gets all that another is described by.
        """
        return [self._drawn(block, array, split) for block, array in zip(self.blocks, self.arrays, strict=True)]

    def columns(self, split: str = "") -> IntArray | None:
        """Which columns a split has, of all side by side; None where no view leaves any out."""
        if not any(block.part for block in self.blocks):
            return None
        kept, before = [], 0
        for block, array in zip(self.blocks, self.arrays, strict=True):
            width = block.columns if array is None else array.shape[1]
            kept.append(before + self._part(block, width, split))
            before += width
        return np.concatenate(kept)

    def _part(self, block: Block, columns: int, split: str) -> IntArray:
        """The columns of one block that a split has, ascending."""
        if not block.part:
            return np.arange(columns)
        rng = np.random.default_rng(derive_seed("columns", self.dataset, split, block.seed))
        return np.sort(rng.permutation(columns)[: max(1, round(block.part * columns))])

    def _drawn(self, block: Block, array: FloatArray | None, split: str) -> FloatArray:
        if block.seed is None:
            assert array is not None
            return array
        if array is not None and block.part:
            return array[:, self._part(block, array.shape[1], split)]
        if array is not None and block.noise:
            rng = np.random.default_rng(derive_seed("noise", self.dataset, split, block.seed))
            spread = array.std(axis=0, dtype=np.float64)
            noisy: FloatArray = (array + block.noise * spread * rng.standard_normal(array.shape)).astype(np.float32)
            return noisy
        rng = np.random.default_rng(derive_seed("semantics", self.dataset, split, block.seed))
        if array is None:
            return rng.standard_normal((self.classes, block.columns)).astype(np.float32)
        return array[rng.permutation(self.classes)]
