"""Configurations: what a user writes is read back the same, and every mistake names the parameter."""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.configuration import (
    Choice,
    MethodSpec,
    Preset,
    Range,
    as_dict,
    close_matches,
    describe_type,
    label,
    param,
    parse_methods,
    resolve,
)
from zslbench.errors import InputError
from zslbench.hashing import digest


@dataclass(frozen=True)
class Config:
    """One parameter of every kind."""

    rate: float = param(0.1, "a rate", gt=0, lt=1, search=Range(1e-3, 0.5, log=True))
    share: float = param(0.5, "a share", ge=0, le=1)
    weight: float = param(1, "a weight whose default is written without a point")
    epochs: int = param(30, "epochs", ge=1, search=Choice((10, 30)))
    normalise: bool = param(True, "whether")
    variant: Literal["published", "corrected"] = param("published", "which")
    order: Literal[1, 2] = param(1, "which")
    cap: int | None = param(None, "at most so many", ge=1)
    note: str = param("none", "free text")


def configured(**overrides: Any) -> Config:
    """Resolve with the method's name."""
    config: Config = resolve(Config, overrides, "m")
    return config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eszsl", [("eszsl", {})]),
        ("eszsl,mcfa", [("eszsl", {}), ("mcfa", {})]),
        (" eszsl , mcfa ", [("eszsl", {}), ("mcfa", {})]),
        ("eszsl,", [("eszsl", {})]),
        ("eszsl, ", [("eszsl", {})]),
        ("eszsl[]", [("eszsl", {})]),
        ("mcfa[tau=0.1]", [("mcfa", {"tau": "0.1"})]),
        ("mcfa[tau=0.1,lr=1e-4],eszsl", [("mcfa", {"tau": "0.1", "lr": "1e-4"}), ("eszsl", {})]),
        ("mcfa [ tau = 0.1 , lr=-2 ] , eszsl", [("mcfa", {"tau": "0.1", "lr": "-2"}), ("eszsl", {})]),
        ("a[x=1],a[x=2]", [("a", {"x": "1"}), ("a", {"x": "2"})]),
        ("a[x=b=c]", [("a", {"x": "b=c"})]),
        ("a-b_c.d+2", [("a-b_c.d+2", {})]),
    ],
)
def test_method_lists(text: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    """Names and parameters are read as written, blanks and a last comma aside."""
    assert parse_methods(text) == [MethodSpec(name, overrides) for name, overrides in expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no method named"),
        (" ", "cannot read the method list"),
        (",", "cannot read the method list at ','"),
        ("a,,b", "cannot read the method list at ',b'"),
        ("a b", "cannot read the method list at 'a b'"),
        ("a[x=1", r"cannot read the method list at 'a\[x=1'"),
        ("a]", "cannot read the method list at 'a]'"),
        ("b,a[x=[1]]", r"cannot read the method list at 'a\[x=\[1\]\]'"),
        ("a[x=1]b", r"cannot read the method list at 'a\[x=1\]b'"),
        ("[x=1]", "cannot read the method list"),
        ("a[x]", "cannot read 'x' in .*expected param=value"),
        ("a[x=]", "cannot read 'x=' in .*expected param=value"),
        ("a[=1]", "cannot read '=1' in .*expected param=value"),
        ("a[x=1, x=2]", "parameter 'x' is set twice"),
    ],
)
def test_method_lists_that_cannot_be_read(text: str, message: str) -> None:
    """What is no list of methods is refused, with the place where reading stopped."""
    with pytest.raises(InputError, match=message):
        parse_methods(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("dem[epochs=3]+cal", "dem+cal[epochs=3]"),
        ("eszsl,dem[epochs=3,lr=1]+cal+gate,sae", "dem+cal+gate[epochs=3,lr=1],sae"),
        ("dem[epochs=3", "dem[epochs=3]"),
        ("dem(epochs=3)+cal", "dem+cal[epochs=3]"),
        ("dem + cal", "dem+cal"),
        ("a b", None),
        ("a[[x=1]]", None),
        (",", None),
    ],
)
def test_the_right_spelling_is_offered(text: str, meant: str | None) -> None:
    """What can be read with its parts in another order is written out so; of anything else nothing is guessed."""
    with pytest.raises(InputError, match="as in name\\+cal\\[param=value") as found:
        parse_methods(text)
    assert str(found.value).endswith("." if meant is None else f". Did you mean {meant!r}?")
    if meant is not None:
        parse_methods(meant)


