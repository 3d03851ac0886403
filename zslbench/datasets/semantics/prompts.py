"""Named sets of prompts for class names, and prompts that say something random: the control of descriptions.

Descriptions of classes raise the accuracy of CLIP-like models. How much of that is what they say, and how much that
there are several texts of the kind? WaffleCLIP (Roth et al., ICCV 2023; github.com/ExplainableML/WaffleCLIP, 7a1b8ee,
MIT) answers with random ones: each class name in a prompt, followed by random words or letters of the shape of class
names, the same ones for every class. Descriptions that are no better than these say nothing that the model uses.

The words here are a list of our own, of everyday things that are no land cover; those of the publication are another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zslbench.hashing import derive_seed

PROMPT = "an aerial image of a {}"
SETS: dict[str, tuple[str, ...]] = {
    "bare": ("{}",),
    "photo": ("a photo of a {}.",),
    "aerial": (
        PROMPT,
        "a satellite image of a {}",
        "an aerial photo of a {}",
        "a {} seen from above",
        "an overhead view of a {}",
        "a bird's-eye view of a {}",
        "a remote sensing image that shows a {}",
        "a high resolution aerial image of one {}",
        "land with a {}, from the air",
        "a scene of {} in a satellite photo",
    ),
}
"""Name -> prompts; their vectors are averaged."""
SUFFIXES = 15
"""Of words, and as many of letters."""
_LIST = """
spoon violin candle mirror button ladder pencil basket hammer saddle kettle ribbon lantern anchor pillow compass
drum whistle needle curtain trumpet wallet marble thimble cradle bottle feather jacket puzzle teapot bracelet camera
dumpling pepper walnut biscuit ginger lemon honey pickle noodle waffle cinnamon cabbage oyster badger falcon ferret
hedgehog lobster magpie octopus panther rabbit salmon turtle walrus weasel zebra sonnet rumour holiday thunder
whisper Tuesday courage laughter memory parable quarrel riddle silence proverb melody jester admiral barber dancer
painter sailor tailor wizard velvet copper amber scarlet crimson silken hollow gentle clever sudden early
"""
RANDOM_WORDS = tuple(_LIST.split())


def waffled(names: Sequence[str], seed: int) -> list[str]:
    """Prompts for class names, as they are spoken, each with a random suffix: of words, and of letters.

    A suffix has as many words as the names on average; one of letters has words of the names' average length.

    Args:
        names: of all classes; no more than their shape is looked at.
        seed: of the draw.
    """
    rng = np.random.default_rng(derive_seed("random suffixes", seed))
    words = [word for name in names for word in name.split()]
    count = max(1, round(len(words) / len(names)))
    length = max(1, round(sum(map(len, words)) / max(1, len(words))))
    alphabet = list("abcdefghijklmnopqrstuvwxyz")
    said = [" ".join(rng.choice(RANDOM_WORDS, count)) for _ in range(SUFFIXES)]
    spelt = [" ".join("".join(rng.choice(alphabet, length)) for _ in range(count)) for _ in range(SUFFIXES)]
    return [f"{PROMPT}, which has {suffix}." for suffix in said + spelt]
