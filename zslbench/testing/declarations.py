"""What a method says of itself, and whether its parameters can be typed and stored."""

import dataclasses
from typing import Any

from zslbench import bibtex
from zslbench.configuration import PRESET, Choice, Range, as_dict, label, parse_methods, presets, resolve
from zslbench.errors import InputError
from zslbench.methods import Method, MethodInfo
from zslbench.testing.playing import check
from zslbench.testing.results import ConformanceError


@check
def metadata(method: type[Method], config: Any) -> None:
    """The method says what it is, each parameter what it means, and the citation is BibTeX."""
    info = getattr(method, "info", None)
    if not isinstance(info, MethodInfo):
        raise ConformanceError(f"{method.__name__}.info is {info!r}: a MethodInfo is expected")
    if not (method.__doc__ or "").strip():
        raise ConformanceError(
            f"{method.__name__} has no docstring: say what it does and how it departs from its paper"
        )
    for field in dataclasses.fields(config):
        if not field.metadata.get("meaning"):
            raise ConformanceError(
                f"parameter {field.name!r} says nothing of its meaning: declare it by zslbench.param(default, meaning)"
            )
    if found := bibtex.lacking(info.citation, ("title", "year")):
        raise ConformanceError(
            f"info.citation: {found}; BibTeX is expected, @type{{key, title = {{...}}, year = {{...}}}}, or an empty "
            f"string where there is no publication"
        )


@check
def configuration(method: type[Method], config: Any) -> None:
    """A configuration survives being stored and typed, and so do each preset and each end of every search range."""
    variants = [config]
    for name in presets(type(config)):
        try:
            variants.append(resolve(method.Config, {PRESET: name}, method.info.name))
        except InputError as error:
            raise ConformanceError(f"preset {name!r} is refused: {error}") from error
    if PRESET in as_dict(config):
        raise ConformanceError(f"a parameter is called {PRESET!r}: that word stands for presets; choose another one")
    for field in dataclasses.fields(config):
        match field.metadata.get("search"):
            case Range(low, high):
                values: tuple[Any, ...] = (low, high)
            case Choice(values):
                pass
            case _:
                continue
        for value in values:
            try:
                variants.append(resolve(method.Config, as_dict(config) | {field.name: value}, method.info.name))
            except InputError as error:
                raise ConformanceError(
                    f"the search of {field.name!r} leads to a value that is refused: {error}"
                ) from error
    for variant in variants:
        typed = label(method.info.name, variant)
        try:
            (spec,) = parse_methods(typed)
            stored = resolve(method.Config, as_dict(variant), method.info.name)
            retyped = resolve(method.Config, spec.overrides, spec.name)
        except (InputError, ValueError) as error:
            raise ConformanceError(
                f"{typed} cannot be read back ({error}): use numbers, booleans and plain words"
            ) from error
        for found, how in ((stored, "stored as JSON"), (retyped, f"typed as {typed}")):
            if found != variant:
                raise ConformanceError(f"{variant} becomes {found} when {how}: they must be equal; check field types")