def test_defaults() -> None:
    """Without overrides the configuration is that of the publication, and its label the plain name."""
    assert configured() == Config()
    assert label("m", configured()) == "m"


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("rate", "1e-5", 1e-5),
        ("rate", 0.25, 0.25),
        ("weight", 2, 2.0),
        ("weight", "-3", -3.0),
        ("share", "0", 0.0),
        ("share", "1", 1.0),
        ("epochs", "7", 7),
        ("epochs", "1e2", 100),
        ("normalise", "false", False),
        ("normalise", "True", True),
        ("normalise", "0", False),
        ("normalise", False, False),
        ("variant", "corrected", "corrected"),
        ("order", "2", 2),
        ("order", 2, 2),
        ("cap", "5", 5),
        ("cap", "null", None),
        ("cap", None, None),
        ("note", "5", "5"),
    ],
)
def test_values_get_the_type_of_their_field(name: str, raw: Any, value: Any) -> None:
    """Text from the command line and typed values from TOML become what the field declares, exactly."""
    found = getattr(configured(**{name: raw}), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("rate", "fast", r"m\[rate=fast\]: expected a number, found 'fast'"),
        ("rate", "", "expected a number"),
        ("rate", "0x10", "expected a number"),
        ("rate", None, "expected a number, found None"),
        ("rate", True, "expected a number, found True"),
        ("rate", [0.1], "expected a number"),
        ("rate", "nan", "expected a finite number"),
        ("rate", math.nan, "expected a finite number"),
        ("weight", "inf", "expected a finite number"),
        ("weight", -math.inf, "expected a finite number"),
        ("weight", "1e999", "expected a"),
        ("rate", "0", r"m\[rate=0\]: expected a value > 0"),
        ("rate", 1, "expected a value < 1"),
        ("share", "-0.001", "expected a value >= 0"),
        ("share", "1.001", "expected a value <= 1"),
        ("epochs", "0", "expected a value >= 1"),
        ("epochs", "1.5", "expected a whole number, found '1.5'"),
        ("epochs", 2.5, "expected a whole number"),
        ("epochs", True, "expected a whole number, found True"),
        ("epochs", "many", "expected a whole number"),
        ("normalise", "yes", "expected true or false, found 'yes'"),
        ("normalise", 1, "expected true or false, found 1"),
        ("variant", "Published", "expected one of published, corrected, found 'Published'"),
        ("variant", 1, "expected one of published, corrected"),
        ("order", "3", "expected one of 1, 2, found '3'"),
        ("cap", "0", "expected a value >= 1"),
        ("cap", "none", "found 'none'"),
        ("note", 5, "expected text, found 5"),
    ],
)
def test_values_that_do_not_fit(name: str, raw: Any, message: str) -> None:
    """A value of another type, beyond a bound or not finite is refused with parameter, value and expectation."""
    with pytest.raises(InputError, match=message):
        configured(**{name: raw})


def test_an_unknown_parameter_lists_the_known() -> None:
    """A parameter that there is not is refused with the one that was meant and with all there are."""
    with pytest.raises(InputError) as caught:
        configured(epoch=3)
    names = ", ".join(field.name for field in fields(Config))
    assert str(caught.value) == f"m has no parameter 'epoch'. Did you mean 'epochs'? Its parameters: {names}."


def test_a_method_without_parameters_says_so() -> None:
    """Where there is nothing to set, the message says "none"."""

    @dataclass(frozen=True)
    class Empty:
        pass

    assert resolve(Empty, {}, "m") == Empty()
    with pytest.raises(InputError, match=r"m has no parameter 'x'\. Its parameters: none\."):
        resolve(Empty, {"x": "1"}, "m")


def test_a_configuration_may_check_itself() -> None:
    """A ValueError of the dataclass is told as the user's mistake, under the method's name."""

    @dataclass(frozen=True)
    class Ordered:
        low: int = param(0, "low")
        high: int = param(1, "high")

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low must not exceed high")

    with pytest.raises(InputError, match=r"^m: low must not exceed high$"):
        resolve(Ordered, {"low": "5"}, "m")


@pytest.mark.parametrize("value", ["1", "1.0", 1, 1.0])
def test_stating_a_default_changes_nothing(value: Any) -> None:
    """A parameter set to its default is the same trial, down to the hash of what is stored."""
    stated = configured(weight=value)
    assert label("m", stated) == "m"
    assert digest(as_dict(stated)) == digest(as_dict(configured()))


def test_what_is_stored_is_complete() -> None:
    """Every parameter is stored in order of declaration, defaults too, so that changed defaults cannot be mixed up."""
    stored = as_dict(configured(rate="0.2"))
    assert list(stored) == [field.name for field in fields(Config)]
    assert stored["rate"] == 0.2
    assert stored["variant"] == "published"


