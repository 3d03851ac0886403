"""Functions that the harness and methods rely on, as they were: does anybody leave others in their place?

A patch is noticed by identity, and undone where that is possible; who else holds a copy cannot be known, so a process
in which something was patched is used no more. Names that are added are no patches: modules that load lazily do so.
"""

import sys

# Names of this module, so that it works where somebody has replaced them.
from builtins import all, any, enumerate, getattr, isinstance, len, list, map, setattr, str, tuple, type, vars, zip  # noqa: UP029
from collections.abc import Iterator, Sequence
from operator import attrgetter, is_
from types import FunctionType, ModuleType
from typing import Any

_MEASURING = (
    "zslbench", "numpy", "builtins", "hashlib", "io", "json", "math", "msgspec", "os", "pathlib", "posixpath", "random",
    "time", "dataclasses",
)  # fmt: skip
"""Packages with which a trial is handed its data, measured and stored."""
_LEARNING = (
    "torch", "torch.autograd", "torch.functional", "torch.linalg", "torch.nn.functional", "torch.nn.init",
    "torch.nn.modules", "torch.nn.parameter", "torch.optim", "torch.random", "torch.serialization", "torch.utils.data",
    "torch._C._linalg", "torch._C._nn", "torch._tensor", "scipy.linalg", "scipy.optimize", "scipy.sparse.linalg",
    "scipy.spatial", "scipy.special", "scipy.stats",
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
    return _within(name, _MEASURING) and not _within(name, _LEFT_OUT)


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
        self.functions = [value for value in self.values if type(value) is FunctionType]
        self.insides = [list(map(part, self.functions)) for part in _INSIDES]

    def _matters(self, name: str, value: Any) -> bool:
        if name == "Storage" and self.name == "torch":
            return False  # it follows the default number type
        dunder = name.startswith("__") and name.endswith("__")
        if not isinstance(self.holder, type) and dunder:
            return False
        if isinstance(value, _CONSTANTS):
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
        )

    def undo(self) -> Iterator[str]:
        """Make it as it was, as far as that goes, and say what was not."""
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
_DESCRIPTORS = (property, classmethod, staticmethod)
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
        measuring = _measures(name)
        if not isinstance(module, ModuleType) or not (measuring or _learns(name)):
            continue
        _add(module, name, measuring)
        for value in list(vars(module).values()):
            if isinstance(value, type) and _worth_a_look(value):
                _add(value, f"{value.__module__}.{value.__qualname__}", _measures(value.__module__))


def _worth_a_look(found: type) -> bool:
    """Whether it is one of ours to watch, and can be changed at all."""
    if found.__flags__ & _IMMUTABLE:
        return False
    if found.__module__ in ("torch", "torch._C", "torch.autograd.function"):
        return found.__name__ in _CLASSES
    return _measures(found.__module__) or _learns(found.__module__)


def _add(holder: Any, name: str, measuring: bool) -> None:
    if id(holder) not in _spaces:
        _spaces[id(holder)] = _Space(holder, name.removeprefix("builtins."), measuring)


def accept() -> None:
    """Take everything as it is now for the original: what the user's own program has patched is no method's doing."""
    watch_loaded()
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
        found: list[str] = []
        for space in list(_spaces.values()):
            if (space.measuring or not self.only_measuring) and not space.whole:
                names = list(space.undo())
                found += names
                if space.measuring:
                    self.tampered += names
        return found
