"""What things are called: metrics and selection rules, and what they mean. Imports nothing, so nobody needs a copy."""

from collections.abc import Iterable, Sequence
from typing import Literal

ZSL_METRICS = ("T1", "OA")
"""Per-class and overall accuracy where the unseen classes alone are candidates."""
GZSL_METRICS = ("S", "U", "H", "AUSUC")
"""Where all classes are: per-class accuracy on seen and unseen ones, their harmonic mean, area under their curve."""
METRICS = (*ZSL_METRICS, *GZSL_METRICS)
OPEN_METRICS = ("AUROC", "OpenworldAUC")
"""Where seen and unseen images are to be told apart, in pairs of one each: whether the margin does it, and whether both
are given their right class as well. Shown where they are asked for; records of earlier versions have none."""
LEADS = {"zsl": "T1", "gzsl": "H"}
"""The metric by which an epoch is chosen in each setting."""
BUDGET_METRICS = (LEADS["gzsl"], LEADS["zsl"], "AUSUC")
"""Those by which validation classes may choose among configurations, the usual one first."""

DEFAULT_STORE = "results"
"""The folder of stored trials where nothing else is said."""
MODEL_SUFFIX = ".zsl"
"""Of a model file: a name that nothing else has is not overwritten by mistake."""
Saved = Literal["none", "best", "all"]
SAVED: tuple[Saved, ...] = ("none", "best", "all")
"""Which fitted models of a run are kept."""

Selection = Literal["last", "val", "test-max"]
SELECTIONS: tuple[Selection, ...] = ("last", "val", "test-max")
EPOCHS: dict[str, str] = {
    "last": "last epoch",
    "val": "epoch chosen on validation classes",
    "test-max": "epoch chosen on the TEST set: an oracle, not a result",
}
"""Which epoch counts, in words."""

STRICT = "strict"
"""The track of methods that are fitted on the images and semantics of seen classes, and on nothing else."""
UNSEEN_SEMANTICS, NAMED, UNLABELLED = "unseen semantics", "pre-training on names", "unlabelled test images"
"""What else a method may declare to use, as tables put it."""
FEW = "labelled images of unseen classes"
"""What a plain classifier needs, in words; no track of its own, since it is ranked in none."""
TEST_LABELS = "labelled test images"
"""What a bound uses that is told the answers: ideal semantics."""
TRACKS = {UNSEEN_SEMANTICS: "unseen-semantics", NAMED: "pre-trained", UNLABELLED: "transductive"}
"""What is used -> the track that this makes of a method."""


def track_of(needs: Iterable[str]) -> str:
    """In which track a method is compared: with those that use the same, and with no other.

    Args:
        needs: what it declares to need or use beyond the features and semantics of seen classes, in words.

    Returns:
        ``strict``, or what the method uses more, as ``pre-trained`` or ``pre-trained+transductive``.
    """
    used = set(needs)
    return "+".join(track for need, track in TRACKS.items() if need in used) or STRICT


def track_in_words(track: str) -> str:
    """What methods of a track use beyond the features and semantics of seen classes."""
    used = [need for need, name in TRACKS.items() if name in track.split("+")]
    return f"fitting uses {' and '.join(used) if used else 'seen classes alone'}"


def in_shots(shots: int) -> str:
    """``, 5-shot``, to stand behind the name of a split or a track; nothing without shots."""
    return f", {shots}-shot" if shots else ""


def best_epoch(values: Sequence[float]) -> int:
    """Index of the highest value; the last one among equals (a single validation class says nothing in ZSL)."""
    return len(values) - 1 - values[::-1].index(max(values))
