"""A step that is recorded once and replayed: a CUDA graph.

A step of these methods is some fifty kernels of a few microseconds each; telling the GPU to run them one by one takes
several times as long. What a step reads therefore lies in fixed places on the device: the tables of a piece, which are
copied there once, and the number of the step, which the graph itself raises. Replaying it then needs nothing of the
CPU but the word.

Not yet run on a GPU: written from torch's documentation of CUDA graphs, and tested on the CPU with a stand-in for the
recording (tests/methods/test_trainer.py). benchmarks/gpu/check.py compares it with single steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from zslbench_methods.common.trainer import Course

WARM_UP = 3
"""So many steps run before one is recorded, as torch asks: libraries and optimizers make their working memory."""


class Replay:
    """A step that reads and writes fixed places, called again and again."""

    def __init__(self, step: Callable[[], None], said: Callable[[str], None] = lambda how: None) -> None:
        """Take the step, and whom to tell how it runs."""
        self._step, self._said = step, said
        self._stream, self._left = torch.cuda.Stream(), WARM_UP  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._refused = False

    def __call__(self) -> None:
        """One step."""
        if self._graph is None and not self._refused and not self._left:
            self._record()
        if self._graph is not None:
            self._graph.replay()
        elif self._refused:
            self._step()
        else:
            self._left -= 1
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                self._step()
            torch.cuda.current_stream().wait_stream(self._stream)

    def _record(self) -> None:
        """Record a step, which computes nothing; where that fails, go on step by step."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._step()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._refused = True
            first = str(error).strip().splitlines()
            self._said(f"step by step: no CUDA graph ({first[0][:120] if first else type(error).__name__})")
        else:
            self._graph = graph
            self._said("CUDA graph")


class Recorded:
    """Computes the steps of a piece from a graph; like `trainer.StepByStep`."""

    def __init__(self, course: Course) -> None:
        self.course, self.done = course, 0
        self._changing = [optimizer for optimizer in course.optimizers if optimizer.rates(0)]
        self._tables: Any = None
        self._weights: Any = None
        self._form: Any = None
        self._at = torch.zeros(1, dtype=torch.long, device=course.members[0].train.device)
        self._replay: Callable[[], None] = self._step

    def __call__(self, piece: tuple[Tensor, ...], weights: Any) -> None:
        """All steps of the piece."""
        steps = len(piece[0])
        tables = (piece, self._rates(steps))
        form = (_forms(tables, 1), _forms(weights, 0))
        if self._form != form or len(self._tables[0][0]) < steps:
            self._form = form
            self._tables = tree_map(torch.clone, tables)
            self._weights = tree_map(self._place, weights)
            self._release()
            self._replay = self.replay()
        else:
            _pairwise(lambda there, new: there[: len(new)].copy_(new), self._tables, tables)
            _pairwise(_fill, self._weights, weights)
        self._at.zero_()
        for _ in range(steps):
            self._replay()
        self.done += steps

    def replay(self) -> Callable[[], None]:
        """The step, as it is to be called."""

        def said(how: str) -> None:
            for member in self.course.members:
                member.train.runs_as(how)

        return Replay(self._step, said)

    def _step(self) -> None:
        """The step that the device counts to."""
        batch, rates = tree_map(lambda table: table.index_select(0, self._at)[0], self._tables)
        for optimizer, rate in zip(self._changing, rates, strict=True):
            optimizer.set_rates(rate.unbind(0))
        self.course.step(batch, self._weights)
        self._at.add_(1)

    def _rates(self, steps: int) -> list[Tensor]:
        """Of each optimizer the step sizes that change, (steps, how many)."""
        train = self.course.members[0].train
        asked = range(self.done, self.done + steps)
        return [train.tensor([optimizer.rates(step) for step in asked]).float() for optimizer in self._changing]

    def _place(self, weight: Any) -> Any:
        """Where a weight lies; zero, of which nothing is computed, needs no place."""
        if isinstance(weight, Tensor):
            return weight.clone()
        return torch.full((), weight, device=self._at.device) if weight else weight

    def _release(self) -> None:
        """Let go of the gradients of the last recording."""
        for optimizer in self.course.optimizers:
            optimizer.torch.zero_grad()


def _forms(numbers: Any, skipped: int) -> list[Any]:
    """What a recording depends on: shapes, after so many axes, and which weights are zero."""
    leaves = tree_leaves(numbers)
    return [(one.shape[skipped:], one.dtype) if isinstance(one, Tensor) else one != 0 for one in leaves]


def _fill(there: Any, new: Any) -> None:
    if isinstance(new, Tensor):
        there.copy_(new)
    elif new:
        there.fill_(new)


def _pairwise(function: Callable[[Any, Any], Any], one: Any, other: Any) -> None:
    tree_map(lambda a, b: (function(a, b), None)[1], one, other)
