"""Several trainings as one program.

Parameters, data and batches of the members lie in one tensor each, member after member, and every operation of the
objective is one over all of them (`torch.func.vmap`). The members' own parameters are parts of these tensors, so that
their optimizers move them as they would alone, and whoever looks at a member's networks sees them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_leaves, tree_map

from zslbench_methods.common.trainer import Adam, Objective, Optimizer, Training


def shape(training: Training) -> Any:
    """What trainings must have in common to be members of one stack."""

    def of(tensors: Any) -> Any:
        return [(name, tensor.shape, tensor.dtype) for name, tensor in tensors]

    data = [tensor for tensor in tree_leaves(training.data) if tensor is not None]
    names = _names(training)
    return repr((
        of(names.items()), of(training.networks.named_buffers()), of(enumerate(data)), training.epochs,
        [[_moved(adam, names) for adam in update.moves] for update in training.step],
        [(isinstance(adam.lr, tuple), adam.decoupled, adam.anew) for adam in training.adams],
    ))  # fmt: skip


def _names(training: Training) -> dict[str, Tensor]:
    return dict(training.networks.named_parameters())


def _moved(adam: Adam, names: dict[str, Tensor]) -> list[str]:
    """The names of its parameters."""
    name = {id(parameter): name for name, parameter in names.items()}
    return [name[id(parameter)] for parameter in adam.parameters]


class _Bound(nn.Module):
    """An objective as the forward pass of a module, as torch wants it."""

    def __init__(self, networks: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.networks, self.objective = networks, objective

    def forward(self, data: Any, batch: Any, weights: Any) -> Tensor:
        """The loss."""
        return self.objective(self.networks, data, batch, weights)


class Stack:
    """Trainings of one shape (a `Course`)."""

    def __init__(self, members: Sequence[Training]) -> None:
        self.members, first = members, members[0]
        self._parameters = _joined([_names(member) for member in members])
        self._buffers = _joined([dict(member.networks.named_buffers()) for member in members])
        for tensor in self._parameters.values():
            tensor.requires_grad_()
        self._data = _together([member.data for member in members])
        for member in members:
            member.data = None  # so that memory holds them once

        adams = zip(*(member.adams for member in members), strict=True)
        made = {alike[0]: Optimizer(alike, first.train.device) for alike in adams}
        self.optimizers = list(made.values())
        names = _names(first)
        self._updates = []
        for update in first.step:
            moved = [name for adam in update.moves for name in _moved(adam, names)]
            own = [[_names(member)[name] for member in members] for name in moved]
            bound = _Bound(first.networks, update.objective)
            self._updates.append((bound, [self._parameters[name] for name in moved], own,
                                  [made[adam] for adam in update.moves]))  # fmt: skip

    def weights(self, epoch: int) -> Any:
        """Those of all members, tensors (S,); what is zero stays a number, and is so for all."""
        like = next(iter(self._parameters.values()))
        train = self.members[0].train

        def weight(*numbers: float) -> Any:
            zero = [number == 0 for number in numbers]
            if all(zero):
                return 0.0
            if any(zero):
                raise ValueError(f"a weight is zero for some of a stack and {max(numbers)} for others: fit them apart")
            return train.tensor(np.array(numbers)).to(like.dtype)

        return tree_map(weight, *(member.weights(epoch) for member in self.members))

    def pieces(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """The members' tables side by side: (steps, S, ...)."""
        train = self.members[0].train
        for pieces in zip(*(member.table(epoch) for member in self.members), strict=True):
            columns = zip(*pieces, strict=True)
            yield tuple(train.tensor(np.stack([np.asarray(one) for one in column], axis=1)) for column in columns)

    def step(self, batch: Any, weights: Any) -> None:
        """All updates. No member has a part in another's loss, so the gradient of the sum holds each one's own."""
        in_dims = (
            0,
            0,
            *tree_map(lambda number: 0 if isinstance(number, Tensor) else None, (self._data, batch, weights)),
        )
        for bound, moved, own, optimizers in self._updates:

            def loss(parameters: Any, buffers: Any, *inputs: Any, bound: _Bound = bound) -> Tensor:
                state = {f"networks.{name}": tensor for name, tensor in (parameters | buffers).items()}
                result: Tensor = functional_call(bound, state, inputs, tie_weights=False)
                return result

            losses = vmap(loss, in_dims)(self._parameters, self._buffers, self._data, batch, weights)
            gradients = torch.autograd.grad(losses.sum(), moved, allow_unused=True)
            for parameters, gradient in zip(own, gradients, strict=True):
                # Fused Adam goes through memory as it lies, and a gradient may be a transposed one.
                each = [None] * len(parameters) if gradient is None else gradient.contiguous().unbind(0)
                for parameter, part in zip(parameters, each, strict=True):
                    parameter.grad = part
            for optimizer in optimizers:
                optimizer.torch.step()

    def part(self) -> None:
        """Give every member parameters of its own again, so that none holds the memory of all."""
        for member in self.members:
            for tensor in (*member.networks.parameters(), *member.networks.buffers()):
                tensor.data = tensor.data.clone()


def _joined(members: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The members' tensors by name, one after the other in one (S, ...), of which theirs become parts."""
    joined = {}
    for name in members[0]:
        tensors = [member[name] for member in members]
        joined[name] = torch.stack([tensor.detach() for tensor in tensors])
        for tensor, part in zip(tensors, joined[name].unbind(0), strict=True):
            tensor.data = part
    return joined


def _together(data: Sequence[Any]) -> Any:
    """The members' data in one (S, ...) each."""
    return tree_map(lambda *tensors: None if tensors[0] is None else torch.stack(tensors), *data)
