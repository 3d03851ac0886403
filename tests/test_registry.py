"""Finding methods: every author's mistake is named with the file it is in."""

import pickle
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from plugins import write_plugin

import zslbench.registry
from zslbench import InputError, Method
from zslbench.configuration import MethodSpec
from zslbench.registry import Registry, load_plugin
from zslbench_methods.eszsl import ESZSL

HEAD = "from dataclasses import dataclass\nfrom zslbench import Method, MethodInfo, param\n"
WHOLE = '''
class Mine(Method):
    info = MethodInfo(name="mine", title="Mine", family="linear", citation="")
    @dataclass(frozen=True)
    class Config:
        """None."""
    def fit(self, train): ...
    def scorers(self, candidates): yield
'''


def test_installed_methods_are_found_by_their_entry_points():
    """The built-in methods are registered like a stranger's, and loaded by name."""
    registry = Registry()
    assert {"eszsl", "projection"} <= set(registry.names)
    assert registry.get("eszsl") is ESZSL


def test_every_installed_method_loads():
    """Each built-in method can be imported and calls itself what its entry point says."""
    registry = Registry()
    assert [registry.get(name).info.name for name in registry.names] == registry.names


def test_methods_of_plugin_files_come_after_the_installed_ones(tmp_path):
    """A plugin's methods are listed in order of definition and can be built with parameters."""
    first = write_plugin(tmp_path / "one.py", name="zebra")
    second = tmp_path / "two.py"
    second.write_text(HEAD + WHOLE + WHOLE.replace("Mine", "Other").replace('"mine"', '"another"'))
    registry = Registry([first, second])
    assert registry.names == [*sorted(Registry().names), "zebra", "mine", "another"]
    method, config, label = registry.build(MethodSpec("zebra", {"ridge": "2"}))
    assert issubclass(method, Method)
    assert (config.ridge, label) == (2.0, "zebra[ridge=2.0]")


def test_a_plugin_file_is_imported_once(tmp_path):
    """Naming a file again, also by another path, gives the same classes, and they can be pickled."""
    path = write_plugin(tmp_path / "one.py")
    (tmp_path / "x").mkdir()
    (method,) = load_plugin(path)
    assert load_plugin(tmp_path / "x" / ".." / "one.py") == [method]
    assert pickle.loads(pickle.dumps(method)) is method  # noqa: S301  our own bytes


