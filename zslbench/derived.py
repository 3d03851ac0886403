"""Methods made of any other method, as ``NAME+cal`` is: what all of them share."""

import dataclasses
import inspect
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Self

from zslbench.methods import Method, TrainingData, by_itself

Maker = Callable[[type[Method]], type[Method]]
"""Makes a method of a method."""


class Derived(Method):
    """A method made of the method `base`, with the same hyper-parameters."""

    base: ClassVar[type[Method]]
    maker: ClassVar[Maker]

    @abstractmethod
    def trainings(self, train: TrainingData) -> list[TrainingData]:
        """What the method that it is made of is fitted to, once for each; the last one is what `scorers` builds on."""

    @abstractmethod
    def take(self, train: TrainingData, fitted: Sequence[Method]) -> None:
        """Keep what was fitted to each of `trainings`, and learn what is its own."""

    def fit(self, train: TrainingData) -> None:
        """Fit the method that it is made of, then what is its own."""
        fitted = []
        for each in self.trainings(train):
            fitted.append(self.base(self.config))
            fitted[-1].fit(each)
        self.take(train, fitted)

    @classmethod
    def stack(cls, device: str) -> int:
        """As many as of the method that it is made of."""
        return cls.base.stack(device)

    @classmethod
    def stackable(cls, config: Any) -> Hashable:
        """As for the method that it is made of."""
        return cls.base.stackable(config)

    @classmethod
    def fit_many(cls, trains: Sequence[TrainingData], configs: Sequence[Any]) -> list[Self | Exception]:
        """Fit the methods that they are made of side by side, then what is each one's own."""
        methods = [cls(config) for config in configs]
        made: list[Self | Exception] = [*methods]
        asked = [one.trainings(train) for one, train in zip(methods, trains, strict=True)]
        fitted: list[list[Method]] = [[] for _ in made]
        for step in range(max(map(len, asked), default=0)):
            living = [at for at, one in enumerate(made) if isinstance(one, Method) and step < len(asked[at])]
            if not living:
                break
            found = cls.base.fit_many([asked[at][step] for at in living], [configs[at] for at in living])
            for at, one in zip(living, found, strict=True):
                if isinstance(one, Exception):
                    made[at] = one
                else:
                    fitted[at].append(one)
        for at, one in enumerate(made):
            if isinstance(one, Method) and (error := by_itself(one.take, trains[at], fitted[at])):
                made[at] = error
        return made

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


def rehearsed_first(train: TrainingData) -> list[TrainingData]:
    """The rehearsal's training data, if there is one, and then those of the trial, without it."""
    rehearsal = [] if train.rehearsal is None else [train.rehearsal.train]
    return [*rehearsal, dataclasses.replace(train, rehearsal=None)]


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
