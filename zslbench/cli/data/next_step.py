"""What to type once a data set is there."""

from collections.abc import Sequence
from pathlib import Path

from zslbench.shelltext import command


def first_run(folder: str, split_families: Sequence[str]) -> str:
    """A run on a new data set that ends soon, as it can be pasted."""
    words = ["--dataset", folder if Path(folder).is_absolute() else f"./{folder}"]
    if not split_families:
        words += ["--split-family", "S/U"]
    elif split_families[0].startswith("1/"):  # a single seen class leaves none for validation
        words.append("--no-validation")
    return command("zslbench", "run", "--methods", "eszsl,projection", *words)
