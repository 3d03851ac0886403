"""The stacks that no worker has yet, in order, counted by lane: who asks often need not look at 100,000 of them."""

from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Generic, TypeVar

from zslbench.runner.stacks import Stack

Lane = TypeVar("Lane")


class Waiting(Generic[Lane]):
    """A queue of stacks with the number of each one's attempt.

    Args:
        lane_of: in which lane a stack waits.
    """

    def __init__(self, lane_of: Callable[[Stack], Lane]) -> None:
        self._lane_of = lane_of
        self._stacks: deque[tuple[Stack, int]] = deque()
        self.lanes: Counter[Lane] = Counter()
        """How many wait in each; lanes without any are not there."""

    def __len__(self) -> int:
        return len(self._stacks)

    def add(self, stacks: Iterable[Stack]) -> None:
        """At the end, for their first attempt."""
        for stack in stacks:
            self._stacks.append((stack, 1))
            self.lanes[self._lane_of(stack)] += 1

    def join(self, stacks: Sequence[Stack], attempt: int = 1) -> None:
        """Before all others, in their order."""
        for stack in reversed(stacks):
            self.again(stack, attempt)

    def again(self, stack: Stack, attempt: int) -> None:
        """At the front."""
        self._stacks.appendleft((stack, attempt))
        self.lanes[self._lane_of(stack)] += 1

    def first(self, lanes: Container[Lane]) -> int | None:
        """The place of the first stack that waits in one of these lanes; None if none does."""
        if not any(lane in lanes for lane in self.lanes):
            return None
        return next(place for place, (stack, _) in enumerate(self._stacks) if self._lane_of(stack) in lanes)

    def take(self, place: int) -> tuple[Stack, int]:
        """The stack there, which waits no longer, and the number of its attempt."""
        stack, attempt = self._stacks[place]
        del self._stacks[place]
        lane = self._lane_of(stack)
        self.lanes[lane] -= 1
        if not self.lanes[lane]:
            del self.lanes[lane]
        return stack, attempt
