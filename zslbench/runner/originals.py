"""Functions that the harness and methods rely on, as they were: does anybody leave others in their place?

A patch is noticed by identity, and undone where that is possible; who else holds a copy cannot be known, so a process
in which something was patched is used no more. Names that are added are no patches, since modules that load lazily do
so, unless they come in front of what was found before: of a builtin or of what a class inherits.
"""

import builtins
import sys

# Names of this module, so that it works where somebody has replaced them.
from builtins import (  # noqa: UP029
    all,
    any,
    bool,
    callable,
    delattr,
    dict,
    enumerate,
    getattr,
    isinstance,
    len,
    list,
    map,
    next,
    set,
    setattr,
    str,
    tuple,
    type,
    vars,
    zip,
)  # fmt: skip
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from functools import cache
from importlib.metadata import entry_points
from operator import attrgetter, is_
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

_MEASURING = (
    "zslbench", "numpy", "builtins", "hashlib", "io", "json", "math", "msgspec", "os", "pathlib", "posixpath", "random",
    "time", "dataclasses", "copy", "pickle", "select", "subprocess", "tempfile", "threading",
)  # fmt: skip
"""Packages with which a trial is handed its data, measured and stored, and processes for trials are started."""
_LEARNING = (
    "torch", "torch.autograd", "torch.functional", "torch.linalg", "torch.nn.functional", "torch.nn.init",
    "torch.nn.modules", "torch.nn.parameter", "torch.optim", "torch.random", "torch.serialization", "torch.utils.data",
    "torch._C._linalg", "torch._C._nn", "torch._tensor", "scipy.linalg", "scipy.optimize", "scipy.sparse.linalg",
    "scipy.spatial", "scipy.special", "scipy.stats", "torch.distributions",
)  # fmt: skip
"""Packages with which methods compute."""
_LEFT_OUT = (
    "numpy._core._multiarray_umath", "numpy._typing", "numpy.char", "numpy.core", "numpy.ctypeslib", "numpy.f2py",
    "numpy.fft", "numpy.ma", "numpy.polynomial", "numpy.rec", "numpy.strings", "numpy.testing", "numpy.typing",
)  # fmt: skip
"""Parts of them that neither the harness nor most methods use: each name costs time in each trial."""
_WITHOUT_PARTS = ("torch", "torch.autograd")
"""Of which the module is looked at, and nothing below it that is not named."""
_CLASSES = ("Tensor", "TensorBase", "Function")
"""Of torch's own, those of which methods call functions."""
_INSIDES = tuple(map(attrgetter, ("__code__", "__defaults__")))


def _measures(name: str) -> bool:
    return _within(name, _MEASURING + _methods()) and not _within(name, _LEFT_OUT)


@cache
def _methods() -> tuple[str, ...]:
    """The packages of installed methods: what their defaults are is what a table says of them."""
    return tuple({point.value.partition(":")[0].partition(".")[0] for point in entry_points(group="zslbench.methods")})


def _learns(name: str) -> bool:
    return name in _WITHOUT_PARTS or _within(name, [each for each in _LEARNING if each not in _WITHOUT_PARTS])


