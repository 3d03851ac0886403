"""The interface of a zero-shot learning method.

A method is a class with metadata (`info`), a frozen dataclass of hyper-parameters (`Config`) and two
functions, `fit` and `scorers`. The harness hands `fit` everything the method may see and nothing else: the
training object does not hold a test image or a test label, so a method cannot leak them by mistake.

Importing this module imports neither torch nor ray.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from zslbench._types import BoolArray, FloatArray, IntArray
from zslbench.bibtex import first_key
from zslbench.hashing import derive_seed
from zslbench.terms import FEW, NAMED, TEST_LABELS, UNLABELLED, UNSEEN_SEMANTICS, track_of

if TYPE_CHECKING:
    import torch

Family = Literal["linear", "bilinear", "alignment", "generative", "embedding", "foundation", "bound"]

Done = TypeVar("Done")

Scorer = Callable[..., Any]
"""``features (N, D) -> scores (N, K)``: higher is better, one column per candidate, rows independent of one
another. A method that is handed maps in training receives maps (N, P, D) as a second argument. A
function will do; see `TwoStepScorer` for scorers that share a costly first step."""


@runtime_checkable
class TwoStepScorer(Protocol):
    """A scorer that says which part of its work other scorers do too.

    Where several epochs look at one representation of an image (the encoder is fixed and the classifier on top of it is
    trained, say), their scorers hold the very same object as `represent`. The harness then calls it once per block of
    test images and hands what it returns to each `score`; a method keeps no test images itself. Any object with these
    two attributes will do, and calling it must give ``score(represent(...))``, so that it is a `Scorer` like any other.
    """

    @property
    def represent(self) -> Callable[..., Any]:
        """``features (N, D)``, and maps where a scorer gets them, to anything that holds the representation of each.

        It is kept while the scorers are called, beside the images, so it should not be many times larger than they.
        """

    @property
    def score(self) -> Callable[[Any], Any]:
        """What `represent` returned to scores (N, K)."""

    def __call__(self, *inputs: Any) -> Any:
        """Both steps."""


@dataclass(frozen=True)
class MethodInfo:
    """What a leaderboard says about a method besides its numbers."""

    name: str
    """As typed on the command line; equals the entry point's name."""
    title: str
    family: Family
    citation: str
    """BibTeX; an empty string for a method without a publication."""
    version: int = 1
    """Raise it whenever the same configuration would give other numbers: stored results are then not mixed."""
    uses_unseen_semantics: bool = False
    """Whether `fit` looks at the semantics of unseen classes ("semantic-transductive")."""
    needs_maps: bool = False
    uses_maps: bool = False
    """Whether it is handed feature maps where the data set has them, and does without elsewhere."""
    needs_attributes: bool = False
    """Whether the columns of the semantics must be named attributes rather than any embedding."""
    needs_joint_space: bool = False
    """Whether semantics and features must live in one space (CLIP's), as the data set's card must say."""
    uses_rehearsal: bool = False
    """Whether `fit` plays the split's validation classes as unseen, to choose something on them."""
    reads_blocks: bool = False
    """Whether `fit` slices the features instead of taking them whole, so that they may be larger than memory."""
    uses_gpu: bool = False
    """Whether it computes on the trial's device; others run on the CPU beside those that do, and are recorded so."""
    pretrained_on_names: bool = False
    """Whether the features' pre-training may have named the unseen classes (the CLIP family)."""
    needs_shots: bool = False
    """Whether it learns each class from labelled images of it, so that it is nothing without some of unseen classes."""
    transductive: bool = False
    """Whether it looks at the images to be classified, all at once and without labels."""
    oracle: bool = False
    """Whether its semantics are replaced by mean visual features, unseen test images included: bounds only."""

    @property
    def citation_key(self) -> str:
        """The key of the BibTeX entry, ``chen2023mcfa``; empty without one."""
        return first_key(self.citation)

    @property
    def needs(self) -> list[str]:
        """What it needs or uses beyond the features and semantics of seen classes, in words."""
        said = {
            UNSEEN_SEMANTICS: self.uses_unseen_semantics,
            "feature maps": self.needs_maps,
            "feature maps if any": self.uses_maps and not self.needs_maps,
            "attributes": self.needs_attributes,
            "joint space": self.needs_joint_space,
            NAMED: self.pretrained_on_names,
            "validation classes": self.uses_rehearsal,
            UNLABELLED: self.transductive,
            FEW: self.needs_shots,
            TEST_LABELS: self.oracle,
        }
        return [name for name, needed in said.items() if needed]

    @property
    def track(self) -> str:
        """In which table it is ranked; see `zslbench.terms.track_of`."""
        return track_of(self.needs)


def _no_progress(done: int, total: int) -> None:
    """Ignore progress."""


