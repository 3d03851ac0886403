"""A device that is none: tensors on it are computed on the CPU, and behave as if they were somewhere else.

What fails on a GPU for want of care fails here, without a GPU: an operation on tensors of two devices, an array made
of a tensor that is not on the CPU, numbers drawn there by a generator that is here. What is slow on a GPU, copies from
one side to the other, is noted. To torch the device is called `DEVICE`, whose tensors elsewhere hold no numbers.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from traceback import walk_stack
from types import FrameType
from typing import Any, ClassVar, Literal, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor
from torch._functorch import eager_transforms
from torch.optim import optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = "meta"
_READS_A_NUMBER = {"aten::_local_scalar_dense", "aten::item", "aten::equal", "aten::is_nonzero", "aten::allclose",
                   "aten::_linalg_check_errors"}  # fmt: skip
_HAS_AS_MANY_AS_IT_FINDS = {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim",
                            "aten::unique_consecutive", "aten::bincount"}  # fmt: skip
"""What a GPU has to report to the CPU before it is known how large the answer is."""
_BY_INDICES = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
"""What takes rows by number; the second argument holds the numbers, which may come from the CPU."""
_OF_EQUALS = {"aten::cat", "aten::stack"}
"""What takes no single number of the CPU either."""
_PRODUCTS = {"aten::mm", "aten::bmm", "aten::addmm", "aten::mv", "aten::dot", "aten::baddbmm"}
_MEET = {"aten::copy_", "aten::_to_copy", "aten::set_.source_Tensor"}
"""What tensors of two devices may take part in."""


class Crossing(NamedTuple):
    """Numbers that go from one side to the other."""

    way: Literal["in", "out"]
    """To the device, or from it: then the CPU waits until all is done that the device was told to do."""
    moves: int
    """How many backward passes and steps of optimizers there had been."""
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
    moves: int = 0
    """Those, and backward passes."""
    epochs: int = 0
    operations: int = 0
    """On the device."""

    def progress(self, done: int, total: int) -> None:
        """Note that so many epochs are done."""
        self.epochs = done

    def note(self, way: Literal["in", "out"]) -> None:
        """Note a crossing."""
        self.crossings.append(Crossing(way, self.moves, self.epochs, _place()))

    def out_while_training(self) -> list[Crossing]:
        """From the device between the first backward pass and the last step."""
        return [crossing for crossing in self.crossings if crossing.way == "out" and 0 < crossing.moves < self.moves]

    def waits(self) -> dict[str, int]:
        """Place -> how often it reads from the device in training, where that is more than once an epoch: a word on
        each epoch costs nothing, one on each step is what makes a GPU slow."""
        reads = Counter(crossing.place for crossing in self.out_while_training())
        return {place: count for place, count in reads.items() if count > max(1, self.epochs)}


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
        """Its shape; a tensor of a GPU would show its numbers, which is noted."""
        self.watch.note("out")
        return f"tensor(..., size={tuple(self.shape)}, on another device)"

    def __format__(self, spec: str) -> str:
        """A single number as it is formatted, which reads it."""
        return format(self.item(), spec) if spec and self.ndim == 0 else repr(self)

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
        if func is Tensor.backward:
            cls.watch.moves += 1
        if func == Tensor.data.__set__ and isinstance(args[0], Foreign) and isinstance(args[1], Foreign):  # type: ignore[attr-defined]
            args[0].held = args[1].held
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
        if _is_there(kwargs.get("device")) or any(isinstance(value, Foreign) for value in _tensors(args, kwargs)):
            return _computed(func, args, kwargs)
        return func(*args, **kwargs)


class _Made(TorchFunctionMode):
    """Catches what torch makes of numbers without an operation: they are made here and moved."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        made = func in (torch.tensor, torch.as_tensor, torch.asarray, torch.sparse_coo_tensor)
        if made and _is_there(device) and not isinstance(args[0], Tensor):
            return func(*args, **kwargs | {"device": "cpu"}).to(DEVICE)
        if func is Tensor.new_tensor and isinstance(args[0], Foreign) and device is None:
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype} | kwargs).to(DEVICE)
        return func(*args, **kwargs)


def _is_there(device: Any) -> bool:
    """Whether a device that is named is the one that stands for a GPU."""
    return device is not None and torch.device(device).type == DEVICE