def _within(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


class _Space:
    """A module or class with what its names meant."""

    def __init__(self, holder: Any, name: str, measuring: bool) -> None:
        self.holder, self.name, self.measuring = holder, name, measuring
        self.get = vars(holder).get
        self.note()

    def note(self) -> None:
        """Take it as it is now."""
        kept = {name: value for name, value in vars(self.holder).items() if self._matters(name, value)}
        self.names, self.values = list(kept), list(kept.values())
        self.known = set(vars(self.holder))
        self.functions = [function for value in self.values for function in _functions(value)]
        self.insides = [list(map(part, self.functions)) for part in _INSIDES]
        named = [function for function in self.functions if function.__code__.co_kwonlyargcount]
        self.keywords = [(function, dict(function.__kwdefaults__ or {})) for function in named]

    def _matters(self, name: str, value: Any) -> bool:
        if (self.name, name) in _ELSEWHERE:
            return False
        dunder = name.startswith("__") and name.endswith("__")
        if not isinstance(self.holder, type) and dunder and name not in _KEYWORDS:
            return False
        if isinstance(value, _CONSTANTS) or (is_dataclass(value) and not isinstance(value, type)):
            return self.name.startswith("zslbench") or name in ("pi", "e", "inf", "nan")
        return callable(value) or isinstance(value, _DESCRIPTORS)

    @property
    def whole(self) -> bool:
        """Whether all is as it was."""
        code, defaults = self.insides
        return (
            all(map(is_, map(self.get, self.names), self.values))
            and all(map(is_, map(_INSIDES[0], self.functions), code))
            and all(map(is_, map(_INSIDES[1], self.functions), defaults))
            and all((function.__kwdefaults__ or {}) == kept for function, kept in self.keywords)
            and (len(vars(self.holder)) == len(self.known) or not self._in_front())
        )

    def _in_front(self) -> list[str]:
        """Names that were added and hide what was found before."""
        found = []
        for name in vars(self.holder).keys() - self.known:
            if isinstance(self.holder, type):
                bases = (vars(base)[name] for base in self.holder.__mro__[1:] if name in vars(base))
                hidden = next(bases, None)
            else:
                hidden = None if name.startswith("__") else vars(builtins).get(name)
            value = self.get(name)
            works = callable(value) or isinstance(value, _DESCRIPTORS)
            if hidden is not None and works and value is not hidden and not _wraps(value, hidden):
                found.append(name)
        return found

    def undo(self) -> Iterator[str]:
        """Make it as it was, as far as that goes, and say what was not."""
        for name in self._in_front():
            yield f"{self.name}.{name}"
            delattr(self.holder, name)
        for index, (name, value) in enumerate(zip(self.names, self.values, strict=True)):
            if self.get(name) is not value:
                if _wraps(self.get(name), value) or _says_the_same(self.get(name), value):
                    self.values[index] = self.get(name)
                    continue
                yield f"{self.name}.{name}"
                try:
                    setattr(self.holder, name, value)
                except (AttributeError, TypeError):
                    continue
        for function, *insides in zip(self.functions, *self.insides, strict=True):
            if not all(map(is_, (part(function) for part in _INSIDES), insides)):
                yield f"{self.name}.{function.__name__}"
                function.__code__, function.__defaults__ = insides
        for function, kept in self.keywords:
            if (function.__kwdefaults__ or {}) != kept:
                yield f"{self.name}.{function.__name__}"
                function.__kwdefaults__ = dict(kept)


def _functions(value: Any) -> Iterator[FunctionType]:
    """The functions of Python that do the work of a callable or a descriptor."""
    while type(value) in _HOLDERS:
        if type(value) is FunctionType:
            yield value
        if type(value) is property:
            yield from (part for part in (value.fget, value.fset, value.fdel) if type(part) is FunctionType)
        value = getattr(value, "__wrapped__", None)


def _says_the_same(found: Any, original: Any) -> bool:
    """An equal constant in place of another: pandas has the time zone read again."""
    return isinstance(original, _CONSTANTS) and type(found) is type(original) and bool(found == original)


def _wraps(found: Any, original: Any) -> bool:
    """Whether a package has wrapped its own function: torch does so when an optimizer is made for the first time."""
    package = getattr(sys.modules.get(str(getattr(original, "__module__", "")).split(".")[0]), "__path__", ())
    while found is not original:
        code = getattr(found, "__code__", None)
        if code is None or not any(code.co_filename.startswith(f"{folder}/") for folder in package):
            return False
        found = getattr(found, "__wrapped__", None)
    return True


_IMMUTABLE = 1 << 8
"""Python's flag of types that nobody can change."""
_CONSTANTS = (int, float, str, tuple, frozenset)
_DESCRIPTORS = (property, classmethod, staticmethod, ModuleType)
_HOLDERS = (FunctionType, property, classmethod, staticmethod, type(cache(len)), type(np.mean))
_ELSEWHERE = (("torch", "Storage"), ("threading", "excepthook"), ("tempfile", "tempdir"))
"""What settings put back; the first follows the default number type."""
_KEYWORDS = ("__import__", "__build_class__")
"""Names of `builtins` that stand for statements."""
_modules: dict[str, ModuleType] = {}
"""Modules that are watched, as `sys.modules` has them."""
_spaces: dict[int, _Space] = {}
_looked_at: dict[str, ModuleType | None] = {}


def watch_loaded() -> None:
    """Take up what was imported since the last time."""
    if len(_looked_at) == len(sys.modules):
        return
    for name, module in list(sys.modules.items()):
        if name in _looked_at:
            continue
        _looked_at[name] = module
        if isinstance(module, ModuleType) and (_measures(name) or _learns(name)):
            _take_up(module, name)


def is_of_methods(name: str) -> bool:
    """Whether a module defines installed methods. Plugins import such too, and it is watched from its first moment."""
    return _within(name, _methods())


def watch(name: str) -> None:
    """Take up one that was just imported."""
    if name not in _looked_at:
        _looked_at[name] = sys.modules[name]
        _take_up(sys.modules[name], name)


def _take_up(module: ModuleType, name: str) -> None:
    _modules[name] = module
    _add(module, name, _measures(name))


def _worth_a_look(found: type) -> bool:
    """Whether it is one of ours to watch, and can be changed at all."""
    if found.__flags__ & _IMMUTABLE:
        return False
    if found.__module__ in ("torch", "torch._C", "torch.autograd.function"):
        return found.__name__ in _CLASSES
    return _measures(found.__module__) or _learns(found.__module__)


def _add(holder: Any, name: str, measuring: bool) -> None:
    """A module or class, and the classes that it holds."""
    if id(holder) in _spaces:
        return
    _spaces[id(holder)] = _Space(holder, name.removeprefix("builtins."), measuring)
    for value in list(vars(holder).values()):
        if isinstance(value, type) and _worth_a_look(value):
            _add(value, f"{value.__module__}.{value.__qualname__}", _measures(value.__module__))


def accept() -> None:
    """Take everything as it is now for the original: what the user's own program has patched is no method's doing."""
    watch_loaded()
    _modules.update({name: sys.modules[name] for name in _modules if isinstance(sys.modules.get(name), ModuleType)})
    for space in _spaces.values():
        if not space.whole:
            space.note()


class Watch:
    """Says what has been patched since the last look."""

    def __init__(self, measuring: bool = False) -> None:
        watch_loaded()
        self.only_measuring = measuring
        self.tampered: list[str] = []

    def undone(self) -> list[str]:
        """Undo patches; returns their names. `tampered` has those of what trials are measured with."""
        found = [f"sys.modules[{name!r}]" for name, module in _modules.items() if sys.modules.get(name) is not module]
        sys.modules.update(_modules)
        for space in list(_spaces.values()):
            if (space.measuring or not self.only_measuring) and not space.whole:
                names = list(space.undo())
                found += names
                if space.measuring:
                    self.tampered += names
        return found
