"""What runs in a process of its own, an actor's or another: it holds the data and the methods and runs trials."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zslbench.datasets import DataView
from zslbench.plugins import Plugin
from zslbench.registry import Registry
from zslbench.runner.attempt import Attempt, Printed, Undone, attempt_stack
from zslbench.runner.children import guard_children, remember_sockets
from zslbench.runner.identity import Home, Identity


class News(NamedTuple):
    """What a worker says of its trial while it runs."""

    key: str = ""
    """Of a stack the first trial's."""
    done: int = 0
    total: int = 0
    printed: str = ""
    """What the method printed since the last time."""


class Worker:
    """Lives in an actor: holds the data and the methods, runs one trial, or one stack, at a time."""

    def __init__(
        self,
        plugins: Sequence[Plugin],
        view: DataView,
        device: str,
        home: Home | None = None,
        keep_models: bool = False,
    ) -> None:
        if home is not None:
            home.take_up()
        if device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves all GPUs in sight of those who asked for none
        guard_children()
        self.registry = Registry(plugins)
        self.view = view
        self.device = device
        self.keep_models = keep_models
        self.key, self.done, self.total = "", 0, 0
        self.printed = Printed()

    def hello(self) -> Identity:
        """What this worker is, for the driver to compare with itself."""
        return Identity.here()

    def run(self, trials: Sequence[Any], place: str, executor: str, *splits: Any) -> list[Attempt] | Undone:
        """Run a trial, or several side by side.

        Args:
            trials: what to run.
            place: a file for what they print, in a folder that may not be there, on another machine.
            executor: for the record.
            splits: those of the trials, each by itself, since Ray fetches no arguments within a list.
        """
        self.key, self.done, self.total = trials[0].key, 0, 0
        self.printed = Printed(Path(place) if os.path.isdir(os.path.dirname(place)) else None)
        remember_sockets()

        def note(done: int, total: int) -> None:
            self.done, self.total = done, total

        ended = attempt_stack(
            self.registry, self.view, list(zip(trials, splits, strict=True)),
            executor=executor, device=self.device, progress=note, printed=self.printed, passes=(),
            keep_model=self.keep_models,
        )  # fmt: skip
        self.printed.discard()
        return ended

    def news(self, heard: int) -> News:
        """How far the trial is; `heard`: how many characters of its output are known already."""
        return News(self.key, self.done, self.total, self.printed.getvalue()[heard:])
