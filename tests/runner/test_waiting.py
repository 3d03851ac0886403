"""Jobs that wait, counted by lane, against a plain list that is looked through each time."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from stores import jobs

from zslbench.registry import Registry
from zslbench.runner.waiting import Waiting

JOBS = jobs(methods=("a", "b", "c"), splits=4)
steps = st.lists(st.tuples(st.sampled_from(["take", "again"]), st.sets(st.sampled_from("abc"))), max_size=30)


def lane(job: Any) -> str:
    """The method's name stands for it."""
    return str(job.trial.method)


@given(st.lists(st.sampled_from(JOBS), max_size=12), steps)
def test_it_is_a_list_with_a_count(queued: list[Any], taken: list[tuple[str, set[str]]]) -> None:
    """Whatever is taken and put back, the first job of some lanes and every count are those of the list."""
    waiting, plain = Waiting(lane), [(job, 1) for job in queued]
    waiting.add(queued)
    last = None
    for step, lanes in taken:
        if step == "again" and last is not None:
            waiting.again(last[0], last[1] + 1)
            plain.insert(0, (last[0], last[1] + 1))
            last = None
            continue
        expected = next((place for place, (job, _) in enumerate(plain) if lane(job) in lanes), None)
        assert waiting.first(lanes) == expected
        if expected is not None:
            last = waiting.take(expected)
            assert last == plain.pop(expected)
        assert waiting.lanes == Counter(lane(job) for job, _ in plain)
        assert len(waiting) == len(plain)


def test_a_package_is_asked_for_its_name_once(monkeypatch: Any) -> None:
    """The owner of a method is asked of every trial, and reading the metadata of a package takes a while."""
    from zslbench import registry

    asked: list[str] = []
    monkeypatch.setattr(registry, "_package", lambda point: asked.append(point.name) or "")
    known = Registry()
    for _ in range(5):
        assert known.owner("eszsl") == known.owner("eszsl+cal") == ""
    assert asked == ["eszsl"]
