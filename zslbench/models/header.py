"""What a model file says of itself."""

from typing import Any, Final

import msgspec

from zslbench.datasets.card import FeatureCard
from zslbench.records import Trial

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
        shares = [sum(self.right[: count + 1]) / (count + 1) for count in range(len(self.right))]
        enough = [p for p, share in zip(self.probabilities, shares, strict=True) if share >= accuracy]
        return min(enough, default=self.probabilities[0] if self.probabilities else 0.0)


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
    confidence: Confidence | None