def test_a_parameter_added_later_leaves_stored_trials_as_they_are() -> None:
    """At its default it is not stored, so the trial is the one it was; otherwise it is, and is read back."""

    @dataclass(frozen=True)
    class Before:
        rate: float = param(0.1, "a rate")

    @dataclass(frozen=True)
    class Since(Before):
        kind: Literal["old", "new"] = param("old", "a choice", added=True)

    assert (
        digest(as_dict(Since())) == digest(as_dict(Before())) == digest(as_dict(resolve(Since, {"kind": "old"}, "m")))
    )
    changed = resolve(Since, {"kind": "new"}, "m")
    assert as_dict(changed) == {"rate": 0.1, "kind": "new"}
    assert resolve(Since, as_dict(changed), "m") == changed
    assert resolve(Since, as_dict(Since()), "m") == Since()
    assert label("m", changed) == "m[kind=new]"


def test_labels_show_what_differs() -> None:
    """A label names the changed parameters in order of declaration, whatever order they were given in."""
    config = configured(variant="corrected", normalise="0", rate="0.2", cap="3")
    assert label("m", config) == "m[rate=0.2,normalise=false,variant=corrected,cap=3]"


values = st.fixed_dictionaries(
    {},
    optional={
        "rate": st.floats(0, 1, exclude_min=True, exclude_max=True),
        "share": st.floats(0, 1),
        "weight": st.floats(allow_nan=False, allow_infinity=False),
        "epochs": st.integers(1, 10**12),
        "normalise": st.booleans(),
        "variant": st.sampled_from(["published", "corrected"]),
        "order": st.sampled_from([1, 2]),
        "cap": st.none() | st.integers(1, 100),
        "note": st.text("abcXYZ019_.:/+-", min_size=1, max_size=8),
    },
)


@settings(max_examples=150, deadline=None)
@given(values, values)
def test_labels_can_be_typed(one: dict[str, Any], other: dict[str, Any]) -> None:
    """What a table shows, typed as a method list, gives the configurations it came from."""
    configs = [configured(**one), configured(**other)]
    specs = parse_methods(",".join(label("m", config) for config in configs))
    assert [resolve(Config, spec.overrides, spec.name) for spec in specs] == configs
    assert [spec.name for spec in specs] == ["m", "m"]


@settings(max_examples=80, deadline=None)
@given(values)
def test_stored_configurations_resolve_to_themselves(given_values: dict[str, Any]) -> None:
    """What a record stores, given back as typed values, is the configuration that ran."""
    config = configured(**given_values)
    assert resolve(Config, as_dict(config), "m") == config


def test_type_names() -> None:
    """Types are described in words."""
    assert describe_type(int) == "a whole number"
    assert describe_type(float) == "a number"
    assert describe_type(bool) == "true or false"
    assert describe_type(str) == "text"
    assert describe_type(Literal["a", "b"]) == "one of a, b"


def test_close_matches() -> None:
    """What is near is suggested, nearest first; what is far is not."""
    assert close_matches("eszl", ["eszsl", "mcfa"]) == " Did you mean 'eszsl'?"
    assert close_matches("projections", ["projection", "rejection"]) == " Did you mean 'projection' or 'rejection'?"
    assert close_matches("xyz", ["eszsl", "mcfa"]) == ""


@dataclass(frozen=True)
class WithPresets:
    """Parameters that go together."""

    PRESETS: ClassVar = {
        "cub": Preset({"epochs": 23, "rate": 0.2}, "the publication's"),
        "sun": Preset({"epochs": 21}, "the publication's"),
    }
    rate: float = param(0.1, "a rate")
    epochs: int = param(30, "epochs")
    width: int = param(64, "a width")


@pytest.mark.parametrize(
    ("typed", "values", "labelled"),
    [
        ("m[preset=cub]", (0.2, 23, 64), "m[preset=cub]"),
        ("m[preset=cub,width=8]", (0.2, 23, 8), "m[preset=cub,width=8]"),
        ("m[epochs=23,rate=0.2]", (0.2, 23, 64), "m[preset=cub]"),  # the same trial has one name
        ("m[preset=sun]", (0.1, 21, 64), "m[epochs=21]"),  # no shorter: as it would be without the preset
        ("m[width=8,preset=cub,epochs=30]", (0.2, 30, 8), "m[rate=0.2,width=8]"),
        ("m", (0.1, 30, 64), "m"),
    ],
)
def test_a_preset_stands_for_its_values(typed, values, labelled):
    """What is typed beside it wins in any order; a configuration has one label, the shortest, which reads back."""
    (spec,) = parse_methods(typed)
    config = resolve(WithPresets, spec.overrides, "m")
    assert (config.rate, config.epochs, config.width) == values
    assert label("m", config) == labelled
    (again,) = parse_methods(labelled)
    assert resolve(WithPresets, again.overrides, "m") == config


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (WithPresets, "m has no preset 'cup'. Did you mean 'cub'? Its presets: cub, sun."),
        (Config, "m has no preset 'cup'. Its presets: none."),
    ],
)
def test_an_unknown_preset_is_refused(config, said):
    """With those that there are."""
    with pytest.raises(InputError) as error:
        resolve(config, {"preset": "cup"}, "m")
    assert str(error.value) == said
