"""``zslbench new-method``: a folder to start a method from."""

import importlib.util
import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

import click

from zslbench.errors import InputError
from zslbench.registry import Registry

_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "{module}.py": "method.py.txt",
    "tests/test_{module}.py": "test_method.py.txt",
}


@click.command("new-method")
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder to make.  [default: ./NAME]")
def new_method(name: str, folder: Path | None) -> None:
    """Make a package with a method called NAME that works: a ridge regression to be replaced by yours."""
    module = _module(name)
    folder = Path(name) if folder is None else folder
    words = re.split("[-_]", name)
    names = {
        "name": name,
        "module": module,
        "class_name": "".join(word[:1].upper() + word[1:] for word in words),
        "title": " ".join(words).capitalize(),
    }
    templates = resources.files("zslbench") / "templates"
    try:
        folder.mkdir(parents=True)
        (folder / "tests").mkdir()
        for target, source in _FILES.items():
            text = Template((templates / source).read_text(encoding="utf-8")).substitute(names)
            (folder / target.format(module=module)).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise InputError(f"{folder} exists: choose another name, or another place by --folder.") from None
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}.") from error
    click.echo(
        f"{folder}: your method is {module}.py. Next:\n"
        f"  zslbench check --plugin {folder / module}.py\n"
        f"  zslbench run --plugin {folder / module}.py --methods {name},eszsl --dataset ucm\n"
        f"  pip install -e {folder}      # from then on without --plugin"
    )


def _module(name: str) -> str:
    """The module that a method of this name lives in."""
    module = name.replace("-", "_")
    parts = re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*", name)
    if not parts or keyword.iskeyword(module) or keyword.iskeyword(module.capitalize()):
        raise InputError(
            f"{name!r} cannot name a method and its module: expected letters, digits and single - or _ between them, "
            f"beginning with a letter, and no word of Python."
        )
    if name in Registry().names:
        raise InputError(f"there is a method {name!r} already (zslbench describe {name}): choose another name.")
    if importlib.util.find_spec(module) is not None:
        raise InputError(f"there is a Python module {module!r} already: choose another name.")
    return module