def _no_remark(how: str) -> None:
    """Ignore how it runs."""


@dataclass(frozen=True)
class TrainingData:
    """All that a method may see while it is fitted.

    Labels index the rows of `semantics`: 0 to S-1 are the seen classes. In a k-shot trial k labelled images of every
    unseen class follow as further rows of `features` and `labels`; their labels, S to S+U-1, index further rows of
    `semantics`, and `few` marks them. A method that learns from all its training rows alike need not look at it.
    Arrays are read-only.
    """

    features: FloatArray
    """(N, D) visual features of the training images. A method that declares ``reads_blocks`` gets an object with
    `shape` and `len` whose slices ``features[a:b]`` are such arrays, read when they are asked for."""
    labels: IntArray
    """(N,) in 0..S-1, or to S+U-1 in a k-shot trial."""
    semantics: FloatArray
    """(S, A) one row per seen class; (S+U, A) in a k-shot trial."""
    seed: int
    """From the data set, the split and the trial's seed; see `rng` and `torch_generator`."""
    unseen_semantics: FloatArray | None = None
    """(U, A), only for methods that declare ``uses_unseen_semantics``; in a k-shot trial `semantics` has them too."""
    unlabelled: FloatArray | None = None
    """(M, D) the images to be classified, those of seen and of unseen classes mixed in an order that says nothing;
    only for methods that declare ``transductive``. `Candidates` has those of each setting."""
    maps: FloatArray | None = None
    """(N, P, D) local features, only for methods that declare ``needs_maps`` or ``uses_maps``."""
    few: BoolArray | None = None
    """(N,) which rows, the last ones, are the labelled images of unseen classes; None where there are none."""
    attribute_groups: tuple[str, ...] | None = None
    """The group of each semantic column where the data set names them, for methods that use groups."""
    rehearsal: Rehearsal | None = None
    """The same game one level down, only for methods that declare ``uses_rehearsal``; None where the training
    classes are too few to set some aside."""
    device: str = "cpu"
    progress: Callable[[int, int], None] = _no_progress
    """Call it with (epochs done, epochs in all)."""
    runs_as: Callable[[str], None] = _no_remark
    """Call it with how the fit is computed where that is not step by step, as in ``CUDA graph``, or why it is after
    all: a few words for the trial's record. A stack is said by the harness."""

    @property
    def seen_classes(self) -> int:
        """S, the number of seen classes."""
        return len(self.semantics) - (0 if self.few is None else len(np.unique(self.labels[self.few])))

    def without_few(self) -> TrainingData:
        """The images and semantics of seen classes alone, as if there were no shots."""
        if self.few is None:
            return self
        seen, S = len(self.labels) - int(self.few.sum()), self.seen_classes
        return replace(
            self, features=self.features[:seen], labels=self.labels[:seen], semantics=self.semantics[:S],
            maps=None if self.maps is None else self.maps[:seen], few=None,
        )  # fmt: skip

    def rng(self, purpose: str) -> np.random.Generator:
        """A NumPy generator that depends on the trial and the purpose alone."""
        return np.random.default_rng(derive_seed(self.seed, purpose))

    def torch_generator(self, purpose: str) -> torch.Generator:
        """A torch generator on the CPU that depends on the trial and the purpose alone.

        It stays on the CPU so that the same numbers are drawn whatever the device.
        """
        import torch

        return torch.Generator().manual_seed(derive_seed(self.seed, purpose))

    def tensor(self, array: Any) -> torch.Tensor:
        """A copy of `array`, or of a tensor of the CPU, on the trial's device (the arrays here are read-only)."""
        import torch

        copy = torch.tensor(np.asarray(array))
        if self.device.startswith("cuda"):  # from memory that stays in its place, so that nobody waits for it
            copy = copy.pin_memory()
        return copy.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Rehearsal:
    """A trial within the training images: some seen classes play unseen, and images of the others are held out."""

    train: TrainingData
    candidates: Candidates
    """The remaining seen classes, then the validation classes."""
    features: FloatArray
    """(M, D) held-out images of all candidates; no test image is among them."""
    columns: IntArray
    """(M,) the candidate that each image belongs to."""
    maps: FloatArray | None = None
    """(M, P, D), for methods that use maps."""

    @property
    def inputs(self) -> list[FloatArray]:
        """What a scorer is called with: the features, and the maps where there are any."""
        return [self.features] if self.maps is None else [self.features, self.maps]


