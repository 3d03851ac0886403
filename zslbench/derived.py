"""Methods made of any other method, as ``NAME+cal`` is: what all of them share."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from zslbench.methods import Method

Maker = Callable[[type[Method]], type[Method]]
"""Makes a method of a method."""


class Derived(Method):
    """A method made of the method `base`, with the same hyper-parameters."""

    base: ClassVar[type[Method]]
    maker: ClassVar[Maker]

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made, not written, so pickle cannot find it by name; its base may be a made one too.
        makers: list[Maker] = []
        base: type[Method] = type(self)
        while issubclass(base, Derived):
            makers.insert(0, base.maker)
            base = base.base
        return _rebuild, (base, makers, self.config), self.__dict__


def _rebuild(method: type[Method], makers: list[Maker], config: Any) -> Method:
    for maker in makers:
        method = maker(method)
    return method(config)


def derive(
    kind: type[Derived], base: type[Method], maker: Maker, suffix: str, words: str, about: str, citation: str,
    **changes: Any,
) -> type[Derived]:  # fmt: skip
    """The class that `kind` makes of a method.

    Args:
        kind: what is made of methods.
        base: the method.
        maker: the function that was asked for it; it returns the same class each time.
        suffix: what is added to its name, ``+cal``.
        words: what is added to its title.
        about: what is added to its docstring.
        citation: BibTeX that is added to its own.
        changes: of its `MethodInfo`.
    """
    info = dataclasses.replace(
        base.info,
        name=base.info.name + suffix,
        title=f"{base.info.title}, {words}",
        citation=f"{base.info.citation}\n{citation}".strip(),
        **changes,
    )
    attributes = {
        "info": info,
        "Config": base.Config,
        "base": base,
        "maker": staticmethod(maker),
        "__doc__": f"{inspect.cleandoc(base.__doc__ or '')}\n\n{about}",
        "__module__": kind.__module__,
    }
    return type(f"{kind.__name__.strip('_')}{base.__name__}", (kind,), attributes)
