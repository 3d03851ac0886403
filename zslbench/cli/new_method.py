"""``zslbench new-method``: a folder to start a method from."""

import importlib.util
import keyword
import re
import shutil
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

import click

from zslbench.cli.streams import say
from zslbench.errors import InputError
from zslbench.files import current_mask, write_all
from zslbench.plaintext import MOST_SAID, plain
from zslbench.registry import Registry
from zslbench.shelltext import command

_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "{module}.py": "method.py.txt",
    "tests/test_{module}.py": "test_method.py.txt",
}
_TRAINS = {"{module}.py": "method_torch.py.txt"}


@click.command("new-method")
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder to make.  [default: ./NAME]")
@click.option(
    "--torch", "trains", is_flag=True, help="Start from a method that trains: epochs, generators, progress, device."
)
def new_method(name: str, folder: Path | None, trains: bool) -> None:
    """Make a package with a method called NAME that works: a ridge regression or two towers, to be replaced."""
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
    _make(
        folder,
        {
            target.format(module=module): Template((templates / source).read_text(encoding="utf-8")).substitute(names)
            for target, source in (_FILES | (_TRAINS if trains else {})).items()
        },
    )
    file = folder / f"{module}.py"
    say(
        f"{plain(folder, MOST_SAID)}: your method is {module}.py. Next:",
        f"  {command('zslbench', 'check', '--plugin', file)}",
        f"  {command('zslbench', 'run', '--plugin', file, '--methods', f'{name},eszsl', '--dataset', 'ucm')}",
        f"  {command('pip', 'install', '-e', folder)}      # from then on without --plugin",
    )


def _make(folder: Path, files: Mapping[str, str]) -> None:
    """The folder with these files, or nothing."""
    staging: Path | None = None
    try:
        if folder.exists() or folder.is_symlink():
            raise InputError(f"{folder} exists: choose another name, or another place by --folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".zslbench-", dir=folder.parent))
        write_all({staging / name: text for name, text in files.items()})
        staging.chmod(0o777 & ~current_mask())
        staging.rename(folder)
    except FileExistsError as error:  # a file where a folder should be
        raise InputError(f"{folder} cannot be made: Not a directory.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} cannot be made: {getattr(error, 'strerror', None) or error}.") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


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