@dataclass(frozen=True)
class Candidates:
    """The classes that a score matrix has columns for, in order."""

    semantics: FloatArray
    """(K, A)."""
    seen: IntArray
    """(K,) the class's label in the training data, or -1 for an unseen class."""
    unlabelled: FloatArray | None = None
    """(M, D) the images of these classes that are to be classified, in an order that says nothing; only for methods
    that declare ``transductive``, whose scorers are given rows of it and no other image."""
    few: IntArray | None = None
    """(K,) of an unseen class with a few labelled images, the label of these in the training data; -1 for any other.
    None where there are no such images. See `trained`."""

    def __len__(self) -> int:
        return len(self.seen)

    @property
    def trained(self) -> IntArray:
        """(K,) the class's label in the training data, where it has any image there, few or many; -1 where not."""
        return self.seen if self.few is None else np.maximum(self.seen, self.few)

    def of(self, chosen: Any) -> Candidates:
        """Some of the candidates: by a mask (K,), or by their numbers."""
        few = None if self.few is None else self.few[chosen]
        return replace(self, semantics=self.semantics[chosen], seen=self.seen[chosen], few=few)

    @property
    def generalized(self) -> bool:
        """Whether seen classes are candidates too (GZSL)."""
        return bool((self.seen >= 0).any())

    @property
    def images(self) -> FloatArray:
        """The images to be classified, `unlabelled`, for a method that cannot do without.

        Raises:
            ValueError: there are none, which is the caller's fault.
        """
        if self.unlabelled is None:
            raise ValueError("a transductive method needs candidates.unlabelled.")
        return self.unlabelled


class Method(ABC):
    """Base class of all methods.

    >>> from dataclasses import dataclass
    >>> from zslbench import Method, MethodInfo, param
    >>> class Nearest(Method):
    ...     info = MethodInfo(name="nearest", title="Nearest semantics", family="linear", citation="")
    ...
    ...     @dataclass(frozen=True)
    ...     class Config:
    ...         ridge: float = param(1.0, "weight of the L2 penalty", gt=0)
    ...
    ...     def fit(self, train):
    ...         X, S = train.features, train.semantics[train.labels]
    ...         eye = self.config.ridge * np.eye(X.shape[1], dtype=X.dtype)
    ...         self.W_ = np.linalg.solve(X.T @ X + eye, X.T @ S)
    ...
    ...     def scorers(self, candidates):
    ...         yield lambda features: features @ self.W_ @ candidates.semantics.T
    """

    info: ClassVar[MethodInfo]
    Config: ClassVar[type]

    def __init__(self, config: Any = None) -> None:
        self.config = self.Config() if config is None else config

    @abstractmethod
    def fit(self, train: TrainingData) -> None:
        """Learn from seen classes. Called once, before any call of `scorers`."""

    @abstractmethod
    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield scoring functions for these candidates; the last one is the final model.

        The earlier ones are the states after each epoch of the stage in which the publication chose its
        epoch; a closed-form method yields one. Each is called before the next is asked for, on the same test
        images; what they share of their work is done once if they say so (see `TwoStepScorer`). Called once for
        the unseen classes (ZSL) and once for all classes (GZSL), in any order.
        """

    @classmethod
    def stack(cls, device: str) -> int:
        """How many trials ``stack=auto`` fits as one program on this device, ``cpu`` or ``cuda``.

        1, the default: they run singly, because the method has no `fit_many` of its own or was not measured to be
        faster with it.
        """
        return 1

    @classmethod
    def stackable(cls, config: Any) -> Hashable:
        """What the configurations of trials must have in common for these to be fitted side by side.

        By default every parameter that is no float, and which floats are zero (a loss of weight zero is left out):
        configurations that differ in numbers only run side by side.
        """
        found = ((each.name, getattr(config, each.name)) for each in fields(config))
        return tuple((name, value != 0 if isinstance(value, float) else value) for name, value in found)

    @classmethod
    def fit_many(cls, trains: Sequence[TrainingData], configs: Sequence[Any]) -> list[Self | Exception]:
        """Fit the method to each training set with its configuration, side by side; by default one after the other.

        The training arrays have equal shapes, and `stackable` says the same of all configurations. A trial must give
        equal numbers in every place and in any company, if only so many are fitted at a time.

        Returns:
            In order the fitted methods; or, for one that cannot be fitted (its weights became NaN, say), the error that
            it alone died of. What concerns all is raised: the harness then runs them in smaller numbers.
        """

        return [by_itself(cls._fitted, train, config) for train, config in zip(trains, configs, strict=True)]

    @classmethod
    def _fitted(cls, train: TrainingData, config: Any) -> Self:
        method = cls(config)
        method.fit(train)
        return method


def by_itself(work: Callable[..., Done], *arguments: Any) -> Done | Exception:
    """What some work on one of several trials gives, or the error that this trial alone dies of.

    Raises:
        Exception: memory ran out, which concerns all of them.
    """
    try:
        return work(*arguments)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, Python's or a device's: torch's error, which need not be imported, by its name."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
