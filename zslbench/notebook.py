"""A method class of a notebook or a script, as the text of a plugin file.

What a trial's key names is a text, and that text is what every worker executes. A class that lives in a notebook has
none, so one is put together: its source, the sources of what it refers to there, and imports of the rest.
"""

import ast
import builtins
import inspect
import math
import symtable
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from zslbench.errors import InputError


def plugin_text(method: type) -> bytes:
    """The text of a file that defines `method` and nothing it does not need.

    Raises:
        InputError: its source is not to be had, or it refers to a value that no text can stand for.
    """
    written = _Writer(method)
    written.define(method)
    return ("\n\n".join([*sorted(written.imports), *written.parts]) + "\n").encode()


class _Writer:
    """Collects definitions, those that others need first."""

    def __init__(self, method: type) -> None:
        self.method = method
        self.home = sys.modules[method.__module__]
        self.imports: set[str] = set()
        self.parts: list[str] = []
        self._known: set[str] = set()

    def define(self, item: Any) -> None:
        """Write a class or function of the notebook, after all that it refers to."""
        name = item.__name__
        self._known.add(name)
        try:
            source = textwrap.dedent(inspect.getsource(item))
        except (OSError, TypeError):
            raise self._refused(f"the source of {name!r} is not to be had") from None
        for used in sorted(_names(source) - self._known):
            if used in vars(self.home):
                self._refer(used, vars(self.home)[used])
            elif not hasattr(builtins, used):
                raise self._refused(f"{name!r} refers to {used!r}, which is defined nowhere")
        self.parts.append(source.rstrip())

    def _refer(self, name: str, value: Any) -> None:
        self._known.add(name)
        module, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if isinstance(value, ModuleType):
            self.imports.add(f"import {value.__name__} as {name}")
        elif module == self.home.__name__ and (inspect.isclass(value) or inspect.isfunction(value)):
            if value.__name__ != name:
                raise self._refused(f"{name!r} is another name of {value.__name__!r}: use one")
            self.define(value)
        elif _is_literal(value):
            self.parts.append(f"{name} = {value!r}")
        elif module and getattr(sys.modules.get(module), qualified, None) is value:
            self.imports.add(f"from {module} import {qualified} as {name}")
        else:
            raise self._refused(f"it refers to {name!r}, a {type(value).__name__} that no text can stand for")

    def _refused(self, why: str) -> InputError:
        return InputError(
            f"class {self.method.__name__} cannot be run from {self.home.__name__}: {why}. Put the class with all it "
            f"needs into a file and give that as a plugin, or make the value a parameter of its Config."
        )


def _names(source: str) -> set[str]:
    """What a definition takes from around it."""
    tables = [symtable.symtable(source, "<notebook>", "exec")]
    found: set[str] = set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        outermost = table.get_type() == "module"
        for symbol in table.get_symbols():
            taken = symbol.is_global() or (outermost and not symbol.is_assigned())
            if symbol.is_referenced() and taken:
                found.add(symbol.get_name())
    own = {symbol.get_name() for symbol in symtable.symtable(source, "", "exec").get_symbols() if symbol.is_assigned()}
    return found - own - {"__class__", "__name__"}


def _is_literal(value: Any) -> bool:
    """Whether its `repr` says all of it."""
    try:
        return all(map(_finite, _leaves(value))) and bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False


def _leaves(value: Any) -> Iterator[Any]:
    if type(value) is dict:
        for key, entry in value.items():
            yield from (*_leaves(key), *_leaves(entry))
    elif type(value) in (tuple, list, set):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield value


def _finite(value: Any) -> bool:
    return type(value) in (type(None), bool, int, str, bytes) or (type(value) is float and math.isfinite(value))