def test_files_of_one_name_in_two_folders_are_two_plugins(tmp_path):
    """Plugins are told apart by their whole path."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_plugin(tmp_path / name / "same.py", name=name)
    assert Registry([tmp_path / "a/same.py", tmp_path / "b/same.py"]).names[-2:] == ["a", "b"]


def test_what_a_plugin_imports_is_not_its_method(tmp_path):
    """Base classes and methods that a plugin imports or leaves abstract are not taken for its own."""
    path = tmp_path / "one.py"
    abstract = "class Base(Method):\n    def fit(self, train): ...\n"
    path.write_text("from zslbench_methods.eszsl import ESZSL\n" + HEAD + abstract + WHOLE)
    assert [method.__name__ for method in load_plugin(path)] == ["Mine"]


def test_a_broken_plugin_can_be_mended_and_loaded_again(tmp_path):
    """A failed import leaves nothing behind that would hide the mended file."""
    path = tmp_path / "one.py"
    path.write_text("import nothing_of_that_name")
    with pytest.raises(InputError, match="fails to import"):
        load_plugin(path)
    write_plugin(path, name="mended-plugin")
    assert load_plugin(path)[0].info.name == "mended-plugin"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_of_that_name", "fails to import: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def broken(:", "fails to import: SyntaxError"),
        ("raise SystemExit(0)", "fails to import: SystemExit: 0"),
        ("1 / 0", "fails to import: ZeroDivisionError: division by zero"),
        ("", "defines no method: expected a subclass of zslbench.Method"),
        ("class Mine: ...", "defines no method"),
        (HEAD + "class Mine(Method):\n    def fit(self, train): ...", "Mine does not define scorers"),
        (HEAD + WHOLE.replace("MethodInfo(", "MethodInfo(version='two', "), "Mine.info does not fit MethodInfo"),
        (HEAD + WHOLE.replace("    info =", "    other ="), "Mine has no info: expected a MethodInfo"),
        (HEAD + WHOLE.replace("MethodInfo(", "dict("), "Mine.info is not a MethodInfo"),
        (HEAD + WHOLE.replace("class Config", "class Other"), "Mine has no Config: expected a dataclass"),
        (HEAD + WHOLE.replace("    @dataclass(frozen=True)\n", ""), "Mine.Config is not a frozen dataclass"),
        (HEAD + WHOLE.replace("frozen=True", ""), "Mine.Config is not a frozen dataclass"),
        (
            HEAD + WHOLE.replace('"""None."""', "ridge: float"),
            "Mine.Config cannot be made from its defaults: TypeError",
        ),
        (HEAD + WHOLE.replace('"""None."""', "a: 'Nothing' = 1"), "cannot be made from its defaults: NameError"),
        (HEAD + WHOLE.replace('"mine"', '"eszsl"'), "names its method 'eszsl', which is taken; choose another"),
        (HEAD + WHOLE + WHOLE.replace("Mine(", "Twin("), "names its method 'mine', which is taken"),
    ],
)
def test_an_author_s_mistake_is_named(tmp_path, source, message):
    """The message names the plugin file, and what is wrong with it, in words an author can act on."""
    path = tmp_path / "plugin.py"
    path.write_text(source)
    with pytest.raises(InputError) as error:
        Registry([path])
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_plugin_that_is_not_there_is_named(tmp_path):
    """A missing file and a folder are no plugins."""
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(InputError, match=f"no plugin file {path}: expected a Python file"):
            Registry([path])


def test_a_plugin_that_is_not_named_as_python_is_refused(tmp_path):
    """A file that Python cannot import by its name is refused with the name that it needs."""
    path = write_plugin(tmp_path / "plugin.txt")
    with pytest.raises(InputError, match=r"plugin .*plugin\.txt is not a Python file: expected a name ending in \.py"):
        Registry([path])


def test_an_unknown_method_is_met_with_close_ones():
    """A misspelt name is answered with the nearest names and with all of them."""
    with pytest.raises(InputError, match=r"unknown method 'ezsl'\. Did you mean 'eszsl'.* Known: .*projection"):
        Registry().get("ezsl")


def points(monkeypatch: pytest.MonkeyPatch, *named: tuple[str, str]) -> Registry:
    """A registry over these entry points (name, value)."""
    made = [EntryPoint(name, value, "zslbench.methods") for name, value in named]
    monkeypatch.setattr(zslbench.registry, "entry_points", lambda group: made)
    return Registry()


def test_a_broken_package_does_not_hide_the_others(monkeypatch):
    """An installed method that cannot be imported is an error only for who asks for it."""
    registry = points(monkeypatch, ("bad", "nothing_here:Method"), ("eszsl", "zslbench_methods.eszsl:ESZSL"))
    assert registry.names == ["bad", "eszsl"]
    assert registry.get("eszsl") is ESZSL
    with pytest.raises(InputError, match=r"method 'bad' \(nothing_here:Method\) cannot be imported: ModuleNotFound"):
        registry.get("bad")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("eszsl", "zslbench_methods.eszsl:unit_rows", "is not a subclass of zslbench.Method"),
        ("other", "zslbench_methods.eszsl:ESZSL", "entry point 'other' leads to a method that calls itself 'eszsl'"),
        ("gone", "zslbench_methods.eszsl:Gone", "cannot be imported: AttributeError"),
    ],
)
def test_a_wrong_entry_point_is_named(monkeypatch, name, value, message):
    """An entry point must lead to a method of its own name."""
    with pytest.raises(InputError, match=message):
        points(monkeypatch, (name, value)).get(name)


def test_two_packages_with_one_name_are_told(monkeypatch):
    """Which of two installed methods would run is never left to chance; the same one listed twice is one."""
    value = "zslbench_methods.eszsl:ESZSL"
    with pytest.raises(InputError, match=f"two installed packages name a method 'eszsl': {value} and other:Method"):
        points(monkeypatch, ("eszsl", value), ("eszsl", "other:Method"))
    assert points(monkeypatch, ("eszsl", value), ("eszsl", value)).names == ["eszsl"]


def test_what_a_plugin_prints_while_it_is_imported_goes_to_stderr(tmp_path, capsys):
    """Importing methods leaves stdout to the results."""
    path = tmp_path / "loud.py"
    path.write_text("print('hello')\n" + HEAD + WHOLE)
    load_plugin(path)
    assert capsys.readouterr() == ("", "hello\n")


def test_a_plugin_s_module_can_be_found_by_its_methods(tmp_path):
    """A method's module is importable by name while it is loaded, as dataclasses and pickle need."""
    (method,) = load_plugin(write_plugin(Path(tmp_path) / "one.py"))
    assert sys.modules[method.__module__].Mine is method


def test_only_a_bound_may_be_an_oracle(tmp_path):
    """A plugin that asks for the labelled test images as semantics without being a bound is refused."""
    text = write_plugin(tmp_path / "mine.py").read_text().replace('citation=""', 'citation="", oracle=True')
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match="only a method of family 'bound'"):
        Registry([tmp_path / "mine.py"])
