"""A fitted method as plain data: a tree that JSON can hold and the arrays that it names, and back again.

Nothing is pickled. What comes back from a file are arrays, plain values and objects of classes that the method's own
package, zslbench or torch.nn define: they are made without calling anything, and their attributes are set. A method
need not do anything for that as long as its attributes are arrays, tensors, torch modules, plain values, and objects
of classes at the top of a module that hold such.
"""

import collections
import functools
import importlib
import math
import sys
import types
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.derived import Derived
from zslbench.methods import Method, TrainingData
from zslbench.variants import base_name, made_of

Tree = Any
Arrays = dict[str, NDArray[Any]]

_HARNESS = ("zslbench.methods", "zslbench.calibration", "zslbench.gating", "zslbench.propagation")
"""Modules of the harness whose classes a fitted method may hold."""
_TORCH = ("torch.nn.modules.",)
_TORCH_FUNCTIONS = ("relu", "sigmoid", "tanh", "exp")
"""Functions of torch that a network may hold as its last step."""
_DROPPED = {TrainingData: ("progress", "runs_as", "rehearsal")}
"""What is of use while a method is fitted, and never after."""


class StateError(ValueError):
    """A fitted method holds something that cannot be kept, or a file names something that may not be made."""


def taken(method: Method) -> tuple[Tree, Arrays]:
    """A fitted method as a tree, and the arrays that the tree names.

    Raises:
        StateError: it holds something that cannot be kept; the message says where.
    """
    writer = _Writer(_home(type(method)))
    return writer.of(method, ""), writer.arrays


def given_back(tree: Tree, arrays: Arrays, method: type[Method]) -> Method:
    """The reverse of `taken`, for a method of this class.

    Raises:
        StateError: the tree names a class or function that is not of the method, or it is no such tree.
    """
    try:
        found = _Reader(arrays, _home(method)).of(tree)
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise StateError(f"its state cannot be read ({type(error).__name__}: {error})") from error
    if type(found) is not method:
        raise StateError(f"its state is that of {type(found).__name__}, and {method.__name__} is expected")
    return found


_OWN = "@"
"""Stands for the method's own package: the module of a plugin has a name that depends on where its file is."""


def _home(method: type[Method]) -> str:
    return root_of(method).__module__.partition(".")[0]


def root_of(method: type[Method]) -> type[Method]:
    """Of what a method was made in the end."""
    while issubclass(method, Derived):
        method = method.base
    return method


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _is_known(module: str) -> bool:
    return module in _HARNESS or module.startswith(_TORCH)


class _Writer:
    def __init__(self, home: str) -> None:
        self.home = home
        self.arrays: Arrays = {}
        self._known: dict[int, tuple[int, Any]] = {}  # the object too: else its id may be another's by then

    def of(self, thing: Any, where: str) -> Tree:
        """The tree of anything; `where` it is held, for messages."""
        if thing is None or isinstance(thing, bool | str) or (isinstance(thing, int) and abs(thing) < 2**63):
            return thing
        if isinstance(thing, float) and not isinstance(thing, np.generic):
            return thing if math.isfinite(thing) else {"float": str(thing)}
        if isinstance(thing, bytes):
            return {"bytes": thing.hex()}
        if isinstance(thing, types.FunctionType | types.BuiltinFunctionType):
            return self._function(thing, where)
        if isinstance(thing, types.MethodType):
            return {"method": thing.__name__, "of": self.of(thing.__self__, where)}
        if isinstance(thing, np.generic):
            return {"array": self._add(np.asarray(thing), where), "scalar": True}
        if id(thing) in self._known:
            return {"again": self._known[id(thing)][0]}
        number = len(self._known)
        self._known[id(thing)] = number, thing
        return {"number": number, **self._compound(thing, where)}

    def _compound(self, thing: Any, where: str) -> dict[str, Tree]:
        if isinstance(thing, np.ndarray):
            return {"array": self._add(thing, where), "order": _order(thing.strides)}
        if (torch := sys.modules.get("torch")) and isinstance(thing, torch.Tensor):
            kept = thing.detach().cpu()
            kind = "parameter" if isinstance(thing, torch.nn.Parameter) else "tensor"
            return {kind: self._add(kept.numpy(), where), "order": _order(kept.stride()), "grad": thing.requires_grad}
        if type(thing) in (list, tuple, set, frozenset):
            items = sorted(thing, key=repr) if isinstance(thing, set | frozenset) else thing
            return {type(thing).__name__: [self.of(item, f"{where}[{at}]") for at, item in enumerate(items)]}
        if type(thing) in (dict, collections.OrderedDict):
            pairs = [[self.of(key, where), self.of(value, f"{where}[{key!r}]")] for key, value in thing.items()]
            return {"ordered" if isinstance(thing, collections.OrderedDict) else "dict": pairs}
        if type(thing) is functools.partial:
            return {"partial": [self.of(part, where) for part in (thing.func, thing.args, thing.keywords)]}
        return self._object(thing, where)

    def _object(self, thing: Any, where: str) -> dict[str, Tree]:
        kind = type(thing)
        if isinstance(thing, Derived):
            kind, added = root_of(kind), thing.info.name.removeprefix(base_name(thing.info.name))
        else:
            added = ""
        if not hasattr(thing, "__dict__") or not self._may_name(kind.__module__):
            raise StateError(
                f"it holds {kind.__module__}.{kind.__qualname__} in {where or 'itself'}: arrays, tensors, torch "
                f"modules, plain values and objects of classes of its own that hold such can be kept"
            )
        if "<locals>" in kind.__qualname__:
            raise StateError(f"the class of {where or 'what it holds'} is defined in a function: put it at the top")
        dropped = _DROPPED.get(kind, ())
        state = [
            [name, self.of(value, f"{where}.{name}")] for name, value in vars(thing).items() if name not in dropped
        ]
        return {"object": [self._spelt(kind.__module__), kind.__qualname__], "added": added, "state": state}

    def _function(self, thing: Any, where: str) -> Tree:
        module, name = thing.__module__ or "torch", thing.__qualname__
        if module.startswith("torch") and thing.__name__ in _TORCH_FUNCTIONS:
            return {"function": ["torch", thing.__name__]}
        if "<" in name or not self._may_name(module):
            raise StateError(f"it holds the function {name} in {where}: one at the top of its own modules is expected")
        return {"function": [self._spelt(module), name]}

    def _may_name(self, module: str) -> bool:
        return _is_within(module, self.home) or _is_known(module)

    def _spelt(self, module: str) -> str:
        return _OWN + module.removeprefix(self.home) if _is_within(module, self.home) else module

    def _add(self, array: NDArray[Any], where: str) -> str:
        if array.dtype.kind not in "biuf":
            raise StateError(f"{where} is an array of {array.dtype}: numbers or truth values are expected")
        name = f"a{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name


