"""How networks are trained: a method says what is minimised and on which batches, and one trainer does it.

The description (`Training`) holds the networks, the numbers that stay (`data`), the batches of each epoch as tables
with a row per step, and the updates that make up a step: each a loss (`Objective`) and what is moved by it. How the
steps are computed is not the method's business:

- one after the other, as a plain loop in torch does: on a CPU, where the bits are those of such a loop;
- as a CUDA graph, recorded once and replayed, where the steps would cost the CPU more than the GPU (`graphs`);
- as one program with those of other trials (`stacks`).

This asks of an objective that it is a function of what it is handed and of nothing else, that shapes do not depend on
numbers, that no number is read back (no `item`, no `if` on a tensor), and that a weight is asked by `schedules.given`
whether it is there: one that is zero stays a number, so that its term is left out, and others may be tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from zslbench import TrainingData

Objective = Callable[[Any, Any, Any, Any], Tensor]
"""``networks, data, batch, weights -> loss``."""
Parameters = list[nn.Parameter]


@dataclass(eq=False)
class Adam:
    """Some parameters and how Adam moves them. The same object in two updates means the same running means."""

    parameters: Iterable[nn.Parameter]
    lr: float | Sequence[float]
    """The step size, or that of every step of the training."""
    betas: tuple[float, float] = (0.9, 0.999)
    amsgrad: bool = False
    weight_decay: float = 0.0
    decoupled: bool = False
    """Whether the decay is AdamW's, beside the gradient rather than in it."""
    anew: bool = False
    """Whether the running means are forgotten at the start of every epoch."""

    def __post_init__(self) -> None:
        self.parameters: Parameters = list(self.parameters)
        if not isinstance(self.lr, (int, float)):
            self.lr = tuple(self.lr)

    @property
    def settings(self) -> tuple[Any, ...]:
        """All but the parameters."""
        return self.lr, self.betas, self.amsgrad, self.weight_decay, self.decoupled, self.anew


@dataclass(eq=False)
class Update:
    """One loss, and the optimizers that take a step down its gradient. Nothing else is differentiated."""

    objective: Objective
    moves: Sequence[Adam]


def recorded(device: str) -> bool:
    """Whether steps are recorded and replayed there."""
    return device.startswith("cuda")


def _no_weights(epoch: int) -> tuple[float, ...]:
    return ()


def _nothing(epoch: int) -> None:
    """Nothing happens between epochs."""


@dataclass(eq=False)
class Training:
    """All that there is to say about the training of one trial."""

    networks: nn.Module
    step: Sequence[Update]
    """The updates of a step, in order; each sees the same batch."""
    data: Any
    """Tensors on the trial's device that stay as they are: a tensor, or a tuple of some."""
    table: Callable[[int], Iterable[tuple[Any, ...]]]
    """The batches of an epoch, counted from 0, in one or more pieces: arrays or tensors of the CPU whose rows are the
    steps. A row of each makes a batch. A piece goes to the device at once."""
    epochs: int
    train: TrainingData
    weights: Callable[[int], Any] = _no_weights
    """The weights of the losses in this epoch: numbers in a tuple or a dictionary."""
    after: Callable[[int], None] = _nothing
    """Called after each epoch, counted from 1: to keep a copy of the networks, say."""

    @property
    def adams(self) -> list[Adam]:
        """Every optimizer once."""
        return list(dict.fromkeys(adam for update in self.step for adam in update.moves))


