"""Hyper-parameters: how a method declares them and how a user sets them.

A method's configuration is a frozen dataclass whose fields are made with `param`. Users write
``name[param=value,...]``; `resolve` turns that into a validated instance or says which parameters exist.
"""

import dataclasses
import difflib
import math
import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from zslbench.errors import InputError


@dataclasses.dataclass(frozen=True)
class Range:
    """A search range from `low` to `high`, both included; `log` draws on a logarithmic scale."""

    low: float
    high: float
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Choice:
    """A search over listed values."""

    values: tuple[Any, ...]


def param(
    default: Any,
    meaning: str,
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    search: Range | Choice | None = None,
    added: bool = False,
) -> Any:
    """Declare one hyper-parameter of a configuration dataclass.

    Args:
        default: the publication's value.
        meaning: one line for `zslbench describe`.
        gt: the value must be greater than this (likewise `ge`, `lt`, `le`).
        ge: lower bound, included.
        lt: upper bound, excluded.
        le: upper bound, included.
        search: where tuning may look; None for a parameter that is not tuned.
        added: whether it came after trials were stored, its default being what they did: a trial with the default is
            then stored without it, so that it is still the same trial.
    """
    bounds = {sign: bound for sign, bound in ((">", gt), (">=", ge), ("<", lt), ("<=", le)) if bound is not None}
    return dataclasses.field(
        default=default, metadata={"meaning": meaning, "bounds": bounds, "search": search, "added": added}
    )


@dataclasses.dataclass(frozen=True)
class Preset:
    """Values of several hyper-parameters under one name, typed ``name[preset=cub]``: those that a publication has for
    one data set, say. A configuration declares them as ``PRESETS: ClassVar = {"cub": Preset(...)}``."""

    values: Mapping[str, Any]
    """Parameter -> value, where it is not the default."""
    source: str
    """One line for `zslbench describe`: where they come from, or what they are for."""


PRESET = "preset"
"""What stands for a parameter where a preset is typed."""


def presets(config_class: type) -> Mapping[str, Preset]:
    """Those that a configuration declares."""
    found: Mapping[str, Preset] = getattr(config_class, "PRESETS", {})
    return found


@dataclasses.dataclass(frozen=True)
class MethodSpec:
    """A method as the user named it: ``name[param=value,...]``."""

    name: str
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)


METHOD_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_SPEC = re.compile(r"\s*(?P<name>[A-Za-z0-9_.+-]+)\s*(?:\[(?P<params>[^\[\]]*)\])?\s*(?:,\s*|$)")


def parse_methods(text: str) -> list[MethodSpec]:
    """Read a comma-separated list of ``name`` or ``name[param=value,...]``.

    Raises:
        InputError: the text does not have that form; the message shows where reading stopped.
    """
    specs, position = [], 0
    while position < len(text):
        match = _SPEC.match(text, position)
        if match is None:
            raise InputError(
                f"cannot read the method list at {text[position:]!r}: expected name or name[param=value,...], "
                f"where the name may be one with additions, as in name+cal[param=value,...].{_meant(text[position:])}"
            )
        overrides: dict[str, Any] = {}
        for item in filter(str.strip, (match["params"] or "").split(",")):
            key, equals, value = (part.strip() for part in item.partition("="))
            if not equals or not key or not value:
                raise InputError(f"cannot read {item.strip()!r} in {match[0]!r}: expected param=value")
            if key in overrides:
                raise InputError(f"parameter {key!r} is set twice in {match[0].strip(', ')!r}")
            overrides[key] = value
        specs.append(MethodSpec(match["name"], overrides))
        position = match.end()
    if not specs:
        raise InputError("no method named: expected name or name[param=value,...], separated by commas")
    return specs


_LATE = re.compile(r"(\[[^\[\]]*\])((?:\+[A-Za-z0-9_.-]+)+)")


def _meant(text: str) -> str:
    """`` Did you mean 'dem+cal[epochs=3]'?`` for the same with other brackets, without the last one, with spaces beside
    a plus sign or with what is added behind the parameters; an empty string where that is no method list either."""
    mended = re.sub(r"\s*\+\s*", "+", text.strip().translate(str.maketrans("(){}", "[][]")))
    mended = _LATE.sub(r"\2\1", mended + "]" * (mended.count("[") - mended.count("]")))
    at = 0
    while at < len(mended):
        if (match := _SPEC.match(mended, at)) is None:
            return ""
        at = match.end()
    return f" Did you mean {mended!r}?" if mended else ""