def _order(strides: tuple[int, ...]) -> str:
    """How an array lies in memory: products of matrices depend on it in their last bits."""
    return "F" if len(strides) == 2 and strides[0] < strides[1] else "C"


class _Reader:
    def __init__(self, arrays: Arrays, home: str) -> None:
        self.arrays, self.home = arrays, home
        self._known: dict[int, Any] = {}

    def of(self, tree: Tree) -> Any:
        """What a tree stands for."""
        if not isinstance(tree, dict):
            if tree is None or isinstance(tree, bool | int | float | str):
                return tree
            raise StateError(f"its state holds {type(tree).__name__} where a value is expected")
        if "again" in tree:
            return self._known[tree["again"]]
        number = tree.get("number")
        if "object" in tree:
            return self._object(tree, number)
        made = self._made(tree)
        if number is not None:
            self._known[number] = made
        return made

    def _made(self, tree: dict[str, Tree]) -> Any:
        match tree:
            case {"float": text}:
                return float(text)
            case {"bytes": text}:
                return bytes.fromhex(text)
            case {"function": [module, name]}:
                return self._named(module, name, types.FunctionType | types.BuiltinFunctionType)
            case {"method": name, "of": owner}:
                found = getattr(self.of(owner), name)
                if not isinstance(found, types.MethodType):
                    raise StateError(f"its state names {name!r}, which is no method")
                return found
            case {"array": name, "scalar": True}:
                return self.arrays[name].reshape(())[()]
            case {"array": name, "order": order}:
                return np.array(self.arrays[name], order=order)
            case {"tensor": name, "order": order, "grad": grad}:
                return self._tensor(name, order).requires_grad_(bool(grad))
            case {"parameter": name, "order": order, "grad": grad}:
                import torch

                return torch.nn.Parameter(self._tensor(name, order), requires_grad=bool(grad))
            case {"list": items}:
                return [self.of(item) for item in items]
            case {"tuple": items}:
                return tuple(self.of(item) for item in items)
            case {"set": items}:
                return {self.of(item) for item in items}
            case {"frozenset": items}:
                return frozenset(self.of(item) for item in items)
            case {"dict": pairs}:
                return {self.of(key): self.of(value) for key, value in pairs}
            case {"ordered": pairs}:
                return collections.OrderedDict((self.of(key), self.of(value)) for key, value in pairs)
            case {"partial": [function, args, keywords]}:
                return functools.partial(self.of(function), *self.of(args), **self.of(keywords))
        raise StateError(f"its state holds {', '.join(map(str, tree))[:80]!r}, which this version does not know")

    def _tensor(self, name: str, order: str) -> Any:
        import torch

        made = torch.from_numpy(np.array(self.arrays[name]))
        return made.t().contiguous().t() if order == "F" else made

    def _object(self, tree: dict[str, Tree], number: int | None) -> Any:
        module, name = tree["object"]
        kind = self._named(module, name, type)
        if tree["added"]:
            kind = made_of(kind, tree["added"])
        made = object.__new__(kind)
        if number is not None:  # before its attributes, which may hold it
            self._known[number] = made
        state = {key: self.of(value) for key, value in tree["state"]}
        for dropped in _DROPPED.get(kind, ()):
            state[dropped] = kind.__dataclass_fields__[dropped].default
        vars(made).update(state)
        return made

    def _named(self, module: str, name: str, kind: Any) -> Any:
        of_torch = module == "torch" and name in _TORCH_FUNCTIONS
        if module.startswith(_OWN):
            module = self.home + module.removeprefix(_OWN)
        elif not of_torch and not _is_known(module):
            raise StateError(f"its state names {module}.{name}, which is not of the method")
        try:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise StateError(f"its state names {module}.{name}, which is not there any more") from error
        if not isinstance(found, kind):
            raise StateError(f"its state names {module}.{name}, which is something else now")
        return found
