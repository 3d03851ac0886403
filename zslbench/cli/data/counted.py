"""How many classes a data set has, in words."""

from collections.abc import Sequence


def counted(classes: int, without_images: Sequence[str]) -> str:
    """``8 classes``, or ``8 classes and 2 described alone``.

    Args:
        classes: all of them.
        without_images: those that are described and have no image.
    """
    alone = f" and {len(without_images)} described alone" if without_images else ""
    return f"{classes - len(without_images)} classes{alone}"