def _tensors(args: Any, kwargs: Any) -> list[Tensor]:
    return [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on the tensors that are held, and its result back where it belongs."""
    watch, name, asked = Foreign.watch, func._schema.name, kwargs.get("device")
    there = asked is None or _is_there(asked)
    ours = [value for value in _tensors(args, kwargs) if isinstance(value, Foreign)]
    _check_devices(name, ours, _strangers(name, args, kwargs))
    if there and torch.Tag.nondeterministic_seeded in func.tags:
        if _starts_empty():
            return args[0]
        raise RuntimeError(
            f"random numbers are drawn on another device in {name.removeprefix('aten::')} at {_place()}: draw them on "
            f"the CPU from train.torch_generator(purpose), many at a time, and move them; dropout draws too"
        )
    _note(watch, name, there, ours, args)
    watch.operations += 1
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs | ({"device": "cpu"} if asked is not None else {})))
    if not there:
        return result
    if name == "aten::copy_" and not isinstance(args[0], Foreign):
        return args[0]
    return return_and_correct_aliasing(  # type: ignore[no-untyped-call]
        func, args, kwargs, tree_map(_foreign, result)
    )


def _strangers(name: str, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors of the CPU that a GPU would not let take part beside its own."""
    found = [value for value in _tensors(args, kwargs) if not isinstance(value, Foreign)]
    if name in _BY_INDICES and isinstance(args[0], Foreign):
        found = [value for value in found if all(value is not numbers for numbers in args[1])]
    takes_result = name.endswith("_") and args and not isinstance(args[0], Foreign)
    if name in _OF_EQUALS or takes_result:
        return found
    return [value for value in found if value.ndim]  # a single number travels with the command


def _check_devices(name: str, ours: list[Any], strangers: list[Tensor]) -> None:
    """Refuse what a GPU refuses."""
    if name in _PRODUCTS and ours and not (ours[0].is_floating_point() or ours[0].is_complex()):
        raise RuntimeError(
            f"{name.removeprefix('aten::')} of whole numbers at {_place()}: a GPU has no such operation; use .float()"
        )
    if ours and strangers and name not in _MEET:
        raise RuntimeError(
            f"expected all tensors to be on the same device, found one of the CPU {tuple(strangers[0].shape)} and one "
            f"of another device {tuple(ours[0].shape)} in {name.removeprefix('aten::')} at {_place()}"
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
    kinds = torch.bool, torch.uint8
    return name == "aten::index" and any(isinstance(index, Foreign) and index.dtype in kinds for index in args[1])


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Foreign) else value


def _foreign(value: Any) -> Any:
    return Foreign(value) if isinstance(value, Tensor) else value


def _callers() -> Iterator[tuple[str, FrameType]]:
    """Module name and frame of whoever called, the last one first."""
    for frame, _ in walk_stack(sys._getframe(1)):
        yield frame.f_globals.get("__name__", ""), frame


def _starts_empty() -> bool:
    """Whether torch makes a module whose weights are to be drawn by somebody else, for which it uses the same word."""
    return any(module == "torch.nn.utils.init" and frame.f_code.co_name == "skip_init" for module, frame in _callers())


def _place() -> str:
    """The line that asked for it: the last one that is neither torch's nor ours."""
    for module, frame in _callers():
        if module not in (__name__, "traceback") and not module.startswith("torch"):
            return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
    return "an unknown place"


class NotFollowedError(Exception):
    """What a GPU computes and the stand-in for one cannot."""


def _not_followed(*args: Any, **options: Any) -> Any:
    raise NotFollowedError("forward-mode derivatives (torch.func.jvp, jacfwd, hessian)")


@contextmanager
def foreign_device() -> Iterator[Watch]:
    """Let `DEVICE` stand for a GPU for a while, and watch its border."""
    watch, before = Watch(), Foreign.watch

    def stepped(*_: Any) -> None:
        watch.steps += 1
        watch.moves += 1

    fused = optimizer._get_fused_kernels_supported_devices()  # type: ignore[attr-defined]
    with ExitStack() as stack:
        stack.callback(optimizer.register_optimizer_step_post_hook(stepped).remove)
        stack.enter_context(patch.object(optimizer, "_get_fused_kernels_supported_devices", lambda: [*fused, DEVICE]))
        stack.callback(setattr, Foreign, "watch", before)
        Foreign.watch = watch
        # As on a GPU, a module that is moved keeps its parameters: whoever holds them still does.
        stack.callback(
            torch.__future__.set_swap_module_params_on_conversion,
            torch.__future__.get_swap_module_params_on_conversion(),
        )
        torch.__future__.set_swap_module_params_on_conversion(True)
        if hasattr(eager_transforms, "_jvp_with_argnums"):  # under it torch crashes on tensors that are not its own
            stack.enter_context(patch.object(eager_transforms, "_jvp_with_argnums", _not_followed))
        stack.enter_context(_Border())  # type: ignore[no-untyped-call]
        stack.enter_context(_Made())
        yield watch
