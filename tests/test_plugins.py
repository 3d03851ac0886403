"""What a plugin is: its text and those of the user's own modules that it imports, read once."""

import importlib.machinery
import inspect
import linecache
import os
import py_compile
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins import write_plugin

from zslbench import InputError
from zslbench.hashing import file_digest
from zslbench.plugins import Plugin
from zslbench.registry import Registry

NAMES = ("zt_helper", "zt_package", "zt_space")


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Leave no own module of a test behind."""
    yield
    for name in [name for name in sys.modules if name.startswith(NAMES)]:
        del sys.modules[name]


def plugin_with(folder: Path, head: str, before: str = "pass", name: str = "mine") -> Path:
    """A plugin file that begins with these lines."""
    folder.mkdir(exist_ok=True, parents=True)
    path = write_plugin(folder / "plugin.py", name=name, before=before)
    path.write_text(f"{head}\n{path.read_text()}")
    return path


def source(path: Path) -> str:
    """The identity of the plugin's method as a fresh registry has it."""
    return Registry([path]).source("mine")


def test_a_plugin_alone_is_the_digest_of_its_file(tmp_path):
    """Keys of plugins that import nothing of the user's own stay what they were."""
    path = plugin_with(
        tmp_path, "import json, statistics, numpy, scipy.linalg\nfrom zslbench_methods.eszsl import ESZSL"
    )
    assert source(path) == file_digest(path)


WAYS = {
    "beside": ("import zt_helper", "zt_helper.py"),
    "folder on the path": (
        "import sys; sys.path.insert(0, __file__.rpartition('/')[0] + '/lib'); import zt_helper",
        "lib/zt_helper.py",
    ),
    "package": ("from zt_package import part", "zt_package/part.py"),
    "package itself": ("import zt_package", "zt_package/__init__.py"),
    "namespace": ("import zt_space.part", "zt_space/part.py"),
    "relative": ("import zt_package.outer", "zt_package/inner.py"),
    "in a function": ("import importlib; importlib.import_module('zt_helper')", "zt_helper.py"),
}


@pytest.mark.parametrize("way", WAYS)
def test_own_modules_belong_to_the_identity(tmp_path, way):
    """However a module of the user's own is reached, its text changes the key, and its folder or time does not."""
    head, edited = WAYS[way]
    ids = []
    for folder, text in (("a", "X = 1\n"), ("b", "X = 1\n"), ("c", "X = 2\n")):
        here = tmp_path / folder
        for name in ("lib", "zt_package", "zt_space"):
            (here / name).mkdir(parents=True)
        (here / "zt_package/__init__.py").write_text("")
        (here / "zt_package/outer.py").write_text("from . import inner\nfrom .inner import X\n")
        (here / edited).write_text(text)
        ids.append(source(plugin_with(here, head)))
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] != file_digest(tmp_path / "a/plugin.py")