def close_matches(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` or an empty string."""
    known = list(known)
    if alike := [each for each in known if each.casefold() == name.casefold() and each != name]:
        return f" Did you mean {' or '.join(map(repr, alike[:3]))}?"
    matches = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    likeness = [difflib.SequenceMatcher(None, match, name).ratio() for match in matches]
    matches = [match for match, ratio in zip(matches, likeness, strict=True) if ratio > likeness[0] - 0.2]
    return f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def resolve(config_class: type, overrides: Mapping[str, Any], owner: str) -> Any:
    """Build a configuration from defaults and overrides (strings are converted to the field's type).

    Args:
        config_class: the method's dataclass.
        overrides: parameter name -> value, as text (command line) or already typed (TOML, Python); `PRESET` -> name
            stands for the values of a preset, which the others change.
        owner: the method's name, for messages.

    Raises:
        InputError: an unknown parameter or preset, a value of the wrong type or outside its bounds.
    """
    if PRESET in overrides:
        known, name = presets(config_class), overrides[PRESET]
        if name not in known:
            raise InputError(
                f"{owner} has no preset {name!r}.{close_matches(str(name), known)} Its presets: "
                f"{', '.join(known) or 'none'}."
            )
        overrides = {**known[name].values, **{key: value for key, value in overrides.items() if key != PRESET}}
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    types = typing.get_type_hints(config_class)
    values: dict[str, Any] = {}
    for name, raw in overrides.items():
        if name not in fields:
            raise InputError(
                f"{owner} has no parameter {name!r}.{close_matches(name, fields)} "
                f"Its parameters: {', '.join(fields) or 'none'}."
            )
        values[name] = _convert(raw, types[name], fields[name], owner)
    for name, field in fields.items():
        if name not in values and field.default is not dataclasses.MISSING:
            # As typed: a default written 1 and a user's 1.0 are the same trial, hence must be stored alike.
            values[name] = _convert(field.default, types[name], field, owner)
    try:
        return config_class(**values)
    except ValueError as error:  # from the dataclass's own __post_init__
        raise InputError(f"{owner}: {error}") from error


def _convert(raw: Any, annotation: Any, field: dataclasses.Field[Any], owner: str) -> Any:
    try:
        value = msgspec.convert(raw, annotation, strict=not isinstance(raw, str))
    except msgspec.ValidationError:
        raise InputError(f"{owner}[{field.name}={raw}]: expected {describe_type(annotation)}, found {raw!r}.") from None
    checks = {
        ">": lambda bound: value > bound,
        ">=": lambda bound: value >= bound,
        "<": lambda bound: value < bound,
        "<=": lambda bound: value <= bound,
    }
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{owner}[{field.name}={raw}]: expected a finite number.")
    for sign, bound in field.metadata.get("bounds", {}).items():
        if value is not None and not checks[sign](bound):
            raise InputError(f"{owner}[{field.name}={raw}]: expected a value {sign} {bound}.")
    return value


def describe_type(annotation: Any) -> str:
    """A type as a user reads it: ``one of published, corrected``, ``a number``, ..."""
    if typing.get_origin(annotation) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(annotation)))}"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return plain.get(annotation) or str(annotation).replace("typing.", "")


def as_dict(config: Any) -> dict[str, Any]:
    """Every parameter with its value, in the order of declaration, as JSON holds them.

    One that was `added` after trials were stored is left out where it has its default: `resolve` fills it in.
    """
    builtin: dict[str, Any] = msgspec.to_builtins(
        {
            field.name: value
            for field in dataclasses.fields(config)
            if (value := getattr(config, field.name)) != field.default or not field.metadata.get("added")
        }
    )
    return builtin


def label(name: str, config: Any) -> str:
    """``name`` or ``name[param=value,...]`` with the parameters that differ from the defaults, or from those of the
    preset that fewest differ from, if that is shorter."""
    fields = dataclasses.fields(config)

    def changed(base: Mapping[str, Any], start: list[str]) -> list[str]:
        return start + [
            f"{field.name}={_show(getattr(config, field.name))}"
            for field in fields
            if getattr(config, field.name) != base.get(field.name, field.default)
        ]

    ways = [changed({}, [])]
    ways += [changed(preset.values, [f"{PRESET}={key}"]) for key, preset in presets(type(config)).items()]
    shortest = min(ways, key=len)
    return f"{name}[{','.join(shortest)}]" if shortest else name


def _show(value: Any) -> str:
    if value is None:
        return "null"  # what `resolve` reads
    return str(value).lower() if isinstance(value, bool) else str(value)
