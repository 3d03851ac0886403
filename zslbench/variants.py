"""What may be made of any method by adding to its name: ``NAME+cal``, ``NAME+gate``, ``NAME+propagate``."""

from collections.abc import Callable

from zslbench.calibration import CALIBRATED, calibrated
from zslbench.errors import InputError
from zslbench.gating import GATED, gated
from zslbench.methods import Method
from zslbench.propagation import PROPAGATED, propagated

VARIANTS: dict[str, Callable[[type[Method]], type[Method]]] = {
    CALIBRATED: calibrated, GATED: gated, PROPAGATED: propagated,
}  # fmt: skip
"""What is added to a name -> what makes the method."""


def base_name(name: str) -> str:
    """Of ``NAME+cal`` NAME; of any other method its own name."""
    return name.partition("+")[0]


def additions(name: str) -> list[str]:
    """What is added to a method's name, in order.

    Raises:
        InputError: something else than `VARIANTS`.
    """
    found = [f"+{each}" for each in name.split("+")[1:]]
    for addition in found:
        if addition not in VARIANTS:
            raise InputError(f"method {name!r} ends in {addition!r}: {', '.join(VARIANTS)} may be added to a method.")
    return found


def made_of(base: type[Method], name: str) -> type[Method]:
    """The method `base` with all that is added to it in `name`.

    Raises:
        InputError: it cannot be added to that method.
    """
    for addition in additions(name):
        base = VARIANTS[addition](base)
    return base