def test_own_modules_on_pythonpath_count(tmp_path, monkeypatch):
    """A module that PYTHONPATH leads to is the user's own as well."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/zt_helper.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    path = plugin_with(tmp_path / "p", "import zt_helper")
    first = source(path)
    (tmp_path / "lib/zt_helper.py").write_text("X = 2\n")
    assert source(path) != first != file_digest(path)


def test_a_module_that_was_loaded_before_counts(tmp_path, monkeypatch):
    """A module that something else imported, or another plugin, is part of a plugin that imports it too."""
    (tmp_path / "zt_helper.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("zt_helper")
    one = plugin_with(tmp_path / "one", "import zt_helper")
    two = plugin_with(tmp_path / "two", "import zt_helper", name="other")
    registry = Registry([one, two])
    assert [
        [module.name for module in plugin.modules]
        for plugin in (*registry.plugins_of(str(one)), *registry.plugins_of(str(two)))
    ] == [["zt_helper"]] * 2


def test_the_text_is_read_once(tmp_path):
    """What is hashed, executed, shown in tracebacks and sent to workers is one text, though the files change."""
    (tmp_path / "zt_helper.py").write_text("def value():\n    return 1  # old\n")
    path = plugin_with(tmp_path, "import zt_helper")
    registry = Registry([path])
    before = registry.source("mine")
    (tmp_path / "zt_helper.py").write_text("def value():\n\n    return 2  # new\n")
    path.write_text("raise SystemExit('edited')")
    assert registry.source("mine") == before
    (plugin,) = registry.plugins_of(str(path))
    assert (plugin.text[:16], plugin.modules[0].text[:16]) == (b"import zt_helper", b"def value():\n   ")
    assert "old" in inspect.getsource(sys.modules["zt_helper"].value)
    linecache.checkcache()
    assert "old" in linecache.getline(str(tmp_path / "zt_helper.py"), 2)


def test_a_plugin_travels_as_text(tmp_path):
    """In another process, without its files, a plugin and its modules are what they were, with the same key."""
    (tmp_path / "zt_space").mkdir()
    (tmp_path / "zt_space/part.py").write_text("X = 'right'\n")
    (tmp_path / "zt_helper.py").write_text("import zt_space.part\nX = zt_space.part.X\n")
    path = plugin_with(tmp_path / "p", f"import sys; sys.path.append({str(tmp_path)!r})\nimport zt_helper")
    registry = Registry([path])
    code = (
        "import pickle, sys\nfrom zslbench.registry import Registry\n"
        "registry = Registry(pickle.load(sys.stdin.buffer))\n"
        "print(registry.source('mine'), sys.modules[registry.get('mine').__module__].zt_helper.X)"
    )
    import pickle

    sent = pickle.dumps(registry.plugins_of(str(path)))
    for file in (tmp_path / "zt_helper.py", tmp_path / "zt_space/part.py", path):
        file.unlink()
    told = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True, cwd=tmp_path)
    assert told.stdout.decode().split() == [registry.source("mine"), "right"]


def test_an_edited_helper_is_read_again(tmp_path):
    """In one process, too, a later registry takes what the files hold then."""
    (tmp_path / "zt_helper.py").write_text("X = 1\n")
    path = plugin_with(tmp_path, "import zt_helper")
    first = Registry([path])
    (tmp_path / "zt_helper.py").write_text("X = 2\n")
    second = Registry([path])
    assert first.source("mine") != second.source("mine")
    assert sys.modules[second.get("mine").__module__].zt_helper.X == 2


def test_search_path_is_the_plugin_s_alone(tmp_path):
    """What a plugin puts on the search path is gone for everybody else."""
    before = list(sys.path)
    (tmp_path / "lib").mkdir()
    Registry([plugin_with(tmp_path, f"import sys; sys.path.insert(0, {str(tmp_path / 'lib')!r})")])
    assert sys.path == before


@pytest.mark.parametrize("where", ["beside", "lib"])
def test_a_late_import_fails_with_the_remedy(tmp_path, where):
    """A module of the user's own that is imported only while the method runs is refused, as its text was not hashed."""
    (tmp_path / "lib").mkdir()
    (tmp_path / ("" if where == "beside" else "lib") / "zt_helper.py").write_text("X = 1\n")
    head = f"import sys; sys.path.append({str(tmp_path / 'lib')!r})\ndef late():\n    import zt_helper"
    method = Registry([plugin_with(tmp_path, head)]).get("mine")
    with pytest.raises(InputError, match=r"imports zt_helper .* only while a method runs; import it at the top"):
        sys.modules[method.__module__].late()


def test_installed_modules_may_be_imported_late(tmp_path):
    """What is installed has a version and may be imported whenever a method likes."""
    sys.modules.pop("scipy.signal", None)
    sys.modules.pop("wave", None)
    method = Registry([plugin_with(tmp_path, "def late():\n    import scipy.signal, wave\n    return wave")]).get(
        "mine"
    )
    assert sys.modules[method.__module__].late().__name__ == "wave"


@pytest.mark.parametrize("name", ["statistics", "wave", "numpy", "tabulate", "sklearn"])
def test_a_module_that_takes_another_s_place_is_refused(tmp_path, name):
    """A plugin that puts a folder first, in which a file is called like a standard or installed module, is refused by
    name, whether that was loaded before or not."""
    (tmp_path / "lib").mkdir()
    (tmp_path / f"lib/{name}.py").write_text("X = 1\n")
    path = plugin_with(tmp_path, f"import sys; sys.path.insert(0, {str(tmp_path / 'lib')!r})\nimport {name}")
    loaded = {key: sys.modules.pop(key) for key in list(sys.modules) if key.partition(".")[0] in {"wave", "sklearn"}}
    try:
        with pytest.raises(InputError, match=rf"lib/{name}\.py has the name of .*{name}; give it another"):
            Registry([path])
    finally:
        sys.modules.update(loaded)


