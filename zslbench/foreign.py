"""A device that is none: tensors on it are computed on the CPU, and behave as if they were somewhere else.

What fails on a GPU for want of care fails here, without a GPU: an operation on tensors of two devices, an array made
of a tensor that is not on the CPU, numbers drawn there by a generator that is here. What is slow on a GPU, copies from
one side to the other, is noted. To torch the device is called `DEVICE`, whose tensors elsewhere hold no numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor
from torch.optim import optimizer
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = "meta"
_READS_A_NUMBER = {"aten::_local_scalar_dense", "aten::item", "aten::equal", "aten::is_nonzero"}
_HAS_AS_MANY_AS_IT_FINDS = {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim"}
"""What a GPU has to report to the CPU before it is known how large the answer is."""
_MEET = {"aten::copy_", "aten::_to_copy", "aten::set_.source_Tensor"}
"""What tensors of two devices may take part in."""


class Crossing(NamedTuple):
    """Numbers that go from one side to the other."""

    way: Literal["in", "out"]
    """To the device, or from it: then the CPU waits until all is done that the device was told to do."""
    steps: int
    """How many steps optimizers had taken."""
    epochs: int
    """How many epochs were said to be done."""
    place: str
    """Where in the method it happens: ``file:line``."""


@dataclass
class Watch:
    """What happened at the border."""

    crossings: list[Crossing] = field(default_factory=list)
    steps: int = 0
    """Of optimizers."""
    epochs: int = 0
    operations: int = 0
    """On the device."""

    def progress(self, done: int, total: int) -> None:
        """Note that so many epochs are done."""
        self.epochs = done

    def note(self, way: Literal["in", "out"]) -> None:
        """Note a crossing."""
        self.crossings.append(Crossing(way, self.steps, self.epochs, _place()))

    def out_while_training(self) -> list[Crossing]:
        """From the device between an optimizer's first step and the last one."""
        return [crossing for crossing in self.crossings if crossing.way == "out" and 0 < crossing.steps < self.steps]


class Foreign(Tensor):
    """A tensor that says it is on `DEVICE` and holds its numbers in one of the CPU."""

    watch: ClassVar[Watch] = Watch()

    @staticmethod
    def __new__(cls, held: Tensor) -> Foreign:
        """A tensor like `held`."""
        made: Foreign = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=torch.device(DEVICE),
        )  # fmt: skip
        made.held = held
        return made

    held: Tensor

    def __repr__(self) -> str:  # type: ignore[override]
        """Its shape: the numbers are elsewhere."""
        return f"tensor(..., size={tuple(self.shape)}, on another device)"

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Refuse, as a tensor of a GPU does."""
        raise TypeError("a tensor of another device is no array: move it by .cpu() first")

    def tolist(self) -> Any:
        """Its numbers as lists."""
        return self.cpu().tolist()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What torch answers before it asks for an operation."""
        kwargs = kwargs or {}
        if func is Tensor.numpy:
            if not kwargs.get("force", args[1] if len(args) > 1 else False):
                raise TypeError("a tensor of another device is no array: move it by .cpu() first")
            return args[0].detach().cpu().numpy(force=True)
        with torch._C.DisableTorchFunctionSubclass():  # results stay what they are, on either side
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """An operation that a tensor of the device takes part in."""
        return _computed(func, args, kwargs or {})


class _Border(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Catches what makes a tensor on the device, where none takes part yet."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if (device is not None and torch.device(device).type == DEVICE) or _foreigners(args, kwargs):
            return _computed(func, args, kwargs)
        return func(*args, **kwargs)


def _foreigners(args: Any, kwargs: Any) -> list[Tensor]:
    return [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Foreign)]


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on the tensors that are held, and its result back where it belongs."""
    watch, name = Foreign.watch, func._schema.name
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    ours = [value for value in tensors if isinstance(value, Foreign)]
    # A single number of the CPU may take part; it travels with the command.
    strangers = [value for value in tensors if not isinstance(value, Foreign) and value.ndim]
    if ours and strangers and name not in _MEET:
        raise RuntimeError(
            f"expected all tensors to be on the same device, found one of the CPU {tuple(strangers[0].shape)} and one "
            f"of another device {tuple(ours[0].shape)} in {name.removeprefix('aten::')} at {_place()}"
        )
    asked = kwargs.get("device")
    there = asked is None or torch.device(asked).type == DEVICE
    if there and torch.Tag.nondeterministic_seeded in func.tags:
        raise RuntimeError(
            f"random numbers are drawn on another device in {name.removeprefix('aten::')} at {_place()}: draw them on "
            f"the CPU from train.torch_generator(purpose), many at a time, and move them"
        )
    _note(watch, name, there, ours, args)
    watch.operations += 1
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs | ({"device": "cpu"} if asked is not None else {})))
    if not there or (name == "aten::copy_" and not isinstance(args[0], Foreign)):
        return result if not there else args[0]
    return return_and_correct_aliasing(  # type: ignore[no-untyped-call]
        func, args, kwargs, tree_map(_foreign, result)
    )


def _note(watch: Watch, name: str, there: bool, ours: list[Any], args: Any) -> None:
    if name in ("aten::copy_", "aten::_to_copy"):
        target = isinstance(args[0], Foreign) if name == "aten::copy_" else there
        source = isinstance(args[1 if name == "aten::copy_" else 0], Foreign)
        if target != source:
            watch.note("in" if target else "out")
    elif ours and (name in _READS_A_NUMBER or name in _HAS_AS_MANY_AS_IT_FINDS or _by_mask(name, args)):
        watch.note("out")


def _by_mask(name: str, args: Any) -> bool:
    """Whether rows are chosen by truth values."""
    return name == "aten::index" and any(index is not None and index.dtype == torch.bool for index in args[1])


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Foreign) else value


def _foreign(value: Any) -> Any:
    return Foreign(value) if isinstance(value, Tensor) else value


def _place() -> str:
    """The line that asked for it: the last one that is neither torch's nor ours."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != __name__ and not name.startswith("torch"):
            return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "an unknown place"


@contextmanager
def foreign_device() -> Iterator[Watch]:
    """Let `DEVICE` stand for a GPU for a while, and watch its border."""
    watch, before = Watch(), Foreign.watch

    def stepped(*_: Any) -> None:
        watch.steps += 1

    fused = optimizer._get_fused_kernels_supported_devices()  # type: ignore[attr-defined]
    with ExitStack() as stack:
        stack.callback(optimizer.register_optimizer_step_post_hook(stepped).remove)
        stack.enter_context(patch.object(optimizer, "_get_fused_kernels_supported_devices", lambda: [*fused, DEVICE]))
        stack.callback(setattr, Foreign, "watch", before)
        Foreign.watch = watch
        stack.enter_context(_Border())  # type: ignore[no-untyped-call]
        yield watch
