"""What a model file says of itself."""

import math
from typing import Any, Final

import msgspec

from zslbench.classnames import check_class_names
from zslbench.datasets.card import FeatureCard
from zslbench.errors import InputError
from zslbench.records import Trial
from zslbench.terms import METRICS

FORMAT: Final = 1


class Confidence(msgspec.Struct, frozen=True):
    """How sure the model was of held-out training images, some of classes that played unseen, and how right.

    Scores become probabilities by softmax(scores / temperature), with the temperature of the highest likelihood there.
    """

    temperature: float
    probabilities: list[float]
    """Of the class that was chosen, image by image, the surest first."""
    right: list[bool]
    error: float
    """Expected calibration error over 15 bins of equal width (Guo et al., ICML 2017), on the same images."""

    def threshold(self, accuracy: float) -> float:
        """The lowest probability at which all answers that are as sure were right at this rate.

        Answers as sure as the surest are given where none reaches the rate.
        """
        found = self._lowest(accuracy)
        return found if found is not None else max(self.probabilities, default=0.0)

    def reaches(self, accuracy: float) -> bool:
        """Whether the surest answers were right at this rate, however few are taken."""
        return self._lowest(accuracy) is not None

    def _lowest(self, accuracy: float) -> float | None:
        lowest, correct = None, 0
        for count, (p, right) in enumerate(zip(self.probabilities, self.right, strict=True), 1):
            correct += right
            last = count == len(self.probabilities) or self.probabilities[count] < p  # of those that are as sure
            if last and correct >= accuracy * count:
                lowest = p
        return lowest


class RestsOn(msgspec.Struct, frozen=True):
    """How many images and classes a validation estimate rests on."""

    seen_images: int
    seen_classes: int
    unseen_images: int
    """Of the classes that played unseen."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """All that is to be known of a fitted model but its numbers."""

    format: int = FORMAT
    zslbench: str
    method: str
    method_version: int
    source: str
    """SHA-256 of the plugin that defines the method; empty for an installed one."""
    label: str
    """The method with its changed parameters."""
    config: dict[str, Any]
    needs: list[str]
    dataset: str
    title: str
    licence: str
    hashes: dict[str, str]
    """SHA-256 of the arrays that it was fitted on."""
    features: str
    width: int
    """D."""
    card: FeatureCard
    """How images become features."""
    provenance: dict[str, Any]
    """Of the data set: the backbone, its weights, the versions that encoded."""
    semantics: str
    columns: list[str] | None
    """Names of the attributes; None for an embedding."""
    attributes: int
    """A."""
    maps: str = ""
    """The feature maps that the method looks at beside the features; empty for none."""
    cells: tuple[int, int] | None = None
    """(P, D') of an image's maps."""
    classes: list[str]
    """Those with images, and those without that it was fitted to tell from them; of a split its own alone."""
    seen: list[bool]
    """Whether the model was fitted on images of a class."""
    images: int
    """That it was fitted on."""
    few: int = 0
    """How many of these are of classes that are unseen in the split: the labelled ones of a k-shot trial."""
    split: str
    """``16/5#3``: that it was fitted on the training images of; empty where it was fitted on all."""
    seed: int
    trial: Trial | None = None
    """The trial of a run that it was measured in; None for a model of `zslbench fit`."""
    fitted: str
    """UTC, ISO 8601; empty for a trial's model, whose record says it: the file is the same wherever the trial ran."""
    measured: dict[str, float] | None
    """T1, OA, S, U, H and AUSUC as fractions in the validation stage of the same images; None where it was not
    played."""
    played: int
    """How many classes played unseen there; 0 where it was not played."""
    tested: RestsOn | None = None
    """On how many images; None where it was not played, or by a version that did not say."""
    confidence: Confidence | None

    @property
    def kinds(self) -> list[str]:
        """Of each class: ``seen``, ``unseen``, or ``few`` where the model was fitted on k images of it alone."""
        other = "few" if self.few or (self.trial is not None and self.trial.shots) else "unseen"
        return ["seen" if seen else other for seen in self.seen]

    @property
    def chance(self) -> dict[str, float]:
        """What guesses are expected to reach where `measured` was found."""
        among_all = 1 / sum(self.seen)
        return {"T1": 1 / self.played, "S": among_all, "U": among_all, "H": among_all} if self.played else {}


def problem(header: Header) -> str:
    """What no model says of itself, in a few words; empty where all is well.

    A header that was written by hand can be read and still be nonsense, on which everything else would stumble.
    """
    try:
        if check_class_names(header.classes, "classes") != tuple(header.classes):
            return "names of classes are not in Unicode's composed form"
    except InputError as error:
        return str(error).rstrip(".")
    if len(header.seen) != len(header.classes) or sum(header.seen) < 2:
        return f"{sum(header.seen)} of {len(header.classes)} classes are seen"
    if header.columns is not None and len(header.columns) != header.attributes:
        return f"{len(header.columns)} attributes are named, and {header.attributes} numbers describe a class"
    if min(header.width, header.attributes, *(header.cells or (1,))) < 1 or min(header.images, header.played) < 0:
        return "it counts less than nothing"
    if not 0 <= header.few <= header.images or header.played > sum(header.seen):
        return "it counts more than all"
    if header.tested is not None and min(msgspec.structs.astuple(header.tested)) < 1:
        return "it counts less than nothing"
    size = header.provenance.get("batch_size", 1)
    if type(size) is not int or size < 1:
        return "images were encoded in batches of no size"
    if header.measured is not None and not all(0 <= header.measured.get(name, -1) <= 1 for name in METRICS):
        return f"{', '.join(METRICS)} from 0 to 1 were measured, or nothing"
    if header.measured is not None and not header.played:
        return "it was measured, and no class played unseen"
    if (sure := header.confidence) is not None:
        if not (0 < sure.temperature < math.inf and 0 <= sure.error <= 1) or len(sure.right) != len(sure.probabilities):
            return "its confidence is none"
        if not all(0 <= p <= 1 for p in sure.probabilities):
            return "a probability is not from 0 to 1"
    return ""