def test_a_file_beside_a_plugin_never_takes_another_s_place(tmp_path):
    """A file beside the plugin that is called like a standard or installed module is simply not imported."""
    for name in ("statistics", "numpy", "wave"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')\n")
    path = plugin_with(tmp_path, "import statistics, numpy, wave")
    assert source(path) == file_digest(path)


def compiled_file(folder: Path) -> None:
    """A .pyc without its source."""
    (folder / "x.py").write_text("X = 1\n")
    py_compile.compile(str(folder / "x.py"), cfile=str(folder / "zt_helper.pyc"))


def zipped(folder: Path) -> None:
    """A zip that holds the module."""
    with zipfile.ZipFile(folder / "lib.zip", "w") as archive:
        archive.writestr("zt_helper.py", "X = 1\n")


@pytest.mark.parametrize(
    ("make", "entry", "holds"), [(compiled_file, "", "zt_helper.pyc"), (zipped, "/lib.zip", "lib.zip")]
)
def test_what_holds_no_text_is_refused(tmp_path, make, entry, holds):
    """A module without a readable text cannot belong to an identity."""
    make(tmp_path)
    path = plugin_with(tmp_path, f"import sys; sys.path.append({str(tmp_path) + entry!r})\nimport zt_helper")
    with pytest.raises(InputError, match=rf"zt_helper comes from .*{holds}.*which holds no text: a .py file is"):
        Registry([path])


def test_a_compiled_module_is_pinned_by_its_bytes(tmp_path):
    """An extension module counts by its bytes; a worker that has other bytes refuses it."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    import _bisect

    if not getattr(_bisect, "__file__", None):
        pytest.skip("this Python has no extension module in a file")
    (tmp_path / f"_bisect{suffix}").write_bytes(Path(_bisect.__file__).read_bytes())
    from zslbench.plugins import _pinned, _State

    spec = importlib.machinery.PathFinder.find_spec("_bisect", [str(tmp_path)])
    module = _pinned("_bisect", spec)
    assert (module.kind, module.sha256) == ("compiled", file_digest(tmp_path / f"_bisect{suffix}"))
    state = _State(Plugin(str(tmp_path / "p.py"), b"", (module,)), sent=True)
    assert state.find("_bisect", None).origin == module.path
    os.truncate(module.path, 100)
    with pytest.raises(InputError, match="is not here, or not the one that was hashed"):
        state.find("_bisect", None)


def test_a_loader_of_the_plugin_s_own_is_refused(tmp_path):
    """A module that is loaded by its path, past the import statement, is refused with the remedy."""
    (tmp_path / "zt_helper.py").write_text("X = 1\n")
    head = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('zt_helper', {str(tmp_path / 'zt_helper.py')!r})\n"
        "sys.modules['zt_helper'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(sys.modules['zt_helper'])\n"
    )
    with pytest.raises(InputError, match=r"it loads .*zt_helper\.py by a way of its own; write `import zt_helper`"):
        Registry([plugin_with(tmp_path, head)])


def test_two_helpers_of_one_name_are_refused(tmp_path):
    """A process holds one module of a name: the second plugin would silently run the first one's."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zt_helper.py").write_text(f"X = {name!r}\n")
    paths = [plugin_with(tmp_path / name, "import zt_helper", name=name) for name in ("one", "two")]
    with pytest.raises(InputError, match=r"two/plugin.py imports zt_helper from .* and .*one/plugin.py imports it"):
        Registry(paths)


def test_a_broken_helper_is_named_and_leaves_nothing(tmp_path):
    """An error in a helper names the plugin; mended, both can be loaded."""
    (tmp_path / "zt_helper.py").write_text("1 / 0\n")
    path = plugin_with(tmp_path, "import zt_helper")
    with pytest.raises(InputError, match=r"plugin .*plugin\.py fails to import: ZeroDivisionError"):
        Registry([path])
    assert "zt_helper" not in sys.modules
    (tmp_path / "zt_helper.py").write_text("X = 1\n")
    assert Registry([path]).names[-1] == "mine"