class Course(Protocol):
    """Trainings on their way: one, or several as one program."""

    members: Sequence[Training]
    optimizers: list[Optimizer]

    def weights(self, epoch: int) -> Any:
        """Those of an epoch."""

    def pieces(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """The tables of an epoch, on the device."""

    def step(self, batch: Any, weights: Any) -> None:
        """All updates."""


class Optimizer:
    """torch's Adam for the parameters of one `Adam`, or for those of its likes in several trainings: the arithmetic of
    each parameter is its own, so that a stack moves as its members would alone."""

    def __init__(self, adams: Sequence[Adam], device: str) -> None:
        self._anew = adams[0].anew
        replayed = recorded(device)
        groups: dict[Any, Parameters] = {}
        for adam in adams:
            groups.setdefault(adam.settings, []).extend(adam.parameters)
        self._rates: list[tuple[float, ...] | None] = []
        options: list[dict[str, Any]] = []
        for (lr, betas, amsgrad, weight_decay, *_), parameters in groups.items():
            self._rates.append(lr if isinstance(lr, tuple) else None)
            rate = lr[0] if isinstance(lr, tuple) else lr
            options.append({
                "params": parameters, "betas": betas, "amsgrad": amsgrad, "weight_decay": weight_decay,
                "lr": torch.tensor(rate, device=device) if replayed and isinstance(lr, tuple) else rate,
            })  # fmt: skip
        kind = torch.optim.AdamW if adams[0].decoupled else torch.optim.Adam
        self.torch = kind(options, fused=True, capturable=replayed)

    def rates(self, step: int) -> list[float]:
        """The step sizes that change, in this step."""
        return [rates[step] for rates in self._rates if rates is not None]

    def set_rates(self, rates: Iterable[Any]) -> None:
        """Use them: numbers, or tensors of a recorded program."""
        changing = [group for group, own in zip(self.torch.param_groups, self._rates, strict=True) if own is not None]
        for group, rate in zip(changing, rates, strict=True):
            if isinstance(rate, Tensor):
                group["lr"].copy_(rate)
            else:
                group["lr"] = rate

    def begin(self) -> None:
        """An epoch begins."""
        if self._anew:
            for state in self.torch.state.values():
                for value in state.values():
                    value.zero_()


class Single:
    """One training by itself."""

    def __init__(self, training: Training) -> None:
        self.members: Sequence[Training] = [training]
        made = {adam: Optimizer([adam], training.train.device) for adam in training.adams}
        self.optimizers = list(made.values())
        self._updates = [
            (update.objective, [made[adam] for adam in update.moves], _parameters(update.moves))
            for update in training.step
        ]

    def weights(self, epoch: int) -> Any:
        """The training's."""
        return self.members[0].weights(epoch)

    def pieces(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """The training's, on the device."""
        (training,) = self.members
        for piece in training.table(epoch):
            yield tuple(map(training.train.tensor, piece))

    def step(self, batch: Any, weights: Any) -> None:
        """All updates."""
        (training,) = self.members
        for objective, optimizers, moved in self._updates:
            loss = objective(training.networks, training.data, batch, weights)
            for parameter in moved:
                parameter.grad = None
            loss.backward(inputs=moved)  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.torch.step()


def _parameters(adams: Sequence[Adam]) -> Parameters:
    return [parameter for adam in adams for parameter in adam.parameters]


@dataclass
class StepByStep:
    """Computes the steps of a piece one after the other."""

    course: Course
    done: int = field(default=0, init=False)
    """Steps, of all epochs."""

    def __call__(self, piece: tuple[Tensor, ...], weights: Any) -> None:
        """All steps of the piece."""
        for batch in zip(*piece, strict=True):
            for optimizer in self.course.optimizers:
                optimizer.set_rates(optimizer.rates(self.done))
            self.course.step(batch, weights)
            self.done += 1


def _take(course: Course) -> None:
    """All epochs."""
    from zslbench_methods.common.graphs import Recorded

    members, train = course.members, course.members[0].train
    steps = Recorded(course) if recorded(train.device) else StepByStep(course)
    for epoch in range(members[0].epochs):
        for optimizer in course.optimizers:
            optimizer.begin()
        weights = course.weights(epoch)
        for piece in course.pieces(epoch):
            steps(piece, weights)
        for member in members:
            member.after(epoch + 1)
            member.train.progress(epoch + 1, member.epochs)
    for member in members:
        for parameter in member.networks.parameters():
            parameter.grad = None


def run(training: Training) -> None:
    """Train.

    Raises:
        FloatingPointError: the weights became NaN or infinite.
    """
    _take(Single(training))
    if death := _death(training):
        raise death


def run_together(trainings: Sequence[Training], kinds: Sequence[Hashable] = ()) -> list[Exception | None]:
    """Train them side by side as far as their networks and data are of one shape, and they of one kind, if `kinds` says
    what they are.

    A training gives the same bits in every place of a stack and in any company. One whose weights become NaN or
    infinite goes on to the end, and touches none of the others.

    Returns:
        What each died of, or None.
    """
    from zslbench_methods.common.stacks import Stack, shape

    alike: dict[Any, list[Training]] = {}
    for training, kind in zip_longest(trainings, kinds):
        alike.setdefault((shape(training), kind), []).append(training)
    for members in alike.values():
        stack = Stack(members)
        _take(stack)
        stack.part()
    return [_death(training) for training in trainings]


def _death(training: Training) -> FloatingPointError | None:
    """What has become of the weights."""
    numbers = [*training.networks.parameters(), *training.networks.buffers()]
    with torch.no_grad():
        if torch.stack([number.isfinite().all() for number in numbers]).all():
            return None
    return FloatingPointError("the weights became NaN or infinite in training: a smaller step size may help")


def rates(schedule: Callable[[torch.optim.Optimizer], Any], lr: float, count: int) -> list[float]:
    """The step sizes that one of torch's schedules gives, one after the other, beginning with `lr`."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    stepping, found = schedule(optimizer), []
    for _ in range(count):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        stepping.step()
    return found
