"""Weights that change from epoch to epoch. Imports no torch."""


def warm_up(epoch: int, start: int, end: int, final: float) -> float:
    """A loss weight that is 0 until epoch `start`, grows linearly and stays `final` from epoch `end` on."""
    if epoch >= end:
        return final
    return final * (epoch - start) / (end - start) if epoch > start else 0.0
