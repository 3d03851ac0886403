"""Weights of losses, which may change from epoch to epoch. Imports no torch."""


def warm_up(epoch: int, start: int, end: int, final: float) -> float:
    """A loss weight that is 0 until epoch `start`, grows linearly and stays `final` from epoch `end` on."""
    if epoch >= end:
        return final
    return final * (epoch - start) / (end - start) if epoch > start else 0.0


def given(weight: object) -> bool:
    """Whether a term of a loss has a weight: a number other than zero, or a tensor, which stands for such numbers.

    Use it in place of ``if weight:``, which cannot be asked where a step is recorded, or computed for several trials.
    """
    return not isinstance(weight, (int, float)) or weight != 0
