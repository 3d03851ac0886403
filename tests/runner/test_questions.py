"""Trials that run are asked how far they are, however many they are, without that taking the driver's time."""

from types import SimpleNamespace
from typing import Any

from zslbench.runner.pool import _QUESTIONS, Pool


def test_trials_are_asked_in_turn() -> None:
    """So many at a time; in as few looks as it takes each one has been asked, and none twice before."""
    asked: list[int] = []

    def task(number: int) -> Any:
        news = SimpleNamespace(remote=lambda _: asked.append(number))
        return SimpleNamespace(
            asked=None, looked=0.0, printed="", actor=SimpleNamespace(handle=SimpleNamespace(news=news))
        )

    tasks = {number: task(number) for number in range(2 * _QUESTIONS + 5)}
    driver: Any = SimpleNamespace(tasks=tasks, ray=None)
    for look in range(3):
        Pool._look(driver)
        assert len(asked) == min(len(tasks), (look + 1) * _QUESTIONS) or look == 2
        for each in tasks.values():
            each.asked = None
    assert set(asked[: len(tasks)]) == set(tasks)
